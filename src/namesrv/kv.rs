//! Names and values that administrators keep in the name server, saved in `kvConfig.json`.
//!
//! The file is Apache's: `{"configTable":{namespace:{key:value}}}`, with the content before the last change in
//! `kvConfig.json.bak`. There is always one whole file; one that is missing, empty or unreadable is made good from the
//! `.bak`.
//!
//! Lock order: `saving`, then `table`. Nothing else is locked meanwhile.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::protocol::body::lists::KVConfigSerializeWrapper as Table;
use crate::protocol::fastjson::{self, BodyError};
use crate::sys::config_file;

/// The namespace of order confs: topic, `brokerA:4;brokerB:4`.
pub(super) const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// The values of one namespace.
pub(super) type Namespace = BTreeMap<String, String>;

/// Why saved values cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KvError {
    /// The disk said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Neither the file nor its `.bak` is what it should be.
    #[error("{path} is damaged and there is no readable .bak beside it: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BodyError,
    },
}

/// The table and its file.
#[derive(Debug)]
pub(super) struct KvConfig {
    path: Option<PathBuf>,
    table: Mutex<Table>,
    saving: Mutex<()>,
}

impl KvConfig {
    /// Opens the table; without a path it lives in memory only.
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, KvError> {
        let table = match &path {
            Some(path) => load(path)?,
            None => Table::default(),
        };
        Ok(Self {
            path,
            table: Mutex::new(table),
            saving: Mutex::new(()),
        })
    }

    pub(super) fn get(&self, namespace: &str, key: &str) -> Option<String> {
        let table = self.table.lock();
        table.config_table.get(namespace)?.get(key).cloned()
    }

    pub(super) fn namespace(&self, namespace: &str) -> Option<Namespace> {
        self.table.lock().config_table.get(namespace).cloned()
    }

    /// Sets a value in memory; [`KvConfig::save`] makes it last.
    pub(super) fn put(&self, namespace: &str, key: &str, value: &str) {
        let mut table = self.table.lock();
        let values = table.config_table.entry(namespace.to_owned()).or_default();
        values.insert(key.to_owned(), value.to_owned());
    }

    /// Removes a value from memory; [`KvConfig::save`] makes it last. The namespace stays, even if empty.
    pub(super) fn delete(&self, namespace: &str, key: &str) {
        if let Some(values) = self.table.lock().config_table.get_mut(namespace) {
            values.remove(key);
        }
    }

    /// Writes the table as it is now. May block: not for a tokio thread.
    pub(super) fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let _saving = self.saving.lock();
        let json = fastjson::to_wire(&*self.table.lock()).map_err(io::Error::other)?;
        config_file::write_atomic(path, &json)
    }
}

fn load(path: &Path) -> Result<Table, KvError> {
    let io_error = |source| KvError::Io {
        path: path.to_owned(),
        source,
    };
    let Some(bytes) = config_file::read(path).map_err(io_error)? else {
        return Ok(Table::default());
    };
    let source = match fastjson::from_slice(&bytes) {
        Ok(table) => return Ok(table),
        Err(source) => source,
    };
    let backup = config_file::read_backup(path).map_err(io_error)?;
    match backup.map(|bytes| fastjson::from_slice(&bytes)) {
        Some(Ok(table)) => {
            tracing::warn!(path = %path.display(), "damaged, taking its .bak");
            Ok(table)
        }
        _ => Err(KvError::Damaged {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn values_last_and_the_content_before_is_in_the_bak() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("namesrv/kvConfig.json");
        let kv = KvConfig::open(Some(path.clone())).unwrap();
        kv.put(ORDER_TOPIC_CONFIG, "T", "broker-a:4");
        kv.save().unwrap();
        kv.put(ORDER_TOPIC_CONFIG, "T", "broker-a:8");
        kv.put("PROJECT_CONFIG", "10.0.0.1", "x");
        kv.save().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:8"},"PROJECT_CONFIG":{"10.0.0.1":"x"}}}"#
        );
        assert_eq!(
            fs::read_to_string(config_file::backup_of(&path)).unwrap(),
            r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4"}}}"#
        );

        let again = KvConfig::open(Some(path)).unwrap();
        assert_eq!(again.get(ORDER_TOPIC_CONFIG, "T").unwrap(), "broker-a:8");
        again.delete(ORDER_TOPIC_CONFIG, "T");
        assert_eq!(again.get(ORDER_TOPIC_CONFIG, "T"), None);
        assert_eq!(
            again.namespace(ORDER_TOPIC_CONFIG),
            Some(Namespace::default())
        );
        assert_eq!(again.namespace("nothing"), None);
    }

    #[test]
    fn a_damaged_file_is_made_good_from_its_bak_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        assert!(KvConfig::open(Some(path.clone())).is_ok());
        fs::write(&path, b"\0garbage").unwrap();
        let error = KvConfig::open(Some(path.clone())).unwrap_err().to_string();
        assert!(error.contains("kvConfig.json"), "{error}");
        fs::write(
            config_file::backup_of(&path),
            br#"{"configTable":{"n":{"k":"v"}}}"#,
        )
        .unwrap();
        let kv = KvConfig::open(Some(path)).unwrap();
        assert_eq!(kv.get("n", "k").unwrap(), "v");
    }
}
