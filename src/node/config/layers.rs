//! Settings by name, each with the place it was taken from.

use std::collections::BTreeMap;
use std::path::Path;

use super::advertise::Told;
use super::apache_keys::apache_keys;
use super::{Entry, Flags, Origin};

/// Settings of Apache 4 that 5 renamed.
const RENAMED: [(&str, &str); 2] = [
    ("mapedFileSizeCommitLog", "mappedFileSizeCommitLog"),
    ("mapedFileSizeConsumeQueue", "mappedFileSizeConsumeQueue"),
];

/// A setting's value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// All settings; a layer added later wins over one added before.
#[derive(Debug, Default)]
pub(super) struct Layers {
    settings: BTreeMap<String, Given>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Apache's own variable. There it is the default of `namesrvAddr`, so everything else wins over it.
    pub(super) fn add_java_environment(&mut self, environment: &[(String, String)]) {
        const NAME: &str = "NAMESRV_ADDR";
        let found = environment
            .iter()
            .find(|(name, value)| name == NAME && !value.is_empty());
        if let Some((_, value)) = found {
            let origin = Origin::Environment(NAME.to_owned());
            self.put("namesrvAddr", value.clone(), origin);
        }
    }

    pub(super) fn add_file(&mut self, path: &Path, entries: Vec<Entry>) {
        for Entry { key, value, line } in entries {
            let origin = Origin::File {
                path: path.to_owned(),
                line,
            };
            let before = self.settings.get(current_name(&key));
            if let Some(before) = before
                && matches!(before.origin, Origin::File { .. })
            {
                self.warnings.push(format!(
                    "{origin}: {key} stands already at {}; the last one counts",
                    before.origin
                ));
            }
            self.put(&key, value, origin);
        }
    }

    /// Takes the variables `RMQ_…` that are settings; others belong to other parts of the program.
    pub(super) fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) {
        let names: BTreeMap<String, &str> =
            apache_keys().map(|key| (variable_name(key), key)).collect();
        for (name, value) in environment {
            if let Some(key) = names.get(&name)
                && !value.is_empty()
            {
                self.put(key, value, Origin::Environment(name));
            }
        }
    }

    pub(super) fn add_flags(&mut self, flags: &Flags) {
        for (key, value) in &flags.settings {
            self.put(key, value.clone(), Origin::Flag("--set".to_owned()));
        }
        let fsync = flags.fsync.map(|always| {
            if always {
                "SYNC_FLUSH".to_owned()
            } else {
                "ASYNC_FLUSH".to_owned()
            }
        });
        let others = Told::new(&flags.advertise).others;
        let data_dir = flags.data_dir.as_ref();
        for (key, flag, value) in [
            ("bindAddress", "--listen", flags.listen.clone()),
            ("brokerIP1", "--advertise", others.map(|others| others.host)),
            ("namesrvAddr", "--namesrv", flags.namesrv.clone()),
            ("flushDiskType", "--fsync", fsync),
            (
                "mappedFileSizeCommitLog",
                "--segment",
                flags.segment_bytes.map(|bytes| bytes.to_string()),
            ),
            (
                "maxMessageSize",
                "--max-message",
                flags.message_bytes_max.map(|bytes| bytes.to_string()),
            ),
            (
                "autoCreateTopicEnable",
                "--auto-create",
                flags.auto_create.map(|on| on.to_string()),
            ),
            ("brokerRole", "--role", flags.broker_role.clone()),
            ("masterAddr", "--master", flags.master.clone()),
            (
                "controllerDLegerPeers",
                "--controller-peers",
                flags.controller_peers.clone(),
            ),
            (
                "controllerDLegerSelfId",
                "--controller-id",
                flags.controller_id.clone(),
            ),
            (
                "listenPort",
                "--broker-port",
                flags.broker_port.map(|port| port.to_string()),
            ),
            (
                "storePathRootDir",
                "--data-dir",
                data_dir.map(|dir| dir.display().to_string()),
            ),
        ] {
            if let Some(value) = value {
                self.put(key, value, Origin::Flag(flag.to_owned()));
            }
        }
        if let Some(bytes) = flags.segment_bytes {
            self.add_sizes(bytes);
        }
    }

    /// The other files keep their proportion to a file of the commit log, unless they have a size of their own.
    fn add_sizes(&mut self, segment_bytes: u64) {
        let scaled = |size: u64, least: u64| {
            let scaled = u128::from(size) * u128::from(segment_bytes) / u128::from(1_u64 << 30);
            u64::try_from(scaled).unwrap_or(u64::MAX).clamp(least, size)
        };
        for (key, value) in [
            ("mappedFileSizeConsumeQueue", scaled(300_000, 1_000) * 20),
            ("maxHashSlotNum", scaled(5_000_000, 10_000)),
            ("maxIndexNum", scaled(20_000_000, 40_000)),
            ("mappedFileSizeTimerLog", scaled(100 << 20, 1 << 20)),
        ] {
            if !self.settings.contains_key(key) {
                self.put(key, value.to_string(), Origin::Flag("--segment".to_owned()));
            }
        }
    }

    fn put(&mut self, key: &str, value: String, origin: Origin) {
        self.settings
            .insert(current_name(key).to_owned(), Given { value, origin });
    }

    /// Whether a setting was given.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// Where a setting was found, if somebody gave it.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        Some(&self.settings.get(current_name(key))?.origin)
    }

    /// The value of a setting, which stays.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(|given| given.value.as_str())
    }

    /// Takes a setting out, so that what is left at the end is what nobody asked for.
    pub(super) fn take(&mut self, key: &str) -> Option<Given> {
        self.settings.remove(key)
    }

    /// Puts a setting where nobody gave one, or back where it was taken from.
    pub(super) fn put_back(&mut self, key: &str, given: Given) {
        self.put(key, given.value, given.origin);
    }

    /// Everything that is left, by name.
    pub(super) fn into_rest(self) -> impl Iterator<Item = (String, Given)> {
        self.settings.into_iter()
    }
}

/// Whether an environment variable is the name of a setting.
pub(crate) fn is_setting_variable(name: &str) -> bool {
    apache_keys().any(|key| variable_name(key) == name)
}

/// The name that a setting has today.
pub(super) fn current_name(key: &str) -> &str {
    RENAMED
        .iter()
        .find(|(old, _)| *old == key)
        .map_or(key, |(_, new)| new)
}

/// `listenPort` is `RMQ_LISTEN_PORT`, `brokerIP1` is `RMQ_BROKER_IP1`.
fn variable_name(key: &str) -> String {
    let mut name = String::from("RMQ_");
    let mut before = 'A';
    for c in key.chars() {
        if c.is_ascii_uppercase() && !before.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
        before = c;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_after_the_settings() {
        assert_eq!(variable_name("listenPort"), "RMQ_LISTEN_PORT");
        assert_eq!(variable_name("brokerIP1"), "RMQ_BROKER_IP1");
        assert_eq!(variable_name("namesrvAddr"), "RMQ_NAMESRV_ADDR");
        let names: Vec<_> = apache_keys().map(variable_name).collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
