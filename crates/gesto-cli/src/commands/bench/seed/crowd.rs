//! Boxes of a crowd, as a network gives them: many for each person.

use gesto::Rect;
use gesto::postprocess::nms::Scored;

use crate::values::Size;

/// More people than a picture of this size shows well.
const PEOPLE: usize = 40;

/// One box for each anchor point of strides 8, 16 and 32, each around one of [`PEOPLE`] people, the same every time.
pub(super) fn boxes(size: Size) -> Vec<Scored> {
    let Size { height, width } = size;
    let count: usize = [8, 16, 32].iter().map(|stride| (height / stride) * (width / stride)).sum();
    let mut state = 1_u32;
    let mut random = || {
        // Numerical Recipes' generator; the high bits are good enough here.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let (tall, wide) = (height as f32 / 5.0, width as f32 / 10.0);
    let people: Vec<(f32, f32)> =
        (0..PEOPLE).map(|_| (random() * (width as f32 - wide), random() * (height as f32 - tall))).collect();
    let near = |i: usize| {
        let (x, y) = people[i % PEOPLE];
        let mut shift = |side: f32| (random() - 0.5) * 0.3 * side;
        let bbox = Rect::new(x + shift(wide), y + shift(tall), wide + shift(wide), tall + shift(tall));
        Scored { bbox, score: random(), class: 0, candidate: i as u32 }
    };
    (0..count).map(near).collect()
}

#[cfg(test)]
mod tests {
    use gesto::postprocess::nms::Nms;

    use super::*;

    #[test]
    fn most_boxes_of_a_crowd_are_suppressed_and_each_person_keeps_one() {
        let size = Size { height: 320, width: 224 };
        let all = boxes(size);
        assert_eq!(all.len(), 1470);
        let mut kept = all.clone();
        Nms::default().suppress(&mut kept, 0.3, all.len());
        assert!((PEOPLE / 4..PEOPLE * 4).contains(&kept.len()), "{} boxes stay", kept.len());
    }
}
