//! `rmq inspect offsets`: what a broker has saved about groups, delay levels and topics, and how it fits the queues.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::store_of;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::message::names;
use crate::node::saved::Saved;
use crate::store::View;

/// Show saved consumer offsets and how far they lag behind the queues
///
/// Example: rmq inspect offsets ~/store --group billing
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store directory, or its config directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only this group
    #[arg(long)]
    group: Option<String>,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// The configured topics instead
    #[arg(long, conflicts_with_all = ["group", "groups"])]
    topics: bool,
    /// The configured groups instead
    #[arg(long, conflicts_with = "topic")]
    groups: bool,
}

const OFFSETS: &[Column] = &[
    Column::new("group", "GROUP").name(),
    Column::new("topic", "TOPIC"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("offset", "OFFSET").right(),
    Column::new("minOffset", "MIN").right(),
    Column::new("maxOffset", "MAX").right(),
    Column::new("lag", "LAG").right(),
    Column::new("problem", "PROBLEM"),
];

const TOPICS: &[Column] = &[
    Column::new("topicName", "TOPIC").name(),
    Column::new("readQueueNums", "READ QUEUES").right(),
    Column::new("writeQueueNums", "WRITE QUEUES").right(),
    Column::new("perm", "PERM").right(),
    Column::new("messages", "MESSAGES").right(),
    Column::new("order", "ORDER").wide(),
    Column::new("attributes", "ATTRIBUTES").wide(),
];

const GROUPS: &[Column] = &[
    Column::new("groupName", "GROUP").name(),
    Column::new("consumeEnable", "ENABLED"),
    Column::new("retryMaxTimes", "RETRIES").right(),
    Column::new("consumeMessageOrderly", "ORDERLY"),
    Column::new("consumeBroadcastEnable", "BROADCAST"),
    Column::new("attributes", "ATTRIBUTES").wide(),
];

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let view = store_of(&args.path, "config")?;
    let saved = Saved::read(&view.layout().config());
    for unreadable in &saved.unreadable {
        context.output.warn(unreadable);
    }
    let mut exit = if saved.unreadable.is_empty() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    };
    let mut bounds = Bounds::new(&view)?;
    if args.topics {
        let rows = topic_rows(saved.topics.unwrap_or_default(), args, &mut bounds)?;
        context.output.rows(TOPICS, rows)?;
        return Ok(exit);
    }
    if args.groups {
        let wanted = |name: &String| args.group.as_ref().is_none_or(|group| group == name);
        let groups = saved.groups.unwrap_or_default().into_iter();
        let rows = groups.filter(|(name, _)| wanted(name)).map(|(_, row)| row);
        context.output.rows(GROUPS, rows)?;
        return Ok(exit);
    }
    let rows = rows(&saved, args, &mut bounds)?;
    if rows.is_empty() && (args.group.is_some() || args.topic.is_some()) {
        return Err(CliError::not_found("no such offsets are saved")
            .hint("rmq inspect offsets PATH lists all of them"));
    }
    for row in rows.iter().filter(|row| row["problem"].is_string()) {
        exit = Exit::CheckFailed;
        context.output.warn(&format!(
            "{} {}/{}: {}",
            row["group"].as_str().unwrap_or_default(),
            row["topic"].as_str().unwrap_or_default(),
            row["queueId"],
            row["problem"].as_str().unwrap_or_default()
        ));
    }
    context.output.rows(OFFSETS, rows)?;
    Ok(exit)
}

/// The bounds of queues, read when first asked for.
struct Bounds<'a> {
    view: &'a View,
    log_begin: u64,
    known: HashMap<(String, u32), (u64, u64)>,
}

impl<'a> Bounds<'a> {
    fn new(view: &'a View) -> Result<Self, CliError> {
        let files = view.log_files()?;
        Ok(Self {
            view,
            log_begin: files.first().map_or(0, |file| file.base),
            known: HashMap::new(),
        })
    }

    /// The first readable offset of a queue and the one behind its last; `None` for a queue without a directory.
    fn of(&mut self, topic: &str, queue_id: u32) -> Result<Option<(u64, u64)>, CliError> {
        let key = (topic.to_owned(), queue_id);
        if let Some(known) = self.known.get(&key) {
            return Ok(Some(*known));
        }
        let bounds = queue_bounds(self.view, topic, queue_id, self.log_begin)?;
        if let Some(bounds) = bounds {
            self.known.insert(key, bounds);
        }
        Ok(bounds)
    }
}

/// The first readable offset of a queue and the one behind its last; `None` for a queue without a directory.
pub(super) fn queue_bounds(
    view: &View,
    topic: &str,
    queue_id: u32,
    log_begin: u64,
) -> Result<Option<(u64, u64)>, CliError> {
    if view.layout().batch_consume_queue(topic, queue_id).is_dir() {
        let mut queue = view.batch_queue(topic, queue_id)?;
        let mut bounds: Option<(u64, u64)> = None;
        while let Some(next) = queue.next_entry() {
            let batch = next?;
            let first = bounds.map_or(batch.first(), |(first, _)| first);
            bounds = Some((first, batch.end()));
        }
        return Ok(bounds);
    }
    let mut queue = view.queue(topic, queue_id)?;
    if queue.files().is_empty() {
        return Ok(None);
    }
    let min = queue.first_from(log_begin)?.get();
    Ok(Some((min, queue.end()?.get())))
}

