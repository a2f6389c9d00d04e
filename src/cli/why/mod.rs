//! `rmq why`: why a group does not consume, from the route down to the threads of its members.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod gather;
mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::doctor::finding::{Finding, Level, Link};
use super::doctor::gather as audit;
use super::doctor::{interval, print};
use super::exit::{CliError, Exit};
use super::{Context, interrupted};
use crate::client::Client;

/// Tell why a consumer group does not consume
///
/// Looks at the route, permissions, the group, its members and their subscriptions, the owner of every queue and when it
/// last pulled, offsets, lag at two moments, the filter, retries and dead letters. Changes nothing. Ends with 7 if it
/// found a reason, 0 if all is well, 3 if there is no such group.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq why billing
  rmq why billing orders --stacks
  rmq why billing -o json | jq -r '.[] | select(.level != \"ok\") | .fix'")]
pub(crate) struct Args {
    /// The group
    group: String,
    /// Only this topic
    topic: Option<String>,
    /// The time between the two looks at its offsets
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Ask its members for the stacks of their threads (Java clients)
    #[arg(long)]
    stacks: bool,
}

/// Asks, judges, prints.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let links = context.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => Err(CliError::new(Exit::Interrupted, "")),
            links = ask(args, context) => links,
        }
    })?;
    print(&links, context)?;
    let reasons = links
        .iter()
        .flat_map(|link| &link.findings)
        .filter(|finding| finding.level >= Level::Warning)
        .count();
    context.output.note(&match reasons {
        0 => format!("{}: nothing stands in its way", args.group),
        1 => format!("{}: 1 reason", args.group),
        many => format!(
            "{}: {many} reasons, the likeliest first in each link",
            args.group
        ),
    });
    Ok(if reasons == 0 {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

async fn ask(args: &Args, context: &Context) -> Result<Vec<Link>, CliError> {
    let client = audit::connect(context).await?;
    let scope = audit::Scope {
        groups: vec![args.group.clone()],
        interval: args.interval,
        topics: false,
    };
    let facts = audit::cluster(&client, context, &scope).await;
    let Some(group) = facts.groups.first().cloned() else {
        let error = CliError::not_found(format!("there is no group {}", args.group));
        return Err(
            error.hint("rmq group ls shows which there are; a group appears with its first member")
        );
    };
    let more = gather::topics(&client.admin(), &facts, &group, args.topic.as_deref()).await;
    let question = judge::Question {
        facts: &facts,
        group: &group,
        topics: &more,
        now_ms: context.clock.now_ms(),
    };
    let mut links = judge::judge(&question);
    if args.stacks {
        links.push(stacks(&client, &question).await);
    }
    client.close().await;
    Ok(links)
}

/// What the members' threads do, one row for each member.
async fn stacks(client: &Client, question: &judge::Question<'_>) -> Link {
    let admin = client.admin();
    let mut findings = Vec::new();
    let addresses: BTreeMap<&str, &str> = question
        .facts
        .brokers
        .iter()
        .filter(|broker| broker.is_master())
        .map(|broker| (broker.name.as_str(), broker.address.as_str()))
        .collect();
    for member in &question.group.members {
        let broker = member
            .brokers
            .iter()
            .find_map(|name| addresses.get(name.as_str()));
        let Some(broker) = broker else { continue };
        let asked = admin
            .consumer_running_info(broker, &question.group.name, &member.client_id, true)
            .await;
        let stack = asked.ok().and_then(|info| info.jstack).unwrap_or_default();
        let message = if stack.is_empty() {
            "gives no stacks (only Java clients do)".to_owned()
        } else {
            busy(&stack)
        };
        findings.push(
            Finding::new("RMQ-W011", &member.client_id, message)
                .level(Level::Note)
                .evidence(json!({"stack": stack}))
                .fix(""),
        );
    }
    Link {
        name: "stacks",
        findings,
        closed: "there is nobody to ask".to_owned(),
    }
}

/// The frames of the threads that consume; the whole stack is in the evidence (`-o json`).
fn busy(stack: &str) -> String {
    let threads = stack.split("\n\n").filter(|thread| {
        thread.contains("ConsumeMessageThread") || thread.contains("consumeMessage")
    });
    let of_interest: Vec<String> = threads
        .take(4)
        .map(|thread| {
            let lines = thread
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            lines.take(6).collect::<Vec<_>>().join(" ← ")
        })
        .collect();
    if of_interest.is_empty() {
        "none of its threads is consuming".to_owned()
    } else {
        of_interest.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::busy;

    #[test]
    fn the_threads_that_consume_are_shown() {
        let stack = "main TID: 1\n at a\n\nConsumeMessageThread_g_1 TID: 2 STATE: TIMED_WAITING\n  Thread.sleep\n  Listener.consumeMessage\n\n";
        let text = busy(stack);
        assert!(
            text.starts_with("ConsumeMessageThread_g_1 TID: 2"),
            "{text}"
        );
        assert!(text.contains("← Listener.consumeMessage"), "{text}");
        assert_eq!(busy("main\n at x"), "none of its threads is consuming");
    }
}
