//! `rmq group create`, `set` and `rm`.

use serde_json::{Value, json};

use super::{connections, member_ids, no_group};
use crate::base::GroupName;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::plan::{
    Consent, Danger, Fields, OnExisting, Plan, Step, differences, parts, read_back_fields,
};
use crate::cli::targets::{Target, Targets};
use crate::client::ClientError;
use crate::client::admin::{Admin, SubscriptionGroupConfig};

/// What can be said about a group.
#[derive(Clone, Debug, Default, clap::Args)]
struct Wanted {
    /// Whether it may consume at all
    #[arg(long, value_name = "BOOL")]
    enable: Option<bool>,
    /// Whether its members may all get every message
    #[arg(long, value_name = "BOOL")]
    broadcast: Option<bool>,
    /// Whether it consumes each queue in order (POP and gRPC clients)
    #[arg(long, value_name = "BOOL")]
    orderly: Option<bool>,
    /// Whether a new group begins at the first message
    #[arg(long, value_name = "BOOL")]
    from_min: Option<bool>,
    /// Attempts before a message goes to the dead-letter topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(-1..))]
    retry_max: Option<i32>,
    /// Queues of the retry topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=65535))]
    retry_queues: Option<i32>,
    /// After how many minutes a message counts as stuck
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(i32).range(1..))]
    timeout_minutes: Option<i32>,
    /// The broker id that members who lag behind are sent to
    #[arg(long, value_name = "ID")]
    slow_broker: Option<i64>,
    /// An attribute; may be given more than once
    #[arg(long = "attr", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
}

impl Wanted {
    fn applied(
        &self,
        mut config: SubscriptionGroupConfig,
    ) -> Result<SubscriptionGroupConfig, CliError> {
        let keep = |wanted: Option<bool>, field: &mut bool| *field = wanted.unwrap_or(*field);
        keep(self.enable, &mut config.consume_enable);
        keep(self.broadcast, &mut config.consume_broadcast_enable);
        keep(self.orderly, &mut config.consume_message_orderly);
        keep(self.from_min, &mut config.consume_from_min_enable);
        config.retry_max_times = self.retry_max.unwrap_or(config.retry_max_times);
        config.retry_queue_nums = self.retry_queues.unwrap_or(config.retry_queue_nums);
        config.consume_timeout_minute = self
            .timeout_minutes
            .unwrap_or(config.consume_timeout_minute);
        config.which_broker_when_consume_slowly = self
            .slow_broker
            .unwrap_or(config.which_broker_when_consume_slowly);
        for text in &self.attributes {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| CliError::usage(format!("--attr {text}: write NAME=VALUE")))?;
            config.attributes.insert(name.to_owned(), value.to_owned());
        }
        Ok(config)
    }
}

/// Create consumer groups
///
/// A group that is there already is left alone if it is as wanted; else the command fails, unless --if-missing says that
/// this does not matter.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group create billing
  rmq group create ledger --orderly true --retry-max 3")]
