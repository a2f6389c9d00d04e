//! What the controllers agree on: broker names with their replicas, masters and sync state sets.
//!
//! A plain state machine. [`State::apply`] has the same result on every controller for the same commands in the same
//! order; therefore a command carries what only its proposer knows, such as who is alive. [`State::decide`] tells the
//! outcome without changing anything.
//!
//! Promises, whatever the commands: a master is in its sync state set; for one name an epoch has at most one master, and
//! epochs never go down, not even when a name is forgotten and registers again (Apache begins at 0 again).
//!
//! The rules are those of Apache's `ReplicasInfoManager`. Everything is bounded.

mod decide;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::elect::Candidate;

/// The id of the first broker of a name (`MixAll.FIRST_BROKER_CONTROLLER_ID`).
pub(crate) const FIRST_ID: i64 = 1;
/// Bytes of a name, an address or a check code.
pub(crate) const TEXT_BYTES_MAX: usize = 255;
/// Broker names, those forgotten included.
pub(crate) const GROUPS_MAX: usize = 10_000;
/// Replicas of one name.
pub(crate) const REPLICAS_MAX: usize = 64;

/// One replica of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    /// Its remoting address.
    pub(crate) address: String,
    /// What it proves with that an id is its own.
    pub(crate) check_code: String,
}

/// The brokers of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Their cluster.
    pub(crate) cluster: String,
    /// The id the next replica gets.
    pub(crate) next_id: i64,
    /// All replicas by id.
    pub(crate) replicas: BTreeMap<i64, Replica>,
    /// The master, if there is one.
    pub(crate) master: Option<i64>,
    /// Grows with every change of the master.
    pub(crate) master_epoch: i32,
    /// Whether there has been a master: the first to ask becomes the first one.
    pub(crate) had_master: bool,
    /// The replicas that have everything acknowledged.
    pub(crate) in_sync: BTreeSet<i64>,
    /// Grows with every change of that set.
    pub(crate) in_sync_epoch: i32,
}

impl Group {
    /// The address of a replica.
    pub(crate) fn address(&self, id: i64) -> Option<&str> {
        self.replicas
            .get(&id)
            .map(|replica| replica.address.as_str())
    }

    /// Id to address.
    pub(crate) fn addresses(&self) -> BTreeMap<i64, String> {
        let replicas = self.replicas.iter();
        replicas
            .map(|(id, replica)| (*id, replica.address.clone()))
            .collect()
    }

    /// Who leads, as answers tell it.
    pub(crate) fn mastership(&self) -> Mastership {
        Mastership {
            master: self.master,
            address: self
                .master
                .and_then(|id| self.address(id).map(str::to_owned)),
            epoch: self.master_epoch,
            in_sync: self.in_sync.clone(),
            in_sync_epoch: self.in_sync_epoch,
        }
    }

    fn begin_epoch(&mut self, master: Option<i64>) {
        self.master = master;
        self.master_epoch = self.master_epoch.saturating_add(1);
    }

    fn set_in_sync(&mut self, in_sync: BTreeSet<i64>) {
        self.in_sync = in_sync;
        self.in_sync_epoch = self.in_sync_epoch.saturating_add(1);
    }

    /// Whether an epoch is left to begin.
    fn is_worn_out(&self) -> bool {
        self.master_epoch == i32::MAX || self.in_sync_epoch == i32::MAX
    }

    fn is_sound(&self) -> bool {
        let known = |id: &i64| self.replicas.contains_key(id);
        self.replicas.len() <= REPLICAS_MAX
            && self.in_sync.iter().all(known)
            && self
                .master
                .is_none_or(|master| self.in_sync.contains(&master))
            && self
                .replicas
                .keys()
                .all(|id| (FIRST_ID..self.next_id).contains(id))
            && self.master_epoch >= 0
            && self.in_sync_epoch >= 0
    }
}

/// Who leads a name, and who could.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mastership {
    /// The master's id.
    pub(crate) master: Option<i64>,
    /// The master's address.
    pub(crate) address: Option<String>,
    /// The master's epoch.
    pub(crate) epoch: i32,
    /// The sync state set.
    pub(crate) in_sync: BTreeSet<i64>,
    /// The epoch of that set.
    pub(crate) in_sync_epoch: i32,
}

