//! What people read while the program works: standard error, one line a message, and a progress bar.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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

    /// An error, in one line: the message, then each cause after a colon.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let text = format!("{error:#}");
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

    /// A bar of `total` steps, or a counter when the end is not known; draws nothing when standard error is no
    /// terminal or `--quiet` is set.
    pub(crate) fn progress(&self, total: Option<u64>) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match total {
            Some(_) => "{bar:32} {pos}/{len} frames  {per_sec}  {eta} left  {wide_msg}",
            None => "{spinner} {pos} frames  {per_sec}  {elapsed}  {wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant").with_key(
            "per_sec",
            |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                // The bar has no way to report a formatting error of its own.
                let _ = write!(out, "{:.1} fps", state.per_sec());
            },
        );
        ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style)
    }
}
