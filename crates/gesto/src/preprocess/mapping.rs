//! Where the pixels of a frame lie in the network's input, and back.

use gesto_engine::resample::layers::Blocks;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, Orientation};
use crate::geometry::Rect;

/// How a frame of another shape is fitted into the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keep the proportions; centre the picture between grey bars (value 114).
    #[default]
    Letterbox,
    /// Fill the input; the proportions change.
    Stretch,
}

/// The exact affine relation between one frame and the network's input.
///
/// The picture fills a rectangle of whole pixels, so the scale of each axis is the quotient of two integers and
/// differs a little between the axes under [`Fit::Letterbox`]. Both directions use those same two quotients.
/// (One common factor `min(w / W, h / H)` beside a rounded picture size is the classic error: boxes drift by up to
/// half a network pixel, several frame pixels for a 3775 x 1571 frame.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapping {
    /// Width and height of the stored frame.
    stored: (f32, f32),
    orientation: Orientation,
    /// Part of the network's input that the picture fills: x, y, width, height.
    target: [u32; 4],
    /// Network pixels for each upright frame pixel, along x and y.
    scale: (f32, f32),
    /// Where the upright frame begins in the network's input: the target's corner, but for a fraction of a pixel when
    /// blocks of pixels reach over the frame's edge.
    offset: (f32, f32),
}

impl Mapping {
    /// The relation between `frame` and a network input of `height` x `width`.
    #[must_use]
    pub fn new(frame: &Frame<'_>, fit: Fit, height: u32, width: u32) -> Self {
        Self::of_size(frame.width(), frame.height(), frame.orientation(), fit, height, width)
    }

    /// The same for any frame of `stored_width` x `stored_height` pixels.
    #[must_use]
    pub fn of_size(
        stored_width: u32,
        stored_height: u32,
        orientation: Orientation,
        fit: Fit,
        height: u32,
        width: u32,
    ) -> Self {
        let (w, h) = orientation.upright_size(stored_width, stored_height);
        let target = match fit {
            Fit::Stretch => [0, 0, width, height],
            Fit::Letterbox => {
                // The tighter axis is filled exactly; the other is rounded to the nearest whole pixel.
                let (w, h) = (u64::from(w), u64::from(h));
                let (room_w, room_h) = (u64::from(width), u64::from(height));
                let (w, h) = if room_w * h <= room_h * w {
                    (room_w, nearest(h * room_w, w).clamp(1, room_h))
                } else {
                    (nearest(w * room_h, h).clamp(1, room_w), room_h)
                };
                [(room_w - w) / 2, (room_h - h) / 2, w, h].map(|v| v as u32)
            }
        };
        Self {
            stored: (stored_width as f32, stored_height as f32),
            orientation,
            target,
            scale: (target[2] as f32 / w as f32, target[3] as f32 / h as f32),
            offset: (target[0] as f32, target[1] as f32),
        }
    }

    /// The relation when each network pixel is the mean of a block of frame pixels ([`Resize::GraphConv`]), and those
    /// blocks: square ones under [`Fit::Letterbox`].
    ///
    /// [`Resize::GraphConv`]: crate::Resize::GraphConv
    #[must_use]
    pub fn blocks(frame: &Frame<'_>, fit: Fit, height: u32, width: u32) -> (Self, Blocks) {
        let (w, h) = frame.upright_size();
        let [w, h, height, width] = [w, h, height, width].map(|side| side as usize);
        let blocks = Blocks::new([w, h], [width, height], fit == Fit::Letterbox);
        let scale = blocks.size.map(|side| 1.0 / side as f32);
        let corner = |i: usize| blocks.target[i] as f32 + blocks.before[i] as f32 * scale[i];
        let mapping = Self {
            stored: (frame.width() as f32, frame.height() as f32),
            orientation: frame.orientation(),
            target: blocks.target,
            scale: (scale[0], scale[1]),
            offset: (corner(0), corner(1)),
        };
        (mapping, blocks)
    }

    /// Part of the network's input that the upright picture fills: x, y, width, height in pixels.
    #[must_use]
    pub fn target(&self) -> [u32; 4] {
        self.target
    }

    /// A point of the stored frame in the network's input.
    #[must_use]
    pub fn point_to_network(&self, point: (f32, f32)) -> (f32, f32) {
        let (x, y) = self.orientation.to_upright(point, self.stored.0, self.stored.1);
        (x * self.scale.0 + self.offset.0, y * self.scale.1 + self.offset.1)
    }

    /// A point of the network's input in the stored frame.
    #[must_use]
    pub fn point_to_frame(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let upright = ((x - self.offset.0) / self.scale.0, (y - self.offset.1) / self.scale.1);
        self.orientation.to_stored(upright, self.stored.0, self.stored.1)
    }

    /// A rectangle of the stored frame in the network's input.
    #[must_use]
    pub fn rect_to_network(&self, rect: &Rect) -> Rect {
        Rect::from_corners(
            self.point_to_network((rect.x, rect.y)),
            self.point_to_network((rect.right(), rect.bottom())),
        )
    }

    /// A rectangle of the stored frame clipped to it; at least one pixel wide and high.
    #[must_use]
    pub fn clip(&self, rect: &Rect) -> Rect {
        rect.clipped(self.stored.0, self.stored.1)
    }

    /// A rectangle of the network's input in the stored frame; not clipped to it.
    #[must_use]
    pub fn rect_to_frame(&self, rect: &Rect) -> Rect {
        Rect::from_corners(
            self.point_to_frame((rect.x, rect.y)),
            self.point_to_frame((rect.right(), rect.bottom())),
        )
    }
}

/// `a / b` to the nearest integer, halves up.
fn nearest(a: u64, b: u64) -> u64 {
    (2 * a + b) / (2 * b)
}
