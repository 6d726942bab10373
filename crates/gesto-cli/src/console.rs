//! What people read while the program works: standard error, one line a message.

use std::fmt::Display;

/// How talkative the program is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    verbose: bool,
    quiet: bool,
}

impl Console {
    pub(crate) fn new(verbose: u8, quiet: bool) -> Self {
        Self { verbose: verbose > 0, quiet }
    }

    /// Whether only errors are wanted.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    /// An error, in one line: the message, then each cause after a colon.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut text = String::new();
        for cause in error.chain().map(ToString::to_string) {
            // Some errors carry their cause in their own sentence; it need not be said twice.
            if !text.contains(&cause) {
                let colon = if text.is_empty() { "" } else { ": " };
                text = text + colon + &cause;
            }
        }
        self.problem(text);
    }

    /// Something that went wrong, in one line.
    pub(crate) fn problem(&self, message: impl Display) {
        let text = message.to_string();
        eprintln!("gesto: {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    /// A remark, unless `--quiet`.
    pub(crate) fn note(&self, message: impl Display) {
        if !self.quiet {
            eprintln!("{message}");
        }
    }

    /// A remark for the curious, only with `--verbose`.
    pub(crate) fn detail(&self, message: impl Display) {
        if self.verbose {
            eprintln!("{message}");
        }
    }
}

/// `1 frame`, `2 frames`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
