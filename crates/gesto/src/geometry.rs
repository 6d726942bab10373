//! Rectangles in continuous pixel coordinates.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An axis-parallel rectangle in pixels. Serialised as `[x, y, w, h]`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Rect {
    /// A rectangle from its left and top edge and its sides.
    #[must_use]
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// A rectangle from two opposite corners.
    #[must_use]
    pub fn from_corners(a: (f32, f32), b: (f32, f32)) -> Self {
        let (x, y) = (a.0.min(b.0), a.1.min(b.1));
        Self { x, y, w: a.0.max(b.0) - x, h: a.1.max(b.1) - y }
    }

    /// Right edge.
    #[must_use]
    pub fn right(&self) -> f32 {
        self.x + self.w
    }

    /// Bottom edge.
    #[must_use]
    pub fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Middle.
    #[must_use]
    pub fn center(&self) -> (f32, f32) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Area in square pixels; 0 for a side that is negative or NaN.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// Area of the overlap over area of the union, 0 to 1; 0 when both rectangles are empty.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let w = self.right().min(other.right()) - self.x.max(other.x);
        let h = self.bottom().min(other.bottom()) - self.y.max(other.y);
        let overlap = w.max(0.0) * h.max(0.0);
        let union = self.area() + other.area() - overlap;
        if union > 0.0 { overlap / union } else { 0.0 }
    }

    /// The part within a picture of this size; at least one pixel wide and high, at the nearest place inside.
    #[must_use]
    pub fn clipped(&self, width: f32, height: f32) -> Self {
        let (x, w) = clip(self.x, self.right(), width);
        let (y, h) = clip(self.y, self.bottom(), height);
        Self { x, y, w, h }
    }
}

/// Start and length of `start..end` within `0..limit`, at least 1 long where `limit` allows.
fn clip(start: f32, end: f32, limit: f32) -> (f32, f32) {
    let (start, end) = (start.clamp(0.0, limit), end.clamp(0.0, limit));
    let least = limit.min(1.0);
    if end - start >= least {
        (start, end - start)
    } else {
        (((start + end - least) / 2.0).clamp(0.0, limit - least), least)
    }
}

impl Serialize for Rect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.x, self.y, self.w, self.h].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [x, y, w, h] = <[f32; 4]>::deserialize(deserializer)?;
        Ok(Self { x, y, w, h })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipped_boxes_lie_inside_and_have_a_pixel() {
        let cases = [
            (Rect::new(2.0, 3.0, 4.0, 2.0), Rect::new(2.0, 3.0, 4.0, 2.0)),
            (Rect::new(-5.0, -5.0, 100.0, 100.0), Rect::new(0.0, 0.0, 10.0, 8.0)),
            (Rect::new(4.0, 4.0, 0.0, 0.0), Rect::new(3.5, 3.5, 1.0, 1.0)),
            (Rect::new(20.0, 2.0, 5.0, 4.0), Rect::new(9.0, 2.0, 1.0, 4.0)),
            (Rect::new(-9.0, -9.0, 3.0, 3.0), Rect::new(0.0, 0.0, 1.0, 1.0)),
        ];
        for (rect, want) in cases {
            assert_eq!(rect.clipped(10.0, 8.0), want, "{rect:?}");
        }
    }

    #[test]
    fn overlap_of_known_boxes() {
        let a = Rect::new(0.0, 0.0, 4.0, 4.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Rect::new(2.0, 0.0, 4.0, 4.0)), 8.0 / 24.0);
        assert_eq!(a.iou(&Rect::new(4.0, 0.0, 4.0, 4.0)), 0.0);
        assert_eq!(Rect::default().iou(&Rect::default()), 0.0);
    }
}
