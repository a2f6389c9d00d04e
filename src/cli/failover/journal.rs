//! What a change of masters does step by step, how each went and how long it took.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;

const COLUMNS: &[Column] = &[
    Column::new("step", "STEP").right(),
    Column::new("action", "ACTION").name(),
    Column::new("at", "AT"),
    Column::new("detail", "DETAIL"),
    Column::new("result", "RESULT"),
    Column::new("tookMs", "TOOK MS").right().optional(),
    Column::new("error", "ERROR").optional(),
];

/// One step.
#[derive(Clone, Debug)]
struct Entry {
    action: &'static str,
    at: String,
    detail: String,
    result: &'static str,
    took: Option<Duration>,
    error: Option<String>,
}

/// The steps, planned and taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    next: usize,
}

impl Journal {
    /// Adds a step to the plan.
    pub(super) fn plan(&mut self, action: &'static str, at: &str, detail: impl Into<String>) {
        self.entries.push(Entry {
            action,
            at: at.to_owned(),
            detail: detail.into(),
            result: "planned",
            took: None,
            error: None,
        });
    }

    /// Takes the next step of the plan. `Ok(false)` of the work: there was nothing to do.
    pub(super) async fn take<T>(
        &mut self,
        context: &Context,
        work: impl Future<Output = Result<(bool, T), CliError>>,
    ) -> Result<T, CliError> {
        let begun = Instant::now();
        let outcome = work.await;
        let took = begun.elapsed();
        let number = self.next + 1;
        let Some(entry) = self.entries.get_mut(self.next) else {
            return outcome.map(|(_, value)| value);
        };
        self.next = number;
        entry.took = Some(took);
        entry.result = match &outcome {
            Ok((true, _)) => "done",
            Ok((false, _)) => "unchanged",
            Err(_) => "failed",
        };
        entry.error = outcome.as_ref().err().map(ToString::to_string);
        context.output.note(&format!(
            "{number} {} {}: {} ({} ms)",
            entry.action,
            entry.at,
            entry.error.as_deref().unwrap_or(entry.result),
            took.as_millis()
        ));
        outcome.map(|(_, value)| value)
    }

    /// Says on stderr what is going to be done.
    pub(super) fn announce(&self, context: &Context) {
        for (index, entry) in self.entries.iter().enumerate() {
            context.output.note(&format!(
                "  {} {} {}: {}",
                index + 1,
                entry.action,
                entry.at,
                entry.detail
            ));
        }
    }

    /// How long all steps took together.
    pub(super) fn took(&self) -> Duration {
        self.entries.iter().filter_map(|entry| entry.took).sum()
    }

    /// Prints the steps.
    pub(super) fn print(&self, context: &Context) -> Result<(), CliError> {
        let rows: Vec<Value> = self
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                json!({
                    "step": index + 1,
                    "action": entry.action,
                    "at": entry.at,
                    "detail": entry.detail,
                    "result": entry.result,
                    "tookMs": entry.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
                    "error": entry.error,
                })
            })
            .collect();
        context.output.rows(COLUMNS, rows)
    }

    /// The steps that were not taken are left out; the code says whether any was.
    pub(super) fn give_up(&mut self, error: &CliError) -> Exit {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.result == "planned")
        {
            entry.result = "skipped";
        }
        let done = self.entries.iter().any(|entry| entry.result == "done");
        match error.exit() {
            // A refusal after which everything is as before.
            Exit::CheckFailed => Exit::CheckFailed,
            _ if done => Exit::Partial,
            exit => exit,
        }
    }
}
