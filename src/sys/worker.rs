//! Threads that do one job in steps and sleep in between on a signal or a deadline.
//!
//! A step says when it wants to run next; nothing here polls on a short fixed sleep. A worker stops after the step
//! it is in; the owner runs whatever must still be done itself, in the order it needs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// When a step wants to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// After this time, or when signalled, whichever comes first.
    After(Duration),
    /// After this time, signalled or not: to let more work gather.
    Pause(Duration),
    /// When signalled.
    Idle,
}

/// Calls `work` with every number below `count`, on up to `threads` threads at a time, and returns what it made of them
/// in their order. A panic in one is a panic here.
pub(crate) fn side_by_side<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let made = Mutex::new(Vec::with_capacity(count));
    let toil = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let one = work(number);
            made.lock().push((number, one));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(toil);
        }
        toil();
    });
    let mut made = made.into_inner();
    made.sort_by_key(|(number, _)| *number);
    made.into_iter().map(|(_, one)| one).collect()
}

/// Runs `first` here and `second` on a thread beside it, which takes what `first` hands over, in order; so many things may
/// wait between them. Returns what both made. A panic in one is a panic here.
pub(crate) fn hand_over<T: Send, A, B: Send>(
    waiting_max: usize,
    first: impl FnOnce(SyncSender<T>) -> A,
    second: impl FnOnce(Receiver<T>) -> B + Send,
) -> (A, B) {
    let (give, take) = mpsc::sync_channel(waiting_max);
    std::thread::scope(|scope| {
        let second = scope.spawn(move || second(take));
        let first = first(give);
        let second = second.join();
        (
            first,
            second.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    })
}

/// How many threads can run at a time on this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[derive(Debug, Default)]
struct State {
    signalled: bool,
    stopping: bool,
}

/// Wakes a worker. Cheap to clone; signals before the next step add up to one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<(Mutex<State>, Condvar)>);

impl Signal {
    /// Wakes the worker, now or as soon as it wants to sleep.
    pub(crate) fn notify(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        if !state.signalled {
            state.signalled = true;
            changed.notify_one();
        }
    }

    fn stop(&self) {
        let (state, changed) = &*self.0;
        state.lock().stopping = true;
        changed.notify_all();
    }

    /// Sleeps as `next` says; false when the worker is to stop.
    fn wait(&self, next: Next) -> bool {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        let deadline = match next {
            Next::After(pause) | Next::Pause(pause) => deadline_after(pause),
            Next::Idle => None,
        };
        let heeds_signals = !matches!(next, Next::Pause(_));
        while !(state.stopping || heeds_signals && state.signalled) {
            match deadline {
                Some(deadline) => {
                    if changed.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
                None => changed.wait(&mut state),
            }
        }
        state.signalled = false;
        !state.stopping
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the place that waits for deadlines"
)]
fn deadline_after(pause: Duration) -> Option<Instant> {
    Instant::now().checked_add(pause)
}

/// A running worker thread. Dropping it stops and joins the thread.
#[derive(Debug)]
pub(crate) struct Worker {
    signal: Signal,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that calls `step` until it is stopped. `signal` wakes it; the first step runs at once.
    pub(crate) fn spawn(
        name: &str,
        signal: Signal,
        mut step: impl FnMut() -> Next + Send + 'static,
    ) -> io::Result<Self> {
        let wake = signal.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || while wake.wait(step()) {})?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }

    /// Lets the step that runs finish, then ends the thread and waits for that.
    pub(crate) fn stop(&mut self) {
        self.signal.stop();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("a worker thread had panicked");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_comes_in_order_and_all_of_it() {
        let give = |sender: SyncSender<u32>| (0..1000).map(|n| sender.send(n)).all(|s| s.is_ok());
        let (given, taken) = hand_over(3, give, |taken| taken.into_iter().collect::<Vec<_>>());
        assert!(given);
        assert!(taken.into_iter().eq(0..1000));
        let (given, ()) = hand_over(3, give, drop);
        assert!(!given, "nobody takes it any more");
    }

    #[test]
    fn a_signal_runs_a_step_and_stop_joins() {
        let (sender, steps) = mpsc::channel();
        let signal = Signal::default();
        let mut worker = Worker::spawn("test", signal.clone(), move || {
            sender.send(()).unwrap();
            Next::Idle
        })
        .unwrap();
        steps.recv().unwrap();
        signal.notify();
        steps.recv().unwrap();
        worker.stop();
        assert!(steps.recv().is_err());
    }

    #[test]
    fn a_deadline_runs_a_step() {
        let (sender, steps) = mpsc::channel();
        let _worker = Worker::spawn("test", Signal::default(), move || {
            let _ = sender.send(());
            Next::After(Duration::from_millis(1))
        })
        .unwrap();
        steps.recv().unwrap();
        steps.recv().unwrap();
    }
}
