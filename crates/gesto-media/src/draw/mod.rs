//! Drawing: skeletons, boxes and labels over a picture.

mod color;
mod label;
#[cfg(test)]
mod palette;
mod shape;
mod skeleton;
mod text;

use gesto::{Detections, Hand, KeypointName, Person, Rect};
use tiny_skia::PixmapMut;

use self::color::{INK, PERSON, Rgb, WHITE};
use self::label::{Layout, Wanted};
pub use self::text::FONT;
use self::text::Typeface;
use crate::Picture;

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

/// Draws detections on pictures. Make one and keep it: it holds the font and a canvas of the picture's size.
#[derive(Debug)]
pub struct Annotator {
    style: Style,
    typeface: Typeface,
    /// RGBA copy of the picture while it is drawn on.
    canvas: Vec<u8>,
}

impl Default for Annotator {
    fn default() -> Self {
        Self::new(Style::default())
    }
}

/// Sizes in pixels that follow from a picture's size.
#[derive(Clone, Copy, Debug)]
struct Metrics {
    /// Width of a limb of a person that fills the picture, and of box corners.
    line: f32,
    /// Em height of labels.
    text: f32,
}

impl Metrics {
    fn new(width: u32, height: u32, scale: f32) -> Self {
        let side = width.min(height) as f32;
        let scale = if scale.is_finite() { scale.clamp(0.1, 10.0) } else { 1.0 };
        // Grows slower than the picture: small ones stay legible, large ones are not covered.
        Self { line: (1.4 + 0.006 * side) * scale, text: (9.0 + 0.0145 * side) * scale }
    }
}

impl Annotator {
    /// An annotator of this style.
    pub fn new(style: Style) -> Self {
        Self { style, typeface: Typeface::embedded(), canvas: Vec::new() }
    }

    /// Its style.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Draws what was found over the picture it was found in.
    ///
    /// Skeletons lie lowest, then boxes, then labels, so that names are always readable. A label that does not fit into
    /// the picture is left out.
    pub fn draw(&mut self, picture: &mut Picture, detections: &Detections) {
        let nothing = detections.hands.is_empty() && detections.people.is_empty();
        let (width, height) = (picture.width(), picture.height());
        if nothing || width == 0 || height == 0 {
            return;
        }
        let mut canvas = std::mem::take(&mut self.canvas);
        canvas.resize(width as usize * height as usize * 4, 0);
        for (rgba, &[r, g, b]) in canvas.as_chunks_mut::<4>().0.iter_mut().zip(picture.pixels().as_chunks().0)
        {
            *rgba = [r, g, b, 255];
        }
        if let Some(mut pixmap) = PixmapMut::from_bytes(&mut canvas, width, height) {
            self.paint(&mut pixmap, detections);
        }
        for (rgb, &[r, g, b, _]) in
            picture.pixels_mut().as_chunks_mut().0.iter_mut().zip(canvas.as_chunks::<4>().0)
        {
            *rgb = [r, g, b];
        }
        self.canvas = canvas;
    }

    fn paint(&self, pixmap: &mut PixmapMut<'_>, detections: &Detections) {
        let metrics = Metrics::new(pixmap.width(), pixmap.height(), self.style.scale);
        let people: Vec<_> = detections.people.iter().filter(|person| drawable(&person.bbox)).collect();
        let hands: Vec<_> = detections.hands.iter().filter(|hand| drawable(&hand.bbox)).collect();
        // The best detections are drawn last, over the others.
        if self.style.people {
            people.iter().rev().for_each(|person| person_box(pixmap, person, &metrics));
        }
        if self.style.skeletons {
            for person in people.iter().rev() {
                let line = person_line(person, pixmap, &metrics);
                skeleton::draw(pixmap, person, self.style.keypoint_score, line);
            }
        }
        if self.style.hands {
            hands.iter().rev().for_each(|hand| hand_box(pixmap, hand, &metrics));
        }
        self.labels(pixmap, &people, &hands, &metrics);
    }

