//! The rules one by one, and the promises whatever the commands.

use proptest::prelude::*;

use super::*;
use crate::protocol::codes::ResponseCode;

const NAME: &str = "broker-a";

fn apply_id(id: i64, code: &str) -> Command {
    Command::ApplyId {
        cluster: "c".to_owned(),
        name: NAME.to_owned(),
        id,
        check_code: code.to_owned(),
    }
}

fn candidates(ids: &[i64]) -> Vec<Candidate> {
    let one = |id: &i64| Candidate {
        id: *id,
        epoch: 1,
        max_offset: 0,
        priority: i32::MAX,
    };
    ids.iter().map(one).collect()
}

fn elect(by: Option<i64>, designate: bool, unclean: bool, alive: &[i64]) -> Command {
    Command::Elect {
        name: NAME.to_owned(),
        by,
        designate,
        unclean,
        alive: candidates(alive),
    }
}

fn alter(master: i64, epochs: (i32, i32), in_sync: &[i64], alive: &[i64]) -> Command {
    Command::Alter {
        name: NAME.to_owned(),
        master,
        master_epoch: epochs.0,
        in_sync: in_sync.iter().copied().collect(),
        in_sync_epoch: epochs.1,
        alive: alive.iter().copied().collect(),
    }
}

fn clean(ids: &[i64], living: bool, alive: &[i64]) -> Command {
    Command::Clean {
        name: NAME.to_owned(),
        ids: ids.iter().copied().collect(),
        living,
        alive: alive.iter().copied().collect(),
    }
}

fn refusal(outcome: &Outcome) -> Option<ResponseCode> {
    match outcome {
        Outcome::Refused { code, .. } => Some(ResponseCode(*code)),
        _ => None,
    }
}

/// Two replicas, the first of them master, both in sync.
fn pair() -> State {
    let mut state = State::default();
    for (id, code) in [(1, "h:1;0"), (2, "h:2;0")] {
        assert_eq!(state.apply(&apply_id(id, code)), Outcome::Done);
    }
    let elected = state.apply(&elect(Some(1), false, false, &[1, 2]));
    assert!(matches!(elected, Outcome::Elected { .. }), "{elected:?}");
    let altered = state.apply(&alter(1, (1, 1), &[1, 2], &[1, 2]));
    assert!(matches!(altered, Outcome::Altered(_)), "{altered:?}");
    state
}

#[test]
fn an_id_belongs_to_whoever_asked_first() {
    let mut state = State::default();
    let invalid = Some(ResponseCode::CONTROLLER_BROKER_ID_INVALID);
    assert_eq!(refusal(&state.apply(&apply_id(2, "h:1;0"))), invalid);
    assert_eq!(state.apply(&apply_id(1, "h:1;0")), Outcome::Done);
    assert_eq!(state.apply(&apply_id(1, "h:1;0")), Outcome::Done, "again");
    assert_eq!(refusal(&state.apply(&apply_id(1, "h:2;0"))), invalid);
    let group = state.group(NAME).unwrap();
    assert_eq!(group.next_id, 2);
    assert_eq!(
        group.address(1),
        Some("h:1"),
        "the check code tells the address"
    );
    let long = apply_id(2, &"x".repeat(TEXT_BYTES_MAX + 1));
    assert_eq!(
        refusal(&state.apply(&long)),
        Some(ResponseCode::CONTROLLER_INVALID_REQUEST)
    );
}

#[test]
fn the_first_to_ask_leads_and_stays() {
    let mut state = State::default();
    let unknown = state.apply(&elect(Some(1), false, false, &[1]));
    let register = Some(ResponseCode::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED);
    assert_eq!(refusal(&unknown), register);
    state = pair();
    let again = state.apply(&elect(Some(2), false, false, &[1, 2]));
    let Outcome::Remains(lead) = again else {
        panic!("{again:?}");
    };
    assert_eq!((lead.master, lead.epoch), (Some(1), 1));
    assert_eq!(lead.address.as_deref(), Some("h:1"));
}

#[test]
fn a_dead_master_is_replaced_from_the_sync_state_set_alone() {
    let mut state = pair();
    assert_eq!(state.apply(&apply_id(3, "h:3;0")), Outcome::Done);
    let failed = state.apply(&elect(Some(3), false, false, &[3]));
    assert_eq!(
        refusal(&failed),
        Some(ResponseCode::CONTROLLER_ELECT_MASTER_FAILED)
    );
    assert_eq!(
        state.group(NAME).unwrap().master,
        Some(1),
        "a broker's wish changes nothing"
    );

    let gone = state.apply(&elect(None, false, false, &[3]));
    assert_eq!(
        refusal(&gone),
        Some(ResponseCode::CONTROLLER_MASTER_NOT_AVAILABLE)
    );
    let group = state.group(NAME).unwrap();
    assert_eq!((group.master, group.master_epoch), (None, 2));
    assert_eq!(
        group.in_sync,
        BTreeSet::from([1, 2]),
        "who could lead stays known"
    );

    let elected = state.apply(&elect(Some(2), false, false, &[2, 3]));
    let Outcome::Elected {
        lead,
        members,
        cluster,
    } = elected
    else {
        panic!("{elected:?}");
    };
    assert_eq!(
        (lead.master, lead.epoch, lead.in_sync_epoch),
        (Some(2), 3, 3)
    );
    assert_eq!(lead.in_sync, BTreeSet::from([2]));
    assert_eq!((members.len(), cluster.as_str()), (3, "c"));
}

