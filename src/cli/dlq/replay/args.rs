//! The options of `rmq dlq replay`.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::path::PathBuf;
use std::time::Duration;

use super::super::pick::Pick;
use crate::base::units::parse_duration;
use crate::cli::plan::Consent;
use crate::cli::send::pace::Rate;

/// Send the dead letters of a group again
///
/// Each goes to the topic it came from, with its body, keys, tag and properties, and a count of retries that begins
/// anew. It gets a new id; the old ones stay in the properties ORIGIN_MESSAGE_ID and DLQ_ORIGIN_MESSAGE_ID. Every group
/// that reads the topic gets it, unless --group-only. The letters themselves stay where they are.
///
/// Exit code 6: some were not sent; the report says which.
#[derive(Debug, clap::Args)]
pub(in crate::cli::dlq) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    pub(super) group: String,
    #[command(flatten)]
    pub(super) pick: Pick,
    /// Where to: origin (the topic each came from), retry (see --group-only), or the name of a topic
    #[arg(long, value_name = "WHERE", default_value = "origin")]
    pub(super) to: String,
    /// Send to %RETRY%GROUP, so that only this group gets them. A group that is consumed in order makes dead letters of
    /// them at once
    #[arg(long, conflicts_with = "to")]
    pub(super) group_only: bool,
    /// Run this command for each message: the body on its stdin, what consume --exec has in the environment; what it
    /// prints is the body that is sent, and an exit code other than 0 means that it is not
    #[arg(long, value_name = "CMD")]
    pub(super) edit: Option<String>,
    /// No more than so many: 50/s, 10/m
    #[arg(long, value_name = "N/UNIT", value_parser = Rate::parse)]
    pub(super) rate: Option<Rate>,
    /// Write the outcome of every message to this new file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Go on from this report: same choice, same targets, same --edit, without what was settled. It is written to as well
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "to", "group_only", "since", "until", "matching", "id", "condition"])]
    pub(super) resume: Option<PathBuf>,
    /// Send no message a second time: ids are remembered on this machine, over all replays with this option
    #[arg(long)]
    pub(super) dedupe: bool,
    /// Stop after so many failures; 0: never
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) stop_after_failures: u64,
    /// Make the topic readable first, if it is not
    #[arg(long)]
    pub(super) open: bool,
    /// Longest time for the --edit command on one message
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) edit_timeout: Duration,
    #[command(flatten)]
    pub(super) consent: Consent,
}
