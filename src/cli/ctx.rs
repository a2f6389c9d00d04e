//! `rmq ctx`: named clusters.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::exit::{CliError, Exit};
use super::output::{Column, yaml};
use super::plan::{Consent, Danger, Plan, Step};
use super::settings::contexts::{Contexts, Entry};

/// Name clusters, and say which one is meant when nothing else says so
///
/// A context holds settings that flags and variables win over. They are kept in contexts.yaml in the user's
/// configuration directory, or in RMQ_CONFIG_DIR.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq ctx add prod --namesrv '10.0.0.1:9876;10.0.0.2:9876'
  rmq ctx use prod        rmq ctx -        rmq --context dev topic ls")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the contexts; the one in use is marked
    Ls,
    /// Make a context from the --namesrv, --output, --color and --utc given
    Add {
        /// Its name
        name: String,
        /// Go by it from now on
        #[arg(long = "use")]
        select: bool,
        /// Replace one that has this name
        #[arg(long)]
        force: bool,
    },
    /// Go by a context from now on
    Use {
        /// Its name
        name: String,
    },
    /// Go back to the context in use before
    #[command(name = "-")]
    Back,
    /// Open the file in $VISUAL or $EDITOR, and check it
    Edit,
    /// Remove a context
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
}

const COLUMNS: &[Column] = &[
    Column::new("current", "CURRENT"),
    Column::new("name", "NAME").name(),
    Column::new("namesrv", "NAMESRV"),
    Column::new("output", "OUTPUT").wide(),
    Column::new("color", "COLOR").wide(),
    Column::new("utc", "UTC").wide(),
];

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let file = context.settings.contexts_file.clone().ok_or_else(|| {
        CliError::usage("this user has no configuration directory")
            .hint("set HOME or RMQ_CONFIG_DIR")
    })?;
    match args.what {
        What::Ls => list(&file, context),
        What::Add {
            name,
            select,
            force,
        } => add(&file, &name, select, force, context),
        What::Use { name } => switch(&file, &name, context),
        What::Back => {
            let previous = Contexts::read(&file)?.previous;
            let previous = previous
                .ok_or_else(|| CliError::not_found("no context was in use before this one"))?;
            switch(&file, &previous, context)
        }
        What::Edit => edit(&file, context),
        What::Rm { name, consent } => remove(&file, &name, consent, context),
    }
}

fn list(file: &Path, context: &Context) -> Result<Exit, CliError> {
    let contexts = Contexts::read(file)?;
    let in_use = context.settings.context.as_ref().map(|given| &given.value);
    let rows = contexts.contexts.iter().map(|(name, entry)| {
        json!({
            "name": name,
            "current": if in_use == Some(name) { "*" } else { "" },
            "namesrv": entry.namesrv,
            "output": entry.output,
            "color": entry.color,
            "utc": entry.utc,
        })
    });
    context.output.rows(COLUMNS, rows)?;
    Ok(Exit::Ok)
}

fn add(
    file: &Path,
    name: &str,
    select: bool,
    force: bool,
    context: &Context,
) -> Result<Exit, CliError> {
    let allowed = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(allowed) {
        return Err(
            CliError::usage(format!("{name:?} cannot be the name of a context"))
                .hint("letters, digits, '.', '_' and '-' make a name"),
        );
    }
    let given = &context.flags;
    let entry = Entry {
        namesrv: given.namesrv.clone(),
        output: given
            .output
            .map(|format| super::settings::name_of(&format))
            .unwrap_or_default(),
        color: given
            .color
            .map(|color| super::settings::name_of(&color))
            .unwrap_or_default(),
        utc: given.utc.then_some(true),
        ..Entry::default()
    };
    if entry == Entry::default() {
        return Err(CliError::usage("a context without a setting says nothing")
            .hint(format!("rmq ctx add {name} --namesrv HOST:PORT")));
    }
    let mut contexts = Contexts::read(file)?;
    if contexts.contexts.contains_key(name) && !force {
        return Err(
            CliError::failed(format!("there is a context {name} already"))
                .hint("--force replaces it"),
        );
    }
    contexts.contexts.insert(name.to_owned(), entry);
    if select || contexts.current.is_none() {
        contexts.switch_to(name);
    }
    contexts.write(file)?;
    if contexts.current.as_deref() == Some(name) {
        context.output.note(&format!("context {name} is in use"));
    }
    Ok(Exit::Ok)
}

fn switch(file: &Path, name: &str, context: &Context) -> Result<Exit, CliError> {
    let mut contexts = Contexts::read(file)?;
    let Some(entry) = contexts.contexts.get(name) else {
        return Err(CliError::not_found(format!("there is no context {name}"))
            .hint("`rmq ctx ls` lists them"));
    };
    let target = entry
        .namesrv
        .clone()
        .unwrap_or_else(|| "the default".to_owned());
    contexts.switch_to(name);
    contexts.write(file)?;
    context
        .output
        .note(&format!("context {name} is in use: {target}"));
    for name in ["RMQ_NAMESRV_ADDR", "NAMESRV_ADDR"] {
        if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
            context
                .output
                .warn(&format!("{name} is set and wins over it"));
        }
    }
    Ok(Exit::Ok)
}

fn remove(file: &Path, name: &str, consent: Consent, context: &Context) -> Result<Exit, CliError> {
    let mut contexts = Contexts::read(file)?;
    let Some(entry) = contexts.contexts.remove(name) else {
        return Err(CliError::not_found(format!("there is no context {name}"))
            .hint("`rmq ctx ls` lists them"));
    };
    for place in [&mut contexts.current, &mut contexts.previous] {
        if place.as_deref() == Some(name) {
            *place = None;
        }
    }
    let mut plan = Plan::default();
    let step = Step::new("delete", "context", name, file.display().to_string());
    plan.steps
        .push(step.change(entry.namesrv, serde_json::Value::Null));
    if plan.agreed(consent, Danger::None, context)? {
        contexts.write(file)?;
        for step in &mut plan.steps {
            step.done();
        }
    }
    plan.finish(context)
}

fn edit(file: &Path, context: &Context) -> Result<Exit, CliError> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        })
        .ok_or_else(|| {
            CliError::usage("neither VISUAL nor EDITOR names an editor")
                .hint(format!("the file is {}", file.display()))
        })?;
    if !file.exists() {
        Contexts::default().write(file)?;
    }
    // As git does: the variable may hold arguments.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = std::process::Command::new(program)
        .args(words)
        .arg(file)
        .status()
        .map_err(|error| CliError::failed(format!("cannot start {program}: {error}")))?;
    if !status.success() {
        return Err(CliError::failed(format!("{program} ended with {status}")));
    }
    let text = std::fs::read_to_string(file)?;
    let contexts: Contexts = yaml::read(&text).map_err(|error| {
        CliError::usage(format!(
            "{}:{}: {}",
            file.display(),
            error.line,
            error.message
        ))
    })?;
    if let Some(current) = &contexts.current
        && !contexts.contexts.contains_key(current)
    {
        return Err(CliError::usage(format!(
            "{}: current is {current}, which is no context",
            file.display()
        )));
    }
    context.output.note(&format!("{} is fine", file.display()));
    Ok(Exit::Ok)
}
