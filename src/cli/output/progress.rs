//! A progress bar that keeps out of the way.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things: messages, files.
    Count,
    /// Bytes.
    Bytes,
}

/// Progress of a long command, shown on stderr if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar up to `total`; 0 means the end is unknown.
    pub(super) fn new(shown: bool, total: u64, unit: Unit) -> Self {
        let bar = shown.then(|| {
            let template = match (unit, total) {
                (Unit::Count, 0) => "{spinner} {human_pos} {per_sec}",
                (Unit::Bytes, 0) => "{spinner} {binary_bytes} {binary_bytes_per_sec}",
                (Unit::Count, _) => "{bar:32} {human_pos}/{human_len} {per_sec} {eta}",
                (Unit::Bytes, _) => {
                    "{bar:32} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
                }
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::hidden();
            ProgressBar::with_draw_target((total > 0).then_some(total), target).with_style(style)
        });
        Self { bar }
    }

    /// Moves on by `count`.
    pub(crate) fn add(&self, count: u64) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() && bar.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.inc(count);
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
