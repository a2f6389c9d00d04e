//! Who becomes master, what is done for it in which order, and what speaks against it. Nothing here asks anybody.

use std::collections::BTreeSet;

use super::group::{Group, Kind, Loss, Member, Standing};
use crate::cli::exit::{CliError, Exit};

/// What may be lost: `--lose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lose {
    /// So many messages, and not one more.
    Messages(i64),
    /// Whatever it is.
    Unknown,
}

impl std::str::FromStr for Lose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unknown" {
            return Ok(Self::Unknown);
        }
        text.parse()
            .ok()
            .filter(|count| *count >= 0)
            .map(Self::Messages)
            .ok_or_else(|| format!("{text:?} is neither a number of messages nor `unknown`"))
    }
}

/// What the one who asks takes upon himself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub(super) lose: Option<Lose>,
    pub(super) master_is_down: bool,
}

/// What is going to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The epoch the new master begins, or began.
    pub(super) epoch: i32,
    pub(super) target: String,
    /// What kind of master it will be (`SYNC_MASTER` or `ASYNC_MASTER`), if it says so.
    pub(super) role: Option<String>,
    /// It is the master already: only what follows is left to do.
    pub(super) is_master: bool,
    /// Masters that must take no message from then on, with whether they do already.
    pub(super) fence: Vec<(String, bool)>,
    /// Replicas that must help no earlier master.
    pub(super) promise: Vec<String>,
    /// Who follows the new master, under which id, and whether it does already.
    pub(super) follow: Vec<(String, i64, bool)>,
    /// Who does not answer.
    pub(super) silent: Vec<String>,
    /// What cannot be excluded.
    pub(super) risks: Vec<String>,
    /// What speaks against it.
    pub(super) refusal: Option<String>,
}

fn refuse(message: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::CheckFailed, message)
}

/// The replica that becomes master: the one named, or the one that has most. A master that has taken the place of
/// another, which only waits for its new role, is chosen again: what was begun is brought to its end.
pub(super) fn choose<'a>(group: &'a Group, to: Option<&str>) -> Result<&'a Member, CliError> {
    if let Some(address) = to {
        let member = group.member(address).ok_or_else(|| {
            let known: Vec<_> = group
                .members
                .iter()
                .map(|member| member.address.as_str())
                .collect();
            CliError::not_found(format!(
                "{} has no broker at {address}; it has {}",
                group.name,
                known.join(", ")
            ))
        })?;
        return match &member.standing {
            Ok(_) => Ok(member),
            Err(error) => Err(CliError::new(
                Exit::Unreachable,
                format!("{address} does not answer: {error}"),
            )),
        };
    }
    if let Some(master) = group.master()
        && group
            .answering()
            .any(|(_, known)| !known.is_slave() && known.fenced)
    {
        return Ok(master);
    }
    let slaves = group.members.iter().filter(|member| member.is_slave());
    let rank = |known: &Standing| {
        let epoch = if known.majority { known.epoch } else { 0 };
        (epoch, known.log_end)
    };
    let best = slaves.max_by_key(|member| (member.known().map(rank), std::cmp::Reverse(member.id)));
    best.ok_or_else(|| refuse(format!("{} has no replica that answers", group.name)))
}

