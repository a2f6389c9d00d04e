//! Transactions over sockets, on a clock that is moved by hand.

use std::path::Path;

use flate2::read::GzDecoder;

use super::*;
use crate::base::QueueId;
use crate::broker::transaction::GROUP;
use crate::protocol::header::send::{
    CheckTransactionStateRequestHeader, EndTransactionRequestHeader,
};

const NOW: i64 = 1_795_313_694_951;
const COMMIT: i32 = 8;
const ROLLBACK: i32 = 12;
/// One more than every transaction of a test may take; the clock moves in smaller steps.
const TICK_MS: i64 = 1_000;

/// What a producer was asked about.
#[derive(Debug, Clone)]
struct Question {
    end: Ending,
    body: Bytes,
}

/// A producer that keeps the broker's questions.
#[derive(Default)]
struct Producer {
    questions: parking_lot::Mutex<Vec<Question>>,
}

impl Service for Producer {
    type Session = ();

    fn open(&self, _channel: &Arc<Channel>) {}

    fn frames(&self, _session: &mut (), _channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            let (head, body) = frame.parse().unwrap();
            assert_eq!(head.request_code(), RequestCode::CHECK_TRANSACTION_STATE);
            assert!(head.is_oneway());
            let header: CheckTransactionStateRequestHeader<'_> = head.header().unwrap();
            assert_eq!(header.topic, Some(names::HALF_TOPIC));
            self.questions.lock().push(Question {
                end: Ending {
                    number: header.tran_state_table_offset,
                    at: header.commit_log_offset,
                    from_check: true,
                },
                body,
            });
        }
    }

    fn closed(&self, _session: (), _channel: &Arc<Channel>) {}
}

/// What names a half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ending {
    number: i64,
    at: i64,
    from_check: bool,
}

struct Bank {
    fixture: Fixture,
    clock: Clock,
}

impl Bank {
    async fn start(change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let clock = Clock::manual(NOW);
        let fixture = Fixture::with_clock(clock.clone(), change).await;
        Self { fixture, clock }
    }

    async fn reopen(dir: tempfile::TempDir, clock: Clock) -> Self {
        let fixture = Fixture::reopen(dir, clock.clone()).await;
        Self { fixture, clock }
    }

    /// A producer of group `p`.
    async fn producer(&self) -> (Arc<Producer>, Arc<Channel>) {
        let producer = Arc::<Producer>::default();
        let address = self.fixture.server.local_addr().to_string();
        let limits = ConnLimits::default();
        let channel = connect(&address, Arc::clone(&producer), limits, LIMIT)
            .await
            .unwrap();
        let id = format!("client-{}", channel.local());
        call(&channel, producing(&id, "p")).await;
        (producer, channel)
    }

    /// Sends a half message for queue 1 of `T`.
    async fn half(&self, channel: &Arc<Channel>, more: &str, body: &'static [u8]) -> Ending {
        let sent = self.try_half(channel, more, body).await;
        assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
        let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
        assert_eq!(header.queue_id, 1);
        let (_, at) = crate::message::id::parse_offset_message_id(header.msg_id).unwrap();
        Ending {
            number: header.queue_offset,
            at: at.to_wire(),
            from_check: false,
        }
    }

    async fn try_half(&self, channel: &Arc<Channel>, more: &str, body: &'static [u8]) -> Reply {
        let properties = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}TAGS\u{1}t\u{2}{more}");
        let header = SendMessageRequestHeaderV2 {
            producer_group: "p",
            topic: "T",
            default_topic: "TBW102",
            default_topic_queue_nums: 4,
            queue_id: 1,
            sys_flag: 4,
            born_timestamp: self.clock.now_ms(),
            properties: Some(&properties),
            ..SendMessageRequestHeaderV2::default()
        };
        let request = Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body);
        call(channel, request).await
    }

    fn count(&self, topic: &str, queue: u32) -> u64 {
        let queue = self
            .fixture
            .broker
            .store
            .find_queue(topic, QueueId::new(queue));
        queue.map_or(0, |queue| queue.max_offset().get())
    }

    /// The record at a place of a queue.
    fn record(&self, topic: &str, queue: u32, offset: u64) -> Bytes {
        let store = &self.fixture.broker.store;
        let queue = store.find_queue(topic, QueueId::new(queue)).unwrap();
        let entry = queue.entry(offset).unwrap();
        let at = crate::base::LogOffset::from_wire(entry.log_offset).unwrap();
        Bytes::copy_from_slice(store.record_at(at).unwrap().as_ref())
    }

    /// Lets time pass until something is so.
    async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < LIMIT, "{what}");
            self.clock.advance(TICK_MS);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets `ticks` seconds pass, slowly enough for everything to happen in between.
    async fn pass(&self, ticks: usize) {
        for _ in 0..ticks {
            self.clock.advance(TICK_MS);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) -> tempfile::TempDir {
        self.fixture.stop().await
    }
}

