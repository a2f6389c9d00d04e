//! The id a controller gave this broker, in Apache's files: `brokerIdentity`, and `brokerIdentity-temp` while it is applied
//! for (`BrokerMetadata`, `TempBrokerMetadata`).
//!
//! Both are one line with `#` between cluster, name and id; the temporary one adds the check code, with which a broker
//! that was interrupted asks for the same id again. A broker of Apache's can go on with the directory, and the other way
//! round.
//!
//! Absent on purpose: asking. That is the caller's.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::sys::config_file;

/// The file's name in the store directory, as in Apache.
const FILE: &str = "brokerIdentity";
const TEMP_SUFFIX: &str = "-temp";

/// An id that was applied for and is not known to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) id: i64,
    /// `address;time`: nobody else's.
    pub(crate) check_code: String,
}

/// How far this broker has got with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing was asked for.
    None,
    /// It was applied for.
    Applied(Applied),
    /// It is this broker's.
    Granted(i64),
}

/// The files, and whose they must be.
#[derive(Debug)]
pub(crate) struct Identity {
    path: PathBuf,
    cluster: String,
    name: String,
}

impl Identity {
    /// The files of a store directory. Nothing is read yet.
    pub(crate) fn new(store: &Path, cluster: &str, name: &str) -> Self {
        Self {
            path: store.join(FILE),
            cluster: cluster.to_owned(),
            name: name.to_owned(),
        }
    }

    fn temp_path(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(TEMP_SUFFIX);
        name.into()
    }

    /// Reads how far it has got. The id of another broker name is refused, as Apache does. Blocks.
    pub(crate) fn read(&self) -> io::Result<Progress> {
        if let Some(line) = read_line(&self.path)? {
            let (id, _) = self.parse(&self.path, &line)?;
            return Ok(Progress::Granted(id));
        }
        let path = self.temp_path();
        if let Some(line) = read_line(&path)? {
            let (id, check_code) = self.parse(&path, &line)?;
            // Without the code nobody can ask for it again.
            if let Some(check_code) = check_code {
                return Ok(Progress::Applied(Applied { id, check_code }));
            }
        }
        Ok(Progress::None)
    }

    fn parse(&self, path: &Path, line: &str) -> io::Result<(i64, Option<String>)> {
        let bad = |what: String| {
            Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{}: {what}", path.display()),
            ))
        };
        let mut parts = line.splitn(4, '#');
        let (Some(cluster), Some(name), Some(id)) = (parts.next(), parts.next(), parts.next())
        else {
            return bad(format!("{line:?} is not cluster#name#id"));
        };
        let Ok(id) = id.trim().parse::<i64>() else {
            return bad(format!("{id:?} is no id"));
        };
        if (cluster, name) != (self.cluster.as_str(), self.name.as_str()) {
            return bad(format!(
                "this directory is that of broker {name} of cluster {cluster}, not of {} of {}",
                self.name, self.cluster
            ));
        }
        let code = parts.next().map(|code| code.trim().to_owned());
        Ok((id, code.filter(|code| !code.is_empty())))
    }

    /// Notes what will be applied for; it is on the disk when this returns. Blocks.
    pub(crate) fn note_applied(&self, applied: &Applied) -> io::Result<()> {
        let Applied { id, check_code } = applied;
        let line = format!("{}#{}#{id}#{check_code}", self.cluster, self.name);
        config_file::write_atomic(&self.temp_path(), line.as_bytes())
    }

    /// Notes what was granted. Blocks.
    pub(crate) fn note_granted(&self, id: i64) -> io::Result<()> {
        let line = format!("{}#{}#{id}", self.cluster, self.name);
        config_file::write_atomic(&self.path, line.as_bytes())?;
        self.forget_applied()
    }

    /// The id applied for is another's. Blocks.
    pub(crate) fn forget_applied(&self) -> io::Result<()> {
        let temp = self.temp_path();
        for path in [config_file::backup_of(&temp), temp] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_line(path: &Path) -> io::Result<Option<String>> {
    let bytes = config_file::read(path)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_applied_for_and_granted_in_apaches_files() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(dir.path(), "DefaultCluster", "broker-a");
        assert_eq!(identity.read().unwrap(), Progress::None);
        let applied = Applied {
            id: 3,
            check_code: "127.0.0.1:10911;1795400000000".to_owned(),
        };
        identity.note_applied(&applied).unwrap();
        let text = std::fs::read_to_string(dir.path().join("brokerIdentity-temp")).unwrap();
        assert_eq!(
            text,
            "DefaultCluster#broker-a#3#127.0.0.1:10911;1795400000000"
        );
        assert_eq!(identity.read().unwrap(), Progress::Applied(applied));
        identity.note_granted(3).unwrap();
        let text = std::fs::read_to_string(dir.path().join("brokerIdentity")).unwrap();
        assert_eq!(text, "DefaultCluster#broker-a#3");
        assert!(!dir.path().join("brokerIdentity-temp").exists());
        assert_eq!(identity.read().unwrap(), Progress::Granted(3));
    }

    #[test]
    fn an_id_that_was_refused_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(dir.path(), "c", "n");
        for id in [1, 2] {
            let check_code = "x;1".to_owned();
            identity.note_applied(&Applied { id, check_code }).unwrap();
        }
        identity.forget_applied().unwrap();
        assert_eq!(identity.read().unwrap(), Progress::None);
    }

    #[test]
    fn the_directory_of_another_broker_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = Identity::new(dir.path(), "c", "other");
        other.note_granted(1).unwrap();
        let error = Identity::new(dir.path(), "c", "n").read().unwrap_err();
        assert!(error.to_string().contains("broker other"), "{error}");
        std::fs::write(dir.path().join("brokerIdentity"), "c#n#x").unwrap();
        assert!(Identity::new(dir.path(), "c", "n").read().is_err());
    }
}
