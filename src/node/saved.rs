//! The tables a broker keeps in `config/`: read for whoever looks into a store, and mended where they promise too much.
//!
//! What another broker wrote is read as it reads its own files: bare integer keys, and `.bak` where the file is missing,
//! empty or makes no sense. Absent on purpose: any judgement.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::protocol::body::offset::{
    ConsumerOffsetSerializeWrapper, DelayOffsetSerializeWrapper, QueueOffsets,
};
use crate::protocol::fastjson;
use crate::sys::config_file;

const CONSUMER_OFFSETS: &str = "consumerOffset.json";

/// What `config/` of a store holds. A file that is not there leaves its part empty.
#[derive(Debug, Default)]
pub struct Saved {
    /// `consumerOffset.json`: `topic@group` to the committed offset of each queue.
    pub offsets: BTreeMap<String, QueueOffsets>,
    /// `delayOffset.json`: how far each delay level has been delivered.
    pub delay_offsets: QueueOffsets,
    /// `topics.json`: the configuration of each topic; `None` without such a file.
    pub topics: Option<Map<String, Value>>,
    /// `subscriptionGroup.json`: the configuration of each group; `None` without such a file.
    pub groups: Option<Map<String, Value>>,
    /// Files that neither they nor their `.bak` could be read from, each with the reason.
    pub unreadable: Vec<String>,
}

impl Saved {
    /// Reads the files in `config`. What cannot be read is said, and does not keep the rest from being read.
    pub fn read(config: &Path) -> Self {
        let mut saved = Self::default();
        let unreadable = &mut saved.unreadable;
        let offsets = table::<ConsumerOffsetSerializeWrapper>(config, CONSUMER_OFFSETS, unreadable);
        let delays = table::<DelayOffsetSerializeWrapper>(config, "delayOffset.json", unreadable);
        let mut member = |name, member: &str| {
            let whole = table::<Value>(config, name, unreadable)?;
            whole.get(member)?.as_object().cloned()
        };
        saved.topics = member("topics.json", "topicConfigTable");
        saved.groups = member("subscriptionGroup.json", "subscriptionGroupTable");
        saved.offsets = offsets.unwrap_or_default().offset_table;
        saved.delay_offsets = delays.unwrap_or_default().offset_table;
        saved
    }
}

fn table<T: DeserializeOwned>(
    config: &Path,
    name: &str,
    unreadable: &mut Vec<String>,
) -> Option<T> {
    let path = config.join(name);
    let mut reason = None;
    for read in [config_file::read, config_file::read_backup] {
        match read(&path) {
            Ok(None) => {}
            Ok(Some(bytes)) => match fastjson::from_slice(&bytes) {
                Ok(table) => return Some(table),
                Err(error) => {
                    reason.get_or_insert(error.to_string());
                }
            },
            Err(error) => {
                reason.get_or_insert(error.to_string());
            }
        }
    }
    if let Some(reason) = reason {
        unreadable.push(format!("{}: {reason}", path.display()));
    }
    None
}

/// Sets committed offsets, each named by `topic@group` and queue, and leaves everything else in the file as it is. What
/// the file held becomes its `.bak`. No broker may be running on the store.
pub fn set_offsets(config: &Path, changes: &[(String, i32, i64)]) -> io::Result<()> {
    let path = config.join(CONSUMER_OFFSETS);
    let mut unreadable = Vec::new();
    let table: Option<ConsumerOffsetSerializeWrapper> =
        table(config, CONSUMER_OFFSETS, &mut unreadable);
    let mut table = table.ok_or_else(|| {
        let reason = unreadable.pop();
        io::Error::other(reason.unwrap_or_else(|| format!("{} is gone", path.display())))
    })?;
    for (name, queue, offset) in changes {
        if let Some(queues) = table.offset_table.get_mut(name) {
            queues.insert(*queue, *offset);
        }
    }
    let bytes = fastjson::to_file(&table).map_err(io::Error::other)?;
    config_file::write_atomic(&path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apaches_files_are_read_and_offsets_are_set() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            CONSUMER_OFFSETS,
            r#"{"dataVersion":{"counter":3},"offsetTable":{"T@g":{0:5,1:4}},"pullOffsetTable":{"T@p":{0:9}}}"#,
        );
        write("delayOffset.json", r#"{"offsetTable":{1:2,2:1}}"#);
        write("topics.json", "{not json");
        write(
            "topics.json.bak",
            r#"{"topicConfigTable":{"T":{"perm":6}}}"#,
        );
        write("subscriptionGroup.json", "[[");
        let saved = Saved::read(dir.path());
        assert_eq!(saved.offsets["T@g"], QueueOffsets::from([(0, 5), (1, 4)]));
        assert_eq!(saved.delay_offsets, QueueOffsets::from([(1, 2), (2, 1)]));
        assert_eq!(saved.topics.unwrap()["T"]["perm"], 6);
        assert_eq!(saved.groups, None);
        assert_eq!(saved.unreadable.len(), 1);

        set_offsets(dir.path(), &[("T@g".to_owned(), 1, 2)]).unwrap();
        let saved = Saved::read(dir.path());
        assert_eq!(saved.offsets["T@g"], QueueOffsets::from([(0, 5), (1, 2)]));
        let text = std::fs::read_to_string(dir.path().join(CONSUMER_OFFSETS)).unwrap();
        assert!(text.contains("T@p") && text.contains("0:5"), "{text}");
        assert!(dir.path().join("consumerOffset.json.bak").exists());
        let absent = tempfile::tempdir().unwrap();
        assert!(set_offsets(absent.path(), &[]).is_err());
    }
}
