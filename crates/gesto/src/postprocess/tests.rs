//! Suppression and decoding against plain versions of themselves.

use gesto_engine::model::DFL_BINS;
use proptest::prelude::*;

use super::decode::{Cell, decode_box, decode_keypoint, sigmoid};
use super::*;
use crate::frame::Orientation;
use crate::preprocess::Fit;

/// Picks the best box, strikes out what it overlaps, and starts again.
fn naive_nms(boxes: &[Scored], iou: f32, most: usize) -> Vec<Scored> {
    let mut left: Vec<Scored> = boxes.iter().copied().filter(|b| !b.score.is_nan()).collect();
    let mut kept = Vec::new();
    while kept.len() < most && !left.is_empty() {
        let mut best = 0;
        for i in 1..left.len() {
            if left[i].score > left[best].score {
                best = i;
            }
        }
        let winner = left.remove(best);
        left.retain(|b| b.class != winner.class || b.bbox.iou(&winner.bbox) <= iou);
        kept.push(winner);
    }
    kept
}

/// Few different places and scores, so that ties and identical boxes abound.
fn boxes() -> impl Strategy<Value = Vec<Scored>> {
    let side = prop_oneof![1 => Just(0.0_f32), 8 => (1_u8..12).prop_map(f32::from), 1 => Just(-2.0)];
    let score = prop_oneof![
        1 => Just(f32::NAN),
        1 => Just(-0.0),
        6 => (0_u8..8).prop_map(|v| f32::from(v) / 8.0),
        4 => 0.0_f32..1.0,
    ];
    let place = (0_u8..20, 0_u8..20).prop_map(|(x, y)| (f32::from(x), f32::from(y)));
    let one = (place, side.clone(), side, score, 0_u32..3);
    proptest::collection::vec(one, 0..140).prop_map(|list| {
        list.into_iter()
            .zip(0..)
            .map(|(((x, y), w, h, score, class), candidate)| Scored {
                bbox: Rect::new(x, y, w, h),
                score,
                class,
                candidate,
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn suppression_is_that_of_the_plain_version(
        list in boxes(),
        iou in prop_oneof![Just(0.0_f32), Just(0.3), Just(0.4), Just(0.5), Just(1.0), 0.0_f32..1.0],
        most in prop_oneof![Just(300_usize), 0_usize..12],
    ) {
        let want: Vec<u32> = naive_nms(&list, iou, most).iter().map(|b| b.candidate).collect();
        // The second run finds what the first left in the buffers.
        let mut nms = Nms::default();
        let mut got = list.iter().rev().copied().collect();
        nms.suppress(&mut got, iou, most);
        let mut got = list;
        nms.suppress(&mut got, iou, most);
        let got: Vec<u32> = got.iter().map(|b| b.candidate).collect();
        prop_assert_eq!(got, want);
    }
}

#[test]
fn a_crowd_is_suppressed_as_by_the_plain_version() {
    let mut random = Random(7);
    let list: Vec<Scored> = (0..3000)
        .map(|candidate| Scored {
            bbox: Rect::new(
                random.unit() * 2000.0,
                random.unit() * 1000.0,
                10.0 + random.unit() * 90.0,
                10.0 + random.unit() * 90.0,
            ),
            score: random.unit(),
            class: candidate % 5,
            candidate,
        })
        .collect();
    let want = naive_nms(&list, 0.3, 3000);
    assert!(want.len() > 500, "the crowd is one");
    let mut nms = Nms::default();
    // Twice: the second run finds the buffers of the first.
    for _ in 0..2 {
        let mut got = list.clone();
        nms.suppress(&mut got, 0.3, 3000);
        assert_eq!(got, want);
    }
}

/// A small linear congruential generator (Numerical Recipes' constants).
struct Random(u32);

impl Random {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    fn logit(&mut self, spread: f32) -> f32 {
        (self.unit() - 0.5) * 2.0 * spread
    }
}

const CLASSES: usize = 19;

/// One anchor point decoded without shortcuts.
struct Plain {
    score: f64,
    class: usize,
    /// Left, top, right, bottom.
    corners: [f64; 4],
    keypoints: Vec<(f64, f64, f64)>,
}

/// The raw maps of one head over all anchor points, as random numbers.
struct RandomHead {
    cells: Vec<Cell>,
    classes: Vec<[f32; CLASSES]>,
    boxes: Vec<[f32; 4 * DFL_BINS]>,
    keypoints: Vec<[f32; 3 * KEYPOINTS]>,
    threshold: f32,
    /// Anchor points that pass.
    passing: Vec<usize>,
}

impl RandomHead {
    fn new(height: usize, width: usize, threshold: f32, random: &mut Random) -> Self {
        let mut cells = Vec::new();
        for stride in [8, 16, 32] {
            for y in 0..height / stride {
                for x in 0..width / stride {
                    cells.push(Cell { x: x as f32, y: y as f32, stride: stride as f32 });
                }
            }
        }
        let classes: Vec<[f32; CLASSES]> =
            cells.iter().map(|_| std::array::from_fn(|_| random.logit(4.0) - 3.0)).collect();
        let boxes = cells.iter().map(|_| std::array::from_fn(|_| random.logit(6.0))).collect();
        let keypoints = cells.iter().map(|_| std::array::from_fn(|_| random.logit(3.0))).collect();
        let passing = (0..cells.len())
            .filter(|&a| classes[a].iter().any(|&v| f64::from(sigmoid(v)) >= f64::from(threshold)))
            .collect();
        Self { cells, classes, boxes, keypoints, threshold, passing }
    }

    /// Everything at once in f64, from the definitions.
    fn dense(&self) -> Vec<Plain> {
        let logistic = |v: f32| 1.0 / (1.0 + (-f64::from(v)).exp());
        (0..self.cells.len())
            .map(|a| {
                let (x, y, s) =
                    (f64::from(self.cells[a].x), f64::from(self.cells[a].y), f64::from(self.cells[a].stride));
                let mut class = 0;
                for c in 1..CLASSES {
                    if self.classes[a][c] > self.classes[a][class] {
                        class = c;
                    }
                }
                let side = |side: usize| {
                    let p: Vec<f64> =
                        (0..DFL_BINS).map(|b| f64::from(self.boxes[a][side * DFL_BINS + b]).exp()).collect();
                    let sum: f64 = p.iter().sum();
                    p.iter().enumerate().map(|(b, p)| b as f64 * p / sum).sum::<f64>() * s
                };
                let (cx, cy) = ((x + 0.5) * s, (y + 0.5) * s);
                let corners = [cx - side(0), cy - side(1), cx + side(2), cy + side(3)];
                let keypoints = self.keypoints[a].as_chunks::<3>().0.iter().map(|&[u, v, w]| {
                    ((2.0 * f64::from(u) + x) * s, (2.0 * f64::from(v) + y) * s, logistic(w))
                });
                Plain {
                    score: logistic(self.classes[a][class]),
                    class,
                    corners,
                    keypoints: keypoints.collect(),
                }
            })
            .collect()
    }
}

impl HeadResults for RandomHead {
    fn candidates(&self) -> usize {
        self.passing.len()
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        for (&a, candidate) in self.passing.iter().zip(0..) {
            let (class, logit) = self.classes[a]
                .iter()
                .enumerate()
                .fold((0, f32::NEG_INFINITY), |best, (c, &v)| if v > best.1 { (c, v) } else { best });
            let bbox = decode_box(self.cells[a], &self.boxes[a]);
            out.push(Scored { bbox, score: sigmoid(logit), class: class as u32, candidate });
        }
    }

    fn keypoints(&self, candidate: u32) -> [(f32, f32, f32); KEYPOINTS] {
        let a = self.passing[candidate as usize];
        let raw = self.keypoints[a].as_chunks::<3>().0;
        std::array::from_fn(|i| decode_keypoint(self.cells[a], raw[i]))
    }
}

fn plans() -> Vec<HeadPlan> {
    let classes = Gesture::ALL.map(|gesture| (gesture, Label::new(gesture.name())));
    vec![
        HeadPlan { kind: HeadKind::Hands(classes.to_vec()), iou: 0.4 },
        HeadPlan { kind: HeadKind::People, iou: 0.3 },
    ]
}

#[test]
fn random_tensors_decode_as_the_plain_version_does() {
    let mut random = Random(1);
    for round in 0..40 {
        let (height, width) = [(320, 224), (256, 128), (64, 96), (32, 32)][round % 4];
        let heads = [
            RandomHead::new(height, width, 0.3, &mut random),
            RandomHead::new(height, width, 0.5, &mut random),
        ];
        let orientation = Orientation::all().nth(round % 8).unwrap();
        let fit = if round % 2 == 0 { Fit::Letterbox } else { Fit::Stretch };
        let mapping = Mapping::of_size(641, 487, orientation, fit, height as u32, width as u32);
        let mut got = Detections::default();
        Postprocessor::new(plans(), 5000).run(&heads, &mapping, &mut got);

        let want = heads.each_ref().map(|head| plain(head, if head.threshold < 0.4 { 0.4 } else { 0.3 }));
        assert_eq!(got.hands.len(), want[0].len(), "round {round}");
        assert_eq!(got.people.len(), want[1].len(), "round {round}");
        let dense = heads.each_ref().map(RandomHead::dense);
        for (hand, &a) in got.hands.iter().zip(&want[0]) {
            let Plain { score, class, corners, .. } = &dense[0][a];
            assert_eq!((usize::from(hand.class), hand.gesture), (*class, Gesture::ALL[*class]));
            assert_eq!(hand.label.as_str(), hand.gesture.name());
            assert!((f64::from(hand.score) - score).abs() < 1e-6);
            assert_box(&hand.bbox, corners, &mapping);
        }
        for (person, &a) in got.people.iter().zip(&want[1]) {
            let Plain { score, corners, keypoints, .. } = &dense[1][a];
            assert!((f64::from(person.score) - score).abs() < 1e-6);
            assert_box(&person.bbox, corners, &mapping);
            for (got, want) in person.keypoints.iter().zip(keypoints) {
                let (x, y) = mapping.point_to_frame((want.0 as f32, want.1 as f32));
                assert!((got.x - x).abs() < 0.02 && (got.y - y).abs() < 0.02, "{got:?} is not {x}, {y}");
                assert!((f64::from(got.score) - want.2).abs() < 1e-6);
            }
        }
    }
}

/// Anchor points that survive threshold and suppression, best first, all in f64.
fn plain(head: &RandomHead, iou: f64) -> Vec<usize> {
    let dense = head.dense();
    let mut order: Vec<usize> =
        (0..dense.len()).filter(|&a| dense[a].score >= f64::from(head.threshold)).collect();
    order.sort_by(|&a, &b| dense[b].score.total_cmp(&dense[a].score));
    let overlap = |a: &[f64; 4], b: &[f64; 4]| {
        let w = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
        let h = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
        let area = |c: &[f64; 4]| (c[2] - c[0]) * (c[3] - c[1]);
        w * h / (area(a) + area(b) - w * h)
    };
    let mut kept: Vec<usize> = Vec::new();
    for a in order {
        if kept.iter().all(|&k| {
            dense[k].class != dense[a].class || overlap(&dense[k].corners, &dense[a].corners) <= iou
        }) {
            kept.push(a);
        }
    }
    kept
}

fn assert_box(got: &Rect, corners: &[f64; 4], mapping: &Mapping) {
    let [a, b, c, d] = corners.map(|v| v as f32);
    let want = mapping.clip(&mapping.rect_to_frame(&Rect::from_corners((a, b), (c, d))));
    let off = [got.x - want.x, got.y - want.y, got.w - want.w, got.h - want.h];
    assert!(off.iter().all(|v| v.abs() < 0.02), "{got:?} is not {want:?}");
}

/// A head whose numbers overflowed.
struct Broken(f32);

impl HeadResults for Broken {
    fn candidates(&self) -> usize {
        1
    }

    fn boxes(&self, out: &mut Vec<Scored>) {
        let sound = Rect::new(1.0, 1.0, 8.0, 8.0);
        out.push(Scored { bbox: Rect { x: self.0, ..sound }, score: 0.9, class: 0, candidate: 0 });
        out.push(Scored { bbox: sound, score: f32::NAN, class: 0, candidate: 0 });
        out.push(Scored { bbox: sound, score: 0.8, class: 0, candidate: 0 });
    }

    fn keypoints(&self, _: u32) -> [(f32, f32, f32); KEYPOINTS] {
        [(self.0, 2.0, 0.9); KEYPOINTS]
    }
}

#[test]
fn overflowed_numbers_never_reach_the_result() {
    let mapping = Mapping::of_size(32, 32, Orientation::default(), Fit::Stretch, 32, 32);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut out = Detections::default();
        Postprocessor::new(plans(), 300).run(&[Broken(bad), Broken(bad)], &mapping, &mut out);
        assert_eq!((out.hands.len(), out.people.len()), (1, 1), "{bad}");
        assert_eq!(out.hands[0].score, 0.8);
        assert!(out.people[0].keypoints.iter().all(|k| (k.x, k.y, k.score) == (5.0, 5.0, 0.0)));
    }
}
