//! Text: the embedded font, measured and laid over pixels.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use tiny_skia::{Color, PixmapMut, PremultipliedColorU8};

/// The typeface of all labels as an OpenType file: Inter SemiBold, Latin letters only; see `assets/README.md` for its licence.
pub const FONT: &[u8] = include_bytes!("../../assets/Inter-SemiBold-latin.ttf");

/// The font of all labels.
#[derive(Debug)]
pub(crate) struct Typeface {
    font: FontRef<'static>,
}

impl Typeface {
    pub(crate) fn embedded() -> Self {
        Self { font: FontRef::try_from_slice(FONT).expect("the embedded font is a font") }
    }

    /// `size` is the height of a line's em square in pixels.
    fn scale(&self, size: f32) -> PxScale {
        // The font's own height (ascent to descent) is what a scale means to `ab_glyph`.
        let units = self.font.units_per_em().unwrap_or(1000.0);
        PxScale::from(size * self.font.height_unscaled() / units)
    }

    /// Glyphs on a base line that begins at the origin, and the width of the line.
    fn lay_out(&self, text: &str, size: f32) -> (Vec<Glyph>, f32) {
        let font = self.font.as_scaled(self.scale(size));
        // Digits as wide as the widest one, so that a changing score does not make the label tremble.
        let digit = ('0'..='9').map(|c| font.h_advance(font.glyph_id(c))).fold(0.0, f32::max);
        let mut x = 0.0;
        let mut glyphs = Vec::with_capacity(text.len());
        for c in text.chars() {
            let mut glyph = font.scaled_glyph(c);
            let advance = font.h_advance(glyph.id);
            let width = if c.is_ascii_digit() { digit } else { advance };
            glyph.position = point(x + (width - advance) / 2.0, 0.0);
            glyphs.push(glyph);
            x += width;
        }
        (glyphs, x)
    }

    /// Width of a line in pixels.
    pub(crate) fn width(&self, text: &str, size: f32) -> f32 {
        self.lay_out(text, size).1
    }

    /// Height of a capital letter in pixels.
    pub(crate) fn cap_height(&self, size: f32) -> f32 {
        // Inter's capitals are 0.727 em high; the letters of a label are centred by them.
        0.727 * size
    }

    /// Draws a line whose base line begins at `(x, y)`.
    pub(crate) fn draw(
        &self,
        pixmap: &mut PixmapMut<'_>,
        text: &str,
        size: f32,
        (x, y): (f32, f32),
        color: Color,
    ) {
        let (width, height) = (pixmap.width() as i32, pixmap.height() as i32);
        let [r, g, b] = [color.red(), color.green(), color.blue()];
        for mut glyph in self.lay_out(text, size).0 {
            glyph.position.x += x;
            glyph.position.y += y;
            let Some(outline) = self.font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            let (left, top) = (bounds.min.x as i32, bounds.min.y as i32);
            let pixels = pixmap.pixels_mut();
            outline.draw(|dx, dy, coverage| {
                let (x, y) = (left + dx as i32, top + dy as i32);
                if (0..width).contains(&x) && (0..height).contains(&y) {
                    let pixel = &mut pixels[(y * width + x) as usize];
                    *pixel = blend(*pixel, [r, g, b], color.alpha() * coverage.min(1.0));
                }
            });
        }
    }
}

/// Lays a colour (0 to 1) over an opaque pixel.
fn blend(under: PremultipliedColorU8, over: [f32; 3], alpha: f32) -> PremultipliedColorU8 {
    let mix = |under: u8, over: f32| {
        let under = f32::from(under);
        (under + (over * 255.0 - under) * alpha).round().clamp(0.0, 255.0) as u8
    };
    let [r, g, b] = over;
    PremultipliedColorU8::from_rgba(mix(under.red(), r), mix(under.green(), g), mix(under.blue(), b), 255)
        .unwrap_or(under)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_do_not_tremble() {
        let face = Typeface::embedded();
        assert!((face.width("0.11", 20.0) - face.width("0.98", 20.0)).abs() < 1e-4);
        assert!(face.width("il", 20.0) < face.width("mw", 20.0));
        assert!((face.width("peace", 40.0) - 2.0 * face.width("peace", 20.0)).abs() < 0.1);
    }

    #[test]
    fn every_gesture_has_its_letters() {
        let face = Typeface::embedded();
        for c in
            gesto::Gesture::ALL.iter().flat_map(|gesture| gesture.name().chars()).chain("person 0.%".chars())
        {
            assert_ne!(face.font.glyph_id(c).0, 0, "the font has no `{c}`");
        }
    }
}