/// The heartbeat of a client that only produces.
fn producing(client_id: &str, group: &str) -> Command {
    let body = format!(
        r#"{{"clientID":"{client_id}","consumerDataSet":[],"heartbeatFingerprint":0,
        "producerDataSet":[{{"groupName":"{group}"}}],"withoutSub":false}}"#
    );
    Command::request(RequestCode::HEART_BEAT, &crate::protocol::header::NoHeader).with_body(body)
}

fn end(ending: Ending, decision: i32) -> Command {
    end_as("p", ending, decision)
}

fn end_as(group: &str, ending: Ending, decision: i32) -> Command {
    let header = EndTransactionRequestHeader {
        producer_group: group,
        tran_state_table_offset: ending.number,
        commit_log_offset: ending.at,
        commit_or_rollback: decision,
        from_transaction_check: ending.from_check,
        msg_id: "id",
        ..EndTransactionRequestHeader::default()
    };
    Command::request(RequestCode::END_TRANSACTION, &header)
}

/// Code and remark of an answer.
fn said(reply: &Reply) -> (ResponseCode, &str) {
    (reply.code, reply.remark())
}

fn frequent(options: &mut BrokerOptions) {
    options.transaction_check_interval = 5_000;
    options.store.flush = FlushMode::Async {
        interval: Duration::from_millis(1),
    };
}

const NOT_FOUND: (ResponseCode, &str) = (
    ResponseCode::SYSTEM_ERROR,
    "Find prepared transaction message failed",
);

