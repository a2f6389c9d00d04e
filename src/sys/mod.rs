//! The only door to the operating system: clock, platform calls, signals, worker threads, tasks.
//!
//! Everything above reaches time, files and threads through here, so that it can be driven by hand in tests.

pub(crate) mod clock;
pub(crate) mod config_file;
pub(crate) mod platform;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod task;
pub(crate) mod worker;

pub(crate) use clock::Clock;
