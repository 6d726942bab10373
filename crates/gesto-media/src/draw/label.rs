//! Labels: where they go, so that they stay inside the picture and off each other.

use gesto::Rect;

/// A label to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The box it belongs to.
    pub(crate) of: Rect,
    /// Its own size.
    pub(crate) size: (f32, f32),
}

/// Room that labels share.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    width: f32,
    height: f32,
    gap: f32,
    taken: Vec<Rect>,
    /// Better left free: faces, hands.
    precious: Vec<Rect>,
}

impl Layout {
    /// Room of a whole picture; labels keep `gap` pixels from boxes and from its edges.
    pub(crate) fn new(width: u32, height: u32, gap: f32, precious: Vec<Rect>) -> Self {
        Self { width: width as f32, height: height as f32, gap, taken: Vec::new(), precious }
    }

    /// The best place for a label, taken from now on; `None` when the picture is smaller than the label.
    pub(crate) fn place(&mut self, wanted: &Wanted) -> Option<Rect> {
        let (w, h) = wanted.size;
        if w > self.width || h > self.height || !(w > 0.0 && h > 0.0) {
            return None;
        }
        let best = self
            .candidates(wanted)
            .into_iter()
            .enumerate()
            .map(|(rank, place)| (self.cost(rank, &place, wanted), place))
            .min_by(|a, b| a.0.total_cmp(&b.0))?
            .1;
        self.taken.push(best);
        Some(best)
    }

    /// Places around and in the box, the usual ones first, all inside the picture.
    fn candidates(&self, wanted: &Wanted) -> Vec<Rect> {
        let (w, h) = wanted.size;
        let (of, gap) = (&wanted.of, self.gap);
        let (left, right) = (of.x, of.right() - w);
        let (above, below) = (of.y - gap - h, of.bottom() + gap);
        let (top, bottom) = (of.y + gap, of.bottom() - gap - h);
        let mut places = vec![
            (left, above),
            (right, above),
            (left, below),
            (right, below),
            (left + gap, top),
            (right - gap, top),
            (of.right() + gap, of.y),
            (of.x - gap - w, of.y),
            (left + gap, bottom),
            (of.right() + gap, bottom),
            (of.x - gap - w, bottom),
        ];
        // In a crowd: further up and down.
        for step in 1..=4 {
            let step = step as f32 * (h + gap);
            places.extend([(left, above - step), (left, below + step)]);
        }
        let inside = |(x, y): (f32, f32)| {
            let x = x.min(self.width - w - gap).max(gap.min(self.width - w));
            let y = y.min(self.height - h - gap).max(gap.min(self.height - h));
            Rect::new(x, y, w, h)
        };
        places.into_iter().map(inside).collect()
    }

    /// Covering another label is worst, then a face or hand; then habit decides.
    fn cost(&self, rank: usize, place: &Rect, wanted: &Wanted) -> f32 {
        let covered = |others: &[Rect]| -> f32 { others.iter().map(|other| overlap(place, other)).sum() };
        let area = place.area();
        let spread = Rect::new(place.x - 1.0, place.y - 1.0, place.w + 2.0, place.h + 2.0);
        let crowd: f32 = self.taken.iter().map(|other| overlap(&spread, other)).sum();
        let own = overlap(place, &wanted.of);
        100.0 * crowd / area + 8.0 * covered(&self.precious) / area + 0.3 * own / area + 0.1 * rank as f32
    }
}

fn overlap(a: &Rect, b: &Rect) -> f32 {
    let w = a.right().min(b.right()) - a.x.max(b.x);
    let h = a.bottom().min(b.bottom()) - a.y.max(b.y);
    w.max(0.0) * h.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(place: &Rect, width: f32, height: f32) -> bool {
        place.x >= 0.0 && place.y >= 0.0 && place.right() <= width && place.bottom() <= height
    }

    #[test]
    fn a_label_sits_above_its_box_when_there_is_room() {
        let mut layout = Layout::new(200, 200, 2.0, vec![]);
        let place =
            layout.place(&Wanted { of: Rect::new(50.0, 60.0, 40.0, 40.0), size: (30.0, 10.0) }).unwrap();
        assert_eq!(place, Rect::new(50.0, 48.0, 30.0, 10.0));
    }

    #[test]
    fn labels_stay_inside_wherever_the_box_is() {
        for x in [-80.0, -5.0, 0.0, 60.0, 95.0, 300.0] {
            for y in [-80.0, -5.0, 0.0, 60.0, 95.0, 300.0] {
                let mut layout = Layout::new(100, 100, 3.0, vec![]);
                for size in [(30.0, 12.0), (99.0, 99.0)] {
                    let place = layout.place(&Wanted { of: Rect::new(x, y, 20.0, 20.0), size }).unwrap();
                    assert!(inside(&place, 100.0, 100.0), "{place:?} for a box at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn labels_of_one_box_do_not_cover_each_other() {
        let mut layout = Layout::new(300, 300, 2.0, vec![]);
        let of = Rect::new(100.0, 100.0, 60.0, 60.0);
        let places: Vec<_> =
            (0..8).map(|_| layout.place(&Wanted { of, size: (50.0, 14.0) }).unwrap()).collect();
        for (i, a) in places.iter().enumerate() {
            assert!(places[..i].iter().all(|b| overlap(a, b) == 0.0), "{places:?}");
        }
    }

    #[test]
    fn a_label_larger_than_the_picture_is_left_out() {
        let mut layout = Layout::new(20, 20, 2.0, vec![]);
        let of = Rect::new(0.0, 0.0, 9.0, 9.0);
        assert!(layout.place(&Wanted { of, size: (30.0, 8.0) }).is_none());
        assert!(layout.place(&Wanted { of, size: (f32::NAN, 8.0) }).is_none());
    }
}
