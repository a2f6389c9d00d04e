//! The settings of a broker, under Apache's names, with Apache's defaults (`BrokerConfig` and `MessageStoreConfig` 5.5.0).
//!
//! One table gives each setting its field, its key and its default. The configuration file, `GET_BROKER_CONFIG` and
//! `UPDATE_BROKER_CONFIG` all go through [`BrokerOptions::set`] and [`BrokerOptions::properties`].

use std::time::Duration;

use super::replication::{BrokerRole, ReplicationMode};
use crate::base::list::addresses;
use crate::store::{FlushMode, StoreOptions};

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    /// No setting of this name is known here.
    #[error("unknown setting {key}")]
    Unknown {
        /// The key as given.
        key: String,
    },
    /// The value is not of the setting's type or range.
    #[error("bad value {value:?} for {key}: {expected}")]
    Bad {
        /// The key as given.
        key: String,
        /// The value as given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

fn bad(key: &str, value: &str, expected: &'static str) -> OptionError {
    OptionError::Bad {
        key: key.to_owned(),
        value: value.to_owned(),
        expected,
    }
}

/// A value that has a text form in a properties file.
trait Setting: Sized {
    const EXPECTED: &'static str;
    fn read(text: &str) -> Option<Self>;
    fn show(&self) -> String;
}

/// When a changed setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Now,
    AfterRestart,
}

/// Settings that are read once.
const AT_START: [&str; 20] = [
    "advertisedPort",
    "asyncLearner",
    "brokerName",
    "brokerId",
    "brokerIP1",
    "brokerIP2",
    "brokerClusterName",
    "brokerRole",
    "clusterTopicEnable",
    "controllerAddr",
    "enableControllerMode",
    "haListenPort",
    "haMasterAddress",
    "listenPort",
    "logPageCacheMaxRatio",
    "maxParkedPulls",
    "msgTraceTopicName",
    "replication",
    "reviveQueueNum",
    "totalReplicas",
];

/// Settings of the store that it takes while it is open.
const RETENTION: [&str; 6] = [
    "cleanFileForciblyEnable",
    "deleteWhen",
    "diskMaxUsedSpaceRatio",
    "diskSpaceCleanForciblyRatio",
    "diskSpaceWarningLevelRatio",
    "fileReservedTime",
];

