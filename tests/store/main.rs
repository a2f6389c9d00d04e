//! The storage engine on real directories.

#![allow(
    clippy::unwrap_used,
    reason = "a panic in a test is a failure and names its place"
)]

mod golden;
#[path = "../support/golden.rs"]
mod support_golden;
