//! `END_TRANSACTION` (37): a producer commits or rolls back a half message; and `RESUME_CHECK_HALF_MESSAGE` (323).
//!
//! Commits found in one read of a socket are stored by one append, together with the sends of that read. Apache stores a
//! second commit of the same message again and commits what was rolled back; here the first is answered with success and
//! stored once, the second is refused.

use std::sync::Arc;

use super::send::{self, Commit};
use super::{Refusal, Request, success};
use crate::base::{LogOffset, QueueOffset, TopicName};
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::session::Session;
use crate::broker::transaction::{Claim, Name, QUEUE, again, records};
use crate::message::id::parse_offset_message_id;
use crate::message::{Record, names, sysflag};
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::message::ResumeCheckHalfMessageRequestHeader;
use crate::protocol::header::send::EndTransactionRequestHeader;
use crate::store::LogSlice;

/// Most commits of one unique key that are looked at.
const LOOKUP_MAX: usize = 64;

/// Ends a transaction. A commit is answered once it is stored.
pub(crate) fn end(broker: &Arc<Broker>, session: &mut Session, request: &Request<'_, '_>) {
    match try_end(broker, session, request) {
        Ok(End::Unanswered | End::Pending) => {}
        Ok(End::Done) => request.answer(success()),
        Err(refusal) => {
            tracing::warn!(peer = %request.channel.peer(), "a transaction is not ended: {refusal:?}");
            request.answer(refusal.into());
        }
    }
}

enum End {
    /// The producer does not know yet: Apache answers nothing, not even an error.
    Unanswered,
    /// Among the session's sends.
    Pending,
    Done,
}

fn try_end(
    broker: &Arc<Broker>,
    session: &mut Session,
    request: &Request<'_, '_>,
) -> Result<End, Refusal> {
    let header: EndTransactionRequestHeader<'_> = request.header()?;
    let commit = match header.commit_or_rollback {
        sysflag::TRANSACTION_COMMIT => true,
        sysflag::TRANSACTION_ROLLBACK => false,
        _ => return Ok(End::Unanswered),
    };
    let slice = LogOffset::from_wire(header.commit_log_offset)
        .and_then(|at| broker.store.record_at(at))
        .ok_or_else(not_found)?;
    let half = Record::parse(slice.as_ref()).map_err(|_| not_found())?;
    let options = Arc::clone(session.options.get());
    check(broker, &half, &header, &options)?;
    let number = u64::try_from(half.queue_offset).map_err(|_| not_found())?;
    let name = records::name(&half, number);
    let mut claim = broker.transactions.claim(name);
    // A half message that was sent twice has two numbers and one id; its producer is asked about both.
    let looked_for = match claim {
        Claim::Doubtful => true,
        Claim::Granted => header.from_transaction_check,
        _ => false,
    };
    if looked_for && is_committed(broker, &half, name) {
        broker.transactions.committed(name);
        claim = Claim::Committed;
    }
    match (claim, commit) {
        (Claim::Granted | Claim::Doubtful, false) => broker.transactions.rolled_back(name),
        (Claim::Granted | Claim::Doubtful, true) => {
            let pushed = send::push_commit(broker, session, request, &Commit { half, name });
            if let Err(refusal) = pushed {
                broker.transactions.release(name);
                return Err(refusal);
            }
            return Ok(End::Pending);
        }
        (Claim::Busy, _) => {
            return Err(Refusal::error("the transaction is being committed"));
        }
        (Claim::Committed, _) | (Claim::Over, false) => {}
        (Claim::Over, true) if is_committed(broker, &half, name) => {}
        (Claim::Over, true) => return Err(not_found()),
    }
    Ok(End::Done)
}

fn not_found() -> Refusal {
    Refusal::error("Find prepared transaction message failed")
}