/// What is done to make `target` master, and what speaks against it.
pub(super) fn decide(group: &Group, target: &Member, loss: &Loss, given: Given) -> Decision {
    let is_master = target.takes_messages();
    let as_master = target.known().and_then(|known| known.as_master.as_ref());
    let own_epoch = target.known().map_or(0, |known| known.epoch);
    let others = || {
        let all = group.answering();
        all.filter(|(member, _)| member.address != target.address)
    };
    let fence: Vec<(String, bool)> = others()
        .filter(|(_, known)| !known.is_slave())
        .map(|(member, known)| (member.address.clone(), known.fenced))
        .collect();
    let promise = others()
        .filter(|(_, known)| known.majority && known.is_slave())
        .map(|(member, _)| member.address.clone());
    let mut decision = Decision {
        epoch: if is_master {
            own_epoch
        } else {
            group.next_epoch()
        },
        target: target.address.clone(),
        role: as_master.map(|(role, _)| role.clone()),
        is_master,
        promise: if is_master {
            Vec::new()
        } else {
            promise.collect()
        },
        fence,
        follow: follow(group, target),
        silent: group
            .members
            .iter()
            .filter(|member| member.known().is_none())
            .map(|member| member.address.clone())
            .collect(),
        risks: Vec::new(),
        refusal: None,
    };
    if is_master {
        return decision;
    }
    decision.refusal = stranger(group)
        .or_else(|| unfenced(group, given))
        .or_else(|| lossy(group, target, loss, given));
    if let Some((role, false)) = as_master {
        decision.risks.push(format!(
            "{} was never told what kind of master it follows and becomes {role}; brokerRole in its configuration says \
             otherwise",
            target.address
        ));
    }
    if as_master.is_some_and(|(role, _)| role == "SYNC_MASTER") && decision.follow.is_empty() {
        decision.risks.push(format!(
            "nobody follows {} yet: until somebody does, it answers SLAVE_NOT_AVAILABLE to what it stores",
            target.address
        ));
    }
    if let Loss::Unknown(why) = loss {
        decision.risks.push(why.clone());
    }
    for address in &decision.silent {
        decision.risks.push(format!(
            "{address} does not answer; when it returns: rmq failover add-replica {} {address}",
            group.name
        ));
    }
    decision
}

/// Who follows the new master. Slaves keep their ids; who was master gets the first that is free, and comes last: it may
/// be the one in trouble.
fn follow(group: &Group, target: &Member) -> Vec<(String, i64, bool)> {
    let others: Vec<(&Member, &Standing)> = group
        .answering()
        .filter(|(member, _)| member.address != target.address)
        .collect();
    let mut used: BTreeSet<i64> = others
        .iter()
        .filter(|(_, known)| known.is_slave())
        .filter_map(|(member, _)| member.id)
        .collect();
    let mut all = Vec::new();
    let (slaves, masters): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(_, known)| known.is_slave());
    for (member, known) in slaves.into_iter().chain(masters) {
        let own = member.id.filter(|id| *id > 0 && known.is_slave());
        let id = own.unwrap_or_else(|| (1..=i64::MAX).find(|id| !used.contains(id)).unwrap_or(1));
        used.insert(id);
        let follows = known.is_slave() && known.master.as_deref() == Some(&target.address);
        all.push((member.address.clone(), id, follows));
    }
    all
}

/// Brokers whose roles this command cannot change.
fn stranger(group: &Group) -> Option<String> {
    let (member, _) = group
        .answering()
        .find(|(_, known)| known.kind != Kind::Rmq)?;
    Some(format!(
        "{} is Apache's: its role cannot be changed while it runs",
        member.address
    ))
}

/// A master that may take messages and cannot be told not to.
fn unfenced(group: &Group, given: Given) -> Option<String> {
    let silent = group
        .members
        .iter()
        .filter(|member| member.known().is_none());
    for member in silent {
        let follower = group
            .answering()
            .find(|(_, known)| known.connected && known.master.as_deref() == Some(&member.address));
        // Who has promised a later epoch helps an earlier master to no majority.
        if group.is_majority() && group.majority_answers() {
            continue;
        }
        if let Some((follower, _)) = follower {
            return Some(format!(
                "{} does not answer here, but {} still gets messages from it: it takes messages and cannot be fenced",
                member.address, follower.address
            ));
        }
        if member.listed_as_master > 0 && !given.master_is_down {
            return Some(format!(
                "{} does not answer here, but {} name server(s) still hear it: it may take messages and cannot be \
                 fenced; if it is switched off or cut off, --master-is-down says so",
                member.address, member.listed_as_master
            ));
        }
    }
    None
}

