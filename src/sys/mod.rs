//! The only door to the operating system: clock, platform calls, worker threads.
//!
//! Everything above reaches time, files and threads through here, so that it can be driven by hand in tests.

pub mod clock;
pub mod platform;
pub mod worker;

pub use clock::Clock;
