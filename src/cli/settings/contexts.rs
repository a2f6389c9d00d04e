//! The file that names clusters: `contexts.yaml` in the user's configuration directory.
//!
//! ```yaml
//! current: prod
//! previous: dev
//! contexts:
//!   dev: { namesrv: "127.0.0.1:9876" }
//!   prod: { namesrv: "10.0.0.1:9876;10.0.0.2:9876", utc: true }
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::exit::CliError;
use crate::cli::output::yaml;

/// Settings as a file has them; what is absent is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Entry {
    /// Name servers, separated by `;`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namesrv: Option<String>,
    /// `-o`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<String>,
    /// `--color`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) color: Option<String>,
    /// `--utc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) utc: Option<bool>,
    /// Names that mean nothing here; kept when the file is written.
    #[serde(flatten)]
    pub(crate) unknown: BTreeMap<String, Value>,
}

/// All contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "the names of the file")]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// The one in use before, for `rmq ctx -`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// By name.
    pub(crate) contexts: BTreeMap<String, Entry>,
}

impl Contexts {
    /// Reads the file; one that is not there holds nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        read_yaml(path).map(Option::unwrap_or_default)
    }

    /// Replaces the file; a crash leaves the old or the new one whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), CliError> {
        let text = yaml::write(self).map_err(CliError::failed)?;
        let place = |error: std::io::Error| {
            CliError::from(std::io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            ))
        };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(place)?;
        }
        let temporary = path.with_extension(format!("yaml.{}.new", std::process::id()));
        std::fs::write(&temporary, text).map_err(place)?;
        std::fs::rename(&temporary, path).map_err(place)
    }

    /// Makes a context the one in use.
    pub(crate) fn switch_to(&mut self, name: &str) {
        if self.current.as_deref() != Some(name) {
            self.previous = self.current.replace(name.to_owned());
        }
    }
}

/// Reads a YAML file; `None` if there is none.
pub(super) fn read_yaml<T: serde::de::DeserializeOwned + Default>(
    path: &Path,
) -> Result<Option<T>, CliError> {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CliError::usage(format!(
                "cannot read {}: {error}",
                path.display()
            )));
        }
    };
    yaml::read(&text).map(Some).map_err(|error| {
        CliError::usage(format!(
            "{}:{}: {}",
            path.display(),
            error.line,
            error.message
        ))
    })
}

/// Where the file is: `RMQ_CONFIG_DIR`, else the platform's directory for configuration. `None` where a user has no
/// home.
pub(crate) fn contexts_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let dir = if let Some(dir) = variable("RMQ_CONFIG_DIR") {
        PathBuf::from(dir)
    } else if cfg!(windows) {
        PathBuf::from(variable("APPDATA")?).join("rmq")
    } else if cfg!(target_os = "macos") {
        PathBuf::from(variable("HOME")?).join("Library/Application Support/rmq")
    } else {
        match variable("XDG_CONFIG_HOME") {
            Some(dir) => PathBuf::from(dir).join("rmq"),
            None => PathBuf::from(variable("HOME")?).join(".config/rmq"),
        }
    };
    Some(dir.join("contexts.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_goes_both_ways_and_keeps_what_it_does_not_know() {
        let text = "current: b\ncontexts:\n  a:\n    namesrv: h:1;h:2\n    colour: blue\n  b:\n    utc: true\n";
        let mut contexts: Contexts = yaml::read(text).unwrap();
        assert_eq!(contexts.contexts["a"].namesrv.as_deref(), Some("h:1;h:2"));
        contexts.switch_to("a");
        contexts.switch_to("a");
        assert_eq!(contexts.previous.as_deref(), Some("b"));
        let again: Contexts = yaml::read(&yaml::write(&contexts).unwrap()).unwrap();
        assert_eq!(again, contexts);
        assert_eq!(again.contexts["a"].unknown["colour"], "blue");
    }

    #[test]
    fn mistakes_have_a_line() {
        let error = yaml::read::<Contexts>("contexts:\n  a:\n    utc: maybe\n").unwrap_err();
        assert!(
            error.line >= 1 && error.message.contains("utc"),
            "{error:?}"
        );
        assert_eq!(yaml::read("# nothing\n---\n"), Ok(Contexts::default()));
    }
}
