//! What a stream or a request may choose: the network's input and unit, the heads, the thresholds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::change::quoted;
use crate::wire::Choices;

/// All settings of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Which detector.
    #[serde(flatten)]
    pub network: Network,
    /// What it keeps.
    #[serde(flatten)]
    pub thresholds: Thresholds,
}

/// The settings that decide which detector is needed; a change of them builds or fetches another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Network {
    /// Height and width of the network's input.
    pub size: [u32; 2],
    /// How frames are fitted into it.
    pub fit: String,
    /// How frames are resized.
    pub resize: String,
    /// The compute unit.
    pub unit: String,
    /// Look for hands.
    pub hands: bool,
    /// Look for people.
    pub body: bool,
}

/// The settings that any detector takes with each frame; 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// Least probability of a hand.
    pub conf_hand: f32,
    /// Least probability of a person.
    pub conf_body: f32,
    /// Overlap above which the weaker of two hands is dropped.
    pub iou_hand: f32,
    /// Overlap above which the weaker of two people is dropped.
    pub iou_body: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { conf_hand: 0.3, conf_body: 0.5, iou_hand: 0.4, iou_body: 0.3 }
    }
}

/// A change of some settings; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Height and width of the network's input.
    pub size: Option<[u32; 2]>,
    /// How frames are fitted into it.
    pub fit: Option<String>,
    /// How frames are resized.
    pub resize: Option<String>,
    /// The compute unit.
    pub unit: Option<String>,
    /// Look for hands.
    pub hands: Option<bool>,
    /// Look for people.
    pub body: Option<bool>,
    /// Least probability of a hand.
    pub conf_hand: Option<f32>,
    /// Least probability of a person.
    pub conf_body: Option<f32>,
    /// Overlap above which the weaker of two hands is dropped.
    pub iou_hand: Option<f32>,
    /// Overlap above which the weaker of two people is dropped.
    pub iou_body: Option<f32>,
}

impl Settings {
    /// These settings with `change` applied.
    ///
    /// # Errors
    /// One sentence when a value is none of the `choices` or outside 0 to 1, or when no head is left.
    pub fn with(&self, change: Change, choices: &Choices) -> Result<Self, String> {
        let mut new = self.clone();
        if let Some(size) = change.size {
            if !choices.sizes.contains(&size) {
                let offered: Vec<_> = choices.sizes.iter().map(|[h, w]| format!("{h}x{w}")).collect();
                return Err(format!(
                    "size {}x{} is not offered; {} are",
                    size[0],
                    size[1],
                    offered.join(", ")
                ));
            }
            new.network.size = size;
        }
        let missing = &choices.missing;
        if let Some(fit) = change.fit {
            new.network.fit = pick("fit", fit, &choices.fits, None)?;
        }
        if let Some(unit) = change.unit {
            new.network.unit = pick("unit", unit, &choices.units, Some(&missing.units))?;
        }
        let unit = &new.network.unit;
        let resizes = choices.resizes.get(unit).map(Vec::as_slice).unwrap_or_default();
        if let Some(resize) = change.resize {
            new.network.resize = pick("resize", resize, resizes, missing.resizes.get(unit))?;
        } else if !resizes.contains(&new.network.resize) {
            // Another unit was chosen that cannot resize so: it takes its own way.
            new.network.resize = resizes.first().cloned().ok_or("this unit cannot resize")?;
        }
        let fractions = [
            ("conf_hand", change.conf_hand, &mut new.thresholds.conf_hand),
            ("conf_body", change.conf_body, &mut new.thresholds.conf_body),
            ("iou_hand", change.iou_hand, &mut new.thresholds.iou_hand),
            ("iou_body", change.iou_body, &mut new.thresholds.iou_body),
        ];
        for (name, value, place) in fractions {
            let Some(value) = value else { continue };
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} lies between 0 and 1, and {value} does not"));
            }
            *place = value;
        }
        new.network.hands = change.hands.unwrap_or(new.network.hands);
        new.network.body = change.body.unwrap_or(new.network.body);
        if !new.network.hands && !new.network.body {
            return Err("hands or body has to stay on".to_owned());
        }
        Ok(new)
    }
}

