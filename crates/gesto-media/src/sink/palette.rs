//! At most 256 colours for a frame.

use quantizr::{Image, Options, QuantizeResult};

/// Colours besides the transparent one.
const COLORS: i32 = 255;

/// Chooses a palette for RGBA pixels and gives each its index: `(palette as RGB, transparent index, indices)`.
///
/// Pixels of alpha 0 are transparent, all others opaque. Nothing is dithered: the noise would change from frame to frame.
pub(crate) fn quantise(rgba: &[u8]) -> (Vec<u8>, Option<u8>, Vec<u8>) {
    let pixels = rgba.as_chunks::<4>().0;
    // Only what is seen takes part in the choice.
    let opaque: Vec<u8> = pixels.iter().filter(|pixel| pixel[3] != 0).flatten().copied().collect();
    let (mut palette, opaque_indices) = choose(&opaque);
    let transparent = (opaque_indices.len() < pixels.len()).then_some((palette.len() / 3) as u8);
    if transparent.is_some() || palette.is_empty() {
        palette.extend([0; 3]);
    }
    let mut next = opaque_indices.into_iter();
    let index = |pixel: &[u8; 4]| match transparent {
        Some(transparent) if pixel[3] == 0 => transparent,
        _ => next.next().unwrap_or(0),
    };
    let indices = pixels.iter().map(index).collect();
    (palette, transparent, indices)
}

/// Palette and indices of opaque pixels.
fn choose(rgba: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let count = rgba.len() / 4;
    let mut indices = vec![0; count];
    let mut options = Options::default();
    // Both fail only for arguments out of range, which these are not.
    let Ok(image) = Image::new(rgba, count, 1) else { return Default::default() };
    if count == 0 || options.set_max_colors(COLORS).is_err() {
        return Default::default();
    }
    let mut result = QuantizeResult::quantize(&image, &options);
    if result.set_dithering_level(0.0).and_then(|()| result.remap_image(&image, &mut indices)).is_err() {
        return Default::default();
    }
    let palette = result.get_palette();
    let colors =
        palette.entries.iter().take(palette.count as usize).flat_map(|color| [color.r, color.g, color.b]);
    (colors.collect(), indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colors(palette: &[u8], indices: &[u8]) -> Vec<[u8; 3]> {
        indices.iter().map(|&i| palette.as_chunks::<3>().0[usize::from(i)]).collect()
    }

    #[test]
    fn few_colours_stay_exact() {
        let rgba: Vec<u8> =
            (0..=254).flat_map(|i: u8| [i, 255 - i, i / 2, 255]).chain([9, 9, 9, 0]).collect();
        let (palette, transparent, indices) = quantise(&rgba);
        assert_eq!((palette.len(), transparent), (768, Some(255)));
        assert_eq!(indices[255], 255);
        for (pixel, color) in rgba.as_chunks::<4>().0.iter().zip(colors(&palette, &indices)).take(255) {
            assert_eq!(pixel[..3], color);
        }
    }

    #[test]
    fn a_thin_line_keeps_its_colour_on_a_busy_wall() {
        // 40,000 greys and browns, and 60 pixels of violet.
        let wall = (0..40_000_u32)
            .flat_map(|i| [(i % 251) as u8, (i % 241) as u8 / 2 + 64, (i % 239) as u8 / 2, 255]);
        let rgba: Vec<u8> = wall.chain([167, 40, 250, 255].repeat(60)).collect();
        let (palette, transparent, indices) = quantise(&rgba);
        assert_eq!(transparent, None);
        let last = colors(&palette, &indices)[40_030];
        let distance = last.iter().zip([167, 40, 250]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(distance < 24, "violet became {last:?}");
    }

    #[test]
    fn nothing_visible_is_no_problem() {
        let (palette, transparent, indices) = quantise(&[0; 16]);
        assert_eq!((palette.len(), transparent, indices), (3, Some(0), vec![0; 4]));
        assert_eq!(quantise(&[]).0.len(), 3);
    }
}
