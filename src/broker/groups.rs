//! The consumer groups of a broker: their configuration and who may not read what.
//!
//! [`Groups`] is the table and what its file holds; readers use a [`GroupMap`], published after each change. A group
//! that a client names for the first time is made with Apache's defaults.
//!
//! Lock order: leaf (the broker wraps the table).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::attributes::{self, AttributeError};
use super::topics::next_version;
use crate::base::GroupName;
use crate::protocol::body::subscription_group::{
    SubscriptionGroupConfig, SubscriptionGroupWrapper,
};
use crate::protocol::body::topic_config::DataVersion;

/// Groups every broker has.
const SYSTEM_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// The bit of the forbidden table that takes reading away (`PermName.INDEX_PERM_READ`).
const FORBIDDEN_READ: i32 = 1 << 2;

/// The groups as readers see them.
#[derive(Debug, Default)]
pub(crate) struct GroupMap {
    pub(crate) groups: HashMap<GroupName, Arc<SubscriptionGroupConfig>>,
    forbidden: BTreeMap<String, BTreeMap<String, i32>>,
}

impl GroupMap {
    /// Whether an administrator took a topic away from the group.
    pub(crate) fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        let topics = self.forbidden.get(group);
        topics
            .and_then(|topics| topics.get(topic))
            .is_some_and(|bits| *bits > 0 && bits & FORBIDDEN_READ != 0)
    }
}

/// The group table.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    table: BTreeMap<GroupName, Arc<SubscriptionGroupConfig>>,
    forbidden: BTreeMap<String, BTreeMap<String, i32>>,
    version: DataVersion,
    changes: u64,
}

impl Groups {
    /// A table with the groups every broker has.
    pub(crate) fn with_system_groups(now_ms: i64) -> Self {
        let mut groups = Self {
            version: DataVersion {
                timestamp: now_ms,
                ..DataVersion::default()
            },
            ..Self::default()
        };
        for name in SYSTEM_GROUPS {
            groups.put(SubscriptionGroupConfig {
                group_name: name.to_owned(),
                ..SubscriptionGroupConfig::default()
            });
        }
        groups
    }

    /// Adds what a file held.
    pub(crate) fn restore(&mut self, file: SubscriptionGroupWrapper) {
        for (name, mut config) in file.subscription_group_table {
            config.group_name = name;
            self.put(config);
        }
        self.forbidden.extend(file.forbidden_table);
        self.version = file.data_version;
    }

    /// Becomes what the master of this slave has.
    pub(crate) fn follow(&mut self, master: SubscriptionGroupWrapper) {
        if self.version == master.data_version {
            return;
        }
        self.table.clear();
        self.forbidden.clear();
        self.changes += 1;
        self.restore(master);
    }

    fn put(&mut self, config: SubscriptionGroupConfig) {
        self.changes += 1;
        self.table
            .insert(GroupName::stored(&config.group_name), Arc::new(config));
    }

    /// A group by name.
    pub(crate) fn get(&self, group: &str) -> Option<&Arc<SubscriptionGroupConfig>> {
        self.table.get(group)
    }

    /// Makes a group with the defaults, unless it is there. Says whether it was made.
    pub(crate) fn create(&mut self, group: &GroupName, now_ms: i64) -> bool {
        if self.table.contains_key(group.as_str()) {
            return false;
        }
        self.put(SubscriptionGroupConfig {
            group_name: group.to_string(),
            ..SubscriptionGroupConfig::default()
        });
        next_version(&mut self.version, now_ms);
        true
    }

    /// Makes or changes a group; its attributes are changes, not values.
    pub(crate) fn update(
        &mut self,
        mut config: SubscriptionGroupConfig,
        now_ms: i64,
    ) -> Result<(), AttributeError> {
        let known = self.table.get(config.group_name.as_str());
        let current = known.map(|known| &known.attributes);
        config.attributes = attributes::alter(attributes::GROUP, current, &config.attributes)?;
        self.put(config);
        next_version(&mut self.version, now_ms);
        Ok(())
    }

    /// Deletes a group; says whether it was there.
    pub(crate) fn remove(&mut self, group: &str, now_ms: i64) -> bool {
        self.forbidden.remove(group);
        self.changes += 1;
        if self.table.remove(group).is_none() {
            return false;
        }
        next_version(&mut self.version, now_ms);
        true
    }

    /// Gives or takes the group's right to read a topic.
    pub(crate) fn set_readable(&mut self, group: &str, topic: &str, readable: bool, now_ms: i64) {
        let bits = self.forbidden.entry(group.to_owned()).or_default();
        let bit = bits.entry(topic.to_owned()).or_default();
        if readable {
            *bit &= !FORBIDDEN_READ;
        } else {
            *bit |= FORBIDDEN_READ;
        }
        if *bit == 0 {
            bits.remove(topic);
        }
        if bits.is_empty() {
            self.forbidden.remove(group);
        }
        self.changes += 1;
        next_version(&mut self.version, now_ms);
    }

    /// All groups in order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupName, &Arc<SubscriptionGroupConfig>)> {
        self.table.iter()
    }

    /// Moves with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// A copy for readers.
    pub(crate) fn map(&self) -> GroupMap {
        let entries = self.table.iter();
        GroupMap {
            groups: entries
                .map(|(name, config)| (name.clone(), Arc::clone(config)))
                .collect(),
            forbidden: self.forbidden.clone(),
        }
    }

    /// What the file holds.
    pub(crate) fn file(&self) -> SubscriptionGroupWrapper {
        let entries = self.table.iter();
        SubscriptionGroupWrapper {
            data_version: self.version,
            forbidden_table: self.forbidden.clone(),
            subscription_group_table: entries
                .map(|(name, config)| (name.to_string(), SubscriptionGroupConfig::clone(config)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_once_with_the_defaults() {
        let mut groups = Groups::with_system_groups(1);
        assert_eq!(groups.iter().count(), 8);
        let name = GroupName::stored("g");
        assert!(groups.create(&name, 2));
        assert!(!groups.create(&name, 3));
        assert_eq!(groups.get("g").unwrap().retry_max_times, 16);
        assert_eq!(groups.file().data_version.counter, 1);
        assert!(groups.remove("g", 4));
        assert!(groups.get("g").is_none());
    }

    #[test]
    fn reading_can_be_forbidden() {
        let mut groups = Groups::with_system_groups(1);
        groups.set_readable("g", "T", false, 2);
        assert!(groups.map().is_read_forbidden("g", "T"));
        assert!(!groups.map().is_read_forbidden("g", "U"));
        let mut again = Groups::with_system_groups(1);
        again.restore(groups.file());
        assert!(again.map().is_read_forbidden("g", "T"));
        again.set_readable("g", "T", true, 3);
        assert!(again.file().forbidden_table.is_empty());
    }
}