fn check(
    broker: &Broker,
    half: &Record<'_>,
    header: &EndTransactionRequestHeader<'_>,
    options: &BrokerOptions,
) -> Result<(), Refusal> {
    if half.topic != names::HALF_TOPIC {
        return Err(not_found());
    }
    if !header.from_transaction_check
        && let Some(immunity) = records::immunity_ms(half)
    {
        // Whoever names a time is asked after it, and answers then.
        let immunity_ms = immunity.unwrap_or(0).max(options.transaction_time_out);
        let age_ms = broker.clock.now_ms().saturating_sub(half.born_timestamp);
        if age_ms > immunity_ms {
            return Err(Refusal::new(ResponseCode::ILLEGAL_OPERATION, ""));
        }
    }
    if half.properties.get(names::PGROUP) != Some(header.producer_group) {
        return Err(Refusal::error("The producer group wrong"));
    }
    if half.queue_offset != header.tran_state_table_offset {
        return Err(Refusal::error("The transaction state table offset wrong"));
    }
    // Bytes in somebody's message body can look like a record; the half queue knows the real ones.
    let entry = QueueOffset::from_wire(half.queue_offset).and_then(|offset| {
        let queue = broker.store.find_queue(names::HALF_TOPIC, QUEUE)?;
        queue.entry(offset.get())
    });
    if entry.is_none_or(|entry| entry.log_offset != header.commit_log_offset) {
        return Err(Refusal::error("The commit log offset wrong"));
    }
    Ok(())
}

/// Whether the log has the commit of a message: the op queue does not say how a transaction ended, and hears of it late.
fn is_committed(broker: &Broker, half: &Record<'_>, name: Name) -> bool {
    // A commit is younger than the first copy, of which only the last one is at hand.
    let since_ms = if name.first == name.number {
        half.store_timestamp
    } else {
        0
    };
    let Some((topic, _)) = records::destination(half) else {
        return false;
    };
    let Some(unique) = half.properties.get(names::UNIQ_KEY) else {
        return false;
    };
    let is_commit = |slice: &LogSlice| {
        Record::parse(slice.as_ref()).is_ok_and(|record| {
            sysflag::transaction(record.sys_flag) == sysflag::TRANSACTION_COMMIT
                && record.properties.get(names::UNIQ_KEY) == Some(unique)
        })
    };
    [topic.as_str(), names::SCHEDULE_TOPIC, names::TIMER_TOPIC]
        .iter()
        .any(|topic| {
            let found = broker
                .store
                .query(topic, unique, LOOKUP_MAX, since_ms, i64::MAX);
            found.slices.iter().any(is_commit)
        })
}

/// Puts a message that was given up back among the half messages; its producer is asked again from the first time on.
pub(crate) fn resume_check(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    match put_back(broker, request) {
        Ok(end) => broker.answer_when_safe(request, Some(end), success()),
        Err(refusal) => request.answer(refusal.into()),
    }
}

fn put_back(broker: &Broker, request: &Request<'_, '_>) -> Result<LogOffset, Refusal> {
    let unreadable = || {
        Refusal::error(
            "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.",
        )
    };
    let header: ResumeCheckHalfMessageRequestHeader<'_> = request.header()?;
    let slice = header
        .msg_id
        .and_then(parse_offset_message_id)
        .and_then(|(_, at)| broker.store.record_at(at))
        .ok_or_else(unreadable)?;
    let parked = Record::parse(slice.as_ref()).map_err(|_| unreadable())?;
    if records::destination(&parked).is_none() || parked.properties.get(names::PGROUP).is_none() {
        return Err(unreadable());
    }
    let properties = records::with(&parked, names::TRANSACTION_CHECK_TIMES, "0").to_wire();
    let topic = TopicName::stored(names::HALF_TOPIC);
    let queue = broker.store.queue(&topic, QUEUE);
    let draft = again(&parked, topic.as_str(), QUEUE, &properties);
    let mut group = broker.store.append_group();
    let pushed = group.push(&draft, &queue).is_ok();
    if !pushed || broker.store.append(&mut group).is_err() {
        return Err(Refusal::error(
            "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.",
        ));
    }
    Ok(group.end())
}
