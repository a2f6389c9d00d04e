//! The file a node was started with, into which it writes what administrators change (`UPDATE_BROKER_CONFIG`).
//!
//! Apache writes all settings, sorted, in place of whatever the file was (`Configuration.persist`). Here only what was
//! changed changes: comments, order, unknown keys and the form of the file stay. As there, the content before is in
//! `.bak`. The result is read and resolved as the next start would do it before it is written; what cannot be changed
//! line by line is left alone, and said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layers::current_name;
use super::{Entry, Flags, Origin, is_yaml, layers, parse, properties, resolve, yaml};
use crate::broker::{Changes, Unkept};
use crate::sys::config_file;

/// The file, and what else decides how the next start reads it.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    flags: Flags,
    environment: Vec<(String, String)>,
}

impl SettingsFile {
    /// The file that was named, if one was.
    pub(super) fn of(flags: &Flags, environment: Vec<(String, String)>) -> Option<Self> {
        Some(Self {
            path: flags.config.clone()?,
            flags: Flags {
                // It is long since sown.
                seed: None,
                ..flags.clone()
            },
            environment,
        })
    }

    /// Writes changed settings into the file. Tells which of them the next start will take from elsewhere. Blocks.
    pub(crate) fn keep(&self, changes: &Changes) -> Result<Option<String>, Unkept> {
        let place = self.path.display();
        // What is behind a link is replaced, not the link.
        let path = std::fs::canonicalize(&self.path).map_err(|error| lost(&place, error))?;
        let before = std::fs::read(&path).map_err(|error| lost(&place, error))?;
        let old = self.parsed(&before)?;
        let after = edited(&self.path, &before, &old, changes);
        let mut wanted = values(&old);
        for (key, value) in changes {
            wanted.insert(current_name(key).to_owned(), value.clone());
        }
        let new = parse(&self.path, &after)
            .ok()
            .filter(|new| values(new) == wanted);
        let by_hand = "it is not written line by line, change it by hand";
        let new = new.ok_or_else(|| lost(&place, by_hand))?;
        if let Err(error) = self.resolved(new.clone()) {
            return Err(match self.resolved(old) {
                Ok(()) => Unkept::Refused(format!("the next start would be refused: {error}")),
                // Somebody is at work on it.
                Err(_) => lost("the file has errors", error),
            });
        }
        if after != before {
            writable(&path).map_err(|error| lost(&place, error))?;
            config_file::write_atomic(&path, &after).map_err(|error| lost(&place, error))?;
            tracing::info!(file = %place, ?changes, "settings changed in the file");
        }
        Ok(self.overridden(new, changes))
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Vec<Entry>, Unkept> {
        parse(&self.path, bytes).map_err(|error| lost("the file has errors", error))
    }

    /// Whether a node can be started with these entries.
    fn resolved(&self, entries: Vec<Entry>) -> Result<(), super::ConfigError> {
        let layers = layers(&self.flags, &self.environment, Some((&self.path, entries)));
        resolve::resolve(&self.flags, layers, None).map(drop)
    }

    fn overridden(&self, entries: Vec<Entry>, changes: &Changes) -> Option<String> {
        let layers = layers(&self.flags, &self.environment, Some((&self.path, entries)));
        let others: Vec<_> = changes
            .keys()
            .filter_map(|key| match layers.origin(key)? {
                Origin::File { .. } => None,
                other => Some(format!("{other} wins over {key} there")),
            })
            .collect();
        (!others.is_empty()).then(|| {
            let place = self.path.display();
            format!("written into {place}, but {}", others.join(", "))
        })
    }
}

fn lost(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Unkept {
    Unkept::Lost(format!("{what}: {why}"))
}

/// A file that is marked read-only is not replaced by another, although the directory would allow it.
fn writable(path: &Path) -> std::io::Result<()> {
    if std::fs::metadata(path)?.permissions().readonly() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            "the file is read-only",
        ));
    }
    Ok(())
}

