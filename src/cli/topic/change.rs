//! `rmq topic create`, `set` and `rm`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::perm;
use crate::base::TopicName;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::plan::{
    Consent, Danger, Fields, OnExisting, Plan, Step, differences, parts, read_back_fields,
};
use crate::cli::targets::{Target, Targets};
use crate::client::ClientError;
use crate::client::admin::{Admin, TopicConfig};

/// The table of fixed queue orders on name servers.
const ORDER_CONF: &str = "ORDER_TOPIC_CONFIG";

/// What can be said about a topic.
#[derive(Clone, Debug, Default, clap::Args)]
struct Wanted {
    /// Queues for reading and writing, on each broker
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=65535))]
    queues: Option<i32>,
    /// Queues consumers read, on each broker
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=65535))]
    read_queues: Option<i32>,
    /// Queues producers write, on each broker
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=65535))]
    write_queues: Option<i32>,
    /// rw, r, w or none
    #[arg(long, value_name = "PERM", value_parser = perm::parse)]
    perm: Option<i32>,
    /// Whether the order of its queues is fixed
    #[arg(long, value_name = "BOOL")]
    order: Option<bool>,
    /// What its messages are (attribute message.type)
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<MessageType>,
    /// An attribute, as in queue.type=BatchCQ; may be given more than once
    #[arg(long = "attr", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MessageType {
    /// Plain messages
    Normal,
    /// Messages in the order of a group
    Fifo,
    /// Messages that are delivered later
    Delay,
    /// Messages of transactions
    Transaction,
    /// Any of them
    Mixed,
}

impl Wanted {
    /// The attributes wanted, by name.
    fn attributes(&self) -> Result<BTreeMap<String, String>, CliError> {
        let mut attributes = BTreeMap::new();
        for text in &self.attributes {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .ok_or_else(|| CliError::usage(format!("--attr {text}: write NAME=VALUE")))?;
            if [name, value].iter().any(|part| part.contains([',', '+'])) {
                return Err(CliError::usage(format!(
                    "--attr {text}: ',' and '+' cannot be sent in attributes"
                )));
            }
            attributes.insert(name.to_owned(), value.to_owned());
        }
        if let Some(kind) = self.message_type {
            let name = format!("{kind:?}").to_ascii_uppercase();
            attributes.insert("message.type".to_owned(), name);
        }
        Ok(attributes)
    }

    /// A topic with what is wanted changed in it.
    fn applied(&self, mut config: TopicConfig) -> Result<TopicConfig, CliError> {
        let read = self.read_queues.or(self.queues);
        let write = self.write_queues.or(self.queues);
        config.read_queue_nums = read.unwrap_or(config.read_queue_nums);
        config.write_queue_nums = write.unwrap_or(config.write_queue_nums);
        config.perm = self.perm.unwrap_or(config.perm);
        config.order = self.order.unwrap_or(config.order);
        config.attributes.extend(self.attributes()?);
        Ok(config)
    }
}

/// Create topics
///
/// A topic that is there already is left alone if it is as wanted; else the command fails, unless --if-missing says that
/// this does not matter.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic create orders payments --queues 8
  rmq topic create ledger --type fifo --cluster DefaultCluster")]
pub(super) struct CreateArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Leave topics that exist as they are
    #[arg(long)]
    if_missing: bool,
    /// Change topics that exist and are not as wanted
    #[arg(long, conflicts_with = "if_missing")]
    or_change: bool,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

/// Change topics
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic set orders --perm r --dry-run
  rmq topic set orders --queues 16
  rmq topic set orders --order-conf 'broker-a:4;broker-b:4'")]
pub(super) struct SetArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Take an attribute away; may be given more than once
    #[arg(long, value_name = "NAME")]
    remove_attr: Vec<String>,
    /// The fixed order of queues on all name servers, as in broker-a:4;broker-b:4; 'none' takes it away
    #[arg(long, value_name = "CONF")]
    order_conf: Option<String>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

/// Delete topics, with their messages
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic rm orders --dry-run
  rmq topic rm orders --yes")]
pub(super) struct RmArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

/// A topic as rows show it.
fn described(config: &TopicConfig) -> Value {
    json!({
        "readQueues": config.read_queue_nums,
        "writeQueues": config.write_queue_nums,
        "perm": perm::show(config.perm),
        "order": config.order,
        "attributes": config.attributes,
    })
}