#[tokio::test]
async fn a_commit_makes_a_message_visible_and_a_rollback_never_does() {
    let bank = Bank::start(|_| {}).await;
    let (_, channel) = bank.producer().await;
    let first = bank.half(&channel, "UNIQ_KEY\u{1}U1\u{2}", b"paid").await;
    let second = bank.half(&channel, "", b"refused").await;
    assert_eq!((first.number, second.number), (0, 1));
    assert_eq!(bank.count("T", 1), 0);
    let stored = bank.record(names::HALF_TOPIC, 0, 0);
    let half = Record::parse(&stored).unwrap();
    assert_eq!((half.sys_flag, half.queue_id), (0, 0));
    assert_eq!(half.properties.get(names::REAL_TOPIC), Some("T"));
    assert_eq!(half.properties.get(names::REAL_QID), Some("1"));
    assert_eq!(half.properties.get("__transactionId__"), Some("U1"));

    let wrong = call(&channel, end_as("other", first, COMMIT)).await;
    assert_eq!(wrong.remark(), "The producer group wrong");
    let other = Ending { number: 1, ..first };
    let wrong = call(&channel, end(other, COMMIT)).await;
    assert_eq!(wrong.remark(), "The transaction state table offset wrong");
    let nowhere = Ending { at: 7, ..first };
    assert_eq!(said(&call(&channel, end(nowhere, COMMIT)).await), NOT_FOUND);
    assert_eq!(bank.count("T", 1), 0);

    let committed = call(&channel, end(first, COMMIT)).await;
    assert_eq!(said(&committed), (ResponseCode::SUCCESS, ""));
    let rolled_back = call(&channel, end(second, ROLLBACK)).await;
    assert_eq!(said(&rolled_back), (ResponseCode::SUCCESS, ""));
    assert_eq!(bank.count("T", 1), 1);
    let stored = bank.record("T", 1, 0);
    let message = Record::parse(&stored).unwrap();
    assert_eq!((message.body, message.sys_flag), (&b"paid"[..], COMMIT));
    assert_eq!(message.prepared_transaction_offset, first.at);
    assert_eq!(message.properties.get(names::REAL_TOPIC), None);
    assert_eq!(message.properties.get(names::TRAN_MSG), Some("true"));

    // Once more, at once and later: nothing is stored twice, and nothing that was rolled back is delivered.
    assert_eq!(
        call(&channel, end(first, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    assert_eq!(said(&call(&channel, end(second, COMMIT)).await), NOT_FOUND);
    assert_eq!(bank.count("T", 1), 1);

    bank.until("an op record", || bank.count(names::OP_HALF_TOPIC, 0) > 0)
        .await;
    let stored = bank.record(names::OP_HALF_TOPIC, 0, 0);
    let op = Record::parse(&stored).unwrap();
    assert_eq!(op.body, b"0,1,");
    assert_eq!(op.properties.get(names::TAGS), Some("d"));
    bank.pass(60).await;
    let again = call(&channel, end(first, COMMIT)).await;
    assert_eq!(again.code, ResponseCode::SUCCESS);
    assert_eq!(said(&call(&channel, end(second, COMMIT)).await), NOT_FOUND);
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

#[tokio::test]
async fn forged_places_commit_nothing() {
    let bank = Bank::start(|_| {}).await;
    let (_, channel) = bank.producer().await;
    let half = bank.half(&channel, "", b"x").await;
    // A plain message whose body is a copy of the half message.
    let copy = Vec::leak(bank.record(names::HALF_TOPIC, 0, 0).to_vec());
    let sent = call(&channel, send("T", 0, "", copy)).await;
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    let (_, at) = crate::message::id::parse_offset_message_id(header.msg_id).unwrap();
    let plain = Ending {
        at: at.to_wire(),
        ..half
    };
    assert_eq!(said(&call(&channel, end(plain, COMMIT)).await), NOT_FOUND);
    let inside = Ending {
        at: at.to_wire() + 88,
        ..half
    };
    let reply = call(&channel, end(inside, COMMIT)).await;
    assert_ne!(reply.code, ResponseCode::SUCCESS);
    assert_eq!(bank.count("T", 1), 0);
    bank.stop().await;
}

#[tokio::test]
async fn half_messages_can_be_forbidden() {
    let bank = Bank::start(|options| options.reject_transaction_message = true).await;
    let (_, channel) = bank.producer().await;
    let reply = bank.try_half(&channel, "", b"x").await;
    assert_eq!(reply.code, ResponseCode::NO_PERMISSION);
    assert!(
        reply
            .remark()
            .ends_with("sending transaction message is forbidden")
    );
    bank.stop().await;
}

#[tokio::test]
async fn another_producer_of_the_group_is_asked() {
    let bank = Bank::start(frequent).await;
    let (_, gone) = bank.producer().await;
    let half = bank.half(&gone, "UNIQ_KEY\u{1}U\u{2}", b"late").await;
    let decided = bank.half(&gone, "", b"decided").await;
    call(&gone, end(decided, ROLLBACK)).await;
    // Unknown is no decision, and nobody is told so.
    gone.send_oneway(end(half, 0));
    gone.close();
    gone.ended().await;
    let (producer, channel) = bank.producer().await;
    bank.until("a question", || !producer.questions.lock().is_empty())
        .await;
    let question = producer.questions.lock()[0].clone();
    assert_eq!(question.end.number, 2);
    let message = Record::parse(&question.body).unwrap();
    assert_eq!(
        (message.topic, message.queue_id, message.body),
        ("T", 1, &b"late"[..])
    );
    assert_eq!(message.physical_offset, question.end.at);
    assert_eq!(
        message.properties.get(names::TRANSACTION_CHECK_TIMES),
        Some("1")
    );
    let committed = call(&channel, end(question.end, COMMIT)).await;
    assert_eq!(committed.code, ResponseCode::SUCCESS);
    assert_eq!(bank.count("T", 1), 1);

    // The first copy is the same transaction.
    assert_eq!(
        said(&call(&channel, end(half, ROLLBACK)).await).0,
        ResponseCode::SUCCESS
    );
    let asked = producer.questions.lock().len();
    bank.pass(20).await;
    assert_eq!(producer.questions.lock().len(), asked);
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

#[tokio::test]
async fn a_late_answer_to_the_first_copy_ends_the_transaction() {
    let bank = Bank::start(frequent).await;
    let (producer, channel) = bank.producer().await;
    let half = bank.half(&channel, "", b"slow").await;
    bank.until("questions", || producer.questions.lock().len() >= 2)
        .await;
    assert_eq!(
        call(&channel, end(half, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    let asked = producer.questions.lock().len();
    bank.pass(20).await;
    assert!(producer.questions.lock().len() <= asked + 1);
    let questions = producer.questions.lock().clone();
    for question in questions {
        let again = call(&channel, end(question.end, COMMIT)).await;
        assert_eq!(again.code, ResponseCode::SUCCESS);
    }
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

#[tokio::test]
async fn who_never_decides_is_given_up_and_can_be_brought_back() {
    let bank = Bank::start(|options| {
        frequent(options);
        options.transaction_check_max = 2;
    })
    .await;
    let (producer, channel) = bank.producer().await;
    bank.half(&channel, "", b"forgotten").await;
    let parked = names::TRANS_CHECK_MAX_TIME_TOPIC;
    bank.until("parked", || bank.count(parked, 0) == 1).await;
    assert_eq!(producer.questions.lock().len(), 2);
    bank.pass(10).await;
    assert_eq!(producer.questions.lock().len(), 2);
    assert_eq!(bank.count("T", 1), 0);
    let stored = bank.record(parked, 0, 0);
    let id = Record::parse(&stored).unwrap().offset_message_id();
    let resume = |id: &str| ask(RequestCode::RESUME_CHECK_HALF_MESSAGE, &[("msgId", id)]);
    let refused = call(&channel, resume("nonsense")).await;
    assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(
        call(&channel, resume(&id)).await.code,
        ResponseCode::SUCCESS
    );
    bank.until("another question", || producer.questions.lock().len() > 2)
        .await;
    let question = producer.questions.lock()[2].clone();
    call(&channel, end(question.end, COMMIT)).await;
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

#[tokio::test]
async fn an_immune_message_is_left_alone_for_its_time() {
    let bank = Bank::start(frequent).await;
    let (producer, channel) = bank.producer().await;
    let immune = "CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}100\u{2}";
    let early = bank.half(&channel, immune, b"early").await;
    let late = bank.half(&channel, immune, b"late").await;
    bank.pass(60).await;
    assert_eq!(producer.questions.lock().len(), 0);
    // It was put back meanwhile; its producer knows only the first number.
    assert!(bank.count(names::HALF_TOPIC, 0) > 2);
    assert_eq!(
        call(&channel, end(early, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    bank.until("a question", || !producer.questions.lock().is_empty())
        .await;
    let question = producer.questions.lock()[0].clone();
    let message = Record::parse(&question.body).unwrap();
    assert_eq!(message.body, b"late");
    assert_eq!(
        message.properties.get(names::TRANSACTION_CHECK_TIMES),
        Some("1")
    );
    let refused = call(&channel, end(late, COMMIT)).await;
    assert_eq!(refused.code, ResponseCode::ILLEGAL_OPERATION);
    assert_eq!(
        call(&channel, end(question.end, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    assert_eq!(bank.count("T", 1), 2);
    bank.stop().await;
}

#[tokio::test]
async fn a_delay_begins_with_the_commit() {
    let bank = Bank::start(|_| {}).await;
    let (_, channel) = bank.producer().await;
    let level = bank.half(&channel, "DELAY\u{1}2\u{2}", b"level").await;
    let timed = bank
        .half(&channel, "TIMER_DELAY_SEC\u{1}5\u{2}", b"timed")
        .await;
    assert_eq!(bank.count(names::HALF_TOPIC, 0), 2);
    bank.clock.advance(3_000);
    call(&channel, end(level, COMMIT)).await;
    call(&channel, end(timed, COMMIT)).await;
    assert_eq!(bank.count(names::SCHEDULE_TOPIC, 1), 1);
    assert_eq!(bank.count(names::TIMER_TOPIC, 0), 1);
    bank.pass(4).await;
    assert_eq!(bank.count("T", 1), 0);
    bank.until("both", || bank.count("T", 1) == 2).await;
    bank.stop().await;
}

#[tokio::test]
async fn transactions_survive_a_crash() {
    let bank = Bank::start(frequent).await;
    let (_, channel) = bank.producer().await;
    let committed = bank
        .half(&channel, "UNIQ_KEY\u{1}A\u{2}", b"committed")
        .await;
    let rolled_back = bank
        .half(&channel, "UNIQ_KEY\u{1}B\u{2}", b"rolled back")
        .await;
    let open = bank.half(&channel, "UNIQ_KEY\u{1}C\u{2}", b"open").await;
    let unsaid = bank.half(&channel, "UNIQ_KEY\u{1}D\u{2}", b"unsaid").await;
    call(&channel, end(committed, COMMIT)).await;
    call(&channel, end(rolled_back, ROLLBACK)).await;
    bank.clock.advance(3_000);
    bank.until("an op record", || bank.count(names::OP_HALF_TOPIC, 0) > 0)
        .await;
    call(&channel, end(unsaid, COMMIT)).await;
    let clock = bank.clock.clone();
    let dir = bank.fixture.crash().await;

    let bank = Bank::reopen(dir, clock).await;
    let (producer, channel) = bank.producer().await;
    assert_eq!(bank.count("T", 1), 2);
    // The op queue says both have ended, and the log says how.
    assert_eq!(
        call(&channel, end(committed, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    assert_eq!(
        said(&call(&channel, end(rolled_back, COMMIT)).await),
        NOT_FOUND
    );
    assert_eq!(bank.count("T", 1), 2);
    bank.until("questions", || producer.questions.lock().len() >= 2)
        .await;
    let questions = producer.questions.lock().clone();
    let mut asked: Vec<_> = questions
        .iter()
        .map(|question| Record::parse(&question.body).unwrap().body.to_vec())
        .collect();
    asked.sort();
    assert_eq!(asked, [b"open".to_vec(), b"unsaid".to_vec()]);
    call(&channel, end(open, ROLLBACK)).await;
    assert_eq!(bank.count("T", 1), 2);
    // Nobody had told the op queue, but the log has the commit: it is not stored twice.
    for question in &questions {
        let body = Record::parse(&question.body).unwrap().body;
        if body == b"unsaid" {
            let again = call(&channel, end(question.end, COMMIT)).await;
            assert_eq!(again.code, ResponseCode::SUCCESS);
        }
    }
    assert_eq!(bank.count("T", 1), 2);
    let asked = producer.questions.lock().len();
    bank.pass(20).await;
    assert_eq!(producer.questions.lock().len(), asked);
    bank.stop().await;
}

/// Which copies belong together is not kept in memory alone.
#[tokio::test]
async fn after_a_crash_an_answer_to_any_copy_ends_the_transaction() {
    let bank = Bank::start(frequent).await;
    let (producer, channel) = bank.producer().await;
    let first = bank.half(&channel, "UNIQ_KEY\u{1}A\u{2}", b"a").await;
    let other = bank.half(&channel, "UNIQ_KEY\u{1}B\u{2}", b"b").await;
    bank.until("two questions about each", || {
        producer.questions.lock().len() >= 4
    })
    .await;
    let questions = producer.questions.lock().clone();
    let copy_of = |body: &[u8]| {
        let is_it = |question: &&Question| Record::parse(&question.body).unwrap().body == body;
        questions.iter().find(is_it).unwrap().end
    };
    let clock = bank.clock.clone();
    let dir = bank.fixture.crash().await;

    let bank = Bank::reopen(dir, clock).await;
    let (producer, channel) = bank.producer().await;
    // The first copy of one, and one in the middle of the other.
    let rolled_back = call(&channel, end(first, ROLLBACK)).await;
    assert_eq!(rolled_back.code, ResponseCode::SUCCESS);
    let committed = call(&channel, end(copy_of(b"b"), COMMIT)).await;
    assert_eq!(committed.code, ResponseCode::SUCCESS);
    assert_eq!(bank.count("T", 1), 1);
    bank.pass(30).await;
    assert_eq!(producer.questions.lock().len(), 0);
    for (again, wanted) in [
        (copy_of(b"a"), NOT_FOUND),
        (other, (ResponseCode::SUCCESS, "")),
        (copy_of(b"b"), (ResponseCode::SUCCESS, "")),
    ] {
        assert_eq!(said(&call(&channel, end(again, COMMIT)).await), wanted);
    }
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

/// A half message whose acknowledgement was lost is sent again: two numbers, one id, one delivery.
#[tokio::test]
async fn a_half_message_that_was_sent_twice_is_delivered_once() {
    let bank = Bank::start(frequent).await;
    let (producer, channel) = bank.producer().await;
    bank.half(&channel, "UNIQ_KEY\u{1}A\u{2}", b"a").await;
    let acknowledged = bank.half(&channel, "UNIQ_KEY\u{1}A\u{2}", b"a").await;
    call(&channel, end(acknowledged, COMMIT)).await;
    bank.until("a question", || !producer.questions.lock().is_empty())
        .await;
    let question = producer.questions.lock()[0].clone();
    let again = call(&channel, end(question.end, COMMIT)).await;
    assert_eq!(again.code, ResponseCode::SUCCESS);
    assert_eq!(bank.count("T", 1), 1);
    bank.stop().await;
}

#[tokio::test]
async fn progress_is_kept_as_apache_keeps_it() {
    let bank = Bank::start(frequent).await;
    let (_, channel) = bank.producer().await;
    for _ in 0..3 {
        let half = bank.half(&channel, "", b"x").await;
        call(&channel, end(half, COMMIT)).await;
    }
    let offsets = |bank: &Bank| {
        bank.fixture.broker.offsets.with(|offsets| {
            [names::HALF_TOPIC, names::OP_HALF_TOPIC].map(|topic| offsets.query(topic, GROUP, 0))
        })
    };
    bank.until("progress", || offsets(&bank) == [Some(3), Some(1)])
        .await;
    let half = bank.half(&channel, "", b"y").await;
    let clock = bank.clock.clone();
    let dir = bank.stop().await;
    let bank = Bank::reopen(dir, clock).await;
    assert_eq!(offsets(&bank), [Some(3), Some(1)]);
    let (_, channel) = bank.producer().await;
    assert_eq!(
        call(&channel, end(half, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    assert_eq!(bank.count("T", 1), 4);
    bank.stop().await;
}

#[tokio::test]
async fn with_synchronous_flush_a_commit_is_answered_after_the_disk() {
    let bank = Bank::start(|options| {
        options.store.flush = FlushMode::Sync { timeout: LIMIT };
    })
    .await;
    let (_, channel) = bank.producer().await;
    let half = bank.half(&channel, "", b"x").await;
    assert_eq!(
        call(&channel, end(half, COMMIT)).await.code,
        ResponseCode::SUCCESS
    );
    let store = &bank.fixture.broker.store;
    let stored = bank.record("T", 1, 0);
    let message = Record::parse(&stored).unwrap();
    let message_end = u64::try_from(message.physical_offset).unwrap() + u64::from(message.size);
    assert!(store.flushed().get() >= message_end);
    bank.stop().await;
}

#[tokio::test]
async fn open_transactions_of_apache_are_carried_on() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/golden/tx");
    let dir = tempfile::tempdir().unwrap();
    let archive = GzDecoder::new(std::fs::File::open(golden.join("store.tar.gz")).unwrap());
    tar::Archive::new(archive).unpack(dir.path()).unwrap();
    let clock = Clock::manual(1_795_312_600_000);
    let fixture = Fixture::at(clock.clone(), dir, |options| {
        options.store.index_slots = 500;
        options.store.index_entries = 2_000;
        options.transaction_check_interval = 4_000;
    })
    .await;
    let bank = Bank { fixture, clock };
    let producer = Arc::<Producer>::default();
    let address = bank.fixture.server.local_addr().to_string();
    let limits = ConnLimits::default();
    let channel = connect(&address, Arc::clone(&producer), limits, LIMIT)
        .await
        .unwrap();
    let group = "GoldTxProducers";
    call(&channel, producing("c", group)).await;

    // Apache had dealt with 25 of 27; what its op queue says is behind that.
    bank.until("questions", || producer.questions.lock().len() >= 2)
        .await;
    let questions = producer.questions.lock().clone();
    let facts: Vec<_> = questions
        .iter()
        .take(2)
        .map(|question| {
            let record = Record::parse(&question.body).unwrap();
            let property = |name| record.properties.get(name).unwrap().to_owned();
            (
                question.end.number,
                property(names::KEYS),
                property(names::TRANSACTION_CHECK_TIMES),
            )
        })
        .collect();
    let text = str::to_owned;
    assert_eq!(
        facts,
        [
            (27, text("pending-1"), text("9")),
            (28, text("commit-1"), text("10"))
        ]
    );
    let decided = call(&channel, end_as(group, questions[0].end, COMMIT)).await;
    assert_eq!(decided.code, ResponseCode::SUCCESS, "{}", decided.remark());
    let decided = call(&channel, end_as(group, questions[1].end, ROLLBACK)).await;
    assert_eq!(decided.code, ResponseCode::SUCCESS, "{}", decided.remark());
    assert_eq!((bank.count("GoldTx", 0), bank.count("GoldTx", 1)), (2, 3));
    let offsets = |topic| {
        let broker = &bank.fixture.broker;
        broker
            .offsets
            .with(|offsets| offsets.query(topic, GROUP, 0))
    };
    bank.until("progress", || {
        offsets(names::HALF_TOPIC) >= Some(29) && offsets(names::OP_HALF_TOPIC) >= Some(4)
    })
    .await;
    bank.stop().await;
}
