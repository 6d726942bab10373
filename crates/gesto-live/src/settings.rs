//! What a stream or a request may choose: the network's input and unit, the heads, the thresholds.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
        let named = [
            ("fit", change.fit, &mut new.network.fit, &choices.fits, None),
            ("resize", change.resize, &mut new.network.resize, &choices.resizes, Some(&missing.resizes)),
            ("unit", change.unit, &mut new.network.unit, &choices.units, Some(&missing.units)),
        ];
        for (name, value, place, offered, missing) in named {
            let Some(value) = value else { continue };
            if let Some((known, reason)) = missing.and_then(|missing| missing.get_key_value(&value)) {
                return Err(format!("{name} {known} is not to be had here: {reason}"));
            }
            if !offered.contains(&value) {
                // `value` is a stranger's text of any length: it is not repeated.
                return Err(format!("this {name} is not offered; {} are", offered.join(", ")));
            }
            *place = value;
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
                return Err(format!("{name} lies between 0 and 1"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Missing;

    fn choices() -> Choices {
        Choices {
            sizes: vec![[320, 224], [256, 128]],
            fits: vec!["letterbox".into(), "stretch".into()],
            resizes: vec!["fused".into()],
            units: vec!["cpu".into()],
            missing: Missing {
                units: [("gpu".to_owned(), "there is no adapter".to_owned())].into(),
                ..Missing::default()
            },
        }
    }

    fn settings() -> Settings {
        let network = Network {
            size: [320, 224],
            fit: "letterbox".into(),
            resize: "fused".into(),
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
    fn what_is_not_offered_is_refused() {
        for (change, says) in [
            (Change { size: Some([4096, 4096]), ..Change::default() }, "not offered"),
            (Change { fit: Some("x".repeat(1 << 20)), ..Change::default() }, "letterbox, stretch"),
            (Change { unit: Some("npu".into()), ..Change::default() }, "cpu are"),
            (
                Change { unit: Some("gpu".into()), ..Change::default() },
                "gpu is not to be had here: there is no",
            ),
            (Change { conf_hand: Some(f32::NAN), ..Change::default() }, "between 0 and 1"),
            (Change { iou_body: Some(-0.1), ..Change::default() }, "between 0 and 1"),
            (Change { hands: Some(false), body: Some(false), ..Change::default() }, "has to stay on"),
        ] {
            let error = settings().with(change, &choices()).unwrap_err();
            assert!(error.contains(says) && error.len() < 200, "{error}");
        }
    }
}
