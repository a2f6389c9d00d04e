//! What the brokers' settings and figures say: flushing, copies, disk, transactions, topics.

use serde_json::json;

use super::{count, grouped, span};
use crate::cli::doctor::facts::{Broker, Facts};
use crate::cli::doctor::finding::{Finding, Level, Link};

/// Apache holds the two ratios within these bounds, whatever the settings say.
const WARNING_AT: f64 = 0.90;
/// Retention shorter than this is worth a word, in hours.
const RESERVED_HOURS: i64 = 24;
/// A transaction should survive a producer that is away for so long.
const AWAY_MS: i64 = 3_600_000;
/// So far a log may be ahead of its queues in a moment of load.
const DISPATCH_BEHIND: i64 = 64 << 20;

fn answering(facts: &Facts) -> impl Iterator<Item = &Broker> {
    facts.brokers.iter().filter(|broker| broker.error.is_none())
}

fn masters(facts: &Facts) -> impl Iterator<Item = &Broker> {
    answering(facts).filter(|broker| broker.is_master())
}

fn at_runtime(broker: &Broker, setting: &str) -> String {
    format!(
        "{setting} in broker.conf; at once: rmq broker config set {setting} --broker {}",
        broker.name
    )
}

pub(super) fn flush(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for broker in answering(facts) {
        if broker.setting("flushDiskType") != "ASYNC_FLUSH" {
            continue;
        }
        let interval = broker.number("flushIntervalCommitLog").unwrap_or(500);
        let level = if broker.is_master() {
            Level::Warning
        } else {
            Level::Note
        };
        findings.push(
            Finding::new(
                "RMQ-D020",
                broker.label(),
                format!("acknowledges before the disk has it: the last {interval} ms are lost with the machine"),
            )
            .level(level)
            .evidence(json!({"flushDiskType": "ASYNC_FLUSH", "flushIntervalCommitLog": interval})),
        );
        if broker.flag("transientStorePoolEnable") == Some(true) && broker.is_master() {
            findings.push(
                Finding::new(
                    "RMQ-D021",
                    broker.label(),
                    "keeps acknowledged messages in its own memory: a crash of the process loses them",
                )
                .evidence(json!({"transientStorePoolEnable": true})),
            );
        }
    }
    Link {
        name: "flush",
        findings,
        closed: "SYNC_FLUSH: acknowledged means on the disk".to_owned(),
    }
}

pub(super) fn copies(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for master in masters(facts) {
        let slaves = answering(facts)
            .filter(|other| other.name == master.name && !other.is_master())
            .count();
        findings.extend(role(master, slaves));
        for (address, slave) in master.slaves.iter().flatten() {
            let limit = master.number("haMaxGapNotInSync").unwrap_or(256 << 20);
            if !slave.in_sync || slave.behind_bytes > limit {
                findings.push(
                    Finding::new(
                        "RMQ-D034",
                        format!("{} slave {address}", master.name),
                        format!("is {} bytes behind its master", grouped(slave.behind_bytes)),
                    )
                    .evidence(json!({"behindBytes": slave.behind_bytes, "inSync": slave.in_sync})),
                );
            }
        }
    }
    Link {
        name: "copies",
        findings,
        closed: "an acknowledgement waits for a second broker".to_owned(),
    }
}

fn role(master: &Broker, slaves: usize) -> Option<Finding> {
    let copies = i64::try_from(slaves).unwrap_or(i64::MAX).saturating_add(1);
    // With Apache a SYNC_MASTER waits for nobody as long as this is 1; with rmq it always waits for a slave.
    let least = if master.is_rmq { 2 } else { 1 };
    let wanted = master.number("inSyncReplicas").unwrap_or(1).max(least);
    let evidence = json!({
        "brokerRole": master.setting("brokerRole"),
        "inSyncReplicas": wanted,
        "slavesRegistered": slaves,
    });
    let found =
        |id, text: String| Some(Finding::new(id, master.label(), text).evidence(evidence.clone()));
    let is_on = |key| master.flag(key) == Some(true);
    if is_on("enableControllerMode") {
        return if slaves > 0 && !is_on("allAckInSyncStateSet") {
            found(
                "RMQ-D036",
                "does not wait for all replicas in sync".to_owned(),
            )
        } else {
            None
        };
    }
    if master.setting("brokerRole") != "SYNC_MASTER" {
        return if slaves > 0 {
            found(
                "RMQ-D031",
                format!("has {} and does not wait for it", count(slaves, "slave")),
            )
        } else {
            found("RMQ-D030", "keeps the only copy".to_owned())
        };
    }
    if wanted <= 1 {
        return found(
            "RMQ-D032",
            "is SYNC_MASTER with inSyncReplicas=1: nothing waits for a slave".to_owned(),
        );
    }
    if copies < wanted {
        return found(
            "RMQ-D033",
            format!("wants {wanted} copies and has {}", count(slaves, "slave")),
        );
    }
    if is_on("enableAutoInSyncReplicas") && master.number("minInSyncReplicas").unwrap_or(1) <= 1 {
        return found("RMQ-D035", "may go down to one copy by itself".to_owned());
    }
    None
}

