//! What this broker was told about its role after it was configured, and must not forget: `config/rmqReplication.json`.
//!
//! A promotion or a demotion outlives the process. It wins over the configuration file, so that an old master that
//! returns with its old configuration does not take messages again. A promise binds too: who has promised an epoch
//! follows no master, and is no master, of an earlier one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BrokerRole;
use super::reserve::Reserve;
use crate::broker::options::BrokerOptions;
use crate::sys::config_file;

/// The file's name under `config/`.
const FILE: &str = "rmqReplication.json";

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Saved {
    /// The role it was given; wins over `brokerRole`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// The id that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker_id: Option<i64>,
    /// The remoting address of the master it was told to follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) master: Option<String>,
    /// The epoch it was made master for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<i32>,
    /// In controller mode: who may be elected instead of this master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sync_set: Option<SavedSet>,
    /// No master of an earlier epoch counts here any more.
    pub(crate) promised: i32,
    /// How far the log was known to be committed.
    pub(crate) committed: u64,
    /// Where the log ended, at least, when topics and groups were copied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tables_at: Option<u64>,
    /// What kind of master this slave's master was, as far as it was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) master_role: Option<String>,
}

/// What a master knows of its sync state set, with all that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SavedSet {
    /// The master's id.
    pub(crate) own: i64,
    /// Its epoch.
    pub(crate) epoch: i32,
    /// Which set the controller had confirmed.
    pub(crate) number: i32,
    /// Everybody in it, and everybody who was asked for.
    pub(crate) members: BTreeSet<i64>,
}

impl Saved {
    /// Lets what was told win over what was configured.
    pub(crate) fn apply(&self, options: &mut BrokerOptions) {
        let Some(role) = self.role.as_deref().and_then(|role| role.parse().ok()) else {
            return;
        };
        let is_slave = |role| role == BrokerRole::Slave;
        if is_slave(role) != is_slave(options.broker_role) {
            tracing::warn!(
                "this broker was made {role} by a change of roles; brokerRole={} is passed over",
                options.broker_role
            );
            options.broker_role = role;
        }
        options.broker_id = match (is_slave(role), self.broker_id) {
            (false, _) => 0,
            (true, Some(id)) => id,
            (true, None) => options.broker_id.max(1),
        };
        if is_slave(role)
            && let Some(master) = &self.master
        {
            options.master_addr.clone_from(master);
            options.ha_master_address.clear();
        }
    }
}

/// The file and what it holds.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    reserve: Reserve,
    saved: Saved,
}

impl StateFile {
    /// Reads the file of a store directory.
    pub(crate) fn open(store: &Path) -> io::Result<Self> {
        let path = store.join("config").join(FILE);
        let saved = match config_file::read(&path)? {
            None => Saved::default(),
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?,
        };
        let reserve = Reserve::of(store);
        Ok(Self {
            path,
            reserve,
            saved,
        })
    }

    pub(crate) fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Changes the state; it is on the disk when this returns. Blocks.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Saved)) -> io::Result<()> {
        let mut new = self.saved.clone();
        change(&mut new);
        if new == self.saved {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(&new).map_err(io::Error::other)?;
        self.reserve.write(&self.path, &bytes)?;
        self.saved = new;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn what_was_told_wins() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StateFile::open(dir.path()).unwrap();
        file.change(|saved| {
            saved.role = Some("SLAVE".to_owned());
            saved.master = Some("a:1".to_owned());
            saved.promised = 4;
        })
        .unwrap();
        let file = StateFile::open(dir.path()).unwrap();
        let mut options = BrokerOptions::new(StoreOptions::new(dir.path()));
        file.saved().apply(&mut options);
        assert_eq!(options.broker_role, BrokerRole::Slave);
        assert_eq!(
            (options.broker_id, options.master_addr.as_str()),
            (1, "a:1")
        );
        assert_eq!(file.saved().promised, 4);
    }

    #[test]
    fn nothing_told_changes_nothing() {
        let mut options = BrokerOptions::new(StoreOptions::new("x"));
        options.broker_role = BrokerRole::SyncMaster;
        Saved::default().apply(&mut options);
        assert_eq!(options.broker_role, BrokerRole::SyncMaster);
        assert_eq!(options.master_addr, "");
    }
}
