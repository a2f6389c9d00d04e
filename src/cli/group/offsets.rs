//! `rmq group reset`, `skip` and `clone`: plans queue by queue, and reads back queue by queue.

use std::collections::BTreeMap;

use serde_json::json;

use super::show::must_exist;
use super::{connections, member_ids};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::{Target, Targets};
use crate::cli::times::parse_time;
use crate::client::admin::{Admin, Boundary, OffsetReset};
use crate::client::{ClientError, MessageQueue};

/// Move a group to another place in a topic
///
/// Members that are connected go on from there at once. Each queue is read back afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group reset billing orders --to -1h --dry-run
  rmq group reset billing orders --to earliest --yes
  rmq group reset billing orders --to 1700 --queue broker-a/2 --yes")]
pub(super) struct ResetArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// earliest, latest, -10m, 2026-11-22T10:00, milliseconds since 1970, or an offset
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    to: String,
    /// Only this queue, BROKER/NUMBER or NUMBER; may be given more than once
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Leave out what a group has not consumed yet: it goes on with the next message
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rmq group skip billing orders --dry-run")]
pub(super) struct SkipArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    #[command(flatten)]
    consent: Consent,
}

/// Give a group the offsets of another
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group clone billing billing-new --dry-run
  rmq group clone billing billing-new orders --yes")]
pub(super) struct CloneArgs {
    /// The group whose offsets are taken
    #[arg(value_name = "FROM")]
    from: String,
    /// The group that gets them
    #[arg(value_name = "TO")]
    to: String,
    /// Only in this topic
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Earliest,
    Latest,
    Time(i64),
    Offset(i64),
}

fn place(text: &str, now_ms: i64) -> Result<Place, CliError> {
    match text {
        "earliest" => return Ok(Place::Earliest),
        "latest" => return Ok(Place::Latest),
        _ => {}
    }
    // Ten digits and more are a time, as everywhere.
    if text.len() < 10
        && let Ok(offset) = text.parse::<u32>()
    {
        return Ok(Place::Offset(offset.into()));
    }
    parse_time(text, now_ms).map(Place::Time)
}

pub(super) async fn reset(
    args: ResetArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let to = place(&args.to, context.clock.now_ms())?;
    move_group(
        &args.group,
        &args.topic,
        to,
        &args.queues,
        args.consent,
        admin,
        context,
    )
    .await
}

pub(super) async fn skip(
    args: SkipArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    move_group(
        &args.group,
        &args.topic,
        Place::Latest,
        &[],
        args.consent,
        admin,
        context,
    )
    .await
}

async fn move_group(
    group: &str,
    topic: &str,
    to: Place,
    wanted: &[String],
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let queues = chosen(admin.topic_route(topic).await?.read_queues(), wanted)?;
    let masters = Targets::default().masters(admin).await?;
    must_exist(group, &masters, admin).await?;
    let online = connections([group.to_owned()], &masters, admin).await?;
    let members = online
        .values()
        .map(|found| member_ids(found).len())
        .sum::<usize>();
    let mut plan = Plan::default();
    let targets = targets(group, &queues, to, admin).await?;
    for (queue, (before, after)) in queues.iter().zip(targets) {
        let step = Step::new("reset", "offset", group, queue.broker.as_str());
        let step = step.field(format!("{topic}/{}", queue.queue));
        plan.steps.push(step.change(before, after));
    }
    let question = format!(
        "Moving {group} in {} queues of {topic}{}. Go on?",
        plan.steps.len(),
        if members == 0 {
            String::new()
        } else {
            format!(", {members} members are connected")
        }
    );
    if plan.agreed(consent, Danger::Ask(&question), context)? {
        for (step, queue) in plan.steps.iter_mut().zip(&queues) {
            if !step.is_planned() {
                continue;
            }
            let offset = step.after.as_i64().unwrap_or_default();
            match reset_queue(group, queue, offset, members > 0, &masters, admin).await {
                // Members may have gone on already.
                Ok(Some(now)) if members > 0 && now >= offset => step.moved_on(now),
                Ok(now) => step.found(now),
                Err(error) => step.fail(error),
            }
        }
    }
    plan.finish(context)
}

