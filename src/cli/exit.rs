//! How a command ends: exit codes, and errors that say what to do next.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::{ClientError, ResponseCode};

/// The exit codes of the contract; scripts rely on them, so they never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// It failed, and no other code says it better.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The topic, group, message or file does not exist.
    NotFound = 3,
    /// No connection, or no answer in time.
    Unreachable = 4,
    /// The server or the operating system does not permit it.
    NotPermitted = 5,
    /// Part of the work was done; the report says which.
    Partial = 6,
    /// A check found something.
    CheckFailed = 7,
    /// The server refused for now (flow control, disk); a later try may work.
    Refused = 8,
    /// It ended before the wanted count was reached.
    Short = 9,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early: the exit code, one sentence, and what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl CliError {
    /// An error with any exit code. The message is in lower case, without a full stop.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Exit 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Exit 2: the command line is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Exit 3: it does not exist.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// A file that cannot be read, with the exit code of the reason.
    pub(crate) fn unreadable(path: impl fmt::Display, error: &io::Error) -> Self {
        let exit = Self::from(io::Error::from(error.kind())).exit();
        Self::new(exit, format!("cannot read {path}: {error}"))
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next, if there is something to say.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A reader that has seen enough (`rmq … | head`) is a normal end: no message, exit 0.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, ""),
            io::ErrorKind::NotFound => Self::not_found(error),
            io::ErrorKind::PermissionDenied => Self::new(Exit::NotPermitted, error),
            _ => Self::failed(error),
        }
    }
}

/// What a cluster's "no" means for a script, and for the user.
impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused { code, .. } => refused(ResponseCode(*code), &error),
            ClientError::NoRoute { .. } => Self::not_found(&error)
                .hint("topics appear with their broker's registration; rmq send creates them if the broker may"),
            ClientError::NoMaster { .. } => Self::new(Exit::Unreachable, &error)
                .hint("rmq failover status shows where its brokers stand; with controllers one of them becomes master soon"),
            ClientError::NoBroker { .. } => Self::not_found(&error)
                .hint("brokers register within 30 s of their start; is this the right name server?"),
            ClientError::Name(_) | ClientError::Usage(_) | ClientError::Message { .. } => {
                Self::usage(&error)
            }
            ClientError::NoReply { .. } => Self::new(Exit::Unreachable, &error)
                .hint("the request itself was stored; is somebody consuming it who replies?"),
            _ if error.is_unreachable() => Self::new(Exit::Unreachable, &error)
                .hint("is it running (rmq serve)? --namesrv HOST:PORT names another name server"),
            _ => Self::failed(&error),
        }
    }
}

fn refused(code: ResponseCode, error: &ClientError) -> CliError {
    match code {
        ResponseCode::NO_PERMISSION => CliError::new(Exit::NotPermitted, error),
        ResponseCode::TOPIC_NOT_EXIST | ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST => {
            CliError::not_found(error)
        }
        ResponseCode::SYSTEM_BUSY
        | ResponseCode::SERVICE_NOT_AVAILABLE
        | ResponseCode::FLOW_CONTROL
        | ResponseCode::POLLING_FULL => CliError::new(Exit::Refused, error)
            .hint("the broker is busy, its disk is full, or it is stopping; try again later"),
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED => {
            CliError::failed(error).hint("is this the address of a name server?")
        }
        _ => CliError::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_a_normal_end() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.exit(), Exit::Ok);
        assert!(error.to_string().is_empty());
    }
}
