//! Tasks behind a pointer.
//!
//! tokio compiles what it runs for each of its schedulers, with the task's whole code in every copy: twice for a spawned
//! future, three times for one that a runtime blocks on. A task that is large or generic is therefore handed over
//! boxed. That costs one allocation when it starts and one indirect call each time it runs.

use std::future::Future;
use std::pin::Pin;

/// A task that tokio sees only through a pointer.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Puts a task behind a pointer.
pub(crate) fn boxed(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(task)
}
