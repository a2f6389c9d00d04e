//! What a command is going to change, and what became of it: one shape for all commands.
//!
//! A plan is a list of steps. `--dry-run` prints it and ends; otherwise the steps are taken one after the other, what they
//! left is read back, and the same rows are printed with how each went. Fields of a row:
//!
//! | field | meaning |
//! |---|---|
//! | `action` | `create`, `change`, `delete`, `reset`, `clone`, `clean`, … |
//! | `kind` | `topic`, `group`, `offset`, `setting`, `permission`, `message`, `user`, `rule`, `kv` |
//! | `name` | the topic, group, setting… |
//! | `at` | the broker or name server |
//! | `field` | what of it: `readQueues`, or `topic/queue` for offsets; `null` for the whole thing |
//! | `before` | what was there; `null` if nothing |
//! | `after` | what shall be there |
//! | `now` | what was found afterwards; `null` before the step is taken |
//! | `result` | `planned`, `unchanged`, `done`, `failed`, `skipped`, or `different` (taken, but something else was found) |
//! | `error` | why it failed |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Context;
use super::exit::{CliError, Exit};
use super::output::Column;

/// The columns of a plan.
const COLUMNS: &[Column] = &[
    Column::new("action", "ACTION"),
    Column::new("kind", "KIND"),
    Column::new("name", "NAME").name(),
    Column::new("at", "AT"),
    Column::new("field", "FIELD").optional(),
    Column::new("before", "BEFORE").optional(),
    Column::new("after", "AFTER").optional(),
    Column::new("now", "NOW").wide(),
    Column::new("result", "RESULT"),
    Column::new("error", "ERROR").optional(),
];

/// The flags of every command that changes something.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not taken yet.
    Planned,
    /// There is nothing to do.
    Unchanged,
    /// Taken, and found as wanted.
    Done,
    /// Taken, but something else was found afterwards.
    Different,
    /// Refused, or nobody answered.
    Failed,
    /// Not taken, because one before it failed.
    Skipped,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Unchanged => "unchanged",
            Self::Done => "done",
            Self::Different => "different",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) at: String,
    pub(crate) field: Option<String>,
    pub(crate) before: Value,
    pub(crate) after: Value,
    now: Value,
    outcome: Outcome,
    error: Option<String>,
    exit: Option<Exit>,
}

impl Step {
    /// A step on a whole thing.
    pub(crate) fn new(
        action: &'static str,
        kind: &'static str,
        name: impl Into<String>,
        at: impl Into<String>,
    ) -> Self {
        Self {
            action,
            kind,
            name: name.into(),
            at: at.into(),
            field: None,
            before: Value::Null,
            after: Value::Null,
            now: Value::Null,
            outcome: Outcome::Planned,
            error: None,
            exit: None,
        }
    }

    /// The same on a part of it.
    #[must_use]
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What is there, and what shall be. If both are the same there is nothing to do.
    #[must_use]
    pub(crate) fn change(mut self, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        self.before = before.into();
        self.after = after.into();
        if self.before == self.after {
            self.outcome = Outcome::Unchanged;
            self.now = self.before.clone();
        }
        self
    }

    /// It is to be taken although nothing that is shown changes.
    #[must_use]
    pub(crate) fn anyway(mut self) -> Self {
        self.outcome = Outcome::Planned;
        self
    }

    /// Whether it is still to be taken.
    pub(crate) fn is_planned(&self) -> bool {
        self.outcome == Outcome::Planned
    }

    /// It was taken; `now` was found afterwards.
    pub(crate) fn found(&mut self, now: impl Into<Value>) {
        self.now = now.into();
        self.outcome = if self.now == self.after {
            Outcome::Done
        } else {
            let now = match &self.now {
                Value::Null => "nothing".to_owned(),
                found => found.to_string(),
            };
            self.error = Some(format!("{}: {now} was found afterwards", self.name));
            Outcome::Different
        };
    }

    /// It was taken; what was found has moved on since, as it may.
    pub(crate) fn moved_on(&mut self, now: impl Into<Value>) {
        self.now = now.into();
        self.outcome = Outcome::Done;
    }

    /// It was taken, and there is nothing to compare.
    pub(crate) fn done(&mut self) {
        self.outcome = Outcome::Done;
    }