    fn labels(&self, pixmap: &mut PixmapMut<'_>, people: &[&Person], hands: &[&Hand], metrics: &Metrics) {
        let faces = people.iter().filter_map(|person| face(person, self.style.keypoint_score));
        let precious = faces.chain(hands.iter().map(|hand| hand.bbox)).collect();
        let gap = (metrics.line * 0.9).max(2.0);
        let mut layout = Layout::new(pixmap.width(), pixmap.height(), gap, precious);
        if self.style.hands {
            for hand in hands {
                let name = hand.label.as_str().replace('_', " ");
                self.label(pixmap, &mut layout, &hand.bbox, &name, hand.score, color::gesture(hand), metrics);
            }
        }
        if self.style.people {
            for person in people {
                self.label(pixmap, &mut layout, &person.bbox, "person", person.score, PERSON, metrics);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one label, said once")]
    fn label(
        &self,
        pixmap: &mut PixmapMut<'_>,
        layout: &mut Layout,
        of: &Rect,
        name: &str,
        score: f32,
        color: Rgb,
        metrics: &Metrics,
    ) {
        let size = metrics.text;
        let score = format!("{score:.2}");
        let (pad_x, pad_y, space) = (0.5 * size, 0.36 * size, 0.34 * size);
        let name_width = self.typeface.width(name, size);
        let width = name_width + space + self.typeface.width(&score, size) + 2.0 * pad_x;
        let cap = self.typeface.cap_height(size);
        let height = cap + 2.0 * pad_y;
        let Some(place) = layout.place(&Wanted { of: *of, size: (width, height) }) else { return };

        let round = 0.34 * height;
        let shadow = Rect::new(place.x - 1.0, place.y - 0.5, place.w + 2.0, place.h + 2.5);
        shape::fill(pixmap, shape::round_rect(&shadow, round + 1.0), INK.alpha(0.28));
        shape::fill(pixmap, shape::round_rect(&place, round), color.alpha(0.88));
        let ink = color.ink();
        let base = place.y + pad_y + cap;
        self.typeface.draw(pixmap, name, size, (place.x + pad_x, base), ink.alpha(1.0));
        let score_at = (place.x + pad_x + name_width + space, base);
        self.typeface.draw(pixmap, &score, size, score_at, ink.alpha(0.68));
    }
}

/// Not NaN, not infinite, not inside out.
fn drawable(rect: &Rect) -> bool {
    [rect.x, rect.y, rect.w, rect.h].iter().all(|side| side.abs() < 1e6) && rect.w > 0.0 && rect.h > 0.0
}

/// Thinner lines for people far away.
fn person_line(person: &Person, pixmap: &PixmapMut<'_>, metrics: &Metrics) -> f32 {
    let side = pixmap.width().min(pixmap.height()) as f32;
    let share = person.bbox.w.max(person.bbox.h) / (0.6 * side);
    (metrics.line * share.clamp(0.35, 1.0)).max(1.2)
}

fn person_box(pixmap: &mut PixmapMut<'_>, person: &Person, metrics: &Metrics) {
    let line = metrics.line * 0.5;
    frame(pixmap, &person.bbox, WHITE, line, 0.0, 0.75);
}

fn hand_box(pixmap: &mut PixmapMut<'_>, hand: &Hand, metrics: &Metrics) {
    frame(pixmap, &hand.bbox, color::gesture(hand), metrics.line * 0.85, 0.10, 1.0);
}

/// A box: a tinted inside, a thin outline, and strong corners.
fn frame(pixmap: &mut PixmapMut<'_>, rect: &Rect, color: Rgb, line: f32, tint: f32, strength: f32) {
    // The line lies inside the box, so that a box at the picture's edge is seen whole.
    let inset = 0.5 * line;
    let rect = Rect::new(rect.x + inset, rect.y + inset, (rect.w - line).max(1.0), (rect.h - line).max(1.0));
    let short = rect.w.min(rect.h);
    let radius = (0.12 * short).clamp(1.0, 5.0 * line.max(1.0));
    if tint > 0.0 {
        shape::fill(pixmap, shape::round_rect(&rect, radius), color.alpha(tint));
    }
    let outline = shape::round_rect(&rect, radius);
    shape::stroke(pixmap, outline.as_ref(), (0.4 * line).max(0.8) + 1.0, INK.alpha(0.22 * strength));
    shape::stroke(pixmap, outline.as_ref(), (0.4 * line).max(0.8), color.alpha(0.6 * strength));
    let corners = shape::brackets(&rect, radius, 0.16 * short);
    shape::stroke(pixmap, corners.as_ref(), line + (0.5 * line).max(1.2), INK.alpha(0.4 * strength));
    shape::stroke(pixmap, corners.as_ref(), line, color.alpha(strength));
}

/// About where the face is: the visible points of the head, with a margin.
fn face(person: &Person, score: f32) -> Option<Rect> {
    let head = &person.keypoints[..=KeypointName::RightEar.index()];
    let mut points = head.iter().filter(|point| point.score >= score).map(|point| (point.x, point.y));
    let first = points.next()?;
    let (min, max) = points.fold((first, first), |(min, max), (x, y)| {
        ((min.0.min(x), min.1.min(y)), (max.0.max(x), max.1.max(y)))
    });
    let side = (max.0 - min.0).max(max.1 - min.1);
    let margin = 0.35 * side;
    Some(Rect::from_corners((min.0 - margin, min.1 - margin), (max.0 + margin, max.1 + 2.0 * margin)))
}
