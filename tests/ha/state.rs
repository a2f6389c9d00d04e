//! What a master was in the middle of when it died goes on at the replica that takes its place: delayed messages, popped
//! ones, open transactions and retries come, none before its time.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rmq::message::id::parse_offset_message_id;
use rmq::message::{PropertiesBuf, Record};
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply};
use rmq::protocol::header::NoHeader;
use rmq::protocol::header::pop::{
    AckMessageRequestHeader, PopMessageRequestHeader, PopMessageResponseHeader,
};
use rmq::protocol::header::send::{
    CheckTransactionStateRequestHeader, ConsumerSendMsgBackRequestHeader,
    EndTransactionRequestHeader, SendMessageRequestHeaderV2, SendMessageResponseHeader,
};

use crate::group::{Member, wait_for, wait_until_equal};
use crate::support::wire::{Wire, send};
use crate::{SETTINGS, send_one};

/// One topic for each kind, so that they are told apart.
const DELAYED: &str = "Delayed";
const TIMED: &str = "Timed";
const POPPED: &str = "Popped";
const DECIDED: &str = "Decided";
const RETRIED: &str = "Retried";
const GROUP: &str = "state-consumers";
const PRODUCERS: &str = "state-producers";
/// The body of the topic's message.
const BODY: &str = "in the middle";

/// How long each waits: longer than the change of masters takes.
const WAIT_MS: i64 = 9_000;
/// What is due may come this much early: `timerPrecisionMs`, and Apache's tick of a second.
const TICK_MS: i64 = 1_000;

const STATE: &[&str] = &[
    "transactionCheckInterval=500",
    "transactionTimeOut=1000",
    "messageDelayLevel=1s 9s",
];

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn good(reply: &Reply) {
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
}

fn properties(pairs: &[(&'static str, &str)]) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    for (name, value) in pairs {
        properties.set(name, (*value).to_owned());
    }
    properties
}

fn put(wire: &mut Wire, topic: &str, body: &'static str, pairs: &[(&'static str, &str)]) -> i64 {
    let reply = wire
        .call(&send(topic, 0, body, &properties(pairs)))
        .unwrap();
    good(&reply);
    let header: SendMessageResponseHeader<'_> = reply.header().unwrap();
    let (_, at) = parse_offset_message_id(header.msg_id).unwrap();
    at.to_wire()
}

/// Pops what there is: (body, queue offset, receipt handle).
fn pop(wire: &mut Wire, poll_ms: i64) -> Vec<(String, i64, String)> {
    let header = PopMessageRequestHeader {
        consumer_group: GROUP,
        topic: POPPED,
        queue_id: 0,
        max_msg_nums: 32,
        invisible_time: WAIT_MS,
        poll_time: poll_ms,
        born_time: now_ms(),
        ..PopMessageRequestHeader::default()
    };
    let request = Command::request(RequestCode::POP_MESSAGE, &header);
    let reply = wire.call(&request).unwrap();
    if reply.code != ResponseCode::SUCCESS {
        return Vec::new();
    }
    let header: PopMessageResponseHeader<'_> = reply.header().unwrap();
    let start = header.start_offset_info.unwrap();
    let start = start.split(' ').nth(2).unwrap();
    let mut found = Vec::new();
    let mut rest = &reply.body[..];
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        let handle = format!(
            "{start} {} {} {} 0 pair 0 {}",
            header.pop_time, header.invisible_time, header.revive_qid, record.queue_offset
        );
        let body = String::from_utf8(record.body.to_vec()).unwrap();
        found.push((body, record.queue_offset, handle));
        rest = &rest[record.size as usize..];
    }
    found
}

/// Acknowledges a popped message.
fn ack((_, offset, handle): &(String, i64, String)) -> Command {
    let header = AckMessageRequestHeader {
        consumer_group: GROUP,
        topic: POPPED,
        queue_id: 0,
        extra_info: handle,
        offset: *offset,
        ..AckMessageRequestHeader::default()
    };
    Command::request(RequestCode::ACK_MESSAGE, &header)
}

/// Wants the message at a position of the log again, at the second level.
fn send_back(at: i64) -> Command {
    let header = ConsumerSendMsgBackRequestHeader {
        group: GROUP,
        offset: at,
        delay_level: 2,
        ..ConsumerSendMsgBackRequestHeader::default()
    };
    Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header)
}

/// The heartbeat of a producer.
fn heartbeat() -> Command {
    let body = format!(
        r#"{{"clientID":"state-client","consumerDataSet":[],"heartbeatFingerprint":0,
        "producerDataSet":[{{"groupName":"{PRODUCERS}"}}],"withoutSub":false}}"#
    );
    Command::request(RequestCode::HEART_BEAT, &NoHeader).with_body(body)
}

