//! `rmq broker perm` and `clean`.

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::client::admin::Admin;

/// Take the write permission of a broker away, or give it back, at every name server
///
/// Producers learn of it with their next look at the routes, within 30 seconds. The broker itself does not change.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker perm broker-a r --dry-run
  rmq broker perm broker-a rw --yes")]
pub(super) struct PermArgs {
    /// The broker's name
    #[arg(value_name = "NAME")]
    broker: String,
    /// r: no more writes; rw: writes again
    #[arg(value_enum, value_name = "PERM")]
    perm: Perm,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Perm {
    /// Read only
    R,
    /// Read and write
    Rw,
}

pub(super) async fn perm(
    args: PermArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let clusters = admin.clusters().await?;
    let known = clusters
        .brokers
        .iter()
        .any(|broker| broker.name.as_str() == args.broker);
    if !known {
        return Err(
            CliError::not_found(format!("there is no broker {}", args.broker))
                .hint("rmq broker ls lists them"),
        );
    }
    let after = if args.perm == Perm::R { "r" } else { "rw" };
    let mut plan = Plan::default();
    for name_server in admin.name_servers() {
        let step = Step::new("change", "permission", &args.broker, name_server);
        // What is there differs from topic to topic; the answer counts those that change.
        plan.steps
            .push(step.field("perm").change(serde_json::Value::Null, after));
    }
    let question = format!("Making {} {after} for all producers. Go on?", args.broker);
    let danger = match args.perm {
        Perm::R => Danger::Ask(&question),
        Perm::Rw => Danger::None,
    };
    if plan.agreed(args.consent, danger, context)? {
        for step in &mut plan.steps {
            let changed = match args.perm {
                Perm::R => admin.wipe_write_perm(&step.at, &args.broker).await,
                Perm::Rw => admin.add_write_perm(&step.at, &args.broker).await,
            };
            match changed {
                Ok(topics) => step.moved_on(format!("{after} on {topics} topics")),
                Err(error) => step.fail(error),
            }
        }
    }
    plan.finish(context)
}

/// Delete what brokers do not need any more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq broker clean --unused-topics --expired-queues --dry-run
  rmq broker clean --expired-log --broker broker-a --yes")]
pub(super) struct CleanArgs {
    /// Log files past their retention, now instead of at the hour of deleteWhen
    #[arg(long)]
    expired_log: bool,
    /// Consume-queue files whose messages are gone
    #[arg(long)]
    expired_queues: bool,
    /// Consume queues of topics that are gone
    #[arg(long)]
    unused_topics: bool,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

const LOG: &str = "expired-log";
const QUEUES: &str = "expired-queues";
const TOPICS: &str = "unused-topics";

pub(super) async fn clean(
    args: CleanArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let wanted = [
        (args.expired_log, LOG),
        (args.expired_queues, QUEUES),
        (args.unused_topics, TOPICS),
    ];
    let wanted: Vec<&str> = wanted
        .iter()
        .filter(|(yes, _)| *yes)
        .map(|(_, name)| *name)
        .collect();
    if wanted.is_empty() {
        return Err(CliError::usage("nothing to clean is named")
            .hint("--expired-log, --expired-queues, --unused-topics"));
    }
    let mut plan = Plan::default();
    for broker in args.targets.all(admin).await? {
        for what in &wanted {
            plan.steps
                .push(Step::new("clean", "files", *what, &broker.address));
        }
    }
    if plan.agreed(
        args.consent,
        Danger::Ask("Deleting files for good. Go on?"),
        context,
    )? {
        for step in &mut plan.steps {
            let cleaned = match step.name.as_str() {
                LOG => admin.delete_expired_log(&step.at).await,
                QUEUES => admin.clean_expired_queues(&step.at).await,
                _ => admin.clean_unused_topics(&step.at).await,
            };
            step.settle(cleaned);
        }
    }
    plan.finish(context)
}