fn rows(saved: &Saved, args: &Args, bounds: &mut Bounds<'_>) -> Result<Vec<Value>, CliError> {
    let wanted = |group: &str, topic: &str| {
        args.group.as_deref().is_none_or(|wanted| wanted == group)
            && args.topic.as_deref().is_none_or(|wanted| wanted == topic)
    };
    let mut rows = Vec::new();
    for (name, queues) in &saved.offsets {
        let (topic, group) = name.rsplit_once('@').unwrap_or((name, ""));
        if !wanted(group, topic) {
            continue;
        }
        for (&queue_id, &offset) in queues {
            let known = match u32::try_from(queue_id) {
                Ok(queue_id) => bounds.of(topic, queue_id)?,
                Err(_) => None,
            };
            let mut row = row(offset, known);
            row.insert("kind".into(), "group".into());
            row.insert("group".into(), group.into());
            row.insert("topic".into(), topic.into());
            row.insert("queueId".into(), queue_id.into());
            rows.push(Value::Object(row));
        }
    }
    if args.group.is_none()
        && args
            .topic
            .as_deref()
            .is_none_or(|it| it == names::SCHEDULE_TOPIC)
    {
        for (&level, &offset) in &saved.delay_offsets {
            // Level 1 has queue 0.
            let queue_id = level.saturating_sub(1);
            let known = match u32::try_from(queue_id) {
                Ok(queue_id) => bounds.of(names::SCHEDULE_TOPIC, queue_id)?,
                Err(_) => None,
            };
            let mut row = row(offset, known);
            row.insert("kind".into(), "delay".into());
            row.insert("group".into(), format!("(delay level {level})").into());
            row.insert("topic".into(), names::SCHEDULE_TOPIC.into());
            row.insert("queueId".into(), queue_id.into());
            rows.push(Value::Object(row));
        }
    }
    Ok(rows)
}

fn row(offset: i64, known: Option<(u64, u64)>) -> Map<String, Value> {
    let max = known.and_then(|(_, max)| i64::try_from(max).ok());
    // A queue nobody has written to has no end to be past of but its start.
    let past = offset > max.unwrap_or(0);
    let problem = match max {
        _ if offset < 0 => Some("a negative offset".to_owned()),
        Some(max) if past => Some(format!("past the end of the queue at {max}")),
        None if past => Some("the queue is not there".to_owned()),
        _ => None,
    };
    let row = json!({
        "kind": null,
        "group": null,
        "topic": null,
        "queueId": null,
        "offset": offset,
        "minOffset": known.map(|(min, _)| min),
        "maxOffset": max,
        "lag": max.map(|max| max.saturating_sub(offset).max(0)),
        "problem": problem,
    });
    super::fields::object(row)
}

fn topic_rows(
    topics: Map<String, Value>,
    args: &Args,
    bounds: &mut Bounds<'_>,
) -> Result<Vec<Value>, CliError> {
    let queues = bounds.view.queues()?;
    let batch_queues = bounds.view.batch_queues()?;
    let mut rows = Vec::new();
    for (name, mut row) in topics {
        if args.topic.as_ref().is_some_and(|topic| *topic != name) {
            continue;
        }
        let mut messages = 0;
        for (topic, queue_id) in queues.iter().chain(&batch_queues) {
            if *topic == name
                && let Some((min, max)) = bounds.of(topic, *queue_id)?
            {
                messages += max.saturating_sub(min);
            }
        }
        row["messages"] = messages.into();
        rows.push(row);
    }
    Ok(rows)
}

/// An offset that lies past the end of its queue.
#[derive(Clone, Debug)]
pub(super) struct PastQueue {
    /// `topic@group`.
    pub(super) name: String,
    pub(super) queue_id: i32,
    pub(super) offset: i64,
    /// The end of the queue.
    pub(super) max: i64,
}

/// The groups' offsets that lie past the ends of their queues. Those of topics that are neither configured nor have the
/// queue are left-overs nobody minds.
pub(super) fn past_their_queues(
    view: &View,
    saved: &Saved,
    log_begin: u64,
) -> Result<Vec<PastQueue>, CliError> {
    let mut past = Vec::new();
    for (name, queues) in &saved.offsets {
        let (topic, _) = name.rsplit_once('@').unwrap_or((name, ""));
        let configured = saved.topics.as_ref();
        let configured = configured.is_some_and(|topics| topics.contains_key(topic));
        for (&queue_id, &offset) in queues {
            let Ok(number) = u32::try_from(queue_id) else {
                continue;
            };
            let max = match queue_bounds(view, topic, number, log_begin)? {
                Some((_, max)) => i64::try_from(max).unwrap_or(i64::MAX),
                None if configured => 0,
                None => continue,
            };
            if offset > max {
                past.push(PastQueue {
                    name: name.clone(),
                    queue_id,
                    offset,
                    max,
                });
            }
        }
    }
    Ok(past)
}