    /// It was not needed after all, or not possible because of another.
    pub(crate) fn skip(&mut self, why: impl Into<String>) {
        self.outcome = Outcome::Skipped;
        self.error = Some(why.into());
    }

    /// It failed.
    pub(crate) fn fail(&mut self, error: impl Into<CliError>) {
        let error = error.into();
        self.outcome = Outcome::Failed;
        self.exit = Some(error.exit());
        self.error = Some(error.to_string());
    }

    /// It failed or it is done, as a result says.
    pub(crate) fn settle<T>(&mut self, result: Result<T, impl Into<CliError>>) -> Option<T> {
        match result {
            Ok(value) => {
                self.done();
                Some(value)
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// It was taken and read back, or it failed, as a result says.
    pub(crate) fn read_back(&mut self, result: Result<impl Into<Value>, impl Into<CliError>>) {
        match result {
            Ok(now) => self.found(now),
            Err(error) => self.fail(error),
        }
    }

    fn row(&self) -> Value {
        json!({
            "action": self.action,
            "kind": self.kind,
            "name": self.name,
            "at": self.at,
            "field": self.field,
            "before": self.before,
            "after": self.after,
            "now": self.now,
            "result": self.outcome.name(),
            "error": self.error,
        })
    }
}

/// The fields of one thing, by name.
pub(crate) type Fields = BTreeMap<String, Value>;

/// A step like `step` for each field that differs.
pub(crate) fn differences(step: &Step, before: &Fields, after: &Fields) -> Vec<Step> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |fields: &Fields, name: &String| fields.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| {
            let (before, after) = (value(before, name), value(after, name));
            step.clone().field(name).change(before, after)
        })
        .filter(Step::is_planned)
        .collect()
}

/// Deals out steps to the work they stand for, so many to each in order. Work of which nothing is to be done is left out.
pub(crate) fn parts<'a, W>(
    mut steps: &'a mut [Step],
    work: &'a [(W, usize)],
) -> impl Iterator<Item = (&'a mut [Step], &'a W)> {
    work.iter().filter_map(move |(work, count)| {
        let (part, rest) = std::mem::take(&mut steps).split_at_mut(*count);
        steps = rest;
        part.iter().any(Step::is_planned).then_some((part, work))
    })
}

/// As [`Step::read_back`], for the fields of one thing that were sent together: what was found stands under its field.
pub(crate) fn read_back_fields(steps: &mut [Step], result: Result<Fields, impl Into<CliError>>) {
    match result {
        Ok(now) => {
            for step in steps {
                let field = step.field.clone().unwrap_or_default();
                step.found(now.get(&field).cloned().unwrap_or_default());
            }
        }
        Err(error) => {
            let error = error.into();
            for step in steps {
                step.fail(CliError::new(error.exit(), &error));
            }
        }
    }
}

/// What to do about things that are to be created and are there already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnExisting {
    /// `--if-missing`: they stay as they are.
    pub(crate) leave: bool,
    /// `--or-change`: they become as wanted.
    pub(crate) change: bool,
}

impl OnExisting {
    /// What becomes of one that was `found`, and shall be as `wanted`. `already` says that it is there, and how.
    pub(crate) fn settle<T: Clone + PartialEq>(
        self,
        found: &T,
        wanted: T,
        already: impl FnOnce() -> String,
    ) -> Result<T, CliError> {
        if wanted != *found && !self.leave && !self.change {
            return Err(CliError::failed(already())
                .hint("--or-change changes it; --if-missing leaves it as it is"));
        }
        Ok(if self.change { wanted } else { found.clone() })
    }
}

/// How much a change can hurt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Danger<'a> {
    /// It can be taken back by the opposite command: nobody is asked.
    None,
    /// Ask yes or no.
    Ask(&'a str),
    /// Ask for the name of what is lost.
    Name(&'a str, &'a str),
}

