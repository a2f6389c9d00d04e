//! One thing that can be explained.

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A code in an answer of a broker or name server.
    Response,
    /// How `rmq` itself ended.
    Exit,
    /// What a send came to, in words.
    SendStatus,
    /// An error of a client library, known by its text.
    ClientError,
    /// Something `rmq doctor` or `rmq why` reports.
    Finding,
}

impl Kind {
    /// For people, and in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response code",
            Self::Exit => "exit code",
            Self::SendStatus => "send status",
            Self::ClientError => "client error",
            Self::Finding => "finding",
        }
    }
}

/// What it is, why it happens, what to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// What kind of thing it is.
    pub(crate) kind: Kind,
    /// Its number, if it has one.
    pub(crate) number: Option<i32>,
    /// Its name or id.
    pub(crate) name: &'static str,
    /// What it means.
    pub(crate) means: &'static str,
    /// Likely causes, likeliest first.
    pub(crate) causes: &'static [&'static str],
    /// What to run or set next.
    pub(crate) next: &'static [&'static str],
    /// Pieces of text, in lower case, that give it away in a log or a stack trace.
    pub(crate) marks: &'static [&'static str],
}

impl Entry {
    /// An answer's code.
    pub(crate) const fn response(number: i32, name: &'static str, means: &'static str) -> Self {
        Self::new(Kind::Response, Some(number), name, means)
    }

    /// An error known by its text.
    pub(crate) const fn client_error(name: &'static str, means: &'static str) -> Self {
        Self::new(Kind::ClientError, None, name, means)
    }

    /// Any kind.
    pub(crate) const fn new(
        kind: Kind,
        number: Option<i32>,
        name: &'static str,
        means: &'static str,
    ) -> Self {
        Self {
            kind,
            number,
            name,
            means,
            causes: &[],
            next: &[],
            marks: &[],
        }
    }

    /// Adds likely causes.
    pub(crate) const fn causes(mut self, causes: &'static [&'static str]) -> Self {
        self.causes = causes;
        self
    }

    /// Adds what to do.
    pub(crate) const fn next(mut self, next: &'static [&'static str]) -> Self {
        self.next = next;
        self
    }

    /// Adds what gives it away.
    pub(crate) const fn marks(mut self, marks: &'static [&'static str]) -> Self {
        self.marks = marks;
        self
    }
}
