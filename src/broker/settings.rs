//! What administrators changed while the broker runs.
//!
//! Apache answers success for every key and shows the new value, also of keys that are read at the start only. Here such
//! values are kept apart: they are shown, and nothing else reads them. The table outlives a change of roles, so that a
//! broker that is started anew goes on with what it was told.
//!
//! Absent on purpose: files. Whoever started the node knows whether there is one, and how it is written.
//!
//! Lock order: `changing`, then `table`. Nothing else is locked while the table is.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::Mutex;

use super::options::{BrokerOptions, Effect};
use super::topics::next_version;
use crate::protocol::body::topic_config::DataVersion;

/// Changed settings with their values.
pub(crate) type Changes = BTreeMap<String, String>;

/// Writes changed settings to where the next start finds them. May tell the administrator something about it. Blocks.
pub(crate) type Keep = Box<dyn Fn(&Changes) -> Result<Option<String>, Unkept> + Send + Sync>;

/// Why settings were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// The next start would end with an error, so they are no good settings.
    Refused(String),
    /// They are good, but end with the process.
    Lost(String),
}

/// The version of the settings, and what was changed.
#[derive(Debug, Default)]
struct Table {
    version: DataVersion,
    live: Changes,
    waiting: Changes,
}

/// The settings as administrators changed them.
pub(crate) struct Settings {
    changing: Mutex<()>,
    table: Mutex<Table>,
    keep: Option<Keep>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("table", &self.table)
            .field("kept", &self.keep.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Settings as they are at the start. Without `keep` changes end with the process.
    pub(crate) fn new(keep: Option<Keep>, now_ms: i64) -> Self {
        let version = DataVersion {
            timestamp: now_ms,
            ..DataVersion::default()
        };
        Self {
            changing: Mutex::default(),
            table: Mutex::new(Table {
                version,
                ..Table::default()
            }),
            keep,
        }
    }

    /// Runs one change after another: each begins with what the one before it left.
    pub(crate) fn one_at_a_time<T>(&self, change: impl FnOnce() -> T) -> T {
        let _changing = self.changing.lock();
        change()
    }

    /// Writes changes to where the next start finds them. Blocks.
    pub(crate) fn keep(&self, changes: &Changes) -> Result<Option<String>, Unkept> {
        match &self.keep {
            Some(keep) => keep(changes),
            None => Err(Unkept::Lost(
                "it was started without a configuration file (--config)".to_owned(),
            )),
        }
    }

    /// The settings changed, each with when it counts.
    pub(crate) fn changed(&self, changes: Changes, effects: &[Effect], now_ms: i64) {
        let mut table = self.table.lock();
        next_version(&mut table.version, now_ms);
        for ((key, value), effect) in changes.into_iter().zip(effects) {
            let part = match effect {
                Effect::Now => &mut table.live,
                Effect::AfterRestart => &mut table.waiting,
            };
            part.insert(key, value);
        }
    }

    /// What counted at once before the broker was started anew in another role counts still.
    pub(crate) fn apply(&self, options: &mut BrokerOptions) {
        for (key, value) in &self.table.lock().live {
            if let Err(error) = options.set_while_running(key, value) {
                tracing::warn!("{key} is not what an administrator set: {error}");
            }
        }
    }

    pub(crate) fn version(&self) -> DataVersion {
        self.table.lock().version
    }

    /// What `GET_BROKER_CONFIG` shows: `live`, with the waiting values in their places.
    pub(crate) fn shown(&self, live: Vec<(&'static str, String)>) -> Changes {
        let live = live.into_iter().map(|(key, value)| (key.to_owned(), value));
        live.chain(self.table.lock().waiting.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn waiting_values_are_shown_and_live_ones_outlive_a_role() {
        let settings = Settings::new(None, 5);
        let start = || BrokerOptions::new(StoreOptions::new("store"));
        let changes = [("fileReservedTime", "9"), ("listenPort", "1")];
        let changes = changes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        settings.changed(changes.into(), &[Effect::Now, Effect::AfterRestart], 7);
        let shown = settings.shown(start().properties());
        assert_eq!(shown["listenPort"], "1");
        assert_eq!(shown["fileReservedTime"], "72");
        let mut anew = start();
        settings.apply(&mut anew);
        assert_eq!(anew.store.file_reserved_hours, 9);
        assert_eq!(anew.listen_port, 10911);
        assert_eq!(settings.version().counter, 1);
        assert_eq!(settings.version().timestamp, 7);
    }
}
