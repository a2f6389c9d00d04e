//! What was found: one place where a message could get lost or stuck.

use serde_json::{Value, json};

use super::catalogue;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    /// Worth knowing; nothing is lost by it alone
    Note,
    /// An acknowledged message can be lost, or messages pile up
    Warning,
    /// Messages are lost or stuck now
    Error,
}

impl Level {
    /// In JSON and on the screen.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// Its id in the catalogue.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    /// The broker, group, client … it is about.
    pub(crate) subject: String,
    /// One sentence.
    pub(crate) message: String,
    /// The figures it rests on.
    pub(crate) evidence: Value,
    /// The setting or command that closes it.
    pub(crate) fix: String,
}

impl Finding {
    /// A finding of the catalogue, with the catalogue's level and first remedy.
    pub(crate) fn new(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let known = catalogue::find(id);
        Self {
            id,
            level: known.map_or(Level::Warning, |known| known.level),
            subject: subject.into(),
            message: message.into(),
            evidence: Value::Null,
            fix: known
                .and_then(|known| known.entry.next.first())
                .map_or_else(String::new, |fix| (*fix).to_owned()),
        }
    }

    /// Its figures.
    pub(crate) fn evidence(mut self, evidence: Value) -> Self {
        self.evidence = evidence;
        self
    }

    /// A remedy that knows the names involved.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// Another level than the catalogue's.
    pub(crate) fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }
}

/// A link of the chain: what was found there, or that it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: &'static str,
    pub(crate) findings: Vec<Finding>,
    /// What makes it closed, if nothing was found.
    pub(crate) closed: String,
}

impl Link {
    /// As rows: its findings, or one that says it is closed.
    pub(crate) fn rows(&self) -> Vec<Value> {
        if self.findings.is_empty() {
            return vec![json!({
                "level": "ok",
                "id": null,
                "link": self.name,
                "subject": null,
                "message": self.closed,
                "evidence": null,
                "fix": null,
                "explanation": null,
            })];
        }
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let row = |finding: &Finding| {
            json!({
                "level": finding.level.as_str(),
                "id": finding.id,
                "link": self.name,
                "subject": finding.subject,
                "message": finding.message,
                "evidence": finding.evidence,
                "fix": finding.fix,
                "explanation": catalogue::find(finding.id).map(|known| known.entry.means),
            })
        };
        findings.into_iter().map(row).collect()
    }
}
