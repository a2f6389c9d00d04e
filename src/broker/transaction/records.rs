//! The four forms of a transactional message: half, committed, put back, given up; and the op record.

use super::Name;
use crate::base::{QueueId, TopicName};
use crate::message::properties::write_pair;
use crate::message::{Properties, PropertiesBuf, Record, names, sysflag};

/// The tag of op records that end transactions.
const REMOVE_TAG: &str = "d";

/// Makes half properties of those of a message that is meant for `queue` of `topic`.
pub(crate) fn make_half(
    wire: &mut Vec<u8>,
    unique: &str,
    group: &str,
    (topic, queue): (&str, QueueId),
) {
    let missing = |name| Properties::new(wire).get(name).is_none();
    // Without them nobody could be asked, and no answer would fit.
    let (no_group, no_mark) = (missing(names::PGROUP), missing(names::TRAN_MSG));
    if no_group {
        write_pair(wire, names::PGROUP, group);
    }
    if no_mark {
        write_pair(wire, names::TRAN_MSG, "true");
    }
    write_pair(wire, names::TRANSACTION_ID, unique);
    // A name that the producer set as well counts by its last value.
    write_pair(wire, names::REAL_TOPIC, topic);
    write_pair(wire, names::REAL_QID, &queue.to_string());
}

/// Where a half message goes when it is committed.
pub(crate) fn destination(half: &Record<'_>) -> Option<(TopicName, QueueId)> {
    let topic = half.properties.get(names::REAL_TOPIC)?;
    let queue: i32 = half.properties.get(names::REAL_QID)?.parse().ok()?;
    Some((
        TopicName::parse(topic).ok()?,
        QueueId::from_wire(queue).filter(|queue| queue.get() < QUEUES_MAX)?,
    ))
}

/// No topic has more queues; a forged property must not make files.
const QUEUES_MAX: u32 = 1 << 16;

/// The properties of a committed message. The mark `TRAN_MSG` stays, as with Apache.
pub(crate) fn committed_properties(half: &Record<'_>) -> Vec<u8> {
    let mut wire = Vec::with_capacity(half.properties.as_bytes().len());
    for (name, value) in half.properties.iter() {
        if !matches!(
            name,
            names::REAL_TOPIC | names::REAL_QID | names::TRAN_PREPARED_QUEUE_OFFSET
        ) {
            write_pair(&mut wire, name, value);
        }
    }
    wire
}

/// The flags of a committed message.
pub(crate) fn committed_flag(half: &Record<'_>) -> i32 {
    half.sys_flag & !sysflag::TRANSACTION_ROLLBACK | sysflag::TRANSACTION_COMMIT
}

/// How long nobody asks about a message, if it says so itself; milliseconds.
pub(crate) fn immunity_ms(half: &Record<'_>) -> Option<Result<i64, std::num::ParseIntError>> {
    let seconds = half.properties.get(names::CHECK_IMMUNITY_TIME_IN_SECONDS)?;
    Some(
        seconds
            .parse::<i64>()
            .map(|seconds| seconds.saturating_mul(1_000)),
    )
}

/// How often its producer was asked.
pub(super) fn check_times(half: &Record<'_>) -> i32 {
    let times = half.properties.get(names::TRANSACTION_CHECK_TIMES);
    // Apache takes what is no number for -1.
    times.map_or(0, |times| times.parse().unwrap_or(-1))
}

/// The number under which a message that was put back was first stored. Apache keeps it for immune messages only, and
/// looks at it for those only.
pub(super) fn first_number(half: &Record<'_>) -> Option<u64> {
    half.properties
        .get(names::TRAN_PREPARED_QUEUE_OFFSET)?
        .parse()
        .ok()
}

/// What names the half message stored as `number`.
pub(crate) fn name(half: &Record<'_>, number: u64) -> Name {
    // A producer may set the property as well: no copy is older than what it is a copy of.
    let first = first_number(half).filter(|first| *first < number);
    Name {
        number,
        first: first.unwrap_or(number),
    }
}

/// The properties of a copy of the half message stored as `number`.
pub(super) fn copied(half: &Record<'_>, number: u64) -> PropertiesBuf {
    let first = name(half, number).first;
    with(half, names::TRAN_PREPARED_QUEUE_OFFSET, first.to_string())
}

/// The properties of a half message with one of them changed.
pub(crate) fn with(half: &Record<'_>, name: &str, value: impl Into<String>) -> PropertiesBuf {
    let mut properties = PropertiesBuf::from(half.properties);
    properties.set(name, value);
    properties
}

/// The body of an op record.
pub(super) fn op_body(numbers: &[u64]) -> Vec<u8> {
    let mut body = String::new();
    for number in numbers {
        body.push_str(&number.to_string());
        body.push(',');
    }
    body.into_bytes()
}

/// The properties of an op record.
pub(super) fn op_properties() -> Vec<u8> {
    let mut wire = Vec::new();
    write_pair(&mut wire, names::WAIT, "true");
    write_pair(&mut wire, names::TAGS, REMOVE_TAG);
    wire
}

/// The half messages an op record ends; none if it is of another kind.
pub(super) fn op_numbers(record: &Record<'_>, below: u64) -> impl Iterator<Item = u64> {
    let known = record.properties.get(names::TAGS) == Some(REMOVE_TAG);
    let body = std::str::from_utf8(record.body)
        .ok()
        .filter(|_| known)
        .unwrap_or_default();
    body.split(',')
        .filter_map(|number| number.trim().parse().ok())
        .filter(move |number| *number < below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Draft;

    fn record(body: &[u8], properties: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let host = "127.0.0.1:1".parse().unwrap();
        Draft {
            topic: names::HALF_TOPIC,
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties,
        }
        .encode_into(&mut bytes)
        .unwrap();
        bytes
    }

    #[test]
    fn what_a_half_message_gains_it_loses_when_committed() {
        let mut wire = b"TAGS\x01a\x02PGROUP\x01g\x02TRAN_MSG\x01true\x02".to_vec();
        let before = wire.clone();
        make_half(&mut wire, "id", "other", ("T", QueueId::new(3)));
        let bytes = record(b"x", &wire);
        let half = Record::parse(&bytes).unwrap();
        let place = destination(&half).unwrap();
        assert_eq!((place.0.as_str(), place.1.get()), ("T", 3));
        assert_eq!(half.properties.get(names::PGROUP), Some("g"));
        let committed = committed_properties(&half);
        assert_eq!(
            committed,
            [&before[..], b"__transactionId__\x01id\x02"].concat()
        );
        assert_eq!(committed_flag(&half), sysflag::TRANSACTION_COMMIT);
    }

    #[test]
    fn op_records_say_numbers() {
        let bytes = record(&op_body(&[0, 1, 26]), &op_properties());
        let op = Record::parse(&bytes).unwrap();
        assert_eq!(op.body, b"0,1,26,");
        assert_eq!(op_numbers(&op, 26).collect::<Vec<_>>(), [0, 1]);
        let other = record(b"1,", b"TAGS\x01x\x02");
        let other = Record::parse(&other).unwrap();
        assert_eq!(op_numbers(&other, 9).count(), 0);
    }
}