pub(super) struct CreateArgs {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Leave groups that exist as they are
    #[arg(long)]
    if_missing: bool,
    /// Change groups that exist and are not as wanted
    #[arg(long, conflicts_with = "if_missing")]
    or_change: bool,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

/// Change consumer groups
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group set billing --enable false --dry-run
  rmq group set billing --forbid orders")]
pub(super) struct SetArgs {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Keep the group from reading this topic; may be given more than once
    #[arg(long, value_name = "TOPIC")]
    forbid: Vec<String>,
    /// Let the group read this topic again; may be given more than once
    #[arg(long, value_name = "TOPIC")]
    allow: Vec<String>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

/// Delete consumer groups, with their offsets
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq group rm billing --dry-run
  rmq group rm billing --yes --keep-offsets")]
pub(super) struct RmArgs {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Leave the offsets, so that a group of this name goes on where this one was
    #[arg(long)]
    keep_offsets: bool,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

fn fields(config: &SubscriptionGroupConfig) -> Fields {
    let mut fields: Fields = [
        ("enabled", json!(config.consume_enable)),
        ("broadcast", json!(config.consume_broadcast_enable)),
        ("orderly", json!(config.consume_message_orderly)),
        ("fromMin", json!(config.consume_from_min_enable)),
        ("retryMax", json!(config.retry_max_times)),
        ("retryQueues", json!(config.retry_queue_nums)),
        ("timeoutMinutes", json!(config.consume_timeout_minute)),
        ("slowBroker", json!(config.which_broker_when_consume_slowly)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let attributes = config.attributes.iter();
    fields.extend(attributes.map(|(name, value)| (format!("attributes.{name}"), json!(value))));
    fields
}

fn described(config: &SubscriptionGroupConfig) -> Value {
    Value::Object(fields(config).into_iter().collect())
}

/// A group as it is sent: its attributes are changes.
fn sent(config: &SubscriptionGroupConfig) -> SubscriptionGroupConfig {
    let attributes = config.attributes.iter();
    SubscriptionGroupConfig {
        attributes: attributes
            .map(|(name, value)| (format!("+{name}"), value.clone()))
            .collect(),
        ..config.clone()
    }
}

/// A group on one broker. All groups are asked for, because asking for one can create it.
async fn found_at(
    admin: &Admin,
    master: &Target,
    group: &str,
) -> Result<Option<SubscriptionGroupConfig>, ClientError> {
    Ok(admin
        .groups_at(&master.address)
        .await?
        .configs
        .remove(group))
}

pub(super) async fn create(
    args: CreateArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let existing = OnExisting {
        leave: args.if_missing,
        change: args.or_change,
    };
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for group in &args.groups {
        GroupName::parse(group).map_err(ClientError::from)?;
        for master in &masters {
            let found = found_at(admin, master, group).await?;
            let fresh = SubscriptionGroupConfig {
                group_name: group.clone(),
                ..SubscriptionGroupConfig::default()
            };
            let mut config = args.wanted.applied(fresh)?;
            if let Some(found) = &found {
                config = existing.settle(found, args.wanted.applied(found.clone())?, || {
                    format!(
                        "group {group} is on {} already, with {}",
                        master.name,
                        described(found)
                    )
                })?;
            }
            let action = if found.is_some() { "change" } else { "create" };
            let step = Step::new(action, "group", group, &master.name);
            plan.steps
                .push(step.change(found.as_ref().map(described), described(&config)));
            work.push((master.clone(), config));
        }
    }
    if plan.agreed(args.consent, Danger::None, context)? {
        for (step, (master, config)) in plan.steps.iter_mut().zip(&work) {
            if !step.is_planned() {
                continue;
            }
            let put = async {
                admin.put_group_at(&master.address, &sent(config)).await?;
                found_at(admin, master, &config.group_name).await
            };
            step.read_back(put.await.map(|now| now.as_ref().map(described)));
        }
    }
    plan.finish(context)
}

/// What is done at one broker.
enum Work {
    /// Send the group.
    Put(SubscriptionGroupConfig),
    /// Forbid or allow a topic.
    Readable {
        group: String,
        topic: String,
        readable: bool,
    },
}

pub(super) async fn set(args: SetArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let mut plan = Plan::default();
    let mut work: Vec<((Target, Work), usize)> = Vec::new();
    for group in &args.groups {
        let mut found_one = false;
        for master in &masters {
            let groups = admin.groups_at(&master.address).await?;
            let Some(found) = groups.configs.get(group) else {
                continue;
            };
            found_one = true;
            let wanted = args.wanted.applied(found.clone())?;
            let step = Step::new("change", "group", group, &master.name);
            let steps = differences(&step, &fields(found), &fields(&wanted));
            work.push(((master.clone(), Work::Put(wanted)), steps.len()));
            plan.steps.extend(steps);
            let forbidden = groups.forbidden.get(group);
            let changes = args.forbid.iter().map(|topic| (topic, false));
            for (topic, readable) in changes.chain(args.allow.iter().map(|topic| (topic, true))) {
                let bits = forbidden.and_then(|topics| topics.get(topic));
                let before = bits.is_none_or(|bits| bits & 4 == 0);
                let step = step.clone().field(format!("readable.{topic}"));
                plan.steps.push(step.change(before, readable));
                let (group, topic) = (group.clone(), topic.clone());
                let readable = Work::Readable {
                    group,
                    topic,
                    readable,
                };
                work.push(((master.clone(), readable), 1));
            }
        }
        if !found_one {
            return Err(no_group(group));
        }
    }
    if plan.agreed(args.consent, Danger::None, context)? {
        for (steps, (master, work)) in parts(&mut plan.steps, &work) {
            take(steps, work, master, admin).await;
        }
    }
    plan.finish(context)
}

async fn take(steps: &mut [Step], work: &Work, master: &Target, admin: &Admin) {
    let taken: Result<Fields, ClientError> = async {
        match work {
            Work::Put(config) => {
                admin.put_group_at(&master.address, &sent(config)).await?;
                let now = found_at(admin, master, &config.group_name).await?;
                Ok(now.as_ref().map(fields).unwrap_or_default())
            }
            Work::Readable {
                group,
                topic,
                readable,
            } => {
                let address = &master.address;
                let now = admin
                    .group_readable_at(address, group, topic, Some(*readable))
                    .await?;
                Ok(Fields::from([(format!("readable.{topic}"), json!(now))]))
            }
        }
    }
    .await;
    read_back_fields(steps, taken);
}

pub(super) async fn remove(
    args: RmArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let mut plan = Plan::default();
    for group in &args.groups {
        let before = plan.steps.len();
        for master in &masters {
            if let Some(found) = found_at(admin, master, group).await? {
                let step = Step::new("delete", "group", group, &master.name);
                plan.steps.push(step.change(described(&found), Value::Null));
            }
        }
        if plan.steps.len() == before {
            return Err(no_group(group));
        }
    }
    let online = connections(args.groups.iter().cloned(), &masters, admin).await?;
    for (group, members) in &online {
        let members = member_ids(members).len();
        if members > 0 {
            context.output.warn(&format!(
                "{group} has {members} members; brokers may create it anew for them"
            ));
        }
    }
    let names = args.groups.join(" ");
    let question = if args.keep_offsets {
        format!("Deleting {names}, but not the offsets")
    } else {
        format!("Deleting {names} with all offsets")
    };
    if plan.agreed(args.consent, Danger::Name(&question, &names), context)? {
        for step in &mut plan.steps {
            let Some(master) = masters.iter().find(|master| master.name == step.at) else {
                continue;
            };
            let group = step.name.clone();
            let deleted = async {
                let address = &master.address;
                admin
                    .delete_group_at(address, &group, !args.keep_offsets)
                    .await?;
                found_at(admin, master, &group).await
            };
            step.read_back(deleted.await.map(|now| now.as_ref().map(described)));
        }
    }
    plan.finish(context)
}