/// Attributes as changes: `+name` for each that is there.
fn with_additions(config: &TopicConfig) -> TopicConfig {
    let attributes = config.attributes.iter();
    TopicConfig {
        attributes: attributes
            .map(|(name, value)| (format!("+{name}"), value.clone()))
            .collect(),
        ..config.clone()
    }
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
    for topic in &args.topics {
        TopicName::parse(topic).map_err(ClientError::from)?;
        for master in &masters {
            let fresh = TopicConfig {
                topic_name: topic.clone(),
                read_queue_nums: 8,
                write_queue_nums: 8,
                ..TopicConfig::default()
            };
            let mut config = args.wanted.applied(fresh)?;
            let found = admin.topic_config_at(&master.address, topic).await?;
            if let Some(found) = &found {
                config = existing.settle(found, args.wanted.applied(found.clone())?, || {
                    format!(
                        "topic {topic} is on {} already, with {}",
                        master.name,
                        described(found)
                    )
                })?;
            }
            let action = if found.is_some() { "change" } else { "create" };
            let step = Step::new(action, "topic", topic, &master.name);
            plan.steps
                .push(step.change(found.as_ref().map(described), described(&config)));
            work.push((master.clone(), config));
        }
    }
    if plan.agreed(args.consent, Danger::None, context)? {
        for (step, (master, config)) in plan.steps.iter_mut().zip(&work) {
            if step.is_planned() {
                put(step, admin, master, &with_additions(config), |now| {
                    described(now)
                })
                .await;
            }
        }
    }
    plan.finish(context)
}

/// Sends one topic to one broker, and reads back what the broker has then.
async fn put(
    step: &mut Step,
    admin: &Admin,
    master: &Target,
    config: &TopicConfig,
    shown: impl Fn(&TopicConfig) -> Value,
) {
    let put = async {
        admin.put_topic_at(&master.address, config).await?;
        admin
            .topic_config_at(&master.address, &config.topic_name)
            .await
    };
    step.read_back(put.await.map(|now| now.as_ref().map_or(Value::Null, shown)));
}

pub(super) async fn set(args: SetArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let mut plan = Plan::default();
    let mut work: Vec<((Target, TopicConfig), usize)> = Vec::new();
    let mut fewer_readable = false;
    for topic in &args.topics {
        let mut found_one = false;
        for master in &masters {
            let Some(found) = admin.topic_config_at(&master.address, topic).await? else {
                continue;
            };
            found_one = true;
            let mut wanted = args.wanted.applied(found.clone())?;
            for name in &args.remove_attr {
                wanted.attributes.remove(name);
            }
            fewer_readable |= wanted.read_queue_nums < found.read_queue_nums;
            let step = Step::new("change", "topic", topic, &master.name);
            let mut steps = differences(&step, &fields(&found), &fields(&wanted));
            if steps.is_empty() && args.order_conf.is_none() {
                steps.push(step.change(described(&found), described(&wanted)));
            }
            let mut sent = with_additions(&wanted);
            for name in &args.remove_attr {
                if found.attributes.contains_key(name) {
                    sent.attributes.insert(format!("-{name}"), String::new());
                }
            }
            work.push(((master.clone(), sent), steps.len()));
            plan.steps.extend(steps);
        }
        if !found_one {
            return Err(no_topic(topic));
        }
    }
    let count_of_fields = plan.steps.len();
    if let Some(conf) = &args.order_conf {
        plan.steps
            .extend(order_conf_steps(&args.topics, conf, admin).await?);
    }
    let danger = if fewer_readable {
        Danger::Ask(
            "Messages in queues beyond the new number of read queues will not be consumed. Go on?",
        )
    } else {
        Danger::None
    };
    if plan.agreed(args.consent, danger, context)? {
        let (changed, orders) = plan.steps.split_at_mut(count_of_fields);
        for (steps, (master, config)) in parts(changed, &work) {
            change_one(steps, admin, master, config).await;
        }
        for step in orders.iter_mut().filter(|step| step.is_planned()) {
            set_order_conf(step, admin).await;
        }
    }
    plan.finish(context)
}

fn fields(config: &TopicConfig) -> Fields {
    let mut fields = Fields::from([
        ("readQueues".to_owned(), json!(config.read_queue_nums)),
        ("writeQueues".to_owned(), json!(config.write_queue_nums)),
        ("perm".to_owned(), json!(perm::show(config.perm))),
        ("order".to_owned(), json!(config.order)),
    ]);
    let attributes = config.attributes.iter();
    fields.extend(attributes.map(|(name, value)| (format!("attributes.{name}"), json!(value))));
    fields
}

async fn change_one(steps: &mut [Step], admin: &Admin, master: &Target, config: &TopicConfig) {
    let changed = async {
        admin.put_topic_at(&master.address, config).await?;
        admin
            .topic_config_at(&master.address, &config.topic_name)
            .await
    };
    read_back_fields(
        steps,
        changed
            .await
            .map(|now| now.as_ref().map(fields).unwrap_or_default()),
    );
}

