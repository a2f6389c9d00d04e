//! The tokio tasks of a broker: they end with it.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::sys::task::boxed;

/// A set of tasks that is aborted when it is dropped or stopped.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Starts a task. Must be called within a tokio runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock();
        // Finished tasks leave nothing behind but their place.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(boxed(task));
    }

    /// Runs `work` on a thread that may block. Must be called within a tokio runtime.
    pub(crate) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_blocking(work);
    }

    /// Ends all tasks at their next await.
    pub(crate) fn stop(&self) {
        self.0.lock().abort_all();
    }
}
