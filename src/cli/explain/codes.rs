//! The response codes of brokers, name servers and controllers (`ResponseCode`, `RemotingSysResponseCode`).

use super::entry::Entry;

/// In the order of their numbers.
pub(super) const CODES: &[Entry] = &[
    Entry::response(-1006, "RPC_TIME_OUT", "One broker asked another one for the client and got no answer in time.")
        .next(&["rmq cluster show", "rmq broker ls"]),
    Entry::response(-1004, "RPC_SEND_TO_CHANNEL_FAILED", "One broker could not write its question to another one.")
        .next(&["rmq cluster show", "rmq broker ls"]),
    Entry::response(-1002, "RPC_ADDR_IS_NULL", "A broker was asked about a queue of another broker and knows no address for that one.")
        .causes(&["the other broker is down, or not registered with this one's name servers"])
        .next(&["rmq cluster show"]),
    Entry::response(-1000, "RPC_UNKNOWN", "A question from broker to broker failed, and nobody noted why.")
        .next(&["the log of the broker that answered"]),
    Entry::response(0, "SUCCESS", "It worked."),
    Entry::response(1, "SYSTEM_ERROR", "The server failed in a way that has no code of its own; the remark beside it says more.")
        .causes(&["an exception in the server: its log has the stack trace", "a request the server cannot read: field missing or of the wrong type"])
        .next(&["paste the remark into `rmq explain`", "the broker's log, broker.log"]),
    Entry::response(2, "SYSTEM_BUSY", "The broker has more work than it takes: the request was refused before anything was done with it.")
        .causes(&[
            "requests waited longer than waitTimeMillsInSendQueue (200 ms) for a free thread",
            "the page cache is slow: the write of a message holds the log longer than osPageCacheBusyTimeOutMills (1 s); usually a slow or shared disk",
            "a transient store pool with no free buffer",
        ])
        .next(&["rmq broker show -o wide (put times, page cache lock)", "iostat -x 1 on the broker's machine", "let producers retry; spread the load over more brokers", "sendMessageThreadPoolNums, useReentrantLockWhenPutMessage=true in broker.conf"])
        .marks(&["start flow control", "os page cache busy", "system busy", "broker busy", "[timeout_clean_queue]", "[pc_synchronized]", "[pcbusy_clean_queue]", "code: 2 "]),
    Entry::response(3, "REQUEST_CODE_NOT_SUPPORTED", "The server does not know this kind of request.")
        .causes(&["the address is that of a name server and the request is for a broker, or the other way round", "the server is older than the client", "a proxy's port (8081) instead of the broker's (10911)"])
        .next(&["rmq cluster show (addresses and versions)"])
        .marks(&["request type", "request code not supported"]),
    Entry::response(4, "TRANSACTION_FAILED", "A transactional message could not be stored as a half message.")
        .next(&["the broker's log", "rmq doctor"]),
    Entry::response(10, "FLUSH_DISK_TIMEOUT", "The message is in the broker's log, but the disk had not confirmed it within syncFlushTimeout (5 s).")
        .causes(&["a disk that is slow or stuck", "many fsyncs of other programs on the same disk"])
        .next(&["treat it as not sent: send again and let the consumer drop doubles by key", "iostat -x 1", "rmq explain FLUSH_DISK_TIMEOUT (the send status)"])
        .marks(&["flush_disk_timeout"]),
    Entry::response(11, "SLAVE_NOT_AVAILABLE", "The message is on the master; no slave was there to take a copy (brokerRole=SYNC_MASTER).")
        .causes(&["the slave is down or not connected to the master's HA port", "the slave is further behind than haMaxGapNotInSync (256 MiB)", "more copies are asked for (inSyncReplicas) than there are slaves in sync"])
        .next(&["rmq cluster show", "rmq doctor"])
        .marks(&["slave_not_available"]),
    Entry::response(12, "FLUSH_SLAVE_TIMEOUT", "The message is on the master; the slave had not confirmed its copy within slaveTimeout (3 s).")
        .causes(&["a slow network or a slow disk at the slave", "the slave is catching up"])
        .next(&["rmq doctor (how far slaves are behind)"])
        .marks(&["flush_slave_timeout"]),
    Entry::response(13, "MESSAGE_ILLEGAL", "The message itself cannot be stored; sending it again will fail again.")
        .causes(&["body larger than maxMessageSize (4 MiB) of the broker", "properties longer than 32,767 bytes", "topic longer than 127 bytes", "a delay beyond timerMaxDelaySec", "a batch with different topics, with delays or with retries"])
        .next(&["make the body smaller, or raise maxMessageSize on broker and producer", "rmq broker config get maxMessageSize timerMaxDelaySec"])
        .marks(&["message is illegal", "the message is illegal", "message body size over max value", "wheel_timer_msg_illegal", "maybe msg body or properties length not matched"]),
    Entry::response(14, "SERVICE_NOT_AVAILABLE", "The broker takes no messages at the moment. Nothing was stored.")
        .causes(&["the disk is fuller than diskSpaceWarningLevelRatio (90 %)", "the broker is a slave", "it is stopping, or still recovering after a crash", "a write failed: disk error, read-only file system"])
        .next(&["rmq doctor (disk room of every broker)", "df -h on the broker's machine", "free room: lower fileReservedTime, then `rmq broker clean`", "rmq broker show -o wide"])
        .marks(&["service not available now", "maybe disk full", "the broker's disk is full", "service_not_available", "broker service not available"]),
    Entry::response(15, "VERSION_NOT_SUPPORTED", "The server does not serve clients of this version.")
        .next(&["rmq client ls (versions)"]),
    Entry::response(16, "NO_PERMISSION", "Permission bits or access rules forbid it.")
        .causes(&[
            "the broker is read-only: brokerPermission without write, or its write permission was wiped for maintenance",
            "the topic's perm lacks 2 (write) or 4 (read)",
            "the group has consumeEnable=false, or consumeBroadcastEnable=false for a broadcasting consumer",
            "rejectTransactionMessage=true and the message is transactional",
            "access control: no rule lets this user do it, or the signature is wrong",
        ])
        .next(&["rmq broker perm (shows and sets it)", "rmq topic show TOPIC (perm)", "rmq group show GROUP", "rmq acl rule ls"])
        .marks(&["the broker's permission", "sending message is forbidden", "pulling message is forbidden", "subscription group no permission", "can not consume by broadcast way", "no permission", "no accesskey is configured", "check signature failed", "accesskey"]),
    Entry::response(17, "TOPIC_NOT_EXIST", "This broker or name server has no such topic.")
        .causes(&["the name is mistyped, or lacks its namespace (ns%topic)", "the topic is on another cluster or broker: the route the client used is old", "autoCreateTopicEnable=false and nobody created it", "nobody has sent to it yet: with auto-creation the first message creates it"])
        .next(&["rmq topic ls", "rmq topic show TOPIC", "rmq topic create TOPIC --queues 8"])
        .marks(&["topic_not_exist", "not exist, apply first please", "no topic route info in name server for the topic", "can not find message queue for this topic"]),
    Entry::response(18, "TOPIC_EXIST_ALREADY", "The topic is there already.").next(&["rmq topic show TOPIC"]),
    Entry::response(19, "PULL_NOT_FOUND", "No message at this offset yet: the consumer is at the end of the queue. Clients pull again by themselves."),
    Entry::response(20, "PULL_RETRY_IMMEDIATELY", "Messages were read and none matched the filter; the client should go on from the offset in the answer.")
        .causes(&["a tag or SQL filter that few messages match"])
        .next(&["rmq why GROUP TOPIC"]),
    Entry::response(21, "PULL_OFFSET_MOVED", "The offset asked for is outside the queue; the answer names the one to go on from.")
        .causes(&["messages were deleted before they were consumed: the group was behind for longer than fileReservedTime, or the disk was full", "offsets were restored from another store, or the topic was deleted and made again", "a slave that lacks the end of the log became master"])
        .next(&["rmq why GROUP TOPIC (says how many are gone)", "rmq group reset GROUP TOPIC --to earliest"])
        .marks(&["pull_offset_moved", "offset_illegal", "the offset request is illegal", "offset moved", "offset_moved_event", "offset illegal", "offset_reset"]),
    Entry::response(22, "QUERY_NOT_FOUND", "Nothing is stored under what was asked for: offset of a group that has not begun, message, or setting.")
        .next(&["rmq group show GROUP", "rmq msg get ID"])
        .marks(&["query message by id finished, but no message", "query message by key finished, but no message", "can not find message, maybe time range not correct"]),
    Entry::response(23, "SUBSCRIPTION_PARSE_FAILED", "The filter expression cannot be parsed.")
        .causes(&["tags need `||` between them: `a || b`", "SQL92: an unknown function, quotes missing around text", "the broker's SQL filter is off: enablePropertyFilter=true"])
        .next(&["rmq consume TOPIC --sql 'EXPRESSION' -n 1 (tells the position of the error)"])
        .marks(&["parse the consumer's subscription failed", "subscription_parse_failed", "does not support consumer to filter message by", "does not upgrade to support for filter message by"]),
    Entry::response(24, "SUBSCRIPTION_NOT_EXIST", "The broker does not know that this consumer subscribed to the topic.")
        .causes(&["the consumer's heartbeat has not reached this broker yet (lasts a moment after a start)", "members of one group subscribe to different topics, and the last heartbeat won", "a pull consumer that registers no subscription"])
        .next(&["rmq why GROUP TOPIC", "rmq client ls --group GROUP"])
        .marks(&["the consumer's subscription not exist", "the consumer's group info not exist", "subscription_not_exist"]),
    Entry::response(25, "SUBSCRIPTION_NOT_LATEST", "The broker has an older version of this consumer's subscription; it settles with the next heartbeat, within 30 s.")
        .causes(&["a subscription was just changed", "members of one group subscribe differently: each heartbeat replaces the other's, and the error keeps coming back"])
        .next(&["rmq why GROUP TOPIC (shows whose subscription differs)"])
        .marks(&["the consumer's subscription not latest", "subscription_not_latest"]),
    Entry::response(26, "SUBSCRIPTION_GROUP_NOT_EXIST", "The broker knows no such consumer group.")
        .causes(&["autoCreateSubscriptionGroup=false and nobody created it", "the name is mistyped, or lacks its namespace"])
        .next(&["rmq group ls", "rmq group create GROUP"])
        .marks(&["subscription group not exist", "subscription group does not exist", "subscription_group_not_exist"]),
    Entry::response(27, "FILTER_DATA_NOT_EXIST", "The broker has no compiled SQL filter for this consumer.")
        .causes(&["the consumer's heartbeat has not arrived", "the expression was refused"])
        .next(&["rmq why GROUP TOPIC"])
        .marks(&["consumer filter data is not exist"]),
    Entry::response(28, "FILTER_DATA_NOT_LATEST", "The broker's SQL filter for this consumer is older than the consumer's; the next heartbeat settles it.")
        .marks(&["consumer filter data not latest"]),
    Entry::response(29, "INVALID_PARAMETER", "A field of the request is missing or out of range; the remark names it."),
    Entry::response(200, "TRANSACTION_SHOULD_COMMIT", "Answer of a check-back: commit."),
    Entry::response(201, "TRANSACTION_SHOULD_ROLLBACK", "Answer of a check-back: roll back."),
    Entry::response(202, "TRANSACTION_STATE_UNKNOW", "Answer of a check-back: not known yet; the broker asks again."),
    Entry::response(203, "TRANSACTION_STATE_GROUP_WRONG", "The transaction was ended by a producer of another group than the one that began it."),
    Entry::response(204, "NO_BUYER_ID", "Kept from units of Apache's that are gone; no open server sends it."),
    Entry::response(205, "NOT_IN_CURRENT_UNIT", "The topic belongs to another unit (unitMode)."),
    Entry::response(206, "CONSUMER_NOT_ONLINE", "No member of the group is connected to the broker that was asked.")
        .causes(&["the consumer is down, or connected to other brokers only", "its heartbeat stopped: a hanging process or a network that drops idle connections"])
        .next(&["rmq group show GROUP", "rmq client ls --group GROUP"])
        .marks(&["not online", "no consumer for this group"]),
    Entry::response(207, "CONSUME_MSG_TIMEOUT", "A message given to a consumer directly was not dealt with in time."),
    Entry::response(208, "NO_MESSAGE", "No message at that place."),
    Entry::response(209, "POLLING_FULL", "Too many pops wait already (popPollingSize, maxPopPollingSize); the client tries again.")
        .next(&["fewer concurrent receives, or a higher popPollingSize"]),
    Entry::response(210, "POLLING_TIMEOUT", "A pop waited and no message came; the client asks again."),
    Entry::response(211, "BROKER_NOT_EXIST", "No such broker is registered.").next(&["rmq cluster show"])
        .marks(&["broker not exist"]),
    Entry::response(212, "BROKER_DISPATCH_NOT_COMPLETE", "The broker has just started and its queues have not caught up with the log.")
        .next(&["wait: rmq wait --ready"]),
    Entry::response(213, "BROADCAST_CONSUMPTION", "The group broadcasts: its offsets are at the clients, not at the broker.")
        .marks(&["broadcast_consumption"]),
    Entry::response(215, "FLOW_CONTROL", "Too many requests for what is allowed; try again later and slower.")
        .next(&["rmq broker show -o wide"])
        .marks(&["flow_control"]),
    Entry::response(501, "NOT_LEADER_FOR_QUEUE", "A static topic's queue has moved to another broker; the client's route is old and is fetched anew.")
        .next(&["rmq topic show TOPIC"]),
    Entry::response(604, "ILLEGAL_OPERATION", "It cannot be done with this kind of topic or message; the remark says why."),
    Entry::response(1500, "GO_AWAY", "The server is stopping in order; the client connects elsewhere and sends again."),
    Entry::response(2000, "CONTROLLER_FENCED_MASTER_EPOCH", "A master with an old epoch spoke; a newer master has been elected since."),
    Entry::response(2001, "CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH", "A change of the in-sync set came with an old epoch."),
    Entry::response(2002, "CONTROLLER_INVALID_MASTER", "The broker that spoke as master is not the master."),
    Entry::response(2003, "CONTROLLER_INVALID_REPLICAS", "The in-sync set names replicas that are not registered or not alive."),
    Entry::response(2004, "CONTROLLER_MASTER_NOT_AVAILABLE", "There is no master, and none of the replicas may become one.")
        .causes(&["no replica of the in-sync set is alive; enableElectUncleanMaster=false protects what was acknowledged"])
        .next(&["start the replica that was last in sync", "rmq failover status"]),
    Entry::response(2005, "CONTROLLER_INVALID_REQUEST", "The controller cannot read the request."),
    Entry::response(2006, "CONTROLLER_BROKER_NOT_ALIVE", "The broker named is not alive."),
    Entry::response(2007, "CONTROLLER_NOT_LEADER", "This controller is not the leader; the leader has to be asked.")
        .next(&["rmq failover status"]),
    Entry::response(2008, "CONTROLLER_BROKER_METADATA_NOT_EXIST", "The controller has never heard of this broker."),
    Entry::response(2009, "CONTROLLER_INVALID_CLEAN_BROKER_METADATA", "Data of a living broker cannot be cleaned."),
    Entry::response(2010, "CONTROLLER_BROKER_NEED_TO_BE_REGISTERED", "The broker has to register with the controller first."),
    Entry::response(2011, "CONTROLLER_MASTER_STILL_EXIST", "There is a living master; no election is needed."),
    Entry::response(2012, "CONTROLLER_ELECT_MASTER_FAILED", "No election took place; the remark says why."),
    Entry::response(2013, "CONTROLLER_ALTER_SYNC_STATE_SET_FAILED", "The in-sync set was not changed."),
    Entry::response(2014, "CONTROLLER_BROKER_ID_INVALID", "The broker's id is taken or was never given out."),
    Entry::response(2015, "CONTROLLER_JRAFT_INTERNAL_ERROR", "The controllers could not agree in time."),
    Entry::response(2016, "CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS", "The controller has had no heartbeat of this broker."),
    Entry::response(2017, "LMQ_QUOTA_EXCEEDED", "There are more light queues than maxLmqConsumeQueueNum."),
    Entry::response(2018, "LITE_SUBSCRIPTION_QUOTA_EXCEEDED", "The client subscribes to more lite topics than it may."),
    Entry::response(3001, "USER_NOT_EXIST", "Access control knows no such user.").next(&["rmq acl user ls"]),
    Entry::response(3002, "POLICY_NOT_EXIST", "Access control has no such rule.").next(&["rmq acl rule ls"]),
];

#[cfg(test)]
mod tests {
    use crate::client::ResponseCode;

    use super::CODES;

    #[test]
    fn every_code_is_explained_under_its_own_name() {
        for code in ResponseCode::ALL {
            let entry = CODES.iter().find(|entry| entry.number == Some(code.0));
            assert_eq!(entry.map(|entry| entry.name), code.name(), "{code:?}");
        }
        assert_eq!(CODES.len(), ResponseCode::ALL.len());
    }
}
