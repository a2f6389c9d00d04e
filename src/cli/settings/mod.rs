//! What the command line goes by, and where each setting was found.
//!
//! The order: flag, variable `RMQ_…`, `NAMESRV_ADDR` (what Java's clients read), context, `./rmq.yaml`, default. A context
//! that is named by a flag or by `RMQ_CONTEXT` counts as said there, because whoever names it means it.
//!
//! Absent on purpose: settings of a node; those are `node::config`.

pub(crate) mod contexts;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::args::Global;
use super::exit::CliError;
use super::output::{ColorChoice, Format};
use contexts::{Contexts, Entry, contexts_file, read_yaml};

/// Settings of one directory.
const LOCAL_FILE: &str = "rmq.yaml";
/// Where a node on this machine listens.
const DEFAULT_NAME_SERVER: &str = "127.0.0.1:9876";

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag of this command line.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A context of the user's file.
    Context { name: String, file: PathBuf },
    /// A file in the working directory.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Context { name, file } => write!(f, "context {name} in {}", file.display()),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

impl<T> Given<T> {
    fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The context in use.
    pub(crate) context: Option<Given<String>>,
    /// The name servers, as written.
    pub(crate) namesrv: Given<String>,
    /// The form of output; `None` lets each command choose.
    pub(crate) output: Given<Option<Format>>,
    /// When to use colour.
    pub(crate) color: Given<ColorChoice>,
    /// Whether times are printed in UTC.
    pub(crate) utc: Given<bool>,
    /// Where contexts are kept, if this user has such a place.
    pub(crate) contexts_file: Option<PathBuf>,
    /// What should be said about the files.
    pub(crate) warnings: Vec<String>,
}

/// Where settings come from; tests bring their own.
pub(crate) struct Sources<'a> {
    pub(crate) global: &'a Global,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) contexts_file: Option<PathBuf>,
    pub(crate) local_file: &'a Path,
}

/// The settings of this process, or those without any file and what is wrong with the files.
pub(crate) fn load(global: &Global) -> (Settings, Option<CliError>) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let sources = Sources {
        global,
        variable: &variable,
        contexts_file: contexts_file(),
        local_file: Path::new(LOCAL_FILE),
    };
    match resolve(&sources, true) {
        Ok(settings) => (settings, None),
        Err(error) => {
            let without = resolve(&sources, false);
            // Without files only a variable can be wrong, and then the flags alone are left.
            let settings = without.unwrap_or_else(|_| by_flags(global, sources.contexts_file));
            (settings, Some(error))
        }
    }
}

fn by_flags(global: &Global, contexts_file: Option<PathBuf>) -> Settings {
    Settings {
        context: None,
        namesrv: Given::new(
            global
                .namesrv
                .clone()
                .unwrap_or_else(|| DEFAULT_NAME_SERVER.to_owned()),
            Origin::Default,
        ),
        output: Given::new(global.output, Origin::Default),
        color: Given::new(global.color.unwrap_or(ColorChoice::Auto), Origin::Default),
        utc: Given::new(global.utc, Origin::Default),
        contexts_file,
        warnings: Vec::new(),
    }
}

/// A layer that may have an opinion on each setting.
struct Layer {
    entry: Entry,
    origin: Origin,
}

/// What the files say.
#[derive(Default)]
struct Files {
    context: Option<Given<String>>,
    /// The context that is named.
    named: Option<Layer>,
    /// The context in use, if none is named.
    current: Option<Layer>,
    /// `./rmq.yaml`.
    local: Option<Layer>,
}

fn read_files(sources: &Sources<'_>) -> Result<Files, CliError> {
    let mut found = Files::default();
    let by_flag = sources.global.context.clone();
    let by_flag = by_flag.map(|name| (name, Origin::Flag("--context")));
    let by_variable = (sources.variable)("RMQ_CONTEXT");
    let by_variable = by_variable.map(|name| (name, Origin::Variable("RMQ_CONTEXT")));
    let wanted = by_flag.or(by_variable);
    if let Some(file) = &sources.contexts_file {
        let contexts = Contexts::read(file)?;
        let layer = |name: &str| {
            let entry = contexts.contexts.get(name)?.clone();
            let (name, file) = (name.to_owned(), file.clone());
            Some(Layer {
                entry,
                origin: Origin::Context { name, file },
            })
        };
        if let Some((name, origin)) = &wanted {
            found.named = Some(layer(name).ok_or_else(|| no_context(name, file))?);
            found.context = Some(Given::new(name.clone(), origin.clone()));
        } else if let Some(name) = &contexts.current {
            found.current = Some(layer(name).ok_or_else(|| no_context(name, file))?);
            found.context = Some(Given::new(name.clone(), Origin::File(file.clone())));
        }
    } else if let Some((name, _)) = wanted {
        return Err(CliError::usage(format!(
            "there is no context {name}: this user has no configuration directory"
        ))
        .hint("set HOME or RMQ_CONFIG_DIR"));
    }
    if let Some(entry) = read_yaml::<Entry>(sources.local_file)? {
        let origin = Origin::File(sources.local_file.to_owned());
        found.local = Some(Layer { entry, origin });
    }
    Ok(found)
}