/// When each message may come at the earliest, by topic.
type Due = BTreeMap<&'static str, i64>;

/// Leaves something of every kind undone.
fn begin(master: &Member) -> Due {
    let mut wire = Wire::connect(master.address()).unwrap();
    let mut due = Due::new();
    for body in ["acknowledged", BODY] {
        put(&mut wire, POPPED, body, &[]);
    }
    let popped = wait_for("both are popped", || {
        let mut wire = Wire::connect(master.address()).unwrap();
        let popped = pop(&mut wire, 3_000);
        (!popped.is_empty()).then_some(popped)
    });
    due.insert(POPPED, now_ms() + WAIT_MS);
    assert_eq!(popped.len(), 2, "{popped:?}");
    good(&wire.call(&ack(&popped[0])).unwrap());

    put(&mut wire, DELAYED, BODY, &[("DELAY", "2")]);
    due.insert(DELAYED, now_ms() + WAIT_MS);
    let seconds = (WAIT_MS / 1000).to_string();
    put(&mut wire, TIMED, BODY, &[("TIMER_DELAY_SEC", &seconds)]);
    due.insert(TIMED, now_ms() + WAIT_MS);

    let at = put(&mut wire, RETRIED, BODY, &[]);
    good(&wire.call(&send_back(at)).unwrap());
    due.insert(RETRIED, now_ms() + WAIT_MS);

    let half = properties(&[
        ("TRAN_MSG", "true"),
        ("PGROUP", PRODUCERS),
        ("UNIQ_KEY", "H"),
    ]);
    let half = String::from_utf8(half.to_wire()).unwrap();
    let half = SendMessageRequestHeaderV2 {
        producer_group: PRODUCERS,
        topic: DECIDED,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        sys_flag: 4,
        born_timestamp: now_ms(),
        properties: Some(&half),
        ..SendMessageRequestHeaderV2::default()
    };
    let half = Command::request(RequestCode::SEND_MESSAGE_V2, &half).with_body(BODY);
    good(&wire.call(&half).unwrap());
    due
}

/// Answers the new master's question about the open transaction.
fn commit_when_asked(master: &Member) {
    let mut wire = Wire::connect(master.address()).unwrap();
    good(&wire.call(&heartbeat()).unwrap());
    let asked = wire
        .next_request(RequestCode::CHECK_TRANSACTION_STATE)
        .unwrap();
    let asked: CheckTransactionStateRequestHeader<'_> = asked.header().unwrap();
    let end = EndTransactionRequestHeader {
        producer_group: PRODUCERS,
        tran_state_table_offset: asked.tran_state_table_offset,
        commit_log_offset: asked.commit_log_offset,
        commit_or_rollback: 8,
        from_transaction_check: true,
        msg_id: "id",
        ..EndTransactionRequestHeader::default()
    };
    let end = Command::request(RequestCode::END_TRANSACTION, &end);
    good(&wire.call(&end).unwrap());
}

/// How many messages of the topic there are, however they got there.
fn arrived(master: &Member, topic: &str) -> usize {
    let Ok(mut wire) = Wire::connect(master.address()) else {
        return 0;
    };
    let messages = wire.drain_queue(topic, 0).unwrap_or_default();
    messages
        .iter()
        .filter(|(_, body)| body == BODY.as_bytes())
        .count()
}

/// The new master has everything, and shows none of it early.
fn finish(master: &Member, due: &Due) {
    commit_when_asked(master);
    wait_for("the transaction's message", || {
        (arrived(master, DECIDED) == 1).then_some(())
    });
    let retry = format!("%RETRY%{GROUP}");
    let again = format!("%RETRY%{GROUP}_{POPPED}");
    let places = [
        (DELAYED, DELAYED),
        (TIMED, TIMED),
        (RETRIED, retry.as_str()),
        (POPPED, again.as_str()),
    ];
    // What was popped is not handed out again before its time, and what was acknowledged never.
    let mut wire = Wire::connect(master.address()).unwrap();
    assert_eq!(pop(&mut wire, 0), []);
    for (kind, place) in places {
        wait_for(kind, || {
            let there = arrived(master, place);
            let early = due[kind] - TICK_MS - now_ms();
            assert!(there == 0 || early <= 0, "{kind} came {early} ms early");
            (there == 1).then_some(())
        });
    }
    let popped = wait_for("it is popped again", || {
        let popped = pop(&mut Wire::connect(master.address()).unwrap(), 3_000);
        (!popped.is_empty()).then_some(popped)
    });
    let bodies: Vec<_> = popped.iter().map(|(body, ..)| body.as_str()).collect();
    assert_eq!(bodies, [BODY]);
    for (kind, place) in places {
        assert_eq!(arrived(master, place), 1, "{kind} came once");
    }
}

