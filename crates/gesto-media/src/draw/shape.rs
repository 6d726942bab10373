//! Shapes on pixels: what `tiny-skia` needs to be told again and again.

use gesto::Rect;
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, PixmapMut, Stroke, Transform};

/// Distance of a cubic's control points that makes it a quarter circle of radius 1.
const KAPPA: f32 = 0.552_284_8;

fn paint(color: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color);
    paint.anti_alias = true;
    paint
}

/// Fills a path.
pub(crate) fn fill(pixmap: &mut PixmapMut<'_>, path: Option<Path>, color: Color) {
    if let Some(path) = path {
        pixmap.fill_path(&path, &paint(color), FillRule::Winding, Transform::identity(), None);
    }
}

/// Draws along a path with round ends.
pub(crate) fn stroke(pixmap: &mut PixmapMut<'_>, path: Option<&Path>, width: f32, color: Color) {
    let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
    if let Some(path) = path {
        pixmap.stroke_path(path, &paint(color), &stroke, Transform::identity(), None);
    }
}

/// A line from point to point.
pub(crate) fn line(points: &[(f32, f32)]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    push_line(&mut builder, points);
    builder.finish()
}

/// Adds a line to others, so that they are drawn as one and translucent ends do not add up.
pub(crate) fn push_line(builder: &mut PathBuilder, points: &[(f32, f32)]) {
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
    }
}

/// A disc.
pub(crate) fn disc((x, y): (f32, f32), radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

/// A rectangle with round corners; the radius is at most half a side.
pub(crate) fn round_rect(rect: &Rect, radius: f32) -> Option<Path> {
    let r = radius.min(rect.w / 2.0).min(rect.h / 2.0).max(0.0);
    let (left, top, right, bottom) = (rect.x, rect.y, rect.right(), rect.bottom());
    let k = r * (1.0 - KAPPA);
    let mut path = PathBuilder::new();
    path.move_to(left + r, top);
    path.line_to(right - r, top);
    path.cubic_to(right - k, top, right, top + k, right, top + r);
    path.line_to(right, bottom - r);
    path.cubic_to(right, bottom - k, right - k, bottom, right - r, bottom);
    path.line_to(left + r, bottom);
    path.cubic_to(left + k, bottom, left, bottom - k, left, bottom - r);
    path.line_to(left, top + r);
    path.cubic_to(left, top + k, left + k, top, left + r, top);
    path.close();
    path.finish()
}

/// The four corners of that rectangle, each with arms of `arm` pixels.
pub(crate) fn brackets(rect: &Rect, radius: f32, arm: f32) -> Option<Path> {
    let r = radius.min(rect.w / 2.0).min(rect.h / 2.0).max(0.0);
    let (arm_x, arm_y) = (arm.min(rect.w / 2.0 - r).max(0.0), arm.min(rect.h / 2.0 - r).max(0.0));
    let k = r * (1.0 - KAPPA);
    let mut path = PathBuilder::new();
    for (x, sx) in [(rect.x, 1.0), (rect.right(), -1.0)] {
        for (y, sy) in [(rect.y, 1.0), (rect.bottom(), -1.0)] {
            path.move_to(x, y + sy * (r + arm_y));
            path.line_to(x, y + sy * r);
            path.cubic_to(x, y + sy * k, x + sx * k, y, x + sx * r, y);
            path.line_to(x + sx * (r + arm_x), y);
        }
    }
    path.finish()
}
