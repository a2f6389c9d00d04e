//! `rmq record` and `rmq replay`: messages in a file, with the times they were stored at, and again in a topic.
//!
//! A recording is JSON lines. The first says what it is; each further one is a message as `consume -o jsonl` prints it, so
//! that `rmq send --input jsonl` reads the lines behind the first as well. Absent on purpose: an end mark; a recording that
//! was cut off is read up to there, and its last, broken line is named.

mod format;
mod record;
mod replay;
mod scrub;
mod source;

pub(crate) use record::{Args as RecordArgs, run as record};
pub(crate) use replay::{Args as ReplayArgs, run as replay};