#[test]
fn a_slave_goes_on_with_what_its_dead_master_had_begun() {
    let root = tempfile::tempdir().unwrap();
    let settings = [SETTINGS, STATE, &["brokerName=pair"]].concat();
    let of_master = [&settings[..], &["brokerRole=SYNC_MASTER"]].concat();
    let mut master = Member::new(root.path(), "master", None, &of_master);
    let mut slave = Member::new(root.path(), "slave", Some(&master), &settings);
    master.start();
    slave.start();
    wait_for("the slave follows", || {
        (send_one(&master, "first") == ResponseCode::SUCCESS).then_some(())
    });
    let due = begin(&master);
    wait_until_equal(&master, &slave);
    wait_for("the slave knows the topics and its master's kind", || {
        (arrived_topics(&slave) && slave.status().role_as_master == "SYNC_MASTER").then_some(())
    });
    master.kill();
    slave.promote(1);
    assert_eq!(slave.status().role, "SYNC_MASTER");
    finish(&slave, &due);
}

#[test]
fn a_majority_goes_on_with_what_its_dead_master_had_begun() {
    let root = tempfile::tempdir().unwrap();
    let majority = ["replication=majority", "totalReplicas=3", "brokerName=pair"];
    let settings = [SETTINGS, STATE, &majority].concat();
    let mut master = Member::new(root.path(), "one", None, &settings);
    let mut slaves = ["brokerId=1", "brokerId=2"].map(|id| {
        let settings = [&settings[..], &[id]].concat();
        Member::new(root.path(), id, Some(&master), &settings)
    });
    master.start();
    for slave in &mut slaves {
        slave.start();
    }
    wait_for("the majority", || {
        (send_one(&master, "first") == ResponseCode::SUCCESS).then_some(())
    });
    // At once, whatever the others have: what was answered counts.
    let due = begin(&master);
    master.kill();
    let best = usize::from(slaves[0].fence(2).log_end < slaves[1].fence(2).log_end);
    slaves[best].promote(2);
    slaves[1 - best].follow(&slaves[best], 2);
    wait_for("the new master's majority", || {
        (send_one(&slaves[best], "after") == ResponseCode::SUCCESS).then_some(())
    });
    finish(&slaves[best], &due);
}

#[test]
fn nothing_is_answered_that_more_than_half_do_not_have() {
    let root = tempfile::tempdir().unwrap();
    let majority = [
        "replication=majority",
        "totalReplicas=3",
        "brokerName=pair",
        "slaveTimeout=500",
    ];
    let settings = [SETTINGS, STATE, &majority].concat();
    let mut master = Member::new(root.path(), "master", None, &settings);
    let mut slave = Member::new(root.path(), "slave", Some(&master), &settings);
    master.start();
    slave.start();
    wait_for("the majority", || {
        (send_one(&master, "first") == ResponseCode::SUCCESS).then_some(())
    });
    let mut wire = Wire::connect(master.address()).unwrap();
    let at = put(&mut wire, RETRIED, BODY, &[]);
    for _ in 0..2 {
        put(&mut wire, POPPED, BODY, &[]);
    }
    let popped = wait_for("both are popped", || {
        let popped = pop(&mut Wire::connect(master.address()).unwrap(), 3_000);
        (!popped.is_empty()).then_some(popped)
    });
    slave.freeze();
    for command in [ack(&popped[0]), send_back(at)] {
        let reply = wire.call(&command).unwrap();
        let said = (reply.code, reply.remark());
        assert_eq!(said, (ResponseCode::SYSTEM_ERROR, "FLUSH_SLAVE_TIMEOUT"));
    }
    slave.thaw();
    wait_for("an acknowledgement counts again", || {
        let reply = master.call(&ack(&popped[1])).unwrap();
        (reply.code == ResponseCode::SUCCESS).then_some(())
    });
}

/// Whether a broker knows the topics that were made at its master.
fn arrived_topics(slave: &Member) -> bool {
    let request = Command::request(RequestCode::GET_ALL_TOPIC_CONFIG, &NoHeader);
    let reply = slave.call(&request).unwrap();
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    [DELAYED, TIMED, POPPED, DECIDED, RETRIED]
        .iter()
        .all(|topic| text.contains(*topic))
}
