//! Drawing: skeletons, boxes and labels over a picture.

/// What to draw and how large.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Factor on line widths, joints and text, which already grow with the picture. 1 by default.
    pub scale: f32,
    /// Keypoints below this score are not drawn, nor limbs that end in one. 0.5 by default.
    pub keypoint_score: f32,
    /// Hand boxes and their gesture labels.
    pub hands: bool,
    /// Skeletons.
    pub skeletons: bool,
    /// Person boxes and their labels.
    pub people: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { scale: 1.0, keypoint_score: 0.5, hands: true, skeletons: true, people: true }
    }
}

/// Draws detections on pictures. Make one and keep it: it holds the font and its glyphs.
///
/// `Annotator::draw(&mut self, picture: &mut Picture, detections: &gesto::Detections)` follows with the library's
/// result types.
#[derive(Debug, Default)]
pub struct Annotator {
    style: Style,
}

impl Annotator {
    /// An annotator of this style.
    pub fn new(style: Style) -> Self {
        Self { style }
    }

    /// Its style.
    pub fn style(&self) -> &Style {
        &self.style
    }
}
