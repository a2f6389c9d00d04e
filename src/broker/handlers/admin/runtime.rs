//! Figures about the running broker: `GET_BROKER_RUNTIME_INFO` (28) and `VIEW_BROKER_STATS_DATA` (315).
//!
//! Dashboards and exporters parse these keys, so all of them are there. A key about something this broker does not have
//! (thread pools, a buffer before the log) says that nothing waits there, which is true. `dispatchMaxBuffer` is 0 with
//! Apache too, where nothing sets it. Absent on purpose: how long the lock of the log has been held
//! (`pageCacheLockTimeMills`), since each append would have to note when it takes it; what a held lock does to sends
//! shows in their times.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, json};
use crate::broker::stats::{Rate, StatsName};
use crate::protocol::body::lists::KVTable;
use crate::protocol::body::stats::{BrokerStatsData, BrokerStatsItem};
use crate::protocol::command::VERSION;
use crate::protocol::header::broker::ViewBrokerStatsDataRequestHeader;
use crate::store::RuntimeFigures;
use crate::sys::platform;

const VERSION_NAME: &str = "V5_5_0";

/// Queues that Apache has before its thread pools, with the capacities it reports.
const POOLS: [(&str, &str); 5] = [
    ("send", "10000"),
    ("pull", "100000"),
    ("litePull", "100000"),
    ("query", "20000"),
    ("ack", "100000"),
];

struct Table(BTreeMap<String, String>);

impl Table {
    fn put(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.insert(key.to_owned(), value.to_string());
    }
}

/// `GET_BROKER_RUNTIME_INFO`.
pub(super) fn info(broker: &Broker) -> Answer {
    let mut table = Table(BTreeMap::new());
    put_broker(broker, &mut table);
    put_counts(broker, &mut table);
    put_store(broker, &broker.store.runtime_figures(), &mut table);
    put_times(broker, &mut table);
    put_absent(&mut table);
    let timer = broker.timer.as_ref();
    let (waiting, behind) = timer.map_or((0, 0), |timer| {
        (timer.waiting(), timer.behind(&broker.store))
    });
    table.put("timerCongestNum", waiting);
    table.put("timerOffsetBehind", behind);
    // Seconds. What is due is delivered with its tick.
    table.put("timerReadBehind", 0);
    for (level, offset) in broker.schedule.offsets() {
        let max = level.checked_sub(1).map_or(0, |queue| {
            super::super::offset::max_of(broker, crate::message::names::SCHEDULE_TOPIC, queue)
        });
        table.put(
            &format!("scheduleMessageOffset_{level}"),
            format!("{offset},{max}"),
        );
    }
    json(&KVTable { table: table.0 })
}

fn put_broker(broker: &Broker, table: &mut Table) {
    let options = broker.options.load();
    table.put("brokerVersionDesc", VERSION_NAME);
    table.put("brokerVersion", VERSION);
    table.put("brokerActive", true);
    table.put("bootTimestamp", broker.started_ms);
    let seconds = (broker.clock.now_ms() - broker.started_ms).max(0) / 1000;
    table.put(
        "runtime",
        format!(
            "[ {} days, {} hours, {} minutes, {} seconds ]",
            seconds / 86_400,
            seconds / 3_600 % 24,
            seconds / 60 % 60,
            seconds % 60
        ),
    );
    table.put(
        "startAcceptSendRequestTimeStamp",
        options.start_accept_send_request_time_stamp,
    );
}

fn put_counts(broker: &Broker, table: &mut Table) {
    let stats = &broker.stats;
    let mornings = &stats.mornings;
    let (put, got) = (stats.put.total(), stats.transferred.total());
    table.put(
        "msgPutTotalYesterdayMorning",
        mornings.put_yesterday.load(Ordering::Relaxed),
    );
    table.put(
        "msgPutTotalTodayMorning",
        mornings.put_today.load(Ordering::Relaxed),
    );
    table.put("msgPutTotalTodayNow", put);
    table.put(
        "msgGetTotalYesterdayMorning",
        mornings.get_yesterday.load(Ordering::Relaxed),
    );
    table.put(
        "msgGetTotalTodayMorning",
        mornings.get_today.load(Ordering::Relaxed),
    );
    table.put("msgGetTotalTodayNow", got);
    let put_rates = stats.put.show_rates();
    table.put("putTps", &put_rates);
    table.put("putTotalTps", &put_rates);
    table.put("getFoundTps", stats.found.show_rates());
    table.put("getMissTps", stats.missed.show_rates());
    table.put("getTotalTps", stats.pulls.show_rates());
    table.put("getTransferredTps", stats.transferred.show_rates());
    table.put("putMessageTimesTotal", put);
    table.put("putMessageFailedTimes", stats.put_failed.total());
    let bytes = stats.put_bytes.total();
    table.put("putMessageSizeTotal", bytes);
    #[allow(
        clippy::cast_precision_loss,
        reason = "an average is for people and dashboards"
    )]
    let average = if put > 0 {
        bytes as f64 / put as f64
    } else {
        0.0
    };
    table.put("putMessageAverageSize", format!("{average:?}"));
}

