//! What a send came to, and how `rmq` itself ended.

use super::entry::{Entry, Kind};

const fn status(name: &'static str, means: &'static str) -> Entry {
    Entry::new(Kind::SendStatus, None, name, means)
}

const fn exit(number: i32, name: &'static str, means: &'static str) -> Entry {
    Entry::new(Kind::Exit, Some(number), name, means)
}

/// `SendStatus` of the clients.
pub(super) const STATUSES: &[Entry] = &[
    status("SEND_OK", "The broker has the message. With flushDiskType=ASYNC_FLUSH it may still be in memory only; with SYNC_FLUSH it is on the disk.")
        .next(&["rmq doctor (says what an acknowledgement is worth on this cluster)"]),
    status("FLUSH_DISK_TIMEOUT", "The broker has the message in its log; whether the disk has it is not known. Nothing throws: code that looks at exceptions only takes this for success.")
        .causes(&["the disk took longer than syncFlushTimeout (5 s)"])
        .next(&["check SendResult.getSendStatus() == SEND_OK, or set retryAnotherBrokerWhenNotStoreOK=true at the producer", "send again; consumers drop doubles by key"])
        .marks(&["sendstatus=flush_disk_timeout"]),
    status("FLUSH_SLAVE_TIMEOUT", "The master has the message; the slave did not confirm its copy within slaveTimeout. Nothing throws.")
        .next(&["check SendResult.getSendStatus() == SEND_OK", "rmq doctor (slaves and how far they are behind)"])
        .marks(&["sendstatus=flush_slave_timeout"]),
    status("SLAVE_NOT_AVAILABLE", "The master has the message and there was no slave for a copy, though brokerRole=SYNC_MASTER asks for one. Nothing throws.")
        .next(&["check SendResult.getSendStatus() == SEND_OK", "rmq cluster show"])
        .marks(&["sendstatus=slave_not_available"]),
];

/// The contract of [`crate::cli::exit::Exit`].
pub(super) const EXITS: &[Entry] = &[
    exit(0, "ok", "It worked; a check found nothing."),
    exit(
        1,
        "failed",
        "It failed, and no other exit code says it better; stderr says why.",
    ),
    exit(
        2,
        "usage",
        "The command line or the configuration is wrong; nothing was done.",
    ),
    exit(
        3,
        "not found",
        "The topic, group, message or file does not exist.",
    ),
    exit(4, "unreachable", "No connection, or no answer in time.").next(&[
        "is it running (rmq serve)? --namesrv HOST:PORT names another name server",
        "rmq doctor",
    ]),
    exit(
        5,
        "not permitted",
        "The server or the operating system does not permit it.",
    ),
    exit(
        6,
        "partly done",
        "Part of the work was done; the report says which part.",
    ),
    exit(
        7,
        "check failed",
        "doctor, why, check or fsck found something. That is no failure of the command: its report is on stdout.",
    ),
    exit(
        8,
        "refused",
        "The server refused for now (flow control, full disk); a later try may work.",
    )
    .next(&[
        "rmq explain SYSTEM_BUSY",
        "rmq explain SERVICE_NOT_AVAILABLE",
    ]),
    exit(
        9,
        "short",
        "It ended before the wanted count: `consume -n 10 --timeout 5s` got fewer.",
    ),
    exit(
        130,
        "interrupted",
        "Stopped by Ctrl-C, after a summary of what had been done.",
    ),
];
