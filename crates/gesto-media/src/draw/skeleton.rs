//! One person's skeleton: limbs coloured by part of the body, set off from any background by a dark halo.

use gesto::{KeypointName, Person, SKELETON};
use tiny_skia::{PathBuilder, PixmapMut};

use super::color::{INK, Part, WHITE};
use super::shape;

/// Thinner lines for the face: its points lie close together.
const FACE_WIDTH: f32 = 0.55;

/// Which part a limb belongs to, by its ends.
fn part(a: KeypointName, b: KeypointName) -> Part {
    use KeypointName::{
        LeftAnkle, LeftElbow, LeftHip, LeftKnee, LeftShoulder, LeftWrist, RightAnkle, RightElbow, RightHip,
        RightKnee, RightShoulder, RightWrist,
    };
    let either = |names: &[KeypointName]| names.contains(&a) || names.contains(&b);
    if is_face(a) || is_face(b) {
        Part::Face
    } else if either(&[LeftElbow, LeftWrist]) {
        Part::LeftArm
    } else if either(&[RightElbow, RightWrist]) {
        Part::RightArm
    } else if either(&[LeftKnee, LeftAnkle]) {
        Part::LeftLeg
    } else if either(&[RightKnee, RightAnkle]) {
        Part::RightLeg
    } else {
        debug_assert!(either(&[LeftShoulder, RightShoulder, LeftHip, RightHip]));
        Part::Torso
    }
}

fn is_face(name: KeypointName) -> bool {
    name.index() <= KeypointName::RightEar.index()
}

/// The colour of a joint: that of the limb that ends in it, of two the outer one.
fn joint(name: KeypointName) -> Part {
    use KeypointName::{
        LeftAnkle, LeftElbow, LeftHip, LeftKnee, LeftShoulder, LeftWrist, RightAnkle, RightElbow, RightHip,
        RightKnee, RightShoulder, RightWrist,
    };
    match name {
        LeftShoulder | LeftElbow | LeftWrist => Part::LeftArm,
        RightShoulder | RightElbow | RightWrist => Part::RightArm,
        LeftHip | LeftKnee | LeftAnkle => Part::LeftLeg,
        RightHip | RightKnee | RightAnkle => Part::RightLeg,
        _ => Part::Face,
    }
}

/// The limbs that are drawn, each with its part.
///
/// The neck of COCO's skeleton (ear to shoulder) would cross the face; without it heads look free.
pub(super) fn limbs() -> impl Iterator<Item = (KeypointName, KeypointName, Part)> {
    let drawn = SKELETON.into_iter().filter(|&(a, b)| is_face(a) == is_face(b));
    drawn.map(|(a, b)| (a, b, part(a, b)))
}

/// Draws the points of at least `score` and the limbs between them, with lines of `width` pixels.
pub(crate) fn draw(pixmap: &mut PixmapMut<'_>, person: &Person, score: f32, width: f32) {
    let reach = 4.0 * pixmap.width().max(pixmap.height()) as f32;
    let at = |name: KeypointName| {
        let point = person.keypoint(name);
        // NaN fails every comparison; points far outside would only cost time.
        let sane = point.x.abs() < reach && point.y.abs() < reach;
        (point.score >= score && sane).then_some((point.x, point.y))
    };
    let limbs: Vec<_> = limbs().filter_map(|(a, b, part)| Some((part, [at(a)?, at(b)?]))).collect();
    let line_width = |part| if part == Part::Face { width * FACE_WIDTH } else { width };
    let halo = (0.5 * width).max(1.5);

    // All halos of a width in one stroke: translucent ends must not add up where limbs meet.
    for face in [false, true] {
        let mut path = PathBuilder::new();
        for (_, ends) in limbs.iter().filter(|(part, _)| (*part == Part::Face) == face) {
            shape::push_line(&mut path, ends);
        }
        let lines = if face { line_width(Part::Face) } else { width };
        shape::stroke(pixmap, path.finish().as_ref(), lines + halo, INK.alpha(0.5));
    }
    for (part, ends) in &limbs {
        shape::stroke(pixmap, shape::line(ends).as_ref(), line_width(*part), part.color().alpha(0.95));
    }
    for name in KeypointName::ALL {
        let Some(point) = at(name) else { continue };
        let radius = if is_face(name) { 0.5 * width } else { 0.95 * width };
        shape::fill(pixmap, shape::disc(point, radius + 0.5 * halo), INK.alpha(0.55));
        shape::fill(pixmap, shape::disc(point, radius), joint(name).color().alpha(1.0));
        shape::fill(pixmap, shape::disc(point, 0.45 * radius), WHITE.alpha(0.95));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_and_right_differ_and_every_limb_has_a_part() {
        use KeypointName::{
            LeftElbow, LeftHip, LeftShoulder, LeftWrist, RightElbow, RightShoulder, RightWrist,
        };
        assert_eq!(part(LeftElbow, LeftWrist), Part::LeftArm);
        assert_eq!(part(RightElbow, RightWrist), Part::RightArm);
        assert_eq!(part(LeftShoulder, RightShoulder), Part::Torso);
        assert_eq!(part(LeftShoulder, LeftHip), Part::Torso);
        assert_eq!(part(RightShoulder, RightElbow), Part::RightArm);
        let drawn = limbs().filter(|&(_, _, part)| part != Part::Face).count();
        assert_eq!(drawn, 12, "COCO's body without the head");
    }
}
