//! Settings as strangers write them, in a query or as JSON: read by name, with one sentence for each mistake.

use serde_json::Value;

use crate::settings::Change;

/// All names, in the order of the documentation.
pub(crate) const NAMES: [&str; 10] =
    ["size", "fit", "resize", "unit", "hands", "body", "conf_hand", "conf_body", "iou_hand", "iou_body"];

/// A value as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given<'a> {
    /// Of a query.
    Text(&'a str),
    /// Of a message.
    Json(&'a Value),
}

impl Change {
    /// Sets the setting `name`.
    pub(crate) fn set(&mut self, name: &str, given: Given<'_>) -> Result<(), String> {
        match name {
            "size" => self.size = Some(given.size()?),
            "fit" => self.fit = Some(given.name(name)?),
            "resize" => self.resize = Some(given.name(name)?),
            "unit" => self.unit = Some(given.name(name)?),
            "hands" => self.hands = Some(given.flag(name)?),
            "body" => self.body = Some(given.flag(name)?),
            "conf_hand" => self.conf_hand = Some(given.fraction(name)?),
            "conf_body" => self.conf_body = Some(given.fraction(name)?),
            "iou_hand" => self.iou_hand = Some(given.fraction(name)?),
            "iou_body" => self.iou_body = Some(given.fraction(name)?),
            _ => {
                return Err(format!("there is no setting {}; there are {}", quoted(name), NAMES.join(", ")));
            }
        }
        Ok(())
    }
}

impl Given<'_> {
    fn size(self) -> Result<[u32; 2], String> {
        let (sides, form) = match self {
            Self::Text(text) => (
                text.split_once('x').and_then(|(h, w)| Some([h.parse().ok()?, w.parse().ok()?])),
                "HEIGHTxWIDTH, such as 320x224",
            ),
            Self::Json(value) => {
                let side = |at: usize| u32::try_from(value.get(at)?.as_u64()?).ok();
                let two = value.as_array().is_some_and(|sides| sides.len() == 2);
                (two.then(|| Some([side(0)?, side(1)?])).flatten(), "[height, width], such as [320, 224]")
            }
        };
        sides.ok_or_else(|| format!("size is {form}, not {}", self.shown()))
    }

    fn name(self, setting: &str) -> Result<String, String> {
        let text = match self {
            Self::Text(text) => Some(text),
            Self::Json(value) => value.as_str(),
        };
        text.map(str::to_owned).ok_or_else(|| format!("{setting} is a name, not {}", self.shown()))
    }

    /// `true` or `false`.
    pub(crate) fn flag(self, setting: &str) -> Result<bool, String> {
        let flag = match self {
            Self::Text(text) => text.parse().ok(),
            Self::Json(value) => value.as_bool(),
        };
        flag.ok_or_else(|| format!("{setting} is true or false, not {}", self.shown()))
    }

    /// A number; whether it lies in its range is looked at when the change is applied.
    fn fraction(self, setting: &str) -> Result<f32, String> {
        let number = match self {
            Self::Text(text) => text.parse().ok(),
            Self::Json(value) => value.as_f64().map(|number| number as f32),
        };
        number.ok_or_else(|| format!("{setting} is a number between 0 and 1, not {}", self.shown()))
    }

    fn shown(self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Json(value) => quoted(&value.to_string()),
        }
    }
}

/// A stranger's text of any length and content, fit for a sentence.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    let shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    // In a sentence quotation marks need no backslash.
    let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    let more = if text.chars().nth(MOST).is_some() { "..." } else { "" };
    format!("`{shown}{more}`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_is_known_and_sets_its_own() {
        for name in NAMES {
            let (text, value) = match name {
                "size" => ("320x224", json!([320, 224])),
                "fit" | "resize" | "unit" => ("cpu", json!("cpu")),
                "hands" | "body" => ("true", json!(true)),
                _ => ("0.5", json!(0.5)),
            };
            let (mut of_text, mut of_json) = (Change::default(), Change::default());
            of_text.set(name, Given::Text(text)).unwrap();
            of_json.set(name, Given::Json(&value)).unwrap();
            assert_eq!(of_text, of_json, "{name}");
            assert_ne!(of_text, Change::default(), "{name}");
        }
    }

    #[test]
    fn a_mistake_names_the_setting_and_the_value() {
        for (name, text, value) in [
            ("size", "big", json!("big")),
            ("size", "320x224x3", json!([320, 224, 3])),
            ("size", "-1x1", json!([-1, 1])),
            ("hands", "maybe", json!(1)),
            ("conf_hand", "half", json!("0.5")),
        ] {
            for given in [Given::Text(text), Given::Json(&value)] {
                let error = Change::default().set(name, given).unwrap_err();
                assert!(error.starts_with(name) && error.contains(&given.shown()), "{error}");
            }
        }
        let error = Change::default().set("surprise", Given::Text("1")).unwrap_err();
        assert!(error.contains("`surprise`") && error.contains("iou_body"), "{error}");
        let error = Change::default().set("unit", Given::Json(&json!({"a": [1, 2]}))).unwrap_err();
        assert_eq!(error, "unit is a name, not `{\"a\":[1,2]}`");
    }

    #[test]
    fn strangers_texts_are_cut_and_made_visible() {
        assert_eq!(quoted("it's \"x\""), "`it's \"x\"`");
        assert_eq!(quoted("a\nb\u{7}"), "`a\\nb\\u{7}`");
        assert!(quoted(&"x".repeat(1 << 20)).len() < 60);
    }
}
