//! Every finding of `rmq doctor` and `rmq why`: id, level, explanation, remedy. Ids never change their meaning.

use super::finding::Level::{self, Error, Note, Warning};
use crate::cli::explain::{Entry, Kind};

/// A finding that can be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) entry: Entry,
    /// Its usual level.
    pub(crate) level: Level,
}

/// The one with this id.
pub(crate) fn find(id: &str) -> Option<&'static Known> {
    FINDINGS.iter().find(|known| known.entry.name == id)
}

const fn known(
    id: &'static str,
    level: Level,
    means: &'static str,
    causes: &'static [&'static str],
    next: &'static [&'static str],
) -> Known {
    Known {
        entry: Entry::new(Kind::Finding, None, id, means)
            .causes(causes)
            .next(next),
        level,
    }
}

/// All of them, by id.
pub(crate) const FINDINGS: &[Known] = &[
    // Name servers.
    known(
        "RMQ-D001",
        Warning,
        "A name server in the list does not answer. Clients try the next one, but those that know only this one cannot start.",
        &["it is down, or the address is wrong"],
        &["start it, or take it out of namesrvAddr everywhere"],
    ),
    known(
        "RMQ-D002",
        Error,
        "Name servers give different answers. They do not talk to each other: every broker has to register with each of them, or some clients do not see some queues, and consumers of one group share the queues out differently.",
        &[
            "a broker's namesrvAddr lacks one of them",
            "a firewall between a broker and one of them",
            "a topic was deleted at one of them only",
        ],
        &["the same complete namesrvAddr at every broker and every client"],
    ),
    known(
        "RMQ-D003",
        Note,
        "There is one name server. While it is down, running clients go on; new ones cannot start.",
        &[],
        &["a second name server, named in namesrvAddr of all brokers and clients"],
    ),
    // Ways to the brokers.
    known(
        "RMQ-D010",
        Error,
        "A broker is registered under an address that cannot be connected to from here. Clients take this address from the route, so they fail in the same way.",
        &[
            "brokerIP1 is an address inside a container or of another network",
            "a firewall lets the name server's port through and not the broker's",
            "the broker died and its registration has not expired (two minutes)",
        ],
        &["brokerIP1=HOST that clients reach, in broker.conf; rmq serve --advertise HOST"],
    ),
    known(
        "RMQ-D011",
        Error,
        "A broker group has no master: what is in it can be read from its slaves, and nothing can be sent to it.",
        &["the master is down"],
        &["start the master; rmq failover plan BROKER"],
    ),
    known(
        "RMQ-D012",
        Note,
        "A broker advertises a loopback address: only processes of its own machine reach it.",
        &[],
        &["brokerIP1=HOST in broker.conf; rmq serve --listen 0.0.0.0 --advertise HOST"],
    ),
    known(
        "RMQ-D013",
        Error,
        "The name servers know no broker: nothing can be sent or consumed.",
        &[
            "no broker is running",
            "it has started a moment ago and has not registered yet",
            "the broker's namesrvAddr names other name servers",
        ],
        &["start a broker: rmq serve; compare its namesrvAddr with the address asked here"],
    ),
    // Disk.
    known(
        "RMQ-D020",
        Warning,
        "Messages are acknowledged before the disk has them (ASYNC_FLUSH). If the machine or its power fails, up to flushIntervalCommitLog (500 ms) of acknowledged messages are gone. A crash of the process alone loses none.",
        &[],
        &["flushDiskType=SYNC_FLUSH in broker.conf and a restart; rmq serve --durable"],
    ),
    known(
        "RMQ-D021",
        Error,
        "Acknowledged messages wait in the broker process's own memory (transientStorePoolEnable with ASYNC_FLUSH): even a crash of the process loses them.",
        &[],
        &["transientStorePoolEnable=false in broker.conf and a restart"],
    ),
    known(
        "RMQ-D022",
        Error,
        "The disk is so full that the broker refuses messages (diskSpaceWarningLevelRatio) or is about to delete early.",
        &[
            "retention keeps more than the disk holds",
            "something else fills the disk",
        ],
        &["a larger disk, a shorter fileReservedTime, or less of whatever else is on it"],
    ),
    known(
        "RMQ-D023",
        Warning,
        "A filling disk deletes messages before their time, consumed or not: cleanFileForciblyEnable lets the broker remove the oldest files above diskSpaceCleanForciblyRatio (85 %). With it off, the broker refuses new messages instead, and the producer knows.",
        &[],
        &["cleanFileForciblyEnable=false"],
    ),
    known(
        "RMQ-D024",
        Note,
        "Messages are kept for a short time: a consumer that is away for longer loses what came meanwhile.",
        &[],
        &["fileReservedTime=72 or more (hours)"],
    ),
    known(
        "RMQ-D025",
        Warning,
        "The broker has not brought its queues up to what is in its log: stored messages cannot be found by consumers yet.",
        &[
            "it has just started after a crash",
            "dispatch is stuck: see its log",
        ],
        &["wait, then look again; the broker's log"],
    ),
    // Copies.
    known(
        "RMQ-D030",
        Note,
        "There is one copy of each message. It survives a crash (with SYNC_FLUSH also a power failure), and not the loss of the disk.",
        &[],
        &[
            "a slave (brokerRole=SLAVE) and brokerRole=SYNC_MASTER, inSyncReplicas=2 here; or a disk with its own redundancy",
        ],
    ),
    known(
        "RMQ-D031",
        Warning,
        "There is a slave, and acknowledgements do not wait for it (ASYNC_MASTER): if the master's disk is lost, the newest acknowledged messages are on no disk.",
        &[],
        &["brokerRole=SYNC_MASTER and inSyncReplicas=2 in broker.conf and a restart"],
    ),
    known(
        "RMQ-D032",
        Warning,
        "brokerRole=SYNC_MASTER, but inSyncReplicas counts the master itself: with 1, no acknowledgement of Apache's broker waits for a slave (rmq's waits for one all the same).",
        &["Apache's default of inSyncReplicas is 1 since 5.0"],
        &["inSyncReplicas=2 in broker.conf"],
    ),
    known(
        "RMQ-D033",
        Error,
        "More copies are asked for than there are brokers to hold them: sends are stored and answered SLAVE_NOT_AVAILABLE, or refused.",
        &["a slave is down or not registered"],
        &["start the missing slave, or lower inSyncReplicas for as long as it is away"],
    ),
    known(
        "RMQ-D034",
        Warning,
        "A slave is far behind its master: a switch to it loses what it lacks.",
        &[
            "a slow disk or network at the slave",
            "it was started a moment ago",
        ],
        &["wait for it to catch up before a switch; look at the slave's disk"],
    ),
    known(
        "RMQ-D035",
        Warning,
        "The number of copies an acknowledgement waits for shrinks by itself to 1 (enableAutoInSyncReplicas with minInSyncReplicas=1) when slaves fall out of step.",
        &[],
        &["minInSyncReplicas=2 in broker.conf"],
    ),
    known(
        "RMQ-D036",
        Warning,
        "In controller mode an acknowledgement does not wait for all replicas in sync (allAckInSyncStateSet=false): after an election the newest messages may be missing.",
        &[],
        &[
            "allAckInSyncStateSet=true in broker.conf; enableElectUncleanMaster=false at the controller",
        ],
    ),
    // Transactions.
    known(
        "RMQ-D040",
        Warning,
        "Transactions are given up too early: after transactionCheckMax questions, one each transactionCheckInterval, a half message whose producer did not answer goes to TRANS_CHECK_MAX_TIME_TOPIC, where no consumer sees it. The count runs also while the producer is away.",
        &["Apache's defaults (15 questions, 30 s apart) give a producer seven and a half minutes"],
        &["transactionCheckMax=2880 (a day)"],
    ),
    known(
        "RMQ-D041",
        Error,
        "Transactions were given up: their half messages are in TRANS_CHECK_MAX_TIME_TOPIC, and nobody decided about them.",
        &[
            "producers that were away for longer than the broker asked",
            "a check listener that keeps answering UNKNOW",
        ],
        &[
            "rmq consume TRANS_CHECK_MAX_TIME_TOPIC --from earliest (look), decide by hand, send the committed ones again",
        ],
    ),
    known(
        "RMQ-D042",
        Note,
        "The broker refuses transactional messages (rejectTransactionMessage=true).",
        &[],
        &["rejectTransactionMessage=false, if transactions are wanted"],
    ),
    // Topics.
    known(
        "RMQ-D050",
        Note,
        "Unknown topics are created on first use: a message sent under a mistyped name is accepted, and nobody reads it. In a cluster of several brokers such a topic is on one of them only.",
        &[],
        &["autoCreateTopicEnable=false, and rmq topic create for each topic"],
    ),
    known(
        "RMQ-D051",
        Note,
        "A topic holds messages, and no consumer group has ever read it.",
        &[
            "the name is mistyped at the producer",
            "its consumer has not been started yet",
        ],
        &[
            "rmq consume TOPIC --from earliest -n 3 (look), then rmq topic rm TOPIC or start the consumer",
        ],
    ),
    // Groups.
    known(
        "RMQ-D060",
        Warning,
        "The group falls behind: between two looks more messages came than were consumed.",
        &[
            "the listener is slower than the producers",
            "fewer members than queues, or a member that hangs",
        ],
        &["rmq why GROUP"],
    ),
    known(
        "RMQ-D061",
        Error,
        "Members of one group subscribe differently. The broker keeps one subscription for a group, the last heartbeat's; queues are shared out among members that do not want them, and what their filter does not match is skipped for good.",
        &[
            "two versions of an application at once",
            "one group name used by two applications",
        ],
        &["the same topics and the same filter in every member, or a group for each application"],
    ),
    known(
        "RMQ-D062",
        Error,
        "The group's offset is behind the end of the queue: messages up to that offset will be taken for consumed and never be delivered.",
        &[
            "the topic was deleted and created again",
            "offsets came from another store",
            "a master was replaced by a slave that lacked the end of the log",
        ],
        &["rmq group reset GROUP TOPIC --to latest (or the time from which on to read again)"],
    ),
    known(
        "RMQ-D063",
        Error,
        "Messages were deleted before the group consumed them: its offset is before the first message that is left.",
        &[
            "the group was away for longer than fileReservedTime",
            "the disk was full and cleanFileForciblyEnable is on",
        ],
        &[
            "they are gone here; take them from the producer's side. Longer fileReservedTime, cleanFileForciblyEnable=false",
        ],
    ),
    known(
        "RMQ-D064",
        Warning,
        "The oldest message that waits for the group has used up more than half of the time it is kept: it will be deleted unread.",
        &[],
        &["get the group going (rmq why GROUP), or raise fileReservedTime meanwhile"],
    ),
    known(
        "RMQ-D065",
        Error,
        "The group has no retry queue (retryQueueNums=0): a message whose consumption fails is answered as if it had been kept for another try, and is gone.",
        &[],
        &["rmq group set GROUP --retry-queues 1"],
    ),
    known(
        "RMQ-D066",
        Warning,
        "The group makes no second attempt (retryMaxTimes=0): the first failure, also a passing one, is final and the message goes to the dead-letter topic.",
        &[],
        &["rmq group set GROUP --retry-max 16"],
    ),
    known(
        "RMQ-D067",
        Warning,
        "The group broadcasts: a failed message is not tried again, and offsets are in files of the clients: a new machine starts at the end and misses what came before.",
        &[],
        &["clustering with one group for each application, if every message matters"],
    ),
    known(
        "RMQ-D068",
        Note,
        "The group pulls by itself: it commits when its code says so (or every 5 s with automatic commits), and that may be before the work is done. A broker cannot see which.",
        &[],
        &["commit after the work is done: autoCommit=false and commitSync() at the end"],
    ),
    known(
        "RMQ-D069",
        Warning,
        "Messages wait for the group and nobody is connected.",
        &["the consumer is down", "the group is not in use any more"],
        &["start the consumer, or rmq group rm GROUP"],
    ),
    known(
        "RMQ-D070",
        Warning,
        "The group is not allowed to consume (consumeEnable=false).",
        &[],
        &["rmq group set GROUP --enable true"],
    ),
    known(
        "RMQ-D071",
        Note,
        "Messages whose consumption failed wait for their next attempt.",
        &[],
        &["rmq trace MSGID; the consumer's log"],
    ),
    known(
        "RMQ-D072",
        Warning,
        "Messages failed for good: they are in the dead-letter topic and stay there until somebody sends them again, or until they are deleted with their log file.",
        &[],
        &["rmq dlq show GROUP, rmq dlq replay GROUP"],
    ),
    // Clients and time.
    known(
        "RMQ-D080",
        Note,
        "A client is much older than the servers.",
        &[
            "clients before 4.9 lack fixes for lost wake-ups at rebalance and for offsets of popped queues",
        ],
        &["upgrade the client; servers of 5.x serve clients of 4.x"],
    ),
    known(
        "RMQ-D081",
        Warning,
        "A broker's clock differs from the clock of this machine. Delays, retries, retention, queries by time and `waiting since` go by the broker's clock; a jump after a switch of brokers delivers too early or too late.",
        &["no time service on one of the machines"],
        &["chrony or ntpd on every machine"],
    ),
    known(
        "RMQ-D082",
        Note,
        "Brokers of one cluster have different versions.",
        &[],
        &["finish the upgrade"],
    ),
    known(
        "RMQ-D083",
        Note,
        "The broker's time stands still until somebody moves it (--virtual-clock).",
        &[],
        &["for tests only; start without --virtual-clock"],
    ),
    // This machine.
    known(
        "RMQ-D090",
        Warning,
        "The data directory was not left in order: its abort file is there and no process has it. The next start checks the log and cuts off a torn end.",
        &["the process was killed, or the machine failed"],
        &["rmq inspect fsck DIR, then start the node"],
    ),
    known(
        "RMQ-D091",
        Note,
        "A process may open few files here: each segment, queue and connection takes one.",
        &[],
        &["ulimit -n 65536; LimitNOFILE=65536 in the unit file"],
    ),
    known(
        "RMQ-D092",
        Note,
        "This is a container: addresses and disks seen from here may not be those that clients or the host see.",
        &[],
        &["run rmq doctor where the clients run, too"],
    ),
    known(
        "RMQ-D093",
        Warning,
        "The data directory's disk is nearly full.",
        &[],
        &["free room before the broker refuses messages (90 %)"],
    ),
    known(
        "RMQ-D094",
        Warning,
        "The ports a node would take are taken by something that does not answer like a name server.",
        &[],
        &["rmq serve --port N --broker-port N, or end the other process"],
    ),
    known(
        "RMQ-D095",
        Warning,
        "The data directory cannot be looked into.",
        &[],
        &["the directory that holds commitlog; the rights of this user"],
    ),
    known(
        "RMQ-D099",
        Warning,
        "A question of the audit was not answered, so the links that depend on it were not checked.",
        &[
            "the server is older than the question",
            "access control",
            "a timeout under load",
        ],
        &["run it again; --group NAME for a smaller audit"],
    ),
    // Why a group does not consume.
    known(
        "RMQ-W001",
        Error,
        "The group subscribes to a topic that does not exist.",
        &["the name is mistyped", "nobody has sent to it yet"],
        &["rmq topic ls; rmq topic create TOPIC"],
    ),
    known(
        "RMQ-W002",
        Error,
        "The topic or the broker gives no permission to read.",
        &[
            "perm without 4; brokerPermission without 4",
            "the group is forbidden to read this topic",
        ],
        &["rmq topic set TOPIC --perm rw; rmq broker perm"],
    ),
    known(
        "RMQ-W003",
        Error,
        "Nobody of the group is connected.",
        &[
            "the consumer is down, or uses another group name or namespace",
            "it is connected to another cluster: compare NAMESRV_ADDR",
        ],
        &["start the consumer; rmq client ls"],
    ),
    known(
        "RMQ-W004",
        Error,
        "The group's members do not subscribe to the topic.",
        &["the name in subscribe() differs"],
        &["compare the names: rmq group show GROUP"],
    ),
    known(
        "RMQ-W005",
        Error,
        "A queue has no owner among the members: nobody pulls from it.",
        &[
            "members see different lists of members or queues, because one of them is connected to other brokers or name servers",
            "members subscribe differently",
            "a member that is gone and not yet forgotten (two minutes)",
            "a consumer that was given its queues by hand (assign)",
        ],
        &[
            "wait for the next sharing out (20 s); the same NAMESRV_ADDR and subscriptions in every member",
        ],
    ),
    known(
        "RMQ-W006",
        Error,
        "The owner of a queue has not asked for messages for a long time.",
        &[
            "its listener hangs and its cache is full: flow control stops it from pulling",
            "the process is stopped in a debugger or swapped out",
            "its connection to the broker is half open",
        ],
        &["rmq why GROUP --stacks; rmq client stack CLIENT --group GROUP"],
    ),
    known(
        "RMQ-W007",
        Warning,
        "The owner of a queue has messages and does not get on with them: they are pulled and not acknowledged.",
        &[
            "a slow or hanging listener: the offset cannot move past one message that is being worked on",
        ],
        &["rmq why GROUP --stacks (what its threads do)"],
    ),
    known(
        "RMQ-W008",
        Warning,
        "The group's filter matches none of the messages that wait, or that came last: they are skipped and counted as consumed.",
        &[
            "a tag that producers do not set, or spell differently",
            "the filter belongs to an older version of the consumer",
        ],
        &["compare the tags: rmq consume TOPIC -n 5"],
    ),
    known(
        "RMQ-W009",
        Note,
        "There are more members than queues: those without one do nothing.",
        &[],
        &["more queues: rmq topic set TOPIC --queues N"],
    ),
    known(
        "RMQ-W010",
        Warning,
        "The group has never consumed this topic: there is no offset.",
        &[
            "it has not got a message yet",
            "it starts at the end (CONSUME_FROM_LAST_OFFSET) and nothing has come since",
        ],
        &["send a message and look again; rmq group reset GROUP TOPIC --to earliest"],
    ),
    known(
        "RMQ-W011",
        Warning,
        "A member does not answer questions.",
        &["it hangs, or is a client that cannot be asked (pull consumers, some languages)"],
        &["look at its process"],
    ),
    known(
        "RMQ-W012",
        Warning,
        "The group is behind.",
        &["more comes than is consumed, or consuming has just begun again"],
        &["more threads or members, up to the number of queues; rmq why GROUP --stacks"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_everything_has_a_remedy() {
        let ids: Vec<_> = FINDINGS.iter().map(|known| known.entry.name).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted);
        for known in FINDINGS {
            assert!(!known.entry.next.is_empty(), "{}", known.entry.name);
        }
    }
}