/// Acknowledged messages that would be gone.
fn lossy(group: &Group, target: &Member, loss: &Loss, given: Given) -> Option<String> {
    match loss {
        Loss::None => None,
        Loss::Unknown(why) => {
            let only_doubt = !group.is_majority() && group.behind(target) == Some(0);
            (!only_doubt && given.lose != Some(Lose::Unknown)).then(|| {
                format!("nobody can tell what would be lost: {why}; --lose unknown accepts that")
            })
        }
        Loss::Known { bytes, messages } => {
            let master = group.master();
            let catches_up =
                master.is_some() && target.known().is_some_and(|known| known.connected);
            let accepted = match given.lose {
                Some(Lose::Unknown) => true,
                Some(Lose::Messages(count)) => count == *messages,
                None => false,
            };
            (!catches_up && !accepted).then(|| {
                let said = match given.lose {
                    Some(Lose::Messages(count)) => format!(", not {count}"),
                    _ => String::new(),
                };
                format!(
                    "{} lacks {messages} acknowledged messages ({bytes} bytes){said}; --lose {messages} gives them up",
                    target.address
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::member;
    use super::*;

    fn group(members: Vec<Member>) -> Group {
        Group {
            cluster: "c".to_owned(),
            name: "b".to_owned(),
            members,
        }
    }

    fn silent(address: &str, listed: usize) -> Member {
        let mut gone = member(address, 0, "ASYNC_MASTER", 0);
        gone.listed_as_master = listed;
        gone.standing = Err("cannot connect".to_owned());
        gone
    }

    #[test]
    fn the_replica_that_has_most_is_chosen() {
        let group = group(vec![
            silent("m", 0),
            member("a", 1, "SLAVE", 100),
            member("b", 2, "SLAVE", 300),
        ]);
        let target = choose(&group, None).unwrap();
        assert_eq!(target.address, "b");
        let doubt = Loss::Unknown("x".to_owned());
        let decision = decide(&group, target, &doubt, Given::default());
        assert_eq!(decision.refusal, None);
        assert_eq!((decision.epoch, decision.silent), (2, vec!["m".to_owned()]));
        assert_eq!(decision.follow, [("a".to_owned(), 1, false)]);
    }

    #[test]
    fn what_lacks_messages_is_refused_unless_their_number_is_named() {
        let group = group(vec![
            silent("m", 0),
            member("a", 1, "SLAVE", 100),
            member("b", 2, "SLAVE", 300),
        ]);
        let target = choose(&group, Some("a")).unwrap();
        let loss = Loss::Known {
            bytes: 200,
            messages: 2,
        };
        let refusal = |lose| {
            let given = Given {
                lose,
                ..Given::default()
            };
            decide(&group, target, &loss, given).refusal
        };
        assert!(refusal(None).unwrap().contains("--lose 2"));
        assert!(refusal(Some(Lose::Messages(1))).unwrap().contains("not 1"));
        assert_eq!(refusal(Some(Lose::Messages(2))), None);
    }

    #[test]
    fn a_master_that_may_live_is_not_passed_over() {
        let mut heard = group(vec![silent("m", 1), member("a", 1, "SLAVE", 100)]);
        let given = |master_is_down| Given {
            lose: None,
            master_is_down,
        };
        let refusal = |group: &Group, down| {
            let target = choose(group, None).unwrap();
            decide(group, target, &Loss::None, given(down)).refusal
        };
        assert!(refusal(&heard, false).unwrap().contains("name server"));
        assert_eq!(refusal(&heard, true), None);
        if let Ok(known) = &mut heard.members[1].standing {
            known.master = Some("m".to_owned());
        }
        assert!(
            refusal(&heard, true)
                .unwrap()
                .contains("still gets messages")
        );
    }

    #[test]
    fn what_was_begun_is_finished() {
        let mut old = member("m", 0, "ASYNC_MASTER", 100);
        if let Ok(known) = &mut old.standing {
            known.fenced = true;
        }
        let group = group(vec![old, member("a", 0, "ASYNC_MASTER", 120)]);
        let target = choose(&group, None).unwrap();
        let decision = decide(&group, target, &Loss::None, Given::default());
        assert!(decision.is_master && decision.refusal.is_none());
        assert_eq!((decision.target.as_str(), decision.epoch), ("a", 1));
        assert_eq!(decision.fence, [("m".to_owned(), true)]);
        assert_eq!(decision.follow, [("m".to_owned(), 1, false)]);
    }

    #[test]
    fn what_may_be_lost_is_read() {
        assert_eq!("12".parse(), Ok(Lose::Messages(12)));
        assert_eq!("unknown".parse(), Ok(Lose::Unknown));
        assert!("-1".parse::<Lose>().is_err());
    }
}