fn resolve(sources: &Sources<'_>, files: bool) -> Result<Settings, CliError> {
    let mut warnings = Vec::new();
    let Files {
        context,
        named,
        current,
        local,
    } = if files {
        read_files(sources)?
    } else {
        Files::default()
    };
    // Next to flags: what a flag names.
    let mut first: Vec<&Layer> = Vec::new();
    let mut last: Vec<&Layer> = Vec::new();
    match (
        &named,
        context.as_ref().map(|given: &Given<String>| &given.origin),
    ) {
        (Some(layer), Some(Origin::Flag(_))) => first.push(layer),
        (Some(layer), _) => last.push(layer),
        (None, _) => {}
    }
    last.extend(current.as_ref());
    last.extend(local.as_ref());
    for layer in first.iter().chain(&last) {
        for name in layer.entry.unknown.keys() {
            warnings.push(format!(
                "{}: {name}: no setting has this name, ignored",
                layer.origin
            ));
        }
    }
    let picker = Picker {
        sources,
        first: &first,
        last: &last,
    };
    // `RMQ_CONTEXT` is a variable of ours, so it wins over Java's.
    let java = if matches!(
        context.as_ref().map(|given| &given.origin),
        Some(Origin::Variable(_))
    ) && named
        .as_ref()
        .is_some_and(|layer| layer.entry.namesrv.is_some())
    {
        None
    } else {
        Some("NAMESRV_ADDR")
    };
    let namesrv = picker.text(
        sources
            .global
            .namesrv
            .clone()
            .map(|text| (text, "--namesrv")),
        "RMQ_NAMESRV_ADDR",
        java,
        |entry| entry.namesrv.clone(),
    );
    let output = sources
        .global
        .output
        .and_then(|format| Some((name_of(&format)?, "--output")));
    let output = picker.text(output, "RMQ_OUTPUT", None, |entry| entry.output.clone());
    let color = sources
        .global
        .color
        .and_then(|color| Some((name_of(&color)?, "--color")));
    let color = picker.text(color, "RMQ_COLOR", None, |entry| entry.color.clone());
    let utc = sources.global.utc.then(|| ("true".to_owned(), "--utc"));
    let utc = picker.text(utc, "RMQ_UTC", None, |entry| {
        entry.utc.map(|utc| utc.to_string())
    });
    Ok(Settings {
        context,
        namesrv: namesrv
            .unwrap_or_else(|| Given::new(DEFAULT_NAME_SERVER.to_owned(), Origin::Default)),
        output: match output {
            Some(given) => Given::new(Some(value("output", &given)?), given.origin),
            None => Given::new(None, Origin::Default),
        },
        color: match color {
            Some(given) => Given::new(value("color", &given)?, given.origin),
            None => Given::new(ColorChoice::Auto, Origin::Default),
        },
        utc: match utc {
            Some(given) => Given::new(flag("utc", &given)?, given.origin),
            None => Given::new(false, Origin::Default),
        },
        contexts_file: sources.contexts_file.clone(),
        warnings,
    })
}

fn no_context(name: &str, file: &Path) -> CliError {
    CliError::usage(format!("there is no context {name} in {}", file.display()))
        .hint("`rmq ctx ls` lists them, `rmq ctx add` makes one")
}

/// What the command line calls a value.
pub(crate) fn name_of(value: &impl ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

fn value<T: ValueEnum>(key: &str, given: &Given<String>) -> Result<T, CliError> {
    T::from_str(&given.value, true).map_err(|_| {
        let known: Vec<String> = T::value_variants().iter().filter_map(name_of).collect();
        CliError::usage(format!(
            "{}: {key} is {:?}, which is none of {}",
            given.origin,
            given.value,
            known.join(", ")
        ))
    })
}

fn flag(key: &str, given: &Given<String>) -> Result<bool, CliError> {
    match given.value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(CliError::usage(format!(
            "{}: {key} is {other:?}, which is neither true nor false",
            given.origin
        ))),
    }
}

struct Picker<'a> {
    sources: &'a Sources<'a>,
    /// Layers that win over variables.
    first: &'a [&'a Layer],
    /// Layers that do not.
    last: &'a [&'a Layer],
}

impl Picker<'_> {
    fn text(
        &self,
        flag: Option<(String, &'static str)>,
        variable: &'static str,
        java: Option<&'static str>,
        of: impl Fn(&Entry) -> Option<String>,
    ) -> Option<Given<String>> {
        let from_layers = |layers: &[&Layer]| {
            layers
                .iter()
                .find_map(|layer| Some(Given::new(of(&layer.entry)?, layer.origin.clone())))
        };
        let from_variable = |name: &'static str| {
            let value = (self.sources.variable)(name)?;
            Some(Given::new(value, Origin::Variable(name)))
        };
        flag.map(|(text, name)| Given::new(text, Origin::Flag(name)))
            .or_else(|| from_layers(self.first))
            .or_else(|| from_variable(variable))
            .or_else(|| java.and_then(from_variable))
            .or_else(|| from_layers(self.last))
    }
}

#[cfg(test)]
mod tests;