/// Steps, in the order they are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// Whether any step is still to be taken.
    pub(crate) fn has_work(&self) -> bool {
        self.steps.iter().any(Step::is_planned)
    }

    /// Asks for consent. `false`: the plan is printed, and the command ends with [`Plan::finish`]'s code.
    pub(crate) fn agreed(
        &self,
        consent: Consent,
        danger: Danger<'_>,
        context: &Context,
    ) -> Result<bool, CliError> {
        if consent.dry_run || !self.has_work() {
            return Ok(false);
        }
        if consent.yes {
            return Ok(true);
        }
        let (question, wanted) = match danger {
            Danger::None => return Ok(true),
            Danger::Ask(question) => (question, None),
            Danger::Name(question, name) => (question, Some(name)),
        };
        if !context.output.can_ask() {
            return Err(
                CliError::usage(format!("{question}: nobody is there to ask"))
                    .hint("--yes answers beforehand, --dry-run shows what would be done"),
            );
        }
        let mut shown = 0;
        for step in self.steps.iter().filter(|step| step.is_planned()).take(40) {
            let field = step.field.as_deref().unwrap_or_default();
            context.output.note(&format!(
                "  {} {} {} {field} at {}: {} -> {}",
                step.action, step.kind, step.name, step.at, step.before, step.after
            ));
            shown += 1;
        }
        let all = self.steps.iter().filter(|step| step.is_planned()).count();
        if all > shown {
            context.output.note(&format!("  and {} more", all - shown));
        }
        let agreed = match wanted {
            None => context.output.confirm(question)?,
            Some(name) => {
                context
                    .output
                    .ask_for(&format!("{question}: type {name} to go on"))?
                    == name
            }
        };
        if agreed {
            Ok(true)
        } else {
            Err(CliError::new(Exit::Interrupted, "nothing was changed"))
        }
    }

    /// Leaves out what was not taken yet.
    pub(crate) fn skip_rest(&mut self, why: &str) {
        for step in self.steps.iter_mut().filter(|step| step.is_planned()) {
            step.skip(why);
        }
    }

    /// Prints the plan. All well: 0. Some steps failed: 6, and stderr says how many. All failed: the code of the first.
    pub(crate) fn finish(&self, context: &Context) -> Result<Exit, CliError> {
        context
            .output
            .rows(COLUMNS, self.steps.iter().map(Step::row))?;
        let count = |wanted: &[Outcome]| {
            let steps = self.steps.iter();
            steps.filter(|step| wanted.contains(&step.outcome)).count()
        };
        let failed = count(&[Outcome::Failed, Outcome::Different, Outcome::Skipped]);
        if failed == 0 {
            return Ok(Exit::Ok);
        }
        let done = count(&[Outcome::Done]);
        if let Some(first) = self.steps.iter().find_map(|step| step.error.as_ref()) {
            context.output.warn(first);
        }
        if done > 0 {
            context.output.warn(&format!(
                "partly done: {done} done, {failed} not; the report says which"
            ));
            return Ok(Exit::Partial);
        }
        let exit = self.steps.iter().find_map(|step| step.exit);
        Ok(exit.unwrap_or(Exit::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_knows_whether_there_is_work() {
        let same = Step::new("change", "topic", "t", "b")
            .field("perm")
            .change("rw", "rw");
        assert!(!same.is_planned());
        let mut other = Step::new("change", "topic", "t", "b").change(4, 8);
        assert!(other.is_planned());
        other.found(8);
        assert_eq!(other.outcome, Outcome::Done);
        other.found(4);
        assert_eq!(other.row()["result"], "different");
    }

    #[test]
    fn fields_that_differ_are_dealt_out_to_the_work_they_stand_for() {
        let fields = |pairs: &[(&str, i32)]| -> Fields {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect()
        };
        let step = Step::new("change", "topic", "t", "b");
        let mut steps = differences(
            &step,
            &fields(&[("gone", 1), ("same", 2), ("other", 3)]),
            &fields(&[("same", 2), ("other", 4), ("new", 5)]),
        );
        let named: Vec<_> = steps
            .iter()
            .map(|step| (step.field.clone().unwrap(), step.after.clone()))
            .collect();
        let expected = [
            ("gone", Value::Null),
            ("new", json!(5)),
            ("other", json!(4)),
        ];
        assert_eq!(
            named,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        steps[2].done();
        let work = [("first", 2), ("nothing", 0), ("done", 1)];
        let dealt: Vec<_> = parts(&mut steps, &work)
            .map(|(part, work)| (*work, part.len()))
            .collect();
        assert_eq!(dealt, [("first", 2)]);
    }

    #[test]
    fn failures_keep_their_code() {
        let mut step = Step::new("delete", "topic", "t", "b");
        step.fail(CliError::not_found("gone"));
        assert_eq!(
            (step.exit, step.error.as_deref()),
            (Some(Exit::NotFound), Some("gone"))
        );
    }
}
