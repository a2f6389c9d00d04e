//! `rmq dlq purge`: away with them.
//!
//! All that the protocol allows is to delete the topic on every broker. Its messages cannot be read from then on; their
//! bytes go with the rest of the commit log, as it grows old. The next dead letter makes the topic anew.

use super::letters::{Survey, absent};
use super::{Kind, Place};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::client::Client;

/// Delete all dead letters of a group, which means their topic
///
/// Brokers cannot delete single messages: %DLQ%GROUP is deleted on every broker and forgotten by every name server. The
/// next dead letter makes it anew. rmq dlq export keeps a copy beforehand.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the command.
pub(super) fn run(args: &Args, kind: Kind, context: &Context) -> Result<Exit, CliError> {
    let place = Place::new(kind, &args.group)?;
    context.block_on(async {
        let client = context.connect().await?;
        let done = purge(&client, args, &place, context).await;
        client.close().await;
        done
    })
}

async fn purge(
    client: &Client,
    args: &Args,
    place: &Place,
    context: &Context,
) -> Result<Exit, CliError> {
    let survey = Survey::of(client, &place.topic).await;
    let survey = survey.map_err(|error| absent(place, error))?;
    context.output.note(&format!(
        "{} {} of group {}: topic {} is deleted as a whole, for brokers delete no single messages",
        survey.count(),
        place.kind.words(),
        place.group,
        place.topic
    ));
    if place.kind == Kind::Retry {
        context.output.note(
            "what waits for its next try is lost with it; members of the group make the topic anew",
        );
    }
    let (mut plan, addresses) = plan(client, &survey, place, context).await?;
    let question = format!("delete {}", place.topic);
    let danger = Danger::Name(&question, place.group.as_str());
    if plan.agreed(args.consent, danger, context)? {
        let admin = client.admin();
        for (step, address) in plan.steps.iter_mut().zip(&addresses) {
            let done = if step.action == "delete" {
                admin.delete_topic_at(address, &place.topic).await
            } else {
                admin.forget_topic_at(address, &place.topic, None).await
            };
            step.settle(done);
        }
    }
    plan.finish(context)
}

/// The steps, and the address each goes to.
async fn plan(
    client: &Client,
    survey: &Survey,
    place: &Place,
    context: &Context,
) -> Result<(Plan, Vec<String>), CliError> {
    let route = client.admin().topic_route(&place.topic).await?;
    let mut plan = Plan::default();
    let mut addresses = Vec::new();
    for broker in &route.brokers {
        let Some(address) = broker.master() else {
            return Err(CliError::new(
                Exit::Unreachable,
                format!("broker {} has no master that could delete it", broker.name),
            ));
        };
        let here = survey.queues.iter();
        let here = here.filter(|(queue, _)| queue.broker == broker.name);
        let messages: i64 = here.map(|(_, (start, end))| end - start).sum();
        let step = Step::new("delete", "topic", &place.topic, broker.name.as_str());
        plan.steps
            .push(step.change(format!("{messages} messages"), serde_json::Value::Null));
        addresses.push(address.to_owned());
    }
    for name_server in context.name_servers() {
        plan.steps
            .push(Step::new("forget", "topic", &place.topic, &name_server));
        addresses.push(name_server);
    }
    Ok((plan, addresses))
}
