//! The wire format against bytes recorded from Apache RocketMQ 5.5.0, its clients and its admin tool.
//!
//! `captures/` holds the sessions of the project's golden set; every frame in them must decode to what the
//! recorder saw, and encode to the recorded bytes again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

mod bodies;
mod captures;
mod codes;
mod frames;
mod headers;
mod properties;
