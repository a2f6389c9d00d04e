//! What became of the messages, and what the end of it all means for a script.

use std::collections::BTreeSet;

use super::args::Args;
use crate::cli::Context;
use crate::cli::exit::Exit;

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Count,
    AllRead,
    Idle,
    Timeout,
    Interrupted,
}

/// What became of a message that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// The group gets it again after a delay.
    Later,
    /// Its queue waits; it is tried again in a moment.
    Suspended,
    /// It is a dead letter now.
    Dead,
    /// Nobody gets it again: it came to no group, or to all members.
    Gone,
    /// It could not be given back. Its offset is not passed: the group gets it again.
    Kept,
}

impl Back {
    /// The name in rows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Later | Self::Kept => "retry",
            Self::Suspended => "suspend",
            Self::Dead => "dead",
            Self::Gone => "failed",
        }
    }

    /// The same for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Later => "given back, comes again later",
            Self::Suspended => "its queue waits, it is tried again",
            Self::Dead => "a dead letter now",
            Self::Gone => "not delivered again",
            Self::Kept => "could not be given back, comes again",
        }
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages whose outcome is known; each delivery counts.
    pub(super) handled: u64,
    /// Those that --expect counts.
    pub(super) matched: u64,
    succeeded: u64,
    later: u64,
    suspended: u64,
    dead: u64,
    gone: u64,
    /// Messages that failed and have not succeeded since, by id.
    unresolved: BTreeSet<String>,
}

impl Tally {
    /// Notes a message that was printed and taken.
    pub(super) fn success(&mut self, id: &str) {
        self.handled += 1;
        self.succeeded += 1;
        self.unresolved.remove(id);
    }

    /// Notes one that failed. On purpose is no failure of the command.
    pub(super) fn failure(&mut self, id: String, back: Back, on_purpose: bool) {
        if back != Back::Suspended {
            // One that holds its queue up is the same delivery until it is settled.
            self.handled += 1;
        }
        match back {
            Back::Later | Back::Kept => self.later += 1,
            Back::Suspended => self.suspended += 1,
            Back::Dead => self.dead += 1,
            Back::Gone => self.gone += 1,
        }
        if !on_purpose {
            self.unresolved.insert(id);
        }
    }

    /// What is counted against [`Args::wanted`].
    pub(super) fn counted(&self, args: &Args) -> u64 {
        if args.expect.is_some() {
            self.matched
        } else {
            self.handled
        }
    }

    fn summary(&self, args: &Args) -> String {
        let mut parts = vec![format!("{} messages", self.handled)];
        let taken = match (args.joined_group(), args.has_work()) {
            (Some(_), _) => "acknowledged",
            (None, true) => "taken",
            (None, false) => "printed",
        };
        if args.has_work() || self.failures() > 0 {
            parts.push(format!("{} {taken}", self.succeeded));
        }
        for (count, what) in [
            (self.later, "given back, to come again later"),
            (self.suspended, "tries that held a queue up"),
            (self.dead, "dead letters"),
            (self.gone, "failed"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let first = parts.remove(0);
        if parts.is_empty() {
            first
        } else {
            format!("{first}: {}", parts.join(", "))
        }
    }

    fn failures(&self) -> u64 {
        self.later + self.suspended + self.dead + self.gone
    }

    /// Says how it ended, and turns that into an exit code.
    pub(super) fn exit(&self, end: End, args: &Args, context: &Context) -> Exit {
        let output = &context.output;
        if end == End::Interrupted {
            output.note(&format!("{}, interrupted", self.summary(args)));
            return Exit::Interrupted;
        }
        if args.has_work() || self.failures() > 0 {
            output.note(&self.summary(args));
        }
        let counted = self.counted(args);
        match args.wanted() {
            Some(wanted) if counted < wanted => {
                let why = match end {
                    End::Timeout => "the time is up",
                    End::Idle => "nothing more came",
                    _ => "there are no more",
                };
                let expected = if args.expect.is_some() {
                    "expected "
                } else {
                    ""
                };
                output.note(&format!("{counted} of {wanted} {expected}messages: {why}"));
                Exit::Short
            }
            _ if !self.unresolved.is_empty() => Exit::Partial,
            _ => Exit::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_succeeds_later_is_no_failure() {
        let mut tally = Tally::default();
        tally.failure("a".to_owned(), Back::Later, false);
        tally.failure("b".to_owned(), Back::Later, true);
        assert_eq!(tally.unresolved.len(), 1);
        tally.success("a");
        assert!(tally.unresolved.is_empty());
        assert_eq!(tally.handled, 3);
        tally.failure("c".to_owned(), Back::Suspended, false);
        assert_eq!(tally.handled, 3);
    }
}
