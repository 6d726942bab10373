//! The JSON messages of a stream.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::change::{Given, quoted};
use crate::settings::{Change, Settings};

/// Whose frames a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The client's.
    Browser,
    /// The server's source.
    Source,
}

/// What streams of this server may ask for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choices {
    /// Heights and widths of the network's input.
    pub sizes: Vec<[u32; 2]>,
    /// Ways to fit a frame into the input.
    pub fits: Vec<String>,
    /// Compute units.
    pub units: Vec<String>,
    /// Ways to resize a frame on each unit, its default first.
    pub resizes: BTreeMap<String, Vec<String>>,
    /// What the program knows and this machine lacks.
    pub missing: Missing,
}

/// Names that cannot be chosen here, each with the reason in one sentence.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Missing {
    /// Compute units.
    pub units: BTreeMap<String, String>,
    /// Ways to resize a frame on each unit that is there.
    pub resizes: BTreeMap<String, BTreeMap<String, String>>,
}

/// The limits that a client had better know.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StreamLimits {
    /// Most bytes of one message.
    pub message_bytes: usize,
    /// Most pixels of one frame.
    pub pixels: u64,
    /// Most frames a second.
    pub fps: u32,
}

/// What the server is and offers; the body of `/v1/info`, and part of a stream's greeting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Greeting {
    /// Version of the stream protocol.
    pub protocol: u8,
    /// Name and version of the server.
    pub server: String,
    /// Whose frames streams show.
    pub mode: Mode,
    /// The server's source, as its user named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Names of the hand classes, in the order of their numbers.
    pub gestures: Vec<String>,
    /// Names of a person's keypoints, in order.
    pub keypoints: Vec<String>,
    /// What settings may say.
    pub choices: Choices,
    /// Limits.
    pub limits: StreamLimits,
    /// Settings that a new stream starts with.
    pub settings: Settings,
}

/// A text message of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerText<'a> {
    /// The first message of a stream.
    Hello {
        /// The stream's number, as metrics and events name it.
        stream: u64,
        /// What the server is and offers.
        #[serde(flatten)]
        greeting: &'a Greeting,
    },
    /// The settings in force.
    Settings {
        /// All of them.
        settings: &'a Settings,
    },
    /// How the server's source does.
    Source {
        /// `connecting`, `playing` or `lost`.
        state: &'a str,
        /// One sentence, empty while it plays.
        message: &'a str,
    },
    /// A text message that could not be followed; the stream goes on.
    Error {
        /// For programs.
        kind: &'a str,
        /// One sentence.
        message: &'a str,
    },
}

impl ServerText<'_> {
    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists: nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A text message of a client.
#[derive(Debug, PartialEq)]
pub enum ClientText {
    /// Other settings; what is not named stays.
    Settings(Change),
}

impl ClientText {
    /// Bytes of a message at most: all settings take 200, and JSON takes many times its length in memory.
    pub const MOST_BYTES: usize = 4096;

    /// Reads a message.
    ///
    /// # Errors
    /// One sentence that names what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = r#"a text message is a JSON object such as {"type":"settings","conf_hand":0.5}"#;
        if text.len() > Self::MOST_BYTES {
            return Err(format!("a text message has {} bytes at most", Self::MOST_BYTES));
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Err(FORM.to_owned()) };
        match fields.get("type") {
            Some(Value::String(kind)) if kind == "settings" => {}
            Some(other) => {
                let kind = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                return Err(format!("the type of a client's message is `settings`, not {}", quoted(&kind)));
            }
            None => return Err(FORM.to_owned()),
        }
        let mut change = Change::default();
        for (name, value) in fields.iter().filter(|(name, _)| *name != "type") {
            change.set(name, Given::Json(value))?;
        }
        Ok(Self::Settings(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let text = r#"{"type":"settings","size":[256,128],"hands":false,"iou_body":1}"#;
        let change =
            Change { size: Some([256, 128]), hands: Some(false), iou_body: Some(1.0), ..Change::default() };
        assert_eq!(ClientText::parse(text), Ok(ClientText::Settings(change)));
    }

    #[test]
    fn mistakes_are_told_in_our_own_words() {
        let long = format!(r#"{{"type":"settings","unit":"{}"}}"#, "x".repeat(5000));
        for (text, says) in [
            ("no json", "JSON object"),
            ("[1]", "JSON object"),
            ("{}", "JSON object"),
            (r#"{"type":"whatever"}"#, "`settings`, not `whatever`"),
            (r#"{"type":7}"#, "`settings`, not `7`"),
            (r#"{"type":"settings","surprise":1}"#, "no setting `surprise`"),
            (r#"{"type":"settings","conf_hand":"x"}"#, "conf_hand is a number between 0 and 1, not `\"x\"`"),
            (&long, "4096 bytes"),
        ] {
            let error = ClientText::parse(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("line 1"), "{error}");
        }
    }
}