fn put_store(broker: &Broker, figures: &RuntimeFigures, table: &mut Table) {
    let dir = broker.options.load().store.dir.join("commitlog");
    let ratio = format!("{:.2}", figures.disk_used_ratio);
    let (total, free) = platform::disk_space(&broker.options.load().store.dir)
        .map_or((0, 0), |space| (space.total, space.usable));
    table.put("commitLogMinOffset", figures.log_min);
    table.put("commitLogMaxOffset", figures.log_end);
    table.put("commitLogDiskRatio", &ratio);
    table.put(&format!("commitLogDiskRatio_{}", dir.display()), &ratio);
    table.put("consumeQueueDiskRatio", &ratio);
    table.put(
        "commitLogDirCapacity",
        format!("Total : {}, Free : {}.", human(total), human(free)),
    );
    table.put("earliestMessageTimeStamp", figures.earliest_timestamp_ms);
    table.put(
        "dispatchBehindBytes",
        figures.log_end.saturating_sub(figures.dispatched),
    );
    table.put(
        "remainHowManyDataToFlush",
        human(figures.log_end.saturating_sub(figures.log_flushed)),
    );
}

/// How long things took, in milliseconds: the longest since the start, and the sends of the last minute.
fn put_times(broker: &Broker, table: &mut Table) {
    let stats = &broker.stats;
    let sends = &stats.put_times;
    table.put("putMessageEntireTimeMax", sends.longest_ms());
    table.put("putMessageDistributeTime", sends.distribution());
    for (key, share) in [("putLatency99", 0.99), ("putLatency999", 0.999)] {
        table.put(key, format!("{:.2}", sends.percentile(share)));
    }
    let longest_read = stats.longest_read_ms.load(Ordering::Relaxed);
    table.put("getMessageEntireTimeMax", longest_read);
    for (key, counter) in [
        ("timerEnqueueTps", &stats.timer_filed),
        ("timerDequeueTps", &stats.timer_delivered),
    ] {
        table.put(key, format!("{:?}", counter.rate()));
    }
}

/// What this broker does not have, in the words of one where nothing waits.
fn put_absent(table: &mut Table) {
    for (pool, capacity) in POOLS {
        table.put(&format!("{pool}ThreadPoolQueueSize"), 0);
        table.put(&format!("{pool}ThreadPoolQueueCapacity"), capacity);
        table.put(&format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), 0);
    }
    table.put("EndTransactionQueueSize", 0);
    table.put("EndTransactionThreadPoolQueueCapacity", 100_000);
    table.put("dispatchMaxBuffer", 0);
    table.put("pageCacheLockTimeMills", 0);
    table.put("remainTransientStoreBufferNumbs", i32::MAX);
    table.put("remainHowManyDataToCommit", "0 B");
}

/// A size as Apache prints it.
#[allow(
    clippy::cast_precision_loss,
    reason = "one digit behind the point is shown"
)]
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// `VIEW_BROKER_STATS_DATA`.
pub(super) fn stats(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: ViewBrokerStatsDataRequestHeader<'_> = request.header()?;
    let name = StatsName::parse(header.stats_name)
        .ok_or_else(|| Refusal::error(format!("The stats <{}> not exist", header.stats_name)))?;
    let counter = broker.stats.find(name, header.stats_key).ok_or_else(|| {
        Refusal::error(format!(
            "The stats <{}> <{}> not exist",
            header.stats_name, header.stats_key
        ))
    })?;
    let item = |rate: Rate| BrokerStatsItem {
        sum: i64::try_from(rate.sum).unwrap_or(i64::MAX),
        tps: rate.tps,
        avgpt: rate.average,
    };
    json(&BrokerStatsData {
        stats_minute: item(counter.minute()),
        stats_hour: item(counter.hour()),
        stats_day: item(counter.day()),
    })
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_shown_as_apache_shows_them() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(252 << 30), "252.0 GiB");
    }
}
