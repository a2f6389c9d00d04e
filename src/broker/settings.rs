//! What administrators changed while the broker runs, beyond what took effect at once.
//!
//! Apache answers success for every key and shows the new value, also of keys that are read at the start only. Here such
//! values are kept apart: they are shown, and nothing else reads them.
//!
//! Lock order: leaf (the broker wraps the table in one mutex).

use std::collections::BTreeMap;

use super::topics::next_version;
use crate::protocol::body::topic_config::DataVersion;

/// The version of the settings, and the values that wait for a restart.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    version: DataVersion,
    waiting: BTreeMap<String, String>,
}

impl Settings {
    /// Settings as they are at the start.
    pub(crate) fn new(now_ms: i64) -> Self {
        let version = DataVersion {
            timestamp: now_ms,
            ..DataVersion::default()
        };
        Self {
            version,
            ..Self::default()
        }
    }

    /// The settings changed; `waiting` are those without effect before a restart.
    pub(crate) fn changed(&mut self, waiting: BTreeMap<String, String>, now_ms: i64) {
        next_version(&mut self.version, now_ms);
        self.waiting.extend(waiting);
    }

    pub(crate) fn version(&self) -> DataVersion {
        self.version
    }

    /// What `GET_BROKER_CONFIG` shows: `live`, with the waiting values in their places.
    pub(crate) fn shown(&self, live: Vec<(&'static str, String)>) -> BTreeMap<String, String> {
        let live = live.into_iter().map(|(key, value)| (key.to_owned(), value));
        live.chain(self.waiting.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_values_are_shown_in_place_of_live_ones() {
        let mut settings = Settings::new(5);
        let live = || vec![("a", "1".to_owned()), ("b", "2".to_owned())];
        assert_eq!(settings.shown(live())["b"], "2");
        let waiting = BTreeMap::from([("b".to_owned(), "9".to_owned())]);
        settings.changed(waiting, 7);
        assert_eq!(settings.shown(live())["b"], "9");
        assert_eq!(settings.shown(live())["a"], "1");
        assert_eq!(settings.version().counter, 1);
        assert_eq!(settings.version().timestamp, 7);
    }
}
