//! What must hold for any ground truth and any detections.

use gesto_eval::{Detection, Detections, Evaluation, GroundTruth, Task, evaluate};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Object {
    image: i64,
    class: i64,
    bbox: [f64; 4],
    crowd: bool,
}

const IMAGES: i64 = 4;
const CLASSES: i64 = 3;

/// Boxes on a coarse grid, so that equal overlaps, equal areas and the borders of the size ranges come up often.
fn any_box() -> impl Strategy<Value = [f64; 4]> {
    let side = prop_oneof![Just(16.0), Just(32.0), Just(96.0), Just(128.0)];
    (0..6u32, 0..6u32, side.clone(), side)
        .prop_map(|(x, y, w, h)| [f64::from(x) * 16.0, f64::from(y) * 16.0, w, h])
}

fn any_objects() -> impl Strategy<Value = Vec<Object>> {
    let object = (1..=IMAGES, 1..=CLASSES, any_box(), prop::bool::weighted(0.2));
    prop::collection::vec(
        object.prop_map(|(image, class, bbox, crowd)| Object { image, class, bbox, crowd }),
        0..16,
    )
}

/// Scores in tenths: many are equal.
fn any_found() -> impl Strategy<Value = Vec<Detection>> {
    let one = (1..=IMAGES, 1..=CLASSES, any_box(), 1..=10u32);
    prop::collection::vec(
        one.prop_map(|(i, c, bbox, tenths)| detection(i, c, bbox, f64::from(tenths) / 10.0)),
        0..24,
    )
}

fn detection(image_id: i64, category_id: i64, bbox: [f64; 4], score: f64) -> Detection {
    Detection { image_id, category_id, bbox, area: bbox[2] * bbox[3], score, keypoints: Vec::new() }
}

/// `ids[n]` is the id of image number `n + 1`.
fn truth(objects: &[Object], ids: [i64; IMAGES as usize]) -> GroundTruth {
    let images: Vec<_> = ids.iter().map(|id| serde_json::json!({"id": id})).collect();
    let categories: Vec<_> =
        (1..=CLASSES).map(|id| serde_json::json!({"id": id, "name": id.to_string()})).collect();
    let annotations: Vec<_> = objects
        .iter()
        .map(|o| {
            serde_json::json!({"image_id": ids[o.image as usize - 1], "category_id": o.class, "bbox": o.bbox,
                "iscrowd": i32::from(o.crowd)})
        })
        .collect();
    let all = serde_json::json!({"images": images, "categories": categories, "annotations": annotations});
    GroundTruth::from_json(&all.to_string()).unwrap()
}

const IDS: [i64; IMAGES as usize] = [1, 2, 3, 4];

fn figures(objects: &[Object], found: Vec<Detection>) -> Evaluation {
    evaluate(&truth(objects, IDS), &Detections::new(found), Task::Boxes)
}

fn mean(evaluation: &Evaluation) -> Option<f64> {
    evaluation.average_precision(|_| true, None)
}

proptest! {
    #[test]
    fn figures_are_shares(objects in any_objects(), found in any_found()) {
        let evaluation = figures(&objects, found);
        let summary = serde_json::to_value(evaluation.box_summary()).unwrap();
        for (name, value) in summary.as_object().unwrap() {
            prop_assert!(value.as_f64().is_none_or(|v| (0.0..=1.0).contains(&v)), "{}: {}", name, value);
        }
    }

    #[test]
    fn a_class_has_a_figure_if_it_has_an_object(objects in any_objects(), found in any_found()) {
        for class in figures(&objects, found).categories {
            let some = objects.iter().any(|o| o.class == class.id && !o.crowd);
            prop_assert_eq!(class.average_precision(None).is_some(), some);
        }
    }

    #[test]
    fn finding_exactly_what_is_there_is_perfect(objects in any_objects()) {
        let found = objects.iter().map(|o| detection(o.image, o.class, o.bbox, 0.5)).collect();
        let any = objects.iter().any(|o| !o.crowd);
        let summary = figures(&objects, found).box_summary();
        prop_assert_eq!(summary.ap, any.then_some(1.0));
        for size in [summary.ap_small, summary.ap_medium, summary.ap_large] {
            prop_assert!(size.is_none_or(|ap| ap == 1.0), "{:?}", size);
        }
    }

    #[test]
    fn finding_nothing_is_worth_nothing(objects in any_objects()) {
        let any = objects.iter().any(|o| !o.crowd);
        prop_assert_eq!(mean(&figures(&objects, Vec::new())), any.then_some(0.0));
    }

    #[test]
    fn weaker_misses_do_not_lower_precision(objects in any_objects(), found in any_found()) {
        let before = mean(&figures(&objects, found.clone()));
        let far = (1..=CLASSES).map(|class| detection(1, class, [5000.0, 5000.0, 50.0, 50.0], 0.01));
        prop_assert_eq!(before, mean(&figures(&objects, found.into_iter().chain(far).collect())));
    }

    #[test]
    fn detections_on_crowds_change_nothing(objects in any_objects(), found in any_found()) {
        // Away from everything else, so that the crowd takes only what is put on it.
        let place = [3000.0, 3000.0, 200.0, 200.0];
        let mut objects = objects;
        let before = mean(&figures(&objects, found.clone()));
        objects.push(Object { image: 2, class: 1, bbox: place, crowd: true });
        let on_it = (0..5).map(|i| detection(2, 1, [3000.0 + 9.0 * f64::from(i), 3010.0, 40.0, 90.0], 1.0));
        prop_assert_eq!(before, mean(&figures(&objects, found.into_iter().chain(on_it).collect())));
    }

    #[test]
    fn only_the_order_of_scores_matters(objects in any_objects(), found in any_found()) {
        let cubed = found.iter().map(|f| Detection { score: f.score.powi(3) - 7.0, ..f.clone() }).collect();
        prop_assert_eq!(mean(&figures(&objects, found)), mean(&figures(&objects, cubed)));
    }

    #[test]
    fn image_numbers_do_not_matter(objects in any_objects(), found in any_found()) {
        let ids = [3, 40, 500, 6000];
        let renumbered = found.iter().map(|f| Detection { image_id: ids[f.image_id as usize - 1], ..f.clone() });
        let other = evaluate(&truth(&objects, ids), &Detections::new(renumbered.collect()), Task::Boxes);
        prop_assert_eq!(figures(&objects, found).box_summary(), other.box_summary());
    }

    #[test]
    fn equal_scores_of_other_classes_do_not_interfere(objects in any_objects(), found in any_found()) {
        let together = figures(&objects, found.clone());
        for class in 1..=CLASSES {
            let objects: Vec<Object> = objects.iter().filter(|o| o.class == class).cloned().collect();
            let found = found.iter().filter(|f| f.category_id == class).cloned().collect();
            let alone = figures(&objects, found);
            let at = class as usize - 1;
            prop_assert_eq!(&together.categories[at], &alone.categories[at]);
        }
    }

    #[test]
    fn the_best_threshold_is_the_best(objects in any_objects(), found in any_found()) {
        for class in figures(&objects, found).categories {
            let best = class.curve.best_f1().map_or(0.0, |best| best.f1);
            for tenths in 0..=10 {
                let here = class.curve.at(f64::from(tenths) / 10.0).f1;
                prop_assert!(here <= best, "{} at {}", here, tenths);
            }
        }
    }
}