/// The last value of each setting, under the name it has today.
fn values(entries: &[Entry]) -> BTreeMap<String, String> {
    let named = |entry: &Entry| (current_name(&entry.key).to_owned(), entry.value.clone());
    entries.iter().map(named).collect()
}

/// The file with changed settings: the last entry of a key gets the new value, a new key comes at the end.
fn edited(path: &Path, bytes: &[u8], entries: &[Entry], changes: &Changes) -> Vec<u8> {
    let yaml = is_yaml(path, bytes);
    let mut lines = lines(bytes);
    let end: &[u8] = if bytes.windows(2).any(|pair| pair == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    for (key, value) in changes {
        let found = entries
            .iter()
            .rfind(|entry| current_name(&entry.key) == current_name(key));
        let place =
            found.and_then(|entry| Some((entry, lines.get_mut(entry.line.checked_sub(1)?)?)));
        match place {
            Some((entry, _)) if entry.value == *value => {}
            Some((entry, line)) if yaml => {
                if let Some(new) = yaml::with_value(line, &entry.key, value) {
                    *line = new;
                }
            }
            Some((entry, _)) => {
                let first = entry.line - 1;
                let length = properties::entry_lines(&lines[first..]);
                let mut new = properties::entry(key, value).into_bytes();
                let last = &lines[first + length - 1];
                new.extend_from_slice(&last[without_end(last).len()..]);
                // The others stay as empty ones, so that the numbers of lines hold for the next change.
                lines[first] = new;
                for line in &mut lines[first + 1..first + length] {
                    line.clear();
                }
            }
            None => {
                if let Some(last) = lines.last_mut()
                    && without_end(last).len() == last.len()
                    && !last.is_empty()
                {
                    last.extend_from_slice(end);
                }
                let new = if yaml {
                    yaml::entry(key, value)
                } else {
                    properties::entry(key, value)
                };
                lines.push([new.as_bytes(), end].concat());
            }
        }
    }
    lines.concat()
}

/// The lines of a file, each with its end: `\n`, `\r\n` or `\r`.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let length = match end {
            Some(at) if rest[at..].starts_with(b"\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let (line, others) = rest.split_at(length);
        lines.push(line.to_vec());
        rest = others;
    }
    lines
}

