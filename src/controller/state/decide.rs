//! What becomes of a command, and what it changes.

use std::collections::BTreeSet;

use super::{
    Change, Command, FIRST_ID, GROUPS_MAX, Group, Outcome, REPLICAS_MAX, Replica, State,
    TEXT_BYTES_MAX,
};
use crate::controller::elect::Ballot;
use crate::protocol::codes::ResponseCode;

fn refused(code: ResponseCode, remark: impl Into<String>) -> (Outcome, Option<Change>) {
    let refused = Outcome::Refused {
        code: code.0,
        remark: remark.into(),
    };
    (refused, None)
}

impl State {
    /// What would become of a command, and whether it would change anything.
    pub(in crate::controller) fn decide(&self, command: &Command) -> (Outcome, Option<Change>) {
        match command {
            Command::ApplyId {
                cluster,
                name,
                id,
                check_code,
            } => self.decide_id(cluster, name, *id, check_code),
            Command::Register { name, id, address } => self.decide_address(name, *id, address),
            Command::Alter { name, .. } => match self.group(name) {
                None => refused(
                    ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
                    format!("no broker {name} is registered here"),
                ),
                Some(group) => decide_set(group, command),
            },
            Command::Elect { name, by, .. } => match self.group(name) {
                Some(group) if by.is_none_or(|id| group.replicas.contains_key(&id)) => {
                    decide_master(group, command)
                }
                _ => refused(
                    ResponseCode::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED,
                    format!("broker {name} has to register first"),
                ),
            },
            Command::Clean {
                name,
                ids,
                living,
                alive,
            } => self.decide_clean(name, ids, *living, alive),
        }
    }

    fn decide_id(
        &self,
        cluster: &str,
        name: &str,
        id: i64,
        check_code: &str,
    ) -> (Outcome, Option<Change>) {
        let invalid = |why: String| refused(ResponseCode::CONTROLLER_BROKER_ID_INVALID, why);
        let texts = [cluster, name, check_code];
        if name.is_empty() || texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            let why = format!("names and check codes have 1 to {TEXT_BYTES_MAX} bytes");
            return refused(ResponseCode::CONTROLLER_INVALID_REQUEST, why);
        }
        if !(FIRST_ID..i64::MAX).contains(&id) {
            return invalid(format!("{id} is no id of a broker"));
        }
        if let Some(group) = self.group(name) {
            if let Some(replica) = group.replicas.get(&id) {
                if replica.check_code == check_code {
                    return (Outcome::Done, None);
                }
                return invalid(format!("id {id} of {name} belongs to another broker"));
            }
            if group.replicas.len() >= REPLICAS_MAX {
                return invalid(format!("{name} has {REPLICAS_MAX} brokers already"));
            }
        } else {
            if id != FIRST_ID {
                return invalid(format!(
                    "the first broker of {name} has id {FIRST_ID}, not {id}"
                ));
            }
            let known = self.retired.contains_key(name);
            let names = self.groups.len().saturating_add(self.retired.len());
            if names >= GROUPS_MAX && !known {
                return invalid(format!("there are {GROUPS_MAX} broker names already"));
            }
        }
        let address = check_code.split(';').next().unwrap_or_default().to_owned();
        let change = Change::Add {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            id,
            replica: Replica {
                address,
                check_code: check_code.to_owned(),
            },
        };
        (Outcome::Done, Some(change))
    }

    fn decide_address(&self, name: &str, id: i64, address: &str) -> (Outcome, Option<Change>) {
        let replica = self.group(name).and_then(|group| group.replicas.get(&id));
        let Some(replica) = replica else {
            return refused(
                ResponseCode::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED,
                format!("no broker {name} has been given id {id} here"),
            );
        };
        if address.is_empty() || address.len() > TEXT_BYTES_MAX {
            let why = format!("an address has 1 to {TEXT_BYTES_MAX} bytes");
            return refused(ResponseCode::CONTROLLER_INVALID_REQUEST, why);
        }
        let change = (replica.address != address).then(|| Change::Move {
            name: name.to_owned(),
            id,
            address: address.to_owned(),
        });
        (Outcome::Done, change)
    }

    fn decide_clean(
        &self,
        name: &str,
        ids: &BTreeSet<i64>,
        living: bool,
        alive: &BTreeSet<i64>,
    ) -> (Outcome, Option<Change>) {
        let invalid =
            |why: String| refused(ResponseCode::CONTROLLER_INVALID_CLEAN_BROKER_METADATA, why);
        let Some(group) = self.group(name) else {
            return invalid(format!("no broker {name} is registered here"));
        };
        let name = name.to_owned();
        if ids.is_empty() {
            if !living && let Some(master) = group.master {
                return invalid(format!(
                    "{name} has a master ({master}); it is not forgotten"
                ));
            }
            return (Outcome::Done, Some(Change::ForgetName { name }));
        }
        if !living && let Some(id) = ids.intersection(alive).next() {
            return invalid(format!(
                "broker {id} of {name} is alive; it is not forgotten"
            ));
        }
        let known = ids.iter().any(|id| group.replicas.contains_key(id));
        let ids = ids.clone();
        (Outcome::Done, known.then_some(Change::Forget { name, ids }))
    }
}

