//! How well two objects agree: overlap of boxes (IoU) and similarity of keypoints (OKS).

/// Falloff of each of COCO's 17 keypoints: the spread of human labels, relative to the object's size
/// (<https://cocodataset.org/#keypoints-eval>).
pub const KEYPOINT_SIGMAS: [f64; 17] = [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
];

/// Intersection over union of two boxes `x, y, w, h`; over the found box's own area when the truth is a crowd, of
/// which it may be any part.
pub(crate) fn box_iou(found: &[f64; 4], truth: &[f64; 4], crowd: bool) -> f64 {
    let side = |axis: usize| {
        let end = (found[axis] + found[axis + 2]).min(truth[axis] + truth[axis + 2]);
        end - found[axis].max(truth[axis])
    };
    let (w, h) = (side(0), side(1));
    if w <= 0.0 || h <= 0.0 {
        return 0.0;
    }
    let own = found[2] * found[3];
    let union = if crowd { own } else { own + truth[2] * truth[3] - w * h };
    w * h / union
}

/// Object keypoint similarity over the labelled keypoints of the truth.
///
/// Without any (a crowd, a far person) it tells how far the found keypoints lie outside of the truth's box, doubled on
/// each side: such a truth can only be ignored, and detections on it with it.
pub(crate) fn keypoint_similarity(found: &[[f64; 2]], truth: &[[f64; 3]], bbox: &[f64; 4], area: f64) -> f64 {
    let labelled = truth.iter().any(|k| k[2] > 0.0);
    let outside = |v: f64, axis: usize| {
        let (low, high) = (bbox[axis] - bbox[axis + 2], bbox[axis] + 2.0 * bbox[axis + 2]);
        (low - v).max(0.0) + (v - high).max(0.0)
    };
    let (mut sum, mut count) = (0.0, 0usize);
    for (i, (point, sigma)) in found.iter().zip(KEYPOINT_SIGMAS).enumerate() {
        let (dx, dy) = match truth.get(i) {
            Some(&[x, y, v]) if labelled => {
                if v <= 0.0 {
                    continue;
                }
                (point[0] - x, point[1] - y)
            }
            _ => (outside(point[0], 0), outside(point[1], 1)),
        };
        let variance = (2.0 * sigma).powi(2);
        // As NumPy's spacing(1): keeps an empty area from dividing by zero.
        let e = (dx * dx + dy * dy) / variance / (area + f64::EPSILON) / 2.0;
        sum += (-e).exp();
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes() {
        let a = [0.0, 0.0, 10.0, 10.0];
        assert_eq!(box_iou(&a, &a, false), 1.0);
        assert_eq!(box_iou(&a, &[5.0, 0.0, 10.0, 10.0], false), 50.0 / 150.0);
        assert_eq!(box_iou(&a, &[5.0, 0.0, 100.0, 100.0], true), 0.5);
        assert_eq!(box_iou(&a, &[10.0, 0.0, 10.0, 10.0], false), 0.0);
        assert_eq!(box_iou(&[0.0; 4], &[0.0; 4], false), 0.0);
    }

    #[test]
    fn keypoints_of_one_sigma_off() {
        let bbox = [0.0, 0.0, 100.0, 100.0];
        let mut truth = [[50.0, 50.0, 0.0]; 17];
        truth[5][2] = 2.0;
        let mut found = [[0.0, 0.0]; 17];
        found[5] = [50.0, 50.0];
        assert_eq!(keypoint_similarity(&found, &truth, &bbox, 10_000.0), 1.0);
        // A distance of 2 sigma times the square root of the area.
        found[5][0] += 2.0 * 0.079 * 100.0;
        let got = keypoint_similarity(&found, &truth, &bbox, 10_000.0);
        assert!((got - (-0.5f64).exp()).abs() < 1e-12, "{got}");
    }

    #[test]
    fn people_without_labels_cover_their_surroundings() {
        let bbox = [100.0, 100.0, 10.0, 10.0];
        assert_eq!(keypoint_similarity(&[[95.0, 119.0]; 17], &[], &bbox, 100.0), 1.0);
        assert!(keypoint_similarity(&[[95.0, 130.0]; 17], &[[0.0; 3]; 17], &bbox, 100.0) < 0.1);
    }
}