/// A line without its end.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::config::load;
    use tempfile::TempDir;

    const PROPERTIES: &str = "# our broker\nbrokerName = a\nfileReservedTime=24\r\n! more\nmyOwnKey=x\ndefaultTopicQueueNums=4\nnamesrvAddr=a:1;\\\n   b:2\nfileReservedTime: 48";

    fn changes(pairs: &[(&str, &str)]) -> Changes {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn file(name: &str, text: &[u8]) -> (TempDir, Flags) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let flags = Flags {
            config: Some(path),
            data_dir: Some(dir.path().join("data")),
            ..Flags::default()
        };
        (dir, flags)
    }

    fn keep(flags: &Flags, pairs: &[(&str, &str)]) -> Result<Option<String>, Unkept> {
        let options = load(flags, []).unwrap().options;
        options.file.unwrap().keep(&changes(pairs))
    }

    fn text(flags: &Flags) -> String {
        std::fs::read_to_string(flags.config.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn only_what_was_changed_changes() {
        let (dir, flags) = file("broker.conf", PROPERTIES.as_bytes());
        let asked = [
            ("fileReservedTime", "12"),
            ("namesrvAddr", "c:3"),
            ("regionId", "caf\u{e9} \\1"),
        ];
        assert_eq!(keep(&flags, &asked), Ok(None));
        assert_eq!(
            text(&flags),
            "# our broker\nbrokerName = a\nfileReservedTime=24\r\n! more\nmyOwnKey=x\ndefaultTopicQueueNums=4\nnamesrvAddr=c:3\nfileReservedTime=12\r\nregionId=caf\\u00e9 \\\\1\r\n"
        );
        let broker = load(&flags, []).unwrap().options.broker;
        assert_eq!(broker.store.file_reserved_hours, 12);
        assert_eq!(broker.region_id, "caf\u{e9} \\1");
        let backup = std::fs::read_to_string(dir.path().join("broker.conf.bak")).unwrap();
        assert_eq!(backup, PROPERTIES);
    }

    #[test]
    fn yaml_stays_yaml() {
        let before =
            "---\n# ours\nbrokerName: a\nfileReservedTime: 24 # a day\nregionId: 'it''s' # here\n";
        let (_dir, flags) = file("broker.yaml", before.as_bytes());
        let asked = [
            ("fileReservedTime", "12"),
            ("regionId", "# it's: new"),
            ("traceOn", "false"),
        ];
        assert_eq!(keep(&flags, &asked), Ok(None));
        assert_eq!(
            text(&flags),
            "---\n# ours\nbrokerName: a\nfileReservedTime: 12 # a day\nregionId: '# it''s: new' # here\ntraceOn: false\n"
        );
        // What is not one entry a line is left to people.
        let flow = "{brokerName: a, fileReservedTime: 24}\n";
        let (_dir, flags) = file("broker.yaml", flow.as_bytes());
        let told = keep(&flags, &[("fileReservedTime", "12")]);
        assert!(
            matches!(&told, Err(Unkept::Lost(why)) if why.contains("by hand")),
            "{told:?}"
        );
        assert_eq!(text(&flags), flow);
    }

    #[test]
    fn a_file_the_next_start_would_refuse_is_not_written() {
        let (_dir, flags) = file("broker.conf", b"brokerName=a\n");
        let told = keep(&flags, &[("maxMessageSize", "1"), ("traceOn", "false")]);
        assert!(
            matches!(&told, Err(Unkept::Refused(why)) if why.contains("1024")),
            "{told:?}"
        );
        assert_eq!(text(&flags), "brokerName=a\n");
        let durable = Flags {
            durable: true,
            ..flags
        };
        let told = keep(&durable, &[("flushDiskType", "ASYNC_FLUSH")]);
        assert!(matches!(told, Err(Unkept::Refused(_))), "{told:?}");
    }

    #[test]
    fn what_wins_over_the_file_is_said() {
        let (_dir, flags) = file("broker.conf", b"");
        let flags = Flags {
            settings: vec![("fileReservedTime".to_owned(), "5".to_owned())],
            ..flags
        };
        let told = keep(&flags, &[("fileReservedTime", "12")])
            .unwrap()
            .unwrap();
        assert!(told.contains("--set wins over fileReservedTime"), "{told}");
        assert_eq!(text(&flags), "fileReservedTime=12\n");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_keeps_its_mode_and_a_read_only_one_its_content() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, mut flags) = file("broker.conf", b"brokerName=a\n");
        let path = flags.config.clone().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        set(0o600).unwrap();
        let link = dir.path().join("link.conf");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        flags.config = Some(link.clone());
        assert_eq!(keep(&flags, &[("traceOn", "false")]), Ok(None));
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(text(&flags), "brokerName=a\ntraceOn=false\n");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&dir.path().join("broker.conf.bak")), 0o600);
        set(0o400).unwrap();
        let told = keep(&flags, &[("traceOn", "true")]);
        assert!(
            matches!(&told, Err(Unkept::Lost(why)) if why.contains("read-only")),
            "{told:?}"
        );
        assert_eq!(text(&flags), "brokerName=a\ntraceOn=false\n");
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes: Vec<u8>, yaml: bool, value: String) {
            let path = Path::new(if yaml { "a.yaml" } else { "a.conf" });
            if let Ok(entries) = parse(path, &bytes) {
                let mut asked = changes(&[("fileReservedTime", value.as_str())]);
                asked.extend(entries.first().map(|entry| (entry.key.clone(), value.clone())));
                edited(path, &bytes, &entries, &asked);
            }
        }
    }
}
