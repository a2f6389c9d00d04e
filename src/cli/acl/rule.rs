//! `rmq acl rule`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{explained, two};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::plan::{Consent, Danger, Fields, Plan, Step, parts, read_back_fields};
use crate::cli::targets::Targets;
use crate::client::ClientError;
use crate::client::admin::{AclInfo, Admin, PolicyEntryInfo, PolicyInfo};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List rules. Fields: brokerName, subject, policyType, resource, actions, sourceIps, decision
    Ls {
        /// Only subjects that hold this text, as in User:alice
        #[arg(value_name = "SUBJECT", default_value = "")]
        subject: String,
        /// Only resources that hold this text, as in Topic:orders
        #[arg(long, value_name = "RESOURCE", default_value = "")]
        resource: String,
        #[command(flatten)]
        targets: Targets,
    },
    /// Give a subject a rule, or change the one it has on a resource
    Set(SetArgs),
    /// Delete the rules of a subject, or the one on a resource
    Rm {
        /// The subject
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Only on this resource
        #[arg(long, value_name = "RESOURCE")]
        resource: Option<String>,
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        consent: Consent,
    },
    /// Copy rules from one broker to others
    Copy {
        /// Only of these subjects
        #[arg(value_name = "SUBJECT")]
        subjects: Vec<String>,
        /// The broker that has them
        #[arg(long, value_name = "NAME|ADDR")]
        from: String,
        /// The brokers that get them; all other masters without
        #[arg(long, value_name = "NAME|ADDR")]
        to: Vec<String>,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// The subject, as in User:alice
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// What the rule is about, as in Topic:orders, Group:bill*, Cluster:*
    #[arg(long, required = true, value_name = "RESOURCE", value_delimiter = ',')]
    resource: Vec<String>,
    /// Pub, Sub, Create, Update, Delete, Get, List, Any or All
    #[arg(long, required = true, value_name = "ACTION", value_delimiter = ',')]
    actions: Vec<String>,
    /// What the rule says
    #[arg(long, value_enum, default_value = "allow", value_name = "DECISION")]
    decision: Decision,
    /// Only from these addresses or networks
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    source_ip: Vec<String>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Decision {
    /// The actions are allowed
    Allow,
    /// The actions are denied
    Deny,
}

const COLUMNS: &[Column] = &[
    Column::new("brokerName", "BROKER"),
    Column::new("subject", "SUBJECT").name(),
    Column::new("policyType", "KIND").wide(),
    Column::new("resource", "RESOURCE"),
    Column::new("actions", "ACTIONS"),
    Column::new("sourceIps", "FROM").optional(),
    Column::new("decision", "DECISION"),
];

/// The rules of a subject, by resource.
fn rules(acl: Option<&AclInfo>) -> Fields {
    let policies = acl
        .and_then(|acl| acl.policies.as_ref())
        .into_iter()
        .flatten();
    let entries = policies.flat_map(|policy| {
        let entries = policy.entries.iter().flatten();
        entries.map(move |entry| (policy, entry))
    });
    entries
        .map(|(policy, entry)| {
            let resource = entry.resource.clone().unwrap_or_default();
            let value = json!({
                "policyType": policy.policy_type,
                "resource": resource,
                "actions": sorted(entry.actions.as_deref()),
                "sourceIps": sorted(entry.source_ips.as_deref()),
                "decision": entry.decision,
            });
            (resource, value)
        })
        .collect()
}

fn sorted(list: Option<&[String]>) -> Vec<String> {
    let mut list = list.unwrap_or_default().to_vec();
    list.sort();
    list
}

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    match args.what {
        What::Ls {
            subject,
            resource,
            targets,
        } => list(&subject, &resource, &targets, admin, context).await,
        What::Set(args) => set(args, admin, context).await,
        What::Rm {
            subject,
            resource,
            targets,
            consent,
        } => {
            remove(
                &subject,
                resource.as_deref(),
                &targets,
                consent,
                admin,
                context,
            )
            .await
        }
        What::Copy {
            subjects,
            from,
            to,
            consent,
        } => copy(&subjects, &from, &to, consent, admin, context).await,
    }
}

async fn list(
    subject: &str,
    resource: &str,
    targets: &Targets,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    for broker in targets.masters(admin).await? {
        let acls = admin.acls_at(&broker.address, subject, resource).await;
        for acl in acls.map_err(explained)? {
            for (_, mut rule) in rules(Some(&acl)) {
                if let Value::Object(fields) = &mut rule {
                    fields.insert("brokerName".to_owned(), broker.name.clone().into());
                    fields.insert("subject".to_owned(), acl.subject.clone().into());
                }
                rows.push(rule);
            }
        }
    }
    context.output.rows(COLUMNS, rows)?;
    Ok(Exit::Ok)
}

fn checked_subject(subject: &str) -> Result<(), CliError> {
    if subject.starts_with("User:") && subject.len() > "User:".len() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{subject:?} is no subject; write User:NAME"
    )))
}