async fn order_conf_steps(
    topics: &[String],
    conf: &str,
    admin: &Admin,
) -> Result<Vec<Step>, CliError> {
    let wanted = if conf == "none" { None } else { Some(conf) };
    let well_formed = |part: &str| {
        let count = part
            .split_once(':')
            .map(|(_, count)| count.trim().parse::<u16>());
        matches!(count, Some(Ok(1..)))
    };
    if let Some(conf) = wanted
        && !conf.split(';').all(well_formed)
    {
        return Err(CliError::usage(format!(
            "--order-conf {conf:?}: write BROKER:QUEUES;BROKER:QUEUES"
        )));
    }
    let mut steps = Vec::new();
    for topic in topics {
        for name_server in admin.name_servers() {
            let before = admin.kv_at(name_server, ORDER_CONF, topic).await?;
            let step = Step::new("change", "kv", topic, name_server).field(ORDER_CONF);
            steps.push(step.change(before, wanted));
        }
    }
    Ok(steps)
}

async fn set_order_conf(step: &mut Step, admin: &Admin) {
    let (topic, name_server) = (step.name.clone(), step.at.clone());
    let wanted = step.after.as_str().map(str::to_owned);
    let changed = async {
        match &wanted {
            Some(conf) => {
                admin
                    .put_kv_at(&name_server, ORDER_CONF, &topic, conf)
                    .await?;
            }
            None => admin.delete_kv_at(&name_server, ORDER_CONF, &topic).await?,
        }
        admin.kv_at(&name_server, ORDER_CONF, &topic).await
    };
    step.read_back(changed.await);
}

pub(super) fn no_topic(topic: &str) -> CliError {
    CliError::not_found(format!("there is no topic {topic}")).hint("rmq topic ls --all lists them")
}

pub(super) async fn remove(
    args: RmArgs,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let masters = args.targets.masters(admin).await?;
    let everywhere = args.targets.brokers.is_empty();
    let mut plan = Plan::default();
    for topic in &args.topics {
        plan.steps
            .extend(removal(topic, &masters, everywhere, admin).await?);
        let groups = admin.groups_of_topic(topic).await.unwrap_or_default();
        if !groups.is_empty() {
            context
                .output
                .warn(&format!("{topic} is consumed by {}", groups.join(", ")));
        }
    }
    let names = args.topics.join(" ");
    let question = format!("Deleting {names} with all messages");
    if plan.agreed(args.consent, Danger::Name(&question, &names), context)? {
        let cluster = args.targets.cluster.as_deref();
        take_removal(&mut plan.steps, &masters, cluster, admin).await;
    }
    plan.finish(context)
}

/// The steps that delete a topic: on the brokers first, so that none of them brings it back to a name server.
pub(super) async fn removal(
    topic: &str,
    masters: &[Target],
    everywhere: bool,
    admin: &Admin,
) -> Result<Vec<Step>, CliError> {
    let mut steps = Vec::new();
    for master in masters {
        if let Some(found) = admin.topic_config_at(&master.address, topic).await? {
            let step = Step::new("delete", "topic", topic, &master.name);
            steps.push(step.change(described(&found), Value::Null));
        }
    }
    let routed = match admin.topic_route(topic).await {
        Ok(_) => true,
        Err(ClientError::NoRoute { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if steps.is_empty() && !(routed && everywhere) {
        return Err(no_topic(topic));
    }
    if everywhere {
        for name_server in admin.name_servers() {
            let step = Step::new("delete", "route", topic, name_server);
            steps.push(step.change("routed", Value::Null));
        }
    }
    Ok(steps)
}

pub(super) async fn take_removal(
    steps: &mut [Step],
    masters: &[Target],
    cluster: Option<&str>,
    admin: &Admin,
) {
    let mut failed = std::collections::BTreeSet::new();
    for step in steps.iter_mut().filter(|step| step.is_planned()) {
        let topic = step.name.clone();
        if step.kind == "topic" {
            let Some(master) = masters.iter().find(|master| master.name == step.at) else {
                continue;
            };
            let deleted = async {
                admin.delete_topic_at(&master.address, &topic).await?;
                admin.topic_config_at(&master.address, &topic).await
            };
            match deleted.await {
                Ok(now) => step.found(now.as_ref().map(described)),
                Err(error) => {
                    failed.insert(topic);
                    step.fail(error);
                }
            }
        } else if failed.contains(&topic) {
            step.skip("a broker still has it");
        } else {
            let name_server = step.at.clone();
            let forgotten = admin.forget_topic_at(&name_server, &topic, cluster).await;
            step.settle(forgotten);
        }
    }
}