#[test]
fn a_master_that_may_lack_messages_is_elected_only_where_that_is_allowed() {
    let mut state = pair();
    assert_eq!(state.apply(&apply_id(3, "h:3;0")), Outcome::Done);
    let named = elect(Some(3), true, false, &[1, 2, 3]);
    assert_eq!(
        refusal(&state.apply(&named)),
        Some(ResponseCode::CONTROLLER_ELECT_MASTER_FAILED)
    );
    let allowed = state.apply(&elect(Some(3), true, true, &[1, 2, 3]));
    assert!(matches!(allowed, Outcome::Elected { .. }), "{allowed:?}");
    assert_eq!(state.group(NAME).unwrap().master, Some(3));
}

#[test]
fn a_sync_state_set_is_changed_by_its_master_alone() {
    let mut state = pair();
    let before = state.clone();
    for (command, code) in [
        (
            alter(1, (1, 2), &[1, 2], &[1, 2]),
            ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
        ),
        (
            alter(2, (1, 2), &[2], &[1, 2]),
            ResponseCode::CONTROLLER_INVALID_MASTER,
        ),
        (
            alter(1, (0, 2), &[1], &[1, 2]),
            ResponseCode::CONTROLLER_FENCED_MASTER_EPOCH,
        ),
        (
            alter(1, (1, 1), &[1], &[1, 2]),
            ResponseCode::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
        ),
        (
            alter(1, (1, 2), &[1, 7], &[1, 7]),
            ResponseCode::CONTROLLER_INVALID_REPLICAS,
        ),
        (
            alter(1, (1, 2), &[1], &[2]),
            ResponseCode::CONTROLLER_BROKER_NOT_ALIVE,
        ),
        (
            alter(1, (1, 2), &[2], &[1, 2]),
            ResponseCode::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
        ),
    ] {
        assert_eq!(refusal(&state.apply(&command)), Some(code), "{command:?}");
    }
    assert_eq!(state, before);
    let altered = state.apply(&alter(1, (1, 2), &[1], &[1]));
    let Outcome::Altered(lead) = altered else {
        panic!("{altered:?}");
    };
    assert_eq!((lead.in_sync, lead.in_sync_epoch), (BTreeSet::from([1]), 3));
}

#[test]
fn who_is_alive_is_not_forgotten_unless_asked_to() {
    let mut state = pair();
    let invalid = Some(ResponseCode::CONTROLLER_INVALID_CLEAN_BROKER_METADATA);
    assert_eq!(
        refusal(&state.apply(&clean(&[], false, &[]))),
        invalid,
        "there is a master"
    );
    assert_eq!(refusal(&state.apply(&clean(&[2], false, &[2]))), invalid);
    assert_eq!(state.apply(&clean(&[2], false, &[1])), Outcome::Done);
    let group = state.group(NAME).unwrap();
    assert_eq!(
        (group.replicas.len(), group.in_sync.len(), group.next_id),
        (1, 1, 3)
    );
    assert_eq!(state.apply(&clean(&[], true, &[1])), Outcome::Done);
    assert_eq!(state.group(NAME), None);
    assert_eq!(
        refusal(&state.apply(&clean(&[], true, &[]))),
        invalid,
        "nobody is left"
    );

    assert_eq!(state.apply(&apply_id(1, "h:9;0")), Outcome::Done);
    state.apply(&elect(Some(1), false, false, &[1]));
    assert_eq!(state.group(NAME).unwrap().master_epoch, 2, "epochs go on");
}

fn ids() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(1_i64..5, 0..4)
}

fn any_command() -> impl Strategy<Value = Command> {
    let epochs = (0_i32..6, 0_i32..6);
    prop_oneof![
        (0_i64..5, 0_u8..3).prop_map(|(id, code)| apply_id(id, &format!("h:{code};0"))),
        (1_i64..5).prop_map(|id| Command::Register {
            name: NAME.to_owned(),
            id,
            address: format!("moved:{id}"),
        }),
        (1_i64..5, epochs, ids(), ids())
            .prop_map(|(master, epochs, set, alive)| alter(master, epochs, &set, &alive)),
        (
            proptest::option::of(1_i64..5),
            any::<bool>(),
            any::<bool>(),
            ids()
        )
            .prop_map(|(by, designate, unclean, alive)| elect(by, designate, unclean, &alive)),
        (ids(), any::<bool>(), ids()).prop_map(|(set, living, alive)| clean(&set, living, &alive)),
    ]
}

proptest! {
    #[test]
    fn the_promises_hold_whatever_is_asked(commands in proptest::collection::vec(any_command(), 1..80)) {
        let (mut state, mut twin) = (State::default(), State::default());
        let mut masters = BTreeMap::new();
        let (mut epoch, mut set_epoch) = (0, 0);
        for command in &commands {
            let (foretold, change) = state.decide(command);
            let before = state.clone();
            let outcome = state.apply(command);
            prop_assert_eq!(&outcome, &twin.apply(command), "the same everywhere");
            prop_assert_eq!(change.is_some(), state != before, "{:?}", command);
            prop_assert_eq!(refusal(&foretold), refusal(&outcome));
            prop_assert!(state.is_sound(), "{:?} after {:?}", state, command);
            let Some(group) = state.group(NAME) else { continue };
            prop_assert!(group.master_epoch >= epoch && group.in_sync_epoch >= set_epoch);
            (epoch, set_epoch) = (group.master_epoch, group.in_sync_epoch);
            if let Some(master) = group.master {
                let first = *masters.entry(epoch).or_insert(master);
                prop_assert_eq!(first, master, "two masters in epoch {}", epoch);
            }
        }
        prop_assert_eq!(&state, &twin);
        let text = serde_json::to_vec(&state).unwrap();
        prop_assert_eq!(serde_json::from_slice::<State>(&text).unwrap(), state);
    }
}