async fn set(args: SetArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    checked_subject(&args.subject)?;
    let entries = args.resource.iter().map(|resource| PolicyEntryInfo {
        resource: Some(resource.clone()),
        actions: Some(args.actions.clone()),
        source_ips: Some(args.source_ip.clone()).filter(|list| !list.is_empty()),
        decision: Some(format!("{:?}", args.decision)),
    });
    let acl = AclInfo {
        subject: Some(args.subject.clone()),
        policies: Some(vec![PolicyInfo {
            policy_type: Some("Custom".to_owned()),
            entries: Some(entries.collect()),
        }]),
    };
    let wanted = rules(Some(&acl));
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for broker in args.targets.masters(admin).await? {
        let found = admin
            .acl_at(&broker.address, &args.subject)
            .await
            .map_err(explained)?;
        let now = rules(found.as_ref());
        for (resource, rule) in &wanted {
            let before = now.get(resource).cloned();
            let action = if before.is_none() { "create" } else { "change" };
            let step = Step::new(action, "rule", &args.subject, &broker.address).field(resource);
            plan.steps.push(step.change(before, rule.clone()));
        }
        let put = Put {
            address: broker.address,
            acl: &acl,
            is_new: found.is_none(),
        };
        work.push((put, wanted.len()));
    }
    if plan.agreed(args.consent, Danger::None, context)? {
        for (steps, put) in parts(&mut plan.steps, &work) {
            put.take(steps, admin).await;
        }
    }
    plan.finish(context)
}

/// Rules of a subject for one broker.
struct Put<'a> {
    address: String,
    acl: &'a AclInfo,
    /// Whether the broker has none of the subject's.
    is_new: bool,
}

impl Put<'_> {
    /// Sends the rules and reads back what the broker has then.
    async fn take(&self, steps: &mut [Step], admin: &Admin) {
        let (address, acl) = (&self.address, self.acl);
        let subject = acl.subject.clone().unwrap_or_default();
        let sent: Result<Fields, ClientError> = async {
            if self.is_new {
                admin.create_acl_at(address, acl).await?;
            } else {
                admin.update_acl_at(address, acl).await?;
            }
            Ok(rules(admin.acl_at(address, &subject).await?.as_ref()))
        }
        .await;
        read_back_fields(steps, sent.map_err(explained));
    }
}

async fn remove(
    subject: &str,
    resource: Option<&str>,
    targets: &Targets,
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    checked_subject(subject)?;
    let mut plan = Plan::default();
    for broker in targets.masters(admin).await? {
        let found = admin
            .acl_at(&broker.address, subject)
            .await
            .map_err(explained)?;
        for (name, rule) in rules(found.as_ref()) {
            if resource.is_none_or(|resource| resource == name) {
                let step = Step::new("delete", "rule", subject, &broker.address).field(name);
                plan.steps.push(step.change(rule, Value::Null));
            }
        }
    }
    if plan.steps.is_empty() {
        return Err(CliError::not_found(format!("{subject} has no such rule")));
    }
    let question = format!("Deleting rules of {subject}");
    if plan.agreed(consent, Danger::Name(&question, subject), context)? {
        for step in &mut plan.steps {
            let (address, name) = (step.at.clone(), step.field.clone().unwrap_or_default());
            let kind = step.before["policyType"].as_str().map(str::to_owned);
            let deleted: Result<Fields, ClientError> = async {
                admin
                    .delete_acl_at(&address, subject, kind.as_deref(), Some(&name))
                    .await?;
                Ok(rules(admin.acl_at(&address, subject).await?.as_ref()))
            }
            .await;
            step.read_back(
                deleted
                    .map(|now| now.get(&name).cloned().unwrap_or_default())
                    .map_err(explained),
            );
        }
    }
    plan.finish(context)
}

async fn copy(
    subjects: &[String],
    from: &str,
    to: &[String],
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let (source, targets) = two(from, to, admin).await?;
    let mut acls = admin
        .acls_at(&source.address, "", "")
        .await
        .map_err(explained)?;
    let name = |acl: &AclInfo| acl.subject.clone().unwrap_or_default();
    if !subjects.is_empty() {
        acls.retain(|acl| subjects.contains(&name(acl)));
    }
    if acls.is_empty() {
        return Err(CliError::not_found(format!("{from} has no such rules")));
    }
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for target in &targets {
        for acl in &acls {
            let found = admin
                .acl_at(&target.address, &name(acl))
                .await
                .map_err(explained)?;
            let now = rules(found.as_ref());
            let wanted = rules(Some(acl));
            let put = Put {
                address: target.address.clone(),
                acl,
                is_new: found.is_none(),
            };
            work.push((put, wanted.len()));
            for (resource, rule) in wanted {
                let before = now.get(&resource).cloned();
                let step = Step::new("copy", "rule", name(acl), &target.address).field(&resource);
                plan.steps.push(step.change(before, rule));
            }
        }
    }
    let question = format!("Copying rules to {} brokers. Go on?", targets.len());
    if plan.agreed(consent, Danger::Ask(&question), context)? {
        for (steps, put) in parts(&mut plan.steps, &work) {
            put.take(steps, admin).await;
        }
    }
    plan.finish(context)
}
