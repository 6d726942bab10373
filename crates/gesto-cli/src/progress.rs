//! A progress bar for long work: frames, frames per second, time left.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Work shorter than this shows no bar.
const LONG: Duration = Duration::from_millis(700);

/// A bar on standard error that appears when the work turns out to be long, and never when standard error is no
/// terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    visible: bool,
}

impl Progress {
    /// `total` steps, or a counter when the end is not known.
    pub(crate) fn new(total: Option<u64>, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_style(style(total));
        // A bar that will not be shown counts as shown already.
        let visible = quiet || !io::stderr().is_terminal();
        Self { bar, started: Instant::now(), visible }
    }

    /// The end turned out to be `more` steps farther.
    pub(crate) fn extend(&self, more: u64) {
        self.bar.inc_length(more);
    }

    /// The end is not known.
    pub(crate) fn endless(&self) {
        self.bar.unset_length();
        self.bar.set_style(style(None));
    }

    /// One step done.
    pub(crate) fn step(&mut self) {
        if !self.visible && self.started.elapsed() > LONG {
            self.visible = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(1);
    }

    /// Prints something without tearing the bar.
    pub(crate) fn around<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => "{bar:32} {pos}/{len} frames  {fps}  {eta} left",
        None => "{spinner} {pos} frames  {fps}  {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    style.with_key("fps", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The bar has no way to report a formatting error.
        let _ = write!(out, "{:.0} fps", state.per_sec());
    })
}