/// The queues that are meant.
fn chosen(all: Vec<MessageQueue>, wanted: &[String]) -> Result<Vec<MessageQueue>, CliError> {
    if wanted.is_empty() {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for text in wanted {
        let (broker, number) = match text.rsplit_once('/') {
            Some((broker, number)) => (Some(broker), number),
            None => (None, text.as_str()),
        };
        let number: u32 = number.parse().map_err(|_| {
            CliError::usage(format!("--queue {text}: write BROKER/NUMBER or NUMBER"))
        })?;
        let before = chosen.len();
        let fitting = all.iter().filter(|queue| {
            queue.queue.get() == number
                && broker.is_none_or(|broker| queue.broker.as_str() == broker)
        });
        chosen.extend(fitting.cloned());
        if chosen.len() == before {
            return Err(CliError::not_found(format!("there is no queue {text}")));
        }
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

/// Where the group is in each queue, and where it shall be. A place outside a queue means its nearer end.
async fn targets(
    group: &str,
    queues: &[MessageQueue],
    to: Place,
    admin: &Admin,
) -> Result<Vec<(Option<i64>, i64)>, CliError> {
    let answers = gather(queues.to_vec(), |queue| {
        let (admin, group) = (admin.clone(), group.to_owned());
        async move {
            let before = admin.group_offset(&group, &queue).await?;
            let after = match to {
                Place::Earliest => admin.min_offset(&queue).await?,
                Place::Latest => admin.max_offset(&queue).await?,
                Place::Time(ms) => admin.offset_at(&queue, ms, Boundary::Lower).await?,
                Place::Offset(offset) => {
                    let (min, max) = (
                        admin.min_offset(&queue).await?,
                        admin.max_offset(&queue).await?,
                    );
                    offset.clamp(min, max.max(min))
                }
            };
            Ok::<_, ClientError>((before, after))
        }
    })
    .await;
    answers
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(CliError::from)
}

/// Resets one queue and reads it back.
async fn reset_queue(
    group: &str,
    queue: &MessageQueue,
    offset: i64,
    online: bool,
    masters: &[Target],
    admin: &Admin,
) -> Result<Option<i64>, CliError> {
    let broker = masters
        .iter()
        .find(|master| master.name == queue.broker.as_str())
        .ok_or_else(|| {
            CliError::new(
                Exit::Unreachable,
                format!("{} has no master now", queue.broker),
            )
        })?;
    let config = admin.broker_config(&broker.address).await?;
    let by_broker = config.get("useServerSideResetOffset");
    if by_broker.is_some_and(|text| text == "true") {
        let reset = OffsetReset {
            group,
            topic: queue.topic.as_str(),
            time_ms: 0,
            force: true,
            queue: Some((queue.queue.to_wire(), Some(offset))),
        };
        admin.reset_offset_at(&broker.address, reset).await?;
    } else if online {
        // Such a broker can only tell the members of a time, for all queues at once; their commits would undo ours.
        return Err(CliError::new(
            Exit::Refused,
            format!(
                "{} does not keep positions of groups that are reset, and members are connected",
                broker.name
            ),
        )
        .hint("stop the members, or set useServerSideResetOffset=true on the broker"));
    } else {
        admin.set_group_offset(group, queue, offset).await?;
    }
    Ok(admin.group_offset(group, queue).await?)
}

pub(super) async fn clone(
    args: CloneArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let (from, to) = (args.from.as_str(), args.to.as_str());
    if from == to {
        return Err(CliError::usage("both groups are the same"));
    }
    let masters = Targets::default().masters(admin).await?;
    let known = admin.topics_of_group(from).await?;
    if known.is_empty() {
        must_exist(from, &masters, admin).await?;
    }
    let online = connections([to.to_owned()], &masters, admin).await?;
    let members = online
        .values()
        .map(|found| member_ids(found).len())
        .sum::<usize>();
    if members > 0 {
        return Err(CliError::new(
            Exit::Refused,
            format!("{to} has {members} members, who would overwrite the offsets"),
        )
        .hint("stop them first"));
    }
    if must_exist(to, &masters, admin).await.is_err() {
        context.output.warn(&format!(
            "there is no group {to} yet; rmq group create {to} makes it"
        ));
    }
    let mut topics = match &args.topic {
        Some(topic) => vec![topic.clone()],
        None => known,
    };
    topics.retain(|topic| !topic.starts_with("%RETRY%") && !topic.starts_with("%DLQ%"));
    let mut plan = Plan::default();
    let mut queues = Vec::new();
    for topic in &topics {
        let source = admin.group_offsets(from, topic).await?;
        let target = admin.group_offsets(to, topic).await?;
        for (queue, after) in source {
            let Some(after) = after else { continue };
            let before = target.get(&queue).copied().flatten();
            let step = Step::new("clone", "offset", to, queue.broker.as_str());
            let step = step.field(format!("{topic}/{}", queue.queue));
            plan.steps.push(step.change(before, after));
            queues.push(queue);
        }
    }
    if plan.steps.is_empty() {
        return Err(CliError::not_found(format!(
            "{from} has no offsets to clone"
        )));
    }
    let question = format!(
        "Giving {to} the offsets of {from} in {} queues. Go on?",
        queues.len()
    );
    if plan.agreed(args.consent, Danger::Ask(&question), context)? {
        let mut failed: BTreeMap<(String, String), CliError> = BTreeMap::new();
        for topic in &topics {
            for master in &masters {
                let address = &master.address;
                let cloned = admin
                    .clone_offsets_at(address, from, to, Some(topic), true)
                    .await;
                if let Err(error) = cloned {
                    failed.insert((topic.clone(), master.name.clone()), error.into());
                }
            }
        }
        for (step, queue) in plan.steps.iter_mut().zip(&queues) {
            let place = (queue.topic.to_string(), queue.broker.to_string());
            if let Some(error) = failed.get(&place) {
                step.fail(CliError::new(error.exit(), error));
                continue;
            }
            match admin.group_offset(to, queue).await {
                // The source may have moved since the plan was made.
                Ok(Some(now)) if step.after != now => match admin.group_offset(from, queue).await {
                    Ok(Some(source)) if source >= now => step.moved_on(now),
                    _ => step.found(json!(now)),
                },
                Ok(now) => step.found(now),
                Err(error) => step.fail(error),
            }
        }
    }
    plan.finish(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{BrokerName, QueueId, TopicName};

    #[test]
    fn places() {
        assert_eq!(place("earliest", 0).unwrap(), Place::Earliest);
        assert_eq!(place("17", 0).unwrap(), Place::Offset(17));
        assert_eq!(
            place("1795341600000", 0).unwrap(),
            Place::Time(1_795_341_600_000)
        );
        assert_eq!(place("-10s", 20_000).unwrap(), Place::Time(10_000));
        assert!(place("soon", 0).is_err());
    }

    #[test]
    fn queues_are_chosen_by_broker_and_number() {
        let queue = |broker: &str, number| MessageQueue {
            topic: TopicName::stored("t"),
            broker: BrokerName::stored(broker),
            queue: QueueId::new(number),
        };
        let all = vec![queue("a", 0), queue("a", 1), queue("b", 0)];
        let pick = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            chosen(all.clone(), &texts)
        };
        assert_eq!(pick(&["0"]).unwrap(), [queue("a", 0), queue("b", 0)]);
        assert_eq!(pick(&["a/1", "1"]).unwrap(), [queue("a", 1)]);
        assert!(pick(&["b/1"]).is_err() && pick(&["x"]).is_err());
    }
}