fn decide_set(group: &Group, command: &Command) -> (Outcome, Option<Change>) {
    let Command::Alter {
        name,
        master,
        master_epoch,
        in_sync,
        in_sync_epoch,
        alive,
    } = command
    else {
        return (Outcome::Done, None);
    };
    if group.in_sync == *in_sync {
        return refused(
            ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
            format!("the sync state set of {name} is that already"),
        );
    }
    if group.master != Some(*master) {
        let leads = group
            .master
            .map_or("nobody".to_owned(), |id| id.to_string());
        return refused(
            ResponseCode::CONTROLLER_INVALID_MASTER,
            format!("{leads} is the master of {name}, not {master}"),
        );
    }
    if group.master_epoch != *master_epoch {
        return refused(
            ResponseCode::CONTROLLER_FENCED_MASTER_EPOCH,
            format!(
                "the master epoch of {name} is {}, not {master_epoch}",
                group.master_epoch
            ),
        );
    }
    if group.in_sync_epoch != *in_sync_epoch {
        return refused(
            ResponseCode::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
            format!(
                "the epoch of the sync state set of {name} is {}, not {in_sync_epoch}",
                group.in_sync_epoch
            ),
        );
    }
    for id in in_sync {
        if !group.replicas.contains_key(id) {
            return refused(
                ResponseCode::CONTROLLER_INVALID_REPLICAS,
                format!("there is no broker {id} of {name}"),
            );
        }
        if !alive.contains(id) {
            return refused(
                ResponseCode::CONTROLLER_BROKER_NOT_ALIVE,
                format!("nothing is heard from broker {id} of {name}"),
            );
        }
    }
    if !in_sync.contains(master) {
        return refused(
            ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
            format!("the sync state set of {name} must hold its master {master}"),
        );
    }
    if group.is_worn_out() {
        return worn_out(ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED, name);
    }
    let change = Change::SyncStateSet {
        name: name.clone(),
        in_sync: in_sync.clone(),
    };
    (Outcome::Altered(group.mastership()), Some(change))
}

fn decide_master(group: &Group, command: &Command) -> (Outcome, Option<Change>) {
    let Command::Elect {
        name,
        by,
        designate,
        unclean,
        alive,
    } = command
    else {
        return (Outcome::Done, None);
    };
    let all: BTreeSet<_> = group.replicas.keys().copied().collect();
    let ballot = Ballot {
        in_sync: &group.in_sync,
        all: unclean.then_some(&all),
        master: group.master,
        designated: designate.then_some(*by).flatten(),
        alive,
    };
    // Whoever asks first becomes the first master: there is nothing yet that it could lack.
    let first = (!group.had_master).then_some(*by).flatten();
    match first.or_else(|| ballot.elect()) {
        Some(id) if group.master == Some(id) => (Outcome::Remains(group.mastership()), None),
        Some(_) if group.is_worn_out() => {
            worn_out(ResponseCode::CONTROLLER_ELECT_MASTER_FAILED, name)
        }
        Some(id) => {
            let elected = Outcome::Elected {
                lead: group.mastership(),
                cluster: group.cluster.clone(),
                members: group.addresses(),
            };
            let name = name.clone();
            (elected, Some(Change::Master { name, id }))
        }
        None if by.is_some() => refused(
            ResponseCode::CONTROLLER_ELECT_MASTER_FAILED,
            format!("no broker of {name} that could be master is in sync and alive"),
        ),
        // The controller itself found the master dead: then there is none until one in sync returns.
        None => {
            let (refusal, _) = refused(
                ResponseCode::CONTROLLER_MASTER_NOT_AVAILABLE,
                format!("the master of {name} is gone, and no other broker in sync is alive"),
            );
            let leads = group.master.is_some() && !group.is_worn_out();
            (
                refusal,
                leads.then(|| Change::NoMaster { name: name.clone() }),
            )
        }
    }
}

fn worn_out(code: ResponseCode, name: &str) -> (Outcome, Option<Change>) {
    let why = format!("{name} has no epoch left; forget it and register it under another name");
    refused(code, why)
}
