//! Shared by the integration tests: the real binary as a child process, and a client that is nothing but frames.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod node;
pub mod wire;