/// A change somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A broker wants an id.
    ApplyId {
        /// Its cluster.
        cluster: String,
        /// Its name.
        name: String,
        /// The id.
        id: i64,
        /// `address;time`.
        check_code: String,
    },
    /// A broker tells where it is.
    Register {
        /// Its name.
        name: String,
        /// Its id.
        id: i64,
        /// Its address.
        address: String,
    },
    /// A master tells who is in sync.
    Alter {
        /// Its name.
        name: String,
        /// Its id.
        master: i64,
        /// Its epoch.
        master_epoch: i32,
        /// Who is in sync from now on.
        in_sync: BTreeSet<i64>,
        /// The epoch of the set it replaces.
        in_sync_epoch: i32,
        /// Who of them is alive.
        alive: BTreeSet<i64>,
    },
    /// A master is wanted.
    Elect {
        /// The name.
        name: String,
        /// Who asks; the controller itself if nobody.
        by: Option<i64>,
        /// Whether only the one who asks will do.
        designate: bool,
        /// Whether a replica that is not in sync may become master.
        unclean: bool,
        /// Who is alive.
        alive: Vec<Candidate>,
    },
    /// Replicas, or a whole name, are to be forgotten.
    Clean {
        /// The name.
        name: String,
        /// Which replicas; all if none is named.
        ids: BTreeSet<i64>,
        /// Whether those alive are forgotten, too.
        living: bool,
        /// Who is alive.
        alive: BTreeSet<i64>,
    },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It is done, or was done already.
    Done,
    /// There is a new sync state set.
    Altered(Mastership),
    /// There is a new master.
    Elected {
        /// The new state.
        lead: Mastership,
        /// The cluster.
        cluster: String,
        /// All replicas with their addresses.
        members: BTreeMap<i64, String>,
    },
    /// The master there is remains.
    Remains(Mastership),
    /// It cannot be done.
    Refused {
        /// Apache's code.
        code: i32,
        /// Why.
        remark: String,
    },
}

/// A change that has been decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Change {
    Add {
        cluster: String,
        name: String,
        id: i64,
        replica: Replica,
    },
    Move {
        name: String,
        id: i64,
        address: String,
    },
    SyncStateSet {
        name: String,
        in_sync: BTreeSet<i64>,
    },
    Master {
        name: String,
        id: i64,
    },
    NoMaster {
        name: String,
    },
    Forget {
        name: String,
        ids: BTreeSet<i64>,
    },
    ForgetName {
        name: String,
    },
}

/// The epochs a name had when it was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Retired {
    master_epoch: i32,
    in_sync_epoch: i32,
}

/// Everything the controllers agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    groups: BTreeMap<String, Group>,
    retired: BTreeMap<String, Retired>,
}

impl State {
    /// The brokers of a name.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// All names.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.groups.iter()
    }

    /// Whether the promises hold; false only for what did not come from [`State::apply`].
    pub(crate) fn is_sound(&self) -> bool {
        self.groups.len().saturating_add(self.retired.len()) <= GROUPS_MAX
            && self.groups.values().all(Group::is_sound)
    }

    /// Carries a command out.
    pub(crate) fn apply(&mut self, command: &Command) -> Outcome {
        let (outcome, change) = self.decide(command);
        let Some(change) = change else {
            return outcome;
        };
        self.change(change);
        // The outcome was foretold; what is told of a mastership is what it has become.
        let name = command.name();
        let lead = || self.group(name).map(Group::mastership).unwrap_or_default();
        match outcome {
            Outcome::Altered(_) => Outcome::Altered(lead()),
            Outcome::Elected {
                cluster, members, ..
            } => Outcome::Elected {
                lead: lead(),
                cluster,
                members,
            },
            other => other,
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Add {
                cluster,
                name,
                id,
                replica,
            } => {
                let retired = self.retired.remove(&name).unwrap_or_default();
                let group = self.groups.entry(name).or_insert_with(|| Group {
                    cluster,
                    next_id: FIRST_ID,
                    replicas: BTreeMap::new(),
                    master: None,
                    master_epoch: retired.master_epoch,
                    had_master: false,
                    in_sync: BTreeSet::new(),
                    in_sync_epoch: retired.in_sync_epoch,
                });
                group.replicas.insert(id, replica);
                group.next_id = group.next_id.max(id.saturating_add(1));
            }
            Change::Move { name, id, address } => {
                let group = self.groups.get_mut(&name);
                if let Some(replica) = group.and_then(|group| group.replicas.get_mut(&id)) {
                    replica.address = address;
                }
            }
            Change::SyncStateSet { name, in_sync } => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.set_in_sync(in_sync);
                }
            }
            Change::Master { name, id } => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.begin_epoch(Some(id));
                    group.had_master = true;
                    group.set_in_sync(BTreeSet::from([id]));
                }
            }
            // The set stays: only its members can become master without loss.
            Change::NoMaster { name } => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.begin_epoch(None);
                }
            }
            Change::Forget { name, ids } => self.forget(&name, &ids),
            Change::ForgetName { name } => self.forget_name(&name),
        }
    }

    fn forget(&mut self, name: &str, ids: &BTreeSet<i64>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        group.replicas.retain(|id, _| !ids.contains(id));
        if group.replicas.is_empty() {
            self.forget_name(name);
            return;
        }
        if group.in_sync.intersection(ids).next().is_some() {
            let left = group.in_sync.difference(ids).copied().collect();
            group.set_in_sync(left);
        }
        if group.master.is_some_and(|master| ids.contains(&master)) {
            group.begin_epoch(None);
        }
    }

    fn forget_name(&mut self, name: &str) {
        if let Some(group) = self.groups.remove(name) {
            let retired = Retired {
                master_epoch: group.master_epoch,
                in_sync_epoch: group.in_sync_epoch,
            };
            self.retired.insert(name.to_owned(), retired);
        }
    }
}

impl Command {
    /// The broker name it is about.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::ApplyId { name, .. }
            | Self::Register { name, .. }
            | Self::Alter { name, .. }
            | Self::Elect { name, .. }
            | Self::Clean { name, .. } => name,
        }
    }
}
