//! `rmq group log`: what changes in a group, as it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::connections;
use super::show::must_exist;
use crate::base::units::parse_duration;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::targets::{Target, Targets};
use crate::cli::times::show_time;
use crate::cli::{Context, interrupted};
use crate::client::admin::Admin;

/// Watch a group: members that come and go, subscriptions that change, lag
///
/// Fields: time, timeMs, group, event (online, joined, left, subscribed, unsubscribed, changed, progress), clientId, topic,
/// detail, lag, consumed (since the last line).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group log billing
  rmq group log billing --every 10s -o jsonl >> billing.log")]
pub(super) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    every: Duration,
    /// End after so many looks
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

const COLUMNS: &[Column] = &[
    Column::new("time", "TIME"),
    Column::new("timeMs", "MS").right().wide(),
    Column::new("group", "GROUP").wide(),
    Column::new("event", "EVENT").name(),
    Column::new("clientId", "CLIENT"),
    Column::new("topic", "TOPIC"),
    Column::new("detail", "DETAIL"),
    Column::new("lag", "LAG").right(),
    Column::new("consumed", "CONSUMED").right(),
];

/// A group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    /// Client id to address.
    members: BTreeMap<String, String>,
    /// Topic to subscription.
    subscriptions: BTreeMap<String, String>,
    /// Topic to lag and consumed offset, both summed over its queues.
    progress: BTreeMap<String, (i64, i64)>,
}

async fn look(group: &str, masters: &[Target], admin: &Admin) -> Result<Look, CliError> {
    let mut seen = Look::default();
    let online = connections([group.to_owned()], masters, admin).await?;
    for (_, found) in online.into_values().flatten() {
        let members = found.connection_set.into_iter();
        seen.members
            .extend(members.map(|member| (member.client_id, member.client_addr)));
        let subscriptions = found.subscription_table.into_iter();
        seen.subscriptions
            .extend(subscriptions.map(|(topic, data)| (topic, data.sub_string)));
    }
    for (queue, offsets) in admin.consume_stats(group, None).await?.offset_table {
        let (lag, consumed) = seen.progress.entry(queue.topic).or_default();
        *lag += (offsets.broker_offset - offsets.consumer_offset).max(0);
        *consumed += offsets.consumer_offset;
    }
    Ok(seen)
}

/// What happened between two looks.
fn events(before: Option<&Look>, now: &Look) -> Vec<Value> {
    let nothing = Look::default();
    let joined = if before.is_some() { "joined" } else { "online" };
    let old = before.unwrap_or(&nothing);
    let mut events = Vec::new();
    for (client, address) in &now.members {
        if !old.members.contains_key(client) {
            events.push(json!({"event": joined, "clientId": client, "detail": address}));
        }
    }
    for (client, address) in &old.members {
        if !now.members.contains_key(client) {
            events.push(json!({"event": "left", "clientId": client, "detail": address}));
        }
    }
    for (topic, expression) in &now.subscriptions {
        match old.subscriptions.get(topic) {
            None => {
                events.push(json!({"event": "subscribed", "topic": topic, "detail": expression}));
            }
            Some(known) if known != expression => events.push(json!({
                "event": "changed", "topic": topic, "detail": format!("{known} -> {expression}"),
            })),
            Some(_) => {}
        }
    }
    for (topic, expression) in &old.subscriptions {
        if !now.subscriptions.contains_key(topic) {
            events.push(json!({"event": "unsubscribed", "topic": topic, "detail": expression}));
        }
    }
    for (topic, (lag, consumed)) in &now.progress {
        let known = old.progress.get(topic);
        if known != Some(&(*lag, *consumed)) {
            let since = known.map(|(_, known)| consumed - known);
            events
                .push(json!({"event": "progress", "topic": topic, "lag": lag, "consumed": since}));
        }
    }
    events
}

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = Targets::default().masters(admin).await?;
    must_exist(&args.group, &masters, admin).await?;
    let utc = context.global.utc;
    let text = |row: &Value, key: &str| match &row[key] {
        Value::Null => String::new(),
        Value::String(text) => format!(" {text}"),
        other => format!(" {key} {other}"),
    };
    let line = |row: &Value| {
        let time = row["time"].as_str().unwrap_or_default();
        let keys = ["event", "clientId", "topic", "detail", "lag", "consumed"];
        keys.iter()
            .fold(time.to_owned(), |line, key| line + &text(row, key))
    };
    let mut sheet = context.output.stream(COLUMNS, &line);
    let mut ticks = interval(args.every.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(interrupted());
    let mut before: Option<Look> = None;
    let mut looks = 0_u64;
    let exit = loop {
        tokio::select! {
            biased;
            () = &mut stop => break Exit::Interrupted,
            _ = ticks.tick() => {}
        }
        let now = look(&args.group, &masters, admin).await?;
        let now_ms = context.clock.now_ms();
        for event in events(before.as_ref(), &now) {
            let mut row = json!({
                "time": show_time(now_ms, utc), "timeMs": now_ms, "group": args.group,
                "event": null, "clientId": null, "topic": null, "detail": null, "lag": null, "consumed": null,
            });
            if let (Value::Object(row), Value::Object(event)) = (&mut row, event) {
                row.extend(event);
            }
            sheet.row(&row)?;
        }
        before = Some(now);
        looks += 1;
        if args.count.is_some_and(|count| looks >= count) {
            break Exit::Ok;
        }
    };
    sheet.finish()?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_once() {
        let mut look = Look::default();
        look.members.insert("c1".into(), "h:1".into());
        look.subscriptions.insert("t".into(), "*".into());
        look.progress.insert("t".into(), (5, 10));
        let first = events(None, &look);
        let names = |events: &[Value]| -> Vec<String> {
            events
                .iter()
                .map(|event| event["event"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(names(&first), ["online", "subscribed", "progress"]);
        assert!(events(Some(&look), &look).is_empty());
        let mut next = look.clone();
        next.members = BTreeMap::from([("c2".to_owned(), "h:2".to_owned())]);
        next.subscriptions.insert("t".into(), "a".into());
        next.progress.insert("t".into(), (3, 12));
        let second = events(Some(&look), &next);
        assert_eq!(names(&second), ["joined", "left", "changed", "progress"]);
        assert_eq!(second[3]["consumed"], 2);
    }
}
