//! Which detection found which object, in one picture and for one class.
//!
//! Greedy, as in pycocotools: the best-scored detection chooses first, and takes the object that it overlaps most.

/// What became of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It found an object.
    Hit,
    /// It found nothing.
    Miss,
    /// It counts neither way.
    Ignored,
}

/// The objects of one class in one picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objects<'a> {
    /// Does not count: a crowd, not sure, or of another size than is looked at.
    pub(crate) ignored: &'a [bool],
    /// May be found any number of times.
    pub(crate) crowd: &'a [bool],
}

/// Matches detections, best score first, at one least overlap.
///
/// `overlap(detection, object)`; `outside[detection]`: of another size than is looked at.
pub(crate) fn match_picture(
    overlap: impl Fn(usize, usize) -> f64,
    outside: &[bool],
    objects: Objects<'_>,
    least: f64,
) -> Vec<Outcome> {
    let count = objects.ignored.len();
    // Objects that count come first, each kind in the file's order.
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&object| objects.ignored[object]);
    let mut taken = vec![false; count];
    let choose = |detection: usize| {
        // An overlap of exactly 1 is always enough.
        let mut best = least.min(1.0 - 1e-10);
        let mut choice: Option<usize> = None;
        for &object in &order {
            if taken[object] && !objects.crowd[object] {
                continue;
            }
            // An object that counts is never given up for one that does not.
            if choice.is_some_and(|chosen| !objects.ignored[chosen]) && objects.ignored[object] {
                break;
            }
            let overlap = overlap(detection, object);
            // Of equal overlaps the last object wins.
            if overlap >= best {
                (best, choice) = (overlap, Some(object));
            }
        }
        if let Some(object) = choice {
            taken[object] = true;
        }
        match choice {
            Some(object) if objects.ignored[object] => Outcome::Ignored,
            Some(_) => Outcome::Hit,
            None if outside[detection] => Outcome::Ignored,
            None => Outcome::Miss,
        }
    };
    (0..outside.len()).map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Hit, Ignored, Miss};
    use super::*;

    /// Rows are detections, columns objects.
    fn matched<const G: usize>(
        overlaps: &[[f64; G]],
        ignored: [bool; G],
        crowd: [bool; G],
        least: f64,
    ) -> Vec<Outcome> {
        let objects = Objects { ignored: &ignored, crowd: &crowd };
        match_picture(|d, g| overlaps[d][g], &vec![false; overlaps.len()], objects, least)
    }

    #[test]
    fn each_object_is_found_once() {
        assert_eq!(matched(&[[0.9], [0.95]], [false], [false], 0.5), [Hit, Miss]);
    }

    #[test]
    fn the_best_score_takes_the_larger_overlap() {
        assert_eq!(matched(&[[0.6, 0.7], [0.1, 0.9]], [false; 2], [false; 2], 0.5), [Hit, Miss]);
        // Of equal overlaps the last object goes, which leaves the first.
        assert_eq!(matched(&[[0.6, 0.6], [0.6, 0.1]], [false; 2], [false; 2], 0.5), [Hit, Hit]);
    }

    #[test]
    fn an_overlap_equal_to_the_threshold_is_enough() {
        assert_eq!(matched(&[[0.5]], [false], [false], 0.5), [Hit]);
        assert_eq!(matched(&[[1.0 - 1e-11]], [false], [false], 1.0), [Hit]);
    }

    #[test]
    fn a_crowd_swallows_any_number() {
        assert_eq!(matched(&[[0.9]; 3], [true], [true], 0.5), [Ignored; 3]);
        // Ignored for its size: an ordinary object, found once.
        assert_eq!(matched(&[[0.9]; 2], [true], [false], 0.5), [Ignored, Miss]);
    }

    #[test]
    fn an_object_that_counts_goes_before_a_crowd() {
        assert_eq!(matched(&[[0.95, 0.6], [0.95, 0.6]], [true, false], [true, false], 0.5), [Hit, Ignored]);
    }

    #[test]
    fn unmatched_detections_of_other_sizes_do_not_count() {
        let objects = Objects { ignored: &[], crowd: &[] };
        assert_eq!(match_picture(|_, _| 0.0, &[true, false], objects, 0.5), [Ignored, Miss]);
    }
}
