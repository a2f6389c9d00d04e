//! How many messages of each topic wait: `config/timermetrics` and `GET_TIMER_METRICS` (61).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::metrics_file;
use crate::broker::kept;
use crate::broker::topics::next_version;
use crate::protocol::body::topic_config::DataVersion;
use crate::protocol::fastjson;
use crate::sys::config_file;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Count {
    count: i64,
    time_stamp: i64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    data_version: DataVersion,
    timing_count: BTreeMap<String, Count>,
}

/// Pending messages by topic.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    changed: bool,
}

impl Metrics {
    /// Reads what was saved. The numbers are for people: a file that cannot be read begins anew.
    pub(super) fn load(config: &Path) -> Self {
        let path = metrics_file(config);
        let file = kept::load(&path).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            None
        });
        Self {
            path,
            file: file.unwrap_or_default(),
            changed: false,
        }
    }

    /// `more` messages of a topic wait, or wait no longer.
    pub(super) fn add(&mut self, topic: &str, more: i64, now_ms: i64) {
        if !self.file.timing_count.contains_key(topic) {
            self.file
                .timing_count
                .insert(topic.to_owned(), Count::default());
        }
        if let Some(count) = self.file.timing_count.get_mut(topic) {
            count.count += more;
            count.time_stamp = now_ms;
            next_version(&mut self.file.data_version, now_ms);
            self.changed = true;
        }
    }

    /// Every waiting message is counted again.
    pub(super) fn clear(&mut self) {
        self.changed |= !self.file.timing_count.is_empty();
        self.file.timing_count.clear();
    }

    pub(super) fn forget(&mut self, topic: &str) {
        self.changed |= self.file.timing_count.remove(topic).is_some();
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        fastjson::to_wire(&self.file).unwrap_or_default()
    }

    pub(super) fn save(&mut self) -> std::io::Result<()> {
        if self.changed {
            config_file::write_atomic(&self.path, &self.encode())?;
            self.changed = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_in_apaches_form() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::load(dir.path());
        metrics.add("T", 2, 77);
        metrics.save().unwrap();
        let text = String::from_utf8(metrics.encode()).unwrap();
        assert_eq!(
            text,
            r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":77},"timingCount":{"T":{"count":2,"timeStamp":77}}}"#
        );
        let mut again = Metrics::load(dir.path());
        assert_eq!(again.encode(), metrics.encode());
        again.forget("T");
        assert!(again.file.timing_count.is_empty());
    }
}
