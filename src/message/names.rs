//! Reserved property names (`MessageConst`) and system topics (`TopicValidator`, `MixAll`).

/// Keys for the index, separated by blanks.
pub const KEYS: &str = "KEYS";
/// The tag, or tags joined by `||`.
pub const TAGS: &str = "TAGS";
/// Whether the producer waits for the store ("true" / "false").
pub const WAIT: &str = "WAIT";
/// The delay level, 1 and up.
pub const DELAY: &str = "DELAY";
/// The topic of a retried message before it went to the retry topic.
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
/// The topic a delayed or half message will go to.
pub const REAL_TOPIC: &str = "REAL_TOPIC";
/// The queue a delayed or half message will go to.
pub const REAL_QID: &str = "REAL_QID";
/// "true" on half messages.
pub const TRAN_MSG: &str = "TRAN_MSG";
/// How long a half message's producer is not asked about it, in seconds.
pub const CHECK_IMMUNITY_TIME_IN_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
/// The number under which an immune half message was first stored.
pub const TRAN_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
/// How often the producer of a half message was asked about it.
pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
/// The unique key of a half message, once more.
pub const TRANSACTION_ID: &str = "__transactionId__";
/// The producer group of a half message.
pub const PGROUP: &str = "PGROUP";
/// The offset message id of a retried message's first record.
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// The dead-letter topic a message was taken from to be sent again.
pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
/// The client's message id it had there.
pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
/// The client's message id.
pub const UNIQ_KEY: &str = "UNIQ_KEY";
/// How often a message may be retried, set by consumers that send it back themselves.
pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
/// How often a message has been retried, set by consumers that send it back themselves.
pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
/// The region the broker belongs to.
pub const MSG_REGION: &str = "MSG_REGION";
/// Whether clients should trace the message.
pub const TRACE_ON: &str = "TRACE_ON";
/// The cluster that stored the message.
pub const CLUSTER: &str = "CLUSTER";
/// A POP receipt handle; a producer may not set it.
pub const POP_CK: &str = "POP_CK";
/// When a message was popped for the first time, milliseconds since 1970.
pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
/// The group a message was revived for.
pub const ORIGIN_GROUP: &str = "ORIGIN_GROUP";
/// Number of messages in an inner batch.
pub const INNER_NUM: &str = "INNER_NUM";
/// The queue offset of the first message of an inner batch.
pub const INNER_BASE: &str = "INNER_BASE";
/// Extra queues (light queues) a message belongs to, separated by commas.
pub const INNER_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
/// Offsets in those queues.
pub const INNER_MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
/// Delay in seconds.
pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
/// Delay in milliseconds.
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
/// Time of delivery, milliseconds since 1970.
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
/// The rounded time of delivery, set by the broker.
pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
/// When the timer filed the message, set on delivery.
pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
/// When the timer delivered the message.
pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
/// How often the timer put the message back, for one more turn.
pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
/// The key of the waiting message that this one takes back.
pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
/// When a message of the broker's own was made.
pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
/// Tracing headers of the producer.
pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
/// The sharding key of an ordered message.
pub const SHARDING_KEY: &str = "__SHARDINGKEY";
/// The checksum of the record before this property.
pub const CRC32: &str = "__CRC32#";
/// The kind of a message; "reply" for answers of request-reply.
pub const MSG_TYPE: &str = "MSG_TYPE";

/// Holds delayed messages, one queue per delay level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Holds messages with an arbitrary delay.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// The template topic for automatic creation.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Holds half messages.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Holds the ends of transactions.
pub const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Holds half messages that were checked too often.
pub const TRANS_CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Message traces.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// A probe topic of old clients.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Events about moved offsets.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// The topic of Apache's benchmark programs.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
