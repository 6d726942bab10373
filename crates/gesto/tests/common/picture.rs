//! An upright picture, and the same as a camera would store it.

use gesto::{Frame, Orientation};

pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Three bytes a pixel, row by row.
    pub(crate) rgb: Vec<u8>,
}

impl Picture {
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame::rgb8(&self.rgb, self.width, self.height).unwrap()
    }

    /// As a camera would store it that needs `orientation` to make it upright.
    pub(crate) fn stored(&self, orientation: Orientation) -> Self {
        // A quarter turn exchanges the sides in both directions.
        let (width, height) = orientation.upright_size(self.width, self.height);
        let mut rgb = vec![0; self.rgb.len()];
        for (i, pixel) in self.rgb.as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (i as u32 % self.width, i as u32 / self.width);
            let center = (x as f32 + 0.5, y as f32 + 0.5);
            let (x, y) = orientation.to_stored(center, width as f32, height as f32);
            rgb.as_chunks_mut::<3>().0[(y as u32 * width + x as u32) as usize] = *pixel;
        }
        Self { width, height, rgb }
    }
}
