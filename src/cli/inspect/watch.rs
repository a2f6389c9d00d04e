//! Long looks: how far they have got, and whether the user has had enough.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Builder, Runtime};

use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Output, Progress, Unit};
use crate::cli::{Context, interrupted};
use crate::store::layout::SegmentFile;

/// Notices Ctrl-C while a command reads files. The first one ends the reading, a second one the process.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    /// Listens for as long as this is kept.
    _runtime: Runtime,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self, CliError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        runtime.spawn(async move {
            interrupted().await;
            flag.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            asked,
            _runtime: runtime,
        })
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A look over many bytes: shows how far it is, and ends at Ctrl-C. Threads may share it.
pub(super) struct Watch {
    progress: Progress,
    stop: Stop,
}

/// What one thread has passed and not reported yet.
#[derive(Debug, Default)]
pub(super) struct Passed(u64);

impl Watch {
    /// Reports every so many bytes.
    const STEP: u64 = 1 << 20;

    /// Over these files.
    pub(super) fn over(files: &[SegmentFile], output: &Output) -> Result<Self, CliError> {
        let bytes = files.iter().map(|file| file.len).sum();
        Ok(Self {
            progress: output.progress(bytes, Unit::Bytes),
            stop: Stop::listen()?,
        })
    }

    /// Another stretch was passed; breaks once Ctrl-C was pressed.
    pub(super) fn pass(&self, passed: &mut Passed, bytes: u64) -> ControlFlow<()> {
        passed.0 += bytes;
        if passed.0 >= Self::STEP {
            self.progress.add(std::mem::take(&mut passed.0));
            if self.stop.is_asked() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// The same at once.
    pub(super) fn pass_now(&self, bytes: u64) -> ControlFlow<()> {
        self.progress.add(bytes);
        if self.stop.is_asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Takes the bar away. True if Ctrl-C has ended it; then it says so.
    pub(super) fn finish(self, context: &Context) -> bool {
        self.progress.finish();
        let interrupted = self.stop.is_asked();
        if interrupted {
            context
                .output
                .warn("interrupted: this is what was seen so far");
        }
        interrupted
    }
}

/// The exit code of a look that may have been interrupted.
pub(super) fn ended(
    interrupted: bool,
    otherwise: Result<Exit, CliError>,
) -> Result<Exit, CliError> {
    if interrupted {
        Ok(Exit::Interrupted)
    } else {
        otherwise
    }
}