pub(super) fn disk(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for broker in answering(facts) {
        let ratio = broker.disk_ratio();
        if let Some(ratio) = ratio {
            findings.extend(disk_room(broker, ratio));
        }
        if broker.flag("cleanFileForciblyEnable") == Some(true) && broker.is_master() {
            findings.push(
                Finding::new(
                    "RMQ-D023",
                    broker.label(),
                    "deletes the oldest messages when the disk is 85 % full, consumed or not",
                )
                .evidence(json!({"cleanFileForciblyEnable": true, "diskUsed": ratio}))
                .fix(at_runtime(broker, "cleanFileForciblyEnable=false")),
            );
        }
        if let Some(hours) = broker
            .number("fileReservedTime")
            .filter(|hours| *hours < RESERVED_HOURS)
        {
            findings.push(
                Finding::new(
                    "RMQ-D024",
                    broker.label(),
                    format!("keeps messages for {hours} hours"),
                )
                .evidence(json!({"fileReservedTime": hours}))
                .fix(at_runtime(broker, "fileReservedTime=72")),
            );
        }
        let behind: i64 = broker
            .runtime
            .get("dispatchBehindBytes")
            .and_then(|value| value.parse().ok())
            .unwrap_or_default();
        if behind > DISPATCH_BEHIND {
            findings.push(
                Finding::new(
                    "RMQ-D025",
                    broker.label(),
                    format!(
                        "has {} bytes in its log that are in no queue yet",
                        grouped(behind)
                    ),
                )
                .evidence(json!({"dispatchBehindBytes": behind})),
            );
        }
    }
    let fullest = answering(facts)
        .filter_map(Broker::disk_ratio)
        .max_by(f64::total_cmp);
    let used = fullest.map_or_else(String::new, |ratio| {
        format!("{:.0} % used; ", ratio * 100.0)
    });
    Link {
        name: "disk",
        findings,
        closed: format!("{used}a full disk refuses new messages and deletes no unread ones"),
    }
}

fn disk_room(broker: &Broker, used: f64) -> Option<Finding> {
    let share = |key: &str, default: i64| {
        #[allow(clippy::cast_precision_loss, reason = "a percentage")]
        let share = broker.number(key).unwrap_or(default) as f64 / 100.0;
        share
    };
    let warning = share("diskSpaceWarningLevelRatio", 90).clamp(0.35, WARNING_AT);
    let clean = share("diskSpaceCleanForciblyRatio", 85).clamp(0.30, 0.85);
    let expire = share("diskMaxUsedSpaceRatio", 75);
    let percent = used * 100.0;
    let found = |level, text| {
        Some(
            Finding::new("RMQ-D022", broker.label(), text)
                .level(level)
                .evidence(
                    json!({"diskUsed": used, "refusesAbove": warning, "deletesEarlyAbove": clean}),
                ),
        )
    };
    if used > warning {
        found(
            Level::Error,
            format!("refuses messages: its disk is {percent:.0} % full"),
        )
    } else if used > clean && broker.flag("cleanFileForciblyEnable") == Some(true) {
        found(
            Level::Error,
            format!("is deleting messages before their time: its disk is {percent:.0} % full"),
        )
    } else if used > expire.min(clean) {
        found(
            Level::Warning,
            format!(
                "has a disk that is {percent:.0} % full; above {:.0} % it refuses messages",
                warning * 100.0
            ),
        )
    } else {
        None
    }
}

pub(super) fn transactions(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    let mut least = i64::MAX;
    for master in masters(facts) {
        if master.flag("rejectTransactionMessage") == Some(true) {
            findings.push(Finding::new(
                "RMQ-D042",
                master.label(),
                "refuses transactional messages",
            ));
            continue;
        }
        let (Some(times), Some(interval)) = (
            master.number("transactionCheckMax"),
            master.number("transactionCheckInterval"),
        ) else {
            continue;
        };
        let patience = times.saturating_mul(interval);
        least = least.min(patience);
        if patience < AWAY_MS {
            findings.push(
                Finding::new(
                    "RMQ-D040",
                    master.label(),
                    format!(
                        "gives a transaction up when its producer is away for {}",
                        span(patience)
                    ),
                )
                .evidence(json!({
                    "transactionCheckMax": times,
                    "transactionCheckInterval": interval,
                    "transactionTimeOut": master.number("transactionTimeOut"),
                }))
                .fix(at_runtime(master, "transactionCheckMax=2880")),
            );
        }
    }
    if facts.abandoned_transactions > 0 {
        findings.push(
            Finding::new(
                "RMQ-D041",
                "TRANS_CHECK_MAX_TIME_TOPIC",
                format!(
                    "{} given up",
                    count_of(facts.abandoned_transactions, "transaction")
                ),
            )
            .evidence(json!({"messages": facts.abandoned_transactions})),
        );
    }
    Link {
        name: "transactions",
        findings,
        closed: if least == i64::MAX {
            "no transaction was given up".to_owned()
        } else {
            format!("producers are asked for {}; none was given up", span(least))
        },
    }
}

fn count_of(number: i64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{} {one}s", grouped(number))
    }
}

pub(super) fn topics(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for master in masters(facts) {
        if master.flag("autoCreateTopicEnable") == Some(true) {
            findings.push(
                Finding::new(
                    "RMQ-D050",
                    master.label(),
                    "creates unknown topics on first use",
                )
                .evidence(json!({"autoCreateTopicEnable": true})),
            );
        }
    }
    for (topic, messages) in &facts.unread_topics {
        findings.push(
            Finding::new(
                "RMQ-D051",
                topic,
                format!("{} and no group reads it", count_of(*messages, "message")),
            )
            .evidence(json!({"messages": messages}))
            .fix(format!("rmq consume {topic} --from earliest -n 3, then start its consumer or: rmq topic rm {topic}")),
        );
    }
    Link {
        name: "topics",
        findings,
        closed: "unknown topics are refused; every topic with messages has a reader".to_owned(),
    }
}