macro_rules! plain_settings {
    ($($kind:ty: $expected:literal),* $(,)?) => {$(
        impl Setting for $kind {
            const EXPECTED: &'static str = $expected;
            fn read(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

plain_settings! {
    bool: "true or false",
    i32: "a whole number",
    i64: "a whole number",
    u16: "a port number",
    u32: "a whole number, not negative",
    u64: "a whole number, not negative",
    String: "text",
    BrokerRole: "ASYNC_MASTER, SYNC_MASTER or SLAVE",
    ReplicationMode: "classic or majority",
}

macro_rules! broker_options {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr => $key:literal;)*) => {
        /// How a broker is to behave. Times are milliseconds, as in Apache's files.
        #[derive(Clone, Debug)]
        pub(crate) struct BrokerOptions {
            $($(#[$doc])* pub(crate) $field: $kind,)*
            /// How its store is kept.
            pub(crate) store: StoreOptions,
        }

        impl BrokerOptions {
            /// Apache's defaults for a broker that keeps its store as `store` says.
            pub(crate) fn new(store: StoreOptions) -> Self {
                Self { $($field: $default,)* store }
            }

            fn set_own(&mut self, key: &str, value: &str) -> Option<Result<(), OptionError>> {
                match key {
                    $($key => Some(match <$kind as Setting>::read(value) {
                        Some(read) => { self.$field = read; Ok(()) }
                        None => Err(bad(key, value, <$kind as Setting>::EXPECTED)),
                    }),)*
                    _ => None,
                }
            }

            fn own_properties(&self) -> Vec<(&'static str, String)> {
                vec![$(($key, Setting::show(&self.$field)),)*]
            }
        }
    };
}

broker_options! {
    /// The cluster this broker belongs to.
    broker_cluster_name: String = "DefaultCluster".to_owned() => "brokerClusterName";
    /// Its name, shared with its slaves.
    broker_name: String = "broker-a".to_owned() => "brokerName";
    /// 0 for a master.
    broker_id: i64 = 0 => "brokerId";
    /// The address clients are told.
    broker_ip1: String = "127.0.0.1".to_owned() => "brokerIP1";
    /// The address slaves are told.
    broker_ip2: String = "127.0.0.1".to_owned() => "brokerIP2";
    /// The port it really listens on (after binding, if 0 was asked for).
    listen_port: u16 = 10911 => "listenPort";
    /// The port clients are told; 0 means `listenPort`. This broker's own setting.
    advertised_port: u16 = 0 => "advertisedPort";
    /// The port slaves are told; 0 means `listenPort` + 1.
    ha_listen_port: u16 = 0 => "haListenPort";
    /// Whether it takes messages, and whether it waits for its slaves then.
    broker_role: BrokerRole = BrokerRole::AsyncMaster => "brokerRole";
    /// The HA address a slave follows; empty: what the name servers tell.
    ha_master_address: String = String::new() => "haMasterAddress";
    /// The remoting address of a slave's master; empty: what the name servers tell. This broker's own setting.
    master_addr: String = String::new() => "masterAddr";
    /// A sign of life is sent on HA connections after so long.
    ha_send_heartbeat_interval: u64 = 5_000 => "haSendHeartbeatInterval";
    /// An HA connection on which nothing came for so long is closed.
    ha_housekeeping_interval: u64 = 20_000 => "haHousekeepingInterval";
    /// Bytes of the log in one frame; Apache's slaves take less than 4 MiB.
    ha_transfer_batch_size: u32 = 32 << 10 => "haTransferBatchSize";
    /// A slave that is so many bytes behind is not in sync.
    ha_max_gap_not_in_sync: u64 = 256 << 20 => "haMaxGapNotInSync";
    /// A `SYNC_MASTER` answers when so many brokers have a message, itself included; at least 2.
    in_sync_replicas: u32 = 1 => "inSyncReplicas";
    /// A `SYNC_MASTER` refuses messages while fewer brokers than this are in sync, itself included.
    min_in_sync_replicas: u32 = 1 => "minInSyncReplicas";
    /// Whether a `SYNC_MASTER` waits for every slave that is in sync.
    all_ack_in_sync_state_set: bool = false => "allAckInSyncStateSet";
    /// How long a `SYNC_MASTER` waits for its slaves.
    slave_timeout: u64 = 3_000 => "slaveTimeout";
    /// Brokers of this name, masters and slaves.
    total_replicas: u32 = 1 => "totalReplicas";
    /// `classic` or `majority`: this broker's own setting.
    replication: ReplicationMode = ReplicationMode::Classic => "replication";
    /// Whether a controller says who is master.
    enable_controller_mode: bool = false => "enableControllerMode";
    /// Controllers, `host:port` separated by `;`.
    controller_addr: String = String::new() => "controllerAddr";
    /// The controllers are told so often that this broker lives.
    broker_heartbeat_interval: u64 = 1_000 => "brokerHeartbeatInterval";
    /// A broker that was silent for so long has lost its role. Apache: 10 s; less, so that another has taken its place
    /// within that time.
    controller_heart_beat_timeout_mills: u64 = 5_000 => "controllerHeartBeatTimeoutMills";
    /// How often a controller is asked who is master, while nothing is amiss.
    sync_broker_metadata_period: u64 = 5_000 => "syncBrokerMetadataPeriod";
    /// How often the controllers are asked which of them leads. Apache: 10 s.
    sync_controller_metadata_period: u64 = 5_000 => "syncControllerMetadataPeriod";
    /// How often a master looks who of its slaves keeps up. Apache: 5 s.
    check_sync_state_set_period: u64 = 500 => "checkSyncStateSetPeriod";
    /// A slave that has not had all its master had for so long is taken out of the sync state set. Apache: 15 s; less,
    /// because in majority mode producers wait for it meanwhile.
    ha_max_time_slave_not_catchup: u64 = 3_000 => "haMaxTimeSlaveNotCatchup";
    /// Of several brokers that could be master, that with the smallest number.
    broker_election_priority: i32 = i32::MAX => "brokerElectionPriority";
    /// Whether this broker is a slave that never counts and never becomes master.
    async_learner: bool = false => "asyncLearner";
    /// Whether consumers are served by slaves.
    slave_read_enable: bool = false => "slaveReadEnable";
    /// Whether a slave corrects offsets it does not have.
    offset_check_in_slave: bool = false => "offsetCheckInSlave";
    /// A consumer that is further behind than this share of the memory is sent to a slave. Percent.
    access_message_in_memory_max_ratio: u32 = 40 => "accessMessageInMemoryMaxRatio";
    /// Name servers, `host:port` separated by `;`. Empty: none.
    namesrv_addr: String = String::new() => "namesrvAddr";
    /// 4 read, 2 write.
    broker_permission: i32 = 6 => "brokerPermission";
    /// Queues of the template topic.
    default_topic_queue_nums: i32 = 8 => "defaultTopicQueueNums";
    /// Whether a send to an unknown topic creates it.
    auto_create_topic_enable: bool = true => "autoCreateTopicEnable";
    /// Whether the topic named like the cluster can be used.
    cluster_topic_enable: bool = true => "clusterTopicEnable";
    /// Whether the topic named like the broker can be used.
    broker_topic_enable: bool = true => "brokerTopicEnable";
    /// Whether a first pull or heartbeat creates the group.
    auto_create_subscription_group: bool = true => "autoCreateSubscriptionGroup";
    /// Whether the trace topic is created at start.
    trace_topic_enable: bool = false => "traceTopicEnable";
    /// The name of the trace topic.
    msg_trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".to_owned() => "msgTraceTopicName";
    /// Told to clients with every answer to a send.
    trace_on: bool = true => "traceOn";
    /// Stored with every message and told to clients.
    region_id: String = "DefaultRegion".to_owned() => "regionId";
    /// Queues of the revive topic.
    revive_queue_num: i32 = 8 => "reviveQueueNum";
    /// Whether a pull that finds nothing waits.
    long_polling_enable: bool = true => "longPollingEnable";
    /// How long it waits with long polling off.
    short_polling_time_mills: u64 = 1000 => "shortPollingTimeMills";
    /// Whether lite pull consumers are served.
    lite_pull_message_enable: bool = true => "litePullMessageEnable";
    /// Whether half messages are refused.
    reject_transaction_message: bool = false => "rejectTransactionMessage";
    /// Nobody is asked about a half message that is younger.
    transaction_time_out: i64 = 6_000 => "transactionTimeOut";
    /// How often half messages are looked through.
    transaction_check_interval: i64 = 30_000 => "transactionCheckInterval";
    /// How often a producer is asked at most.
    transaction_check_max: i32 = 15 => "transactionCheckMax";
    /// A record of ended transactions is written when it has so many bytes,
    transaction_op_msg_max_size: u32 = 4_096 => "transactionOpMsgMaxSize";
    /// or when its first has waited so long.
    transaction_op_batch_interval: u32 = 3_000 => "transactionOpBatchInterval";
    /// Whether replies are stored in the cluster's reply topic as well.
    store_reply_message_enable: bool = true => "storeReplyMessageEnable";
    /// Whether an offset reset is kept here until the consumer pulls.
    use_server_side_reset_offset: bool = true => "useServerSideResetOffset";
    /// Whether SQL92 filters are offered.
    enable_property_filter: bool = false => "enablePropertyFilter";
    /// Whether an SQL92 filter on a retry topic is that of the topic a message was first sent to.
    filter_support_retry: bool = false => "filterSupportRetry";
    /// A client that sent nothing for so long is gone.
    channel_expired_timeout: u64 = 120_000 => "channelExpiredTimeout";
    /// How often offsets are written.
    flush_consumer_offset_interval: u64 = 5_000 => "flushConsumerOffsetInterval";
    /// How often the broker registers.
    register_name_server_period: u64 = 30_000 => "registerNameServerPeriod";
    /// How long a registration may take.
    register_broker_timeout_mills: u64 = 24_000 => "registerBrokerTimeoutMills";
    /// Sends are refused until this time of day.
    start_accept_send_request_time_stamp: i64 = 0 => "startAcceptSendRequestTimeStamp";
    /// Whether system topics are protected from administration.
    validate_system_topic_when_update_topic: bool = true => "validateSystemTopicWhenUpdateTopic";
    /// Whether a topic may mix message types.
    enable_mixed_message_type: bool = false => "enableMixedMessageType";
    /// Whether POP retry topics go with their topic.
    clear_retry_topic_when_delete_topic: bool = true => "clearRetryTopicWhenDeleteTopic";
    /// The tick of the timer: 100, 200, 500 or 1000 ms; anything else counts as the next smaller one.
    timer_precision: u32 = 1000 => "timerPrecisionMs";
    /// The farthest time of delivery, in seconds from now.
    timer_max_delay_sec: u32 = 3 * 86_400 => "timerMaxDelaySec";
    /// Whether messages that arrive for the timer stay in its topic.
    timer_stop_enqueue: bool = false => "timerStopEnqueue";
    /// Whether messages that are due stay with the timer.
    timer_stop_dequeue: bool = false => "timerStopDequeue";
    /// A tick with more messages takes new ones by chance, one with twice as many none.
    timer_congest_num_each_slot: i32 = i32::MAX => "timerCongestNumEachSlot";
    /// How many ticks a message waits before it is put back for one more turn.
    timer_roll_window_slot: u32 = 2 * 86_400 => "timerRollWindowSlot";
    /// How often the timer's progress is written while it makes some.
    timer_flush_interval_ms: u32 = 1_000 => "timerFlushIntervalMs";
    /// Bytes of a file of the timer log.
    mapped_file_size_timer_log: u32 = 100 << 20 => "mappedFileSizeTimerLog";
    /// Whether producers may take back messages that wait.
    recall_message_enable: bool = false => "recallMessageEnable";
    /// Whether they may while the broker takes no messages.
    allow_recall_when_broker_not_writeable: bool = true => "allowRecallWhenBrokerNotWriteable";
    /// Whether a recall names the topic beside the key.
    append_topic_for_timer_delete_key: bool = false => "appendTopicForTimerDeleteKey";
    /// The assignment clients get without a request mode of their own.
    default_message_request_mode: String = "PULL".to_owned() => "defaultMessageRequestMode";
    /// Queues a POP client shares without a request mode of its own.
    default_pop_share_queue_num: i32 = -1 => "defaultPopShareQueueNum";
    /// Whether queue assignment is calculated here.
    server_load_balancer_enable: bool = true => "serverLoadBalancerEnable";
    /// Whether POP is served at all: Apache's check points need the timer.
    timer_wheel_enable: bool = true => "timerWheelEnable";
    /// Pops of one group that may wait for the same queues.
    pop_polling_size: u32 = 1024 => "popPollingSize";
    /// Pops that may wait in all.
    max_pop_polling_size: u32 = 100_000 => "maxPopPollingSize";
    /// How many of a hundred pops look into the retry topic first.
    pop_from_retry_probability: i32 = 20 => "popFromRetryProbability";
    /// Whether messages go to the second version of the retry topic.
    enable_retry_topic_v2: bool = false => "enableRetryTopicV2";
    /// Whether the first version is read too, then.
    retrieve_message_from_pop_retry_topic_v1: bool = true => "retrieveMessageFromPopRetryTopicV1";
    /// Whether clients see the retry topic instead of the original one.
    pop_response_return_actual_retry_topic: bool = false => "popResponseReturnActualRetryTopic";
    /// Whether a new group that wants the end gets everything while that is in memory.
    init_pop_offset_by_check_msg_in_mem: bool = true => "initPopOffsetByCheckMsgInMem";
    /// Whether check points stay in memory for a while.
    enable_pop_buffer_merge: bool = false => "enablePopBufferMerge";
    /// For how long.
    pop_ck_stay_buffer_time: i64 = 10_000 => "popCkStayBufferTime";
    /// They are stored so long before their messages become visible.
    pop_ck_stay_buffer_time_out: i64 = 3_000 => "popCkStayBufferTimeOut";
    /// Most check points in memory.
    pop_ck_max_buffer_size: u32 = 200_000 => "popCkMaxBufferSize";
    /// Most of one queue.
    pop_ck_offset_max_queue_size: u32 = 20_000 => "popCkOffsetMaxQueueSize";
    /// Settings `UPDATE_BROKER_CONFIG` may not touch.
    config_black_list: String = "configBlackList;brokerConfigPath".to_owned() => "configBlackList";
    /// Most matches of one query.
    default_query_max_num: i32 = 32 => "defaultQueryMaxNum";
    /// Most messages of one pull from memory.
    max_transfer_count_on_message_in_memory: u32 = 32 => "maxTransferCountOnMessageInMemory";
    /// Most bytes of one pull from memory.
    max_transfer_bytes_on_message_in_memory: u32 = 256 << 10 => "maxTransferBytesOnMessageInMemory";
    /// A pull that begins so many bytes behind the end of the log is read where it may block: what it wants may have
    /// to come from the disk. 0 goes by `accessMessageInMemoryMaxRatio`: what memory can hold is not taken for cold.
    cold_read_distance: u64 = 0 => "coldReadDistance";
    /// How much of the end of the log is to stay in the page cache, in percent of the memory. 100 leaves it to the kernel.
    log_page_cache_max_ratio: u32 = 12 => "logPageCacheMaxRatio";
    /// Most pulls that may wait.
    max_parked_pulls: u32 = 100_000 => "maxParkedPulls";
}

impl BrokerOptions {
    /// The address clients are told.
    pub(crate) fn address(&self) -> String {
        let (host, port) = (&self.broker_ip1, self.told_port());
        if host.parse::<std::net::Ipv6Addr>().is_ok() {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The port clients are told.
    pub(crate) fn told_port(&self) -> u16 {
        match self.advertised_port {
            0 => self.listen_port,
            port => port,
        }
    }

    /// The address slaves are told.
    pub(crate) fn ha_address(&self) -> String {
        let port = match self.ha_listen_port {
            0 => self.listen_port.saturating_add(1),
            port => port,
        };
        format!("{}:{port}", self.broker_ip2)
    }

    /// Whether a majority is asked for of nobody knows how many.
    pub(crate) fn lacks_total_replicas(&self) -> bool {
        self.replication == ReplicationMode::Majority && self.total_replicas < 2
    }

    /// The controllers, in the order given.
    pub(crate) fn controllers(&self) -> impl Iterator<Item = &str> {
        addresses(&self.controller_addr)
    }

    /// How much of the end of the log is to stay in the page cache on a machine with this memory.
    pub(crate) fn log_cache_bytes(&self, memory_bytes: Option<u64>) -> u64 {
        match (memory_bytes, self.log_page_cache_max_ratio) {
            (Some(memory), ratio @ ..100) => memory / 100 * u64::from(ratio),
            _ => u64::MAX,
        }
    }

    /// The tick of the timer, in milliseconds.
    pub(crate) fn timer_precision_ms(&self) -> i64 {
        match self.timer_precision {
            ..200 => 100,
            200..500 => 200,
            500..1000 => 500,
            _ => 1000,
        }
    }

    /// The farthest time of delivery, in milliseconds from now.
    pub(crate) fn timer_max_delay_ms(&self) -> i64 {
        i64::from(self.timer_max_delay_sec) * 1000
    }

    /// The name servers, in the order given.
    pub(crate) fn name_servers(&self) -> impl Iterator<Item = &str> {
        addresses(&self.namesrv_addr)
    }

    /// Sets one setting from its text form.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), OptionError> {
        if let Some(done) = self.set_own(key, value) {
            return done;
        }
        self.set_store(key, value)
    }

    /// Sets one setting of a running broker. What is read at the start only is checked and left as it is.
    pub(crate) fn set_while_running(
        &mut self,
        key: &str,
        value: &str,
    ) -> Result<Effect, OptionError> {
        if AT_START.contains(&key) {
            self.clone().set(key, value)?;
            return Ok(Effect::AfterRestart);
        }
        if let Some(done) = self.set_own(key, value) {
            return done.map(|()| Effect::Now);
        }
        if RETENTION.contains(&key) {
            return self.set_store(key, value).map(|()| Effect::Now);
        }
        self.clone().set_store(key, value)?;
        Ok(Effect::AfterRestart)
    }

    fn set_store(&mut self, key: &str, value: &str) -> Result<(), OptionError> {
        fn read<T: Setting>(key: &str, value: &str) -> Result<T, OptionError> {
            T::read(value).ok_or_else(|| bad(key, value, T::EXPECTED))
        }
        let store = &mut self.store;
        match key {
            "storePathRootDir" => store.dir = value.trim().into(),
            "mappedFileSizeCommitLog" => store.log_file_bytes = read(key, value)?,
            "mappedFileSizeConsumeQueue" => store.queue_file_bytes = read(key, value)?,
            "enableLmq" => store.light_queues = read(key, value)?,
            "enableMultiDispatch" => store.multi_dispatch = read(key, value)?,
            "maxLmqConsumeQueueNum" => store.light_queues_max = read(key, value)?,
            "mapperFileSizeBatchConsumeQueue" => {
                store.batch_queue_file_bytes = read(key, value)?;
            }
            "maxHashSlotNum" => store.index_slots = read(key, value)?,
            "maxIndexNum" => store.index_entries = read(key, value)?,
            "messageIndexEnable" => store.index_enabled = read(key, value)?,
            "flushDiskType" => store.flush = flush_mode(key, value)?,
            "flushIntervalCommitLog" => {
                let interval = Duration::from_millis(read(key, value)?);
                if let FlushMode::Async { .. } = store.flush {
                    store.flush = FlushMode::Async { interval };
                }
            }
            "syncFlushTimeout" => {
                let timeout = Duration::from_millis(read(key, value)?);
                if let FlushMode::Sync { .. } = store.flush {
                    store.flush = FlushMode::Sync { timeout };
                }
            }
            "flushIntervalConsumeQueue" => {
                store.queue_flush_interval = Duration::from_millis(read(key, value)?);
            }
            "fileReservedTime" => store.file_reserved_hours = read(key, value)?,
            "deleteWhen" => value.trim().clone_into(&mut store.delete_when),
            "diskMaxUsedSpaceRatio" => store.disk_max_used_ratio = percent(key, value)?,
            "diskSpaceCleanForciblyRatio" => {
                store.disk_clean_forcibly_ratio = percent(key, value)?;
            }
            "diskSpaceWarningLevelRatio" => store.disk_warning_ratio = percent(key, value)?,
            "cleanFileForciblyEnable" => store.clean_file_forcibly = read(key, value)?,
            "cleanResourceInterval" => {
                store.retention_interval = Duration::from_millis(read(key, value)?);
            }
            "maxMessageSize" => {
                store.message_max = usize::try_from(read::<u32>(key, value)?)
                    .map_err(|_| bad(key, value, u32::EXPECTED))?;
            }
            "messageDelayLevel" => {
                store.delay_levels_ms = delay_levels(value)
                    .ok_or_else(|| bad(key, value, "levels such as \"1s 5s 1m 2h\""))?;
            }
            _ => {
                return Err(OptionError::Unknown {
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Every setting under its key, in text form.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        let store = &self.store;
        let ms = |duration: Duration| duration.as_millis().to_string();
        let mut all = self.own_properties();
        all.extend([
            ("storePathRootDir", store.dir.display().to_string()),
            (
                "storePathCommitLog",
                store.dir.join("commitlog").display().to_string(),
            ),
            ("mappedFileSizeCommitLog", store.log_file_bytes.to_string()),
            (
                "mappedFileSizeConsumeQueue",
                store.queue_file_bytes.to_string(),
            ),
            (
                "mapperFileSizeBatchConsumeQueue",
                store.batch_queue_file_bytes.to_string(),
            ),
            ("enableLmq", store.light_queues.to_string()),
            ("enableMultiDispatch", store.multi_dispatch.to_string()),
            ("maxLmqConsumeQueueNum", store.light_queues_max.to_string()),
            ("maxHashSlotNum", store.index_slots.to_string()),
            ("maxIndexNum", store.index_entries.to_string()),
            ("messageIndexEnable", store.index_enabled.to_string()),
            ("flushIntervalConsumeQueue", ms(store.queue_flush_interval)),
            ("fileReservedTime", store.file_reserved_hours.to_string()),
            ("deleteWhen", store.delete_when.clone()),
            (
                "diskMaxUsedSpaceRatio",
                store.disk_max_used_ratio.to_string(),
            ),
            (
                "diskSpaceCleanForciblyRatio",
                store.disk_clean_forcibly_ratio.to_string(),
            ),
            (
                "diskSpaceWarningLevelRatio",
                store.disk_warning_ratio.to_string(),
            ),
            (
                "cleanFileForciblyEnable",
                store.clean_file_forcibly.to_string(),
            ),
            ("cleanResourceInterval", ms(store.retention_interval)),
            ("maxMessageSize", store.message_max.to_string()),
            (
                "messageDelayLevel",
                show_delay_levels(&store.delay_levels_ms),
            ),
        ]);
        match store.flush {
            FlushMode::Async { interval } => all.extend([
                ("flushDiskType", "ASYNC_FLUSH".to_owned()),
                ("flushIntervalCommitLog", ms(interval)),
            ]),
            FlushMode::Sync { timeout } => all.extend([
                ("flushDiskType", "SYNC_FLUSH".to_owned()),
                ("syncFlushTimeout", ms(timeout)),
            ]),
        }
        all
    }
}

fn percent(key: &str, value: &str) -> Result<u8, OptionError> {
    u32::read(value)
        .filter(|ratio| *ratio <= 100)
        .and_then(|ratio| u8::try_from(ratio).ok())
        .ok_or_else(|| bad(key, value, "a percentage"))
}

fn flush_mode(key: &str, value: &str) -> Result<FlushMode, OptionError> {
    match value.trim() {
        "ASYNC_FLUSH" => Ok(FlushMode::Async {
            interval: Duration::from_millis(500),
        }),
        "SYNC_FLUSH" => Ok(FlushMode::Sync {
            timeout: Duration::from_secs(5),
        }),
        _ => Err(bad(key, value, "ASYNC_FLUSH or SYNC_FLUSH")),
    }
}

const UNITS: [(&str, i64); 4] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];

fn delay_levels(text: &str) -> Option<Vec<i64>> {
    let level = |word: &str| -> Option<i64> {
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| Some((word.strip_suffix(unit)?, *factor)))?;
        digits
            .parse::<u32>()
            .ok()
            .and_then(|count| i64::from(count).checked_mul(factor))
    };
    let levels: Option<Vec<i64>> = text.split_whitespace().map(level).collect();
    levels.filter(|levels| !levels.is_empty())
}

fn show_delay_levels(levels_ms: &[i64]) -> String {
    let show = |ms: &i64| {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| ms % factor == 0)
            .unwrap_or(&("s", 1_000));
        format!("{}{unit}", ms / factor)
    };
    levels_ms.iter().map(show).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> BrokerOptions {
        BrokerOptions::new(StoreOptions::new("store"))
    }

    #[test]
    fn settings_are_read_under_apaches_keys() {
        let mut options = options();
        options.set("brokerName", "b").unwrap();
        options.set("autoCreateTopicEnable", " false ").unwrap();
        options.set("flushDiskType", "SYNC_FLUSH").unwrap();
        options.set("messageDelayLevel", "1s 2m 1h").unwrap();
        assert_eq!(options.broker_name, "b");
        assert!(!options.auto_create_topic_enable);
        assert!(matches!(options.store.flush, FlushMode::Sync { .. }));
        assert_eq!(options.store.delay_levels_ms, [1_000, 120_000, 3_600_000]);
        assert!(matches!(
            options.set("noSuchKey", "1"),
            Err(OptionError::Unknown { .. })
        ));
        assert!(matches!(
            options.set("listenPort", "many"),
            Err(OptionError::Bad { .. })
        ));
    }

    #[test]
    fn what_is_shown_can_be_set() {
        let mut copy = options();
        for (key, value) in options().properties() {
            match copy.set(key, &value) {
                Ok(()) => {}
                // Derived from the root directory.
                Err(OptionError::Unknown { key }) => {
                    assert!(key == "storePathCommitLog");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(
            show_delay_levels(&copy.store.delay_levels_ms),
            "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"
        );
    }

    #[test]
    fn a_running_broker_takes_what_it_can() {
        let mut options = options();
        let set = |options: &mut BrokerOptions, key, value| options.set_while_running(key, value);
        assert_eq!(set(&mut options, "fileReservedTime", "9"), Ok(Effect::Now));
        assert_eq!(options.store.file_reserved_hours, 9);
        assert_eq!(set(&mut options, "traceOn", "false"), Ok(Effect::Now));
        assert!(!options.trace_on);
        let later = set(&mut options, "listenPort", "1");
        assert_eq!(later, Ok(Effect::AfterRestart));
        assert_eq!(options.listen_port, 10911);
        let later = set(&mut options, "maxMessageSize", "1");
        assert_eq!(later, Ok(Effect::AfterRestart));
        assert_ne!(options.store.message_max, 1);
        for (key, value) in [("listenPort", "many"), ("fileReservedTime", "long")] {
            let bad = set(&mut options, key, value);
            assert!(matches!(bad, Err(OptionError::Bad { .. })), "{bad:?}");
        }
    }

    #[test]
    fn addresses() {
        let mut options = options();
        options.namesrv_addr = "a:9876; b:9876;".to_owned();
        assert_eq!(
            options.name_servers().collect::<Vec<_>>(),
            ["a:9876", "b:9876"]
        );
        assert_eq!(options.address(), "127.0.0.1:10911");
        assert_eq!(options.ha_address(), "127.0.0.1:10912");
    }
}
