//! Shared by the integration tests: the real binary as a child process, and a client that is nothing but frames.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure here is a failed test"
)]

pub mod node;
pub mod numbers;
pub mod ports;
pub mod wire;
