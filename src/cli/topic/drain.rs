//! `rmq topic drain`: no more messages in, and wait until every group has consumed what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::change::{no_topic, removal, take_removal};
use super::perm;
use crate::base::units::parse_duration;
use crate::cli::exit::{CliError, Exit};
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::cli::{Context, interrupted};
use crate::client::ClientError;
use crate::client::admin::{Admin, TopicConfig};

/// How often the groups are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Take the write permission away and wait until all groups have consumed everything
///
/// Ends with 9 if a group is not done in time. Messages that were sent back for a retry are waited for too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic drain orders --timeout 10m
  rmq topic drain orders --rm --yes")]
pub(super) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    /// Only these groups; may be given more than once
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Delete the topic when it is drained
    #[arg(long)]
    rm: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let topic = &args.topic;
    let masters = Targets::default().masters(admin).await?;
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for master in &masters {
        let Some(found) = admin.topic_config_at(&master.address, topic).await? else {
            continue;
        };
        let closed = TopicConfig {
            perm: found.perm & !2,
            attributes: BTreeMap::new(),
            ..found.clone()
        };
        let step = Step::new("change", "topic", topic, &master.name).field("perm");
        plan.steps
            .push(step.change(perm::show(found.perm), perm::show(closed.perm)));
        work.push((master.clone(), closed));
    }
    if work.is_empty() {
        return Err(no_topic(topic));
    }
    let groups = if args.groups.is_empty() {
        admin.groups_of_topic(topic).await?
    } else {
        args.groups.clone()
    };
    let closing = plan.steps.len();
    for group in &groups {
        let step = Step::new("wait", "group", group, "all").field("lag");
        plan.steps
            .push(step.change(lag(admin, group, topic).await?, 0));
    }
    let waiting = plan.steps.len();
    if args.rm {
        plan.steps
            .extend(removal(topic, &masters, true, admin).await?);
    }
    let question = format!("Producers of {topic} will be refused from now on");
    let danger = if args.rm {
        Danger::Name(&question, topic)
    } else {
        Danger::Ask(&question)
    };
    if !plan.agreed(args.consent, danger, context)? {
        return plan.finish(context);
    }
    for (step, (master, config)) in plan.steps.iter_mut().zip(&work) {
        if !step.is_planned() {
            continue;
        }
        let closed = async {
            admin.put_topic_at(&master.address, config).await?;
            admin.topic_config_at(&master.address, topic).await
        };
        step.read_back(closed.await.map(|now| now.map(|now| perm::show(now.perm))));
    }
    let steps = &mut plan.steps[closing..waiting];
    let end = wait(steps, topic, args.timeout, admin, context).await?;
    if end == Exit::Ok {
        take_removal(&mut plan.steps[waiting..], &masters, None, admin).await;
    } else {
        plan.skip_rest("the topic is not drained");
    }
    let finished = plan.finish(context)?;
    Ok(if end == Exit::Ok { finished } else { end })
}

/// Waits until no group has anything left.
async fn wait(
    steps: &mut [Step],
    topic: &str,
    timeout: Duration,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let deadline = Instant::now() + timeout;
    let mut stop = std::pin::pin!(interrupted());
    let mut said = 0;
    loop {
        let mut left = 0;
        for step in steps.iter_mut() {
            let now = lag(admin, &step.name, topic).await?;
            step.found(now);
            left += now;
        }
        if left == 0 {
            return Ok(Exit::Ok);
        }
        if left != said {
            context.output.note(&format!("{left} messages are left"));
            said = left;
        }
        if Instant::now() >= deadline {
            return Ok(Exit::Short);
        }
        tokio::select! {
            biased;
            () = &mut stop => return Ok(Exit::Interrupted),
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// Messages of the topic that a group has not consumed, those of its retry topic included.
async fn lag(admin: &Admin, group: &str, topic: &str) -> Result<i64, ClientError> {
    let mut lag = 0;
    for topic in [topic, &format!("%RETRY%{group}")] {
        let stats = admin.consume_stats(group, Some(topic)).await?;
        let queues = stats.offset_table.values();
        lag += queues
            .map(|queue| (queue.broker_offset - queue.consumer_offset).max(0))
            .sum::<i64>();
    }
    Ok(lag)
}