/// What there is instead.
fn listed(offered: &[String]) -> String {
    let verb = if offered.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", offered.join(", "))
}

/// `value`, if it is one of `offered`; the error names the reason for one that is known and missing.
fn pick(
    name: &str,
    value: String,
    offered: &[String],
    missing: Option<&BTreeMap<String, String>>,
) -> Result<String, String> {
    if offered.contains(&value) {
        return Ok(value);
    }
    Err(match missing.and_then(|missing| missing.get_key_value(&value)) {
        Some((known, reason)) => format!("{name} {known} is not available on this machine: {reason}"),
        None => format!("{name} {} is not offered; {}", quoted(&value), listed(offered)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Missing;

    fn choices() -> Choices {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Choices {
            sizes: vec![[320, 224], [256, 128]],
            fits: names(&["letterbox", "stretch"]),
            units: names(&["cpu", "gpu"]),
            resizes: [
                ("cpu".into(), names(&["bilinear", "area"])),
                ("gpu".into(), names(&["shader", "area"])),
            ]
            .into(),
            missing: Missing {
                units: [("ort:cuda".into(), "there is no driver".into())].into(),
                resizes: [("cpu".into(), [("shader".into(), "it needs a gpu".into())].into())].into(),
            },
        }
    }

    fn settings() -> Settings {
        let network = Network {
            size: [320, 224],
            fit: "letterbox".into(),
            resize: "bilinear".into(),
            unit: "cpu".into(),
            hands: true,
            body: true,
        };
        Settings { network, thresholds: Thresholds::default() }
    }

    #[test]
    fn a_change_touches_what_it_names() {
        let change = Change { size: Some([256, 128]), conf_hand: Some(0.6), ..Change::default() };
        let new = settings().with(change, &choices()).unwrap();
        assert_eq!(new.network.size, [256, 128]);
        assert_eq!(new.thresholds, Thresholds { conf_hand: 0.6, ..Thresholds::default() });
        assert_eq!(new.network.fit, "letterbox");
        assert_eq!(settings().with(Change::default(), &choices()), Ok(settings()));
    }

    #[test]
    fn a_unit_keeps_the_resize_that_it_can_do_or_takes_its_own() {
        let to_gpu = Change { unit: Some("gpu".into()), ..Change::default() };
        let gpu = settings().with(to_gpu.clone(), &choices()).unwrap();
        assert_eq!((gpu.network.unit.as_str(), gpu.network.resize.as_str()), ("gpu", "shader"));
        let area = settings().with(Change { resize: Some("area".into()), ..to_gpu }, &choices()).unwrap();
        let back = area.with(Change { unit: Some("cpu".into()), ..Change::default() }, &choices()).unwrap();
        assert_eq!((back.network.unit.as_str(), back.network.resize.as_str()), ("cpu", "area"));
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for (change, says) in [
            (Change { size: Some([4096, 4096]), ..Change::default() }, "not offered"),
            (Change { fit: Some("x".repeat(1 << 20)), ..Change::default() }, "letterbox, stretch"),
            (
                Change { unit: Some("npu".into()), ..Change::default() },
                "unit `npu` is not offered; cpu, gpu are",
            ),
            (
                Change { unit: Some("ort:cuda".into()), ..Change::default() },
                "not available on this machine: there is no driver",
            ),
            (
                Change { resize: Some("shader".into()), ..Change::default() },
                "not available on this machine: it needs a gpu",
            ),
            (Change { resize: Some("none".into()), ..Change::default() }, "bilinear, area are"),
            (Change { conf_hand: Some(f32::NAN), ..Change::default() }, "between 0 and 1, and NaN does not"),
            (Change { iou_body: Some(-0.1), ..Change::default() }, "between 0 and 1, and -0.1 does not"),
            (Change { hands: Some(false), body: Some(false), ..Change::default() }, "has to stay on"),
        ] {
            let error = settings().with(change, &choices()).unwrap_err();
            assert!(error.contains(says) && error.len() < 200, "{error}");
        }
    }
}
