//! `rmq acl user`.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{explained, two};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::cli::plan::{Consent, Danger, Plan, Step};
use crate::cli::targets::Targets;
use crate::client::admin::{Admin, UserInfo};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List users. Fields: brokerName, user, type, status
    Ls {
        /// Only users whose names hold this text
        #[arg(value_name = "TEXT", default_value = "")]
        filter: String,
        #[command(flatten)]
        targets: Targets,
    },
    /// Create a user, or change one
    Set(SetArgs),
    /// Delete users
    Rm {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        consent: Consent,
    },
    /// Copy users, passwords too, from one broker to others
    Copy {
        /// Only these users
        #[arg(value_name = "NAME")]
        names: Vec<String>,
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
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
    /// A file that holds the password; - for stdin. Variable: RMQ_USER_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Whether rules apply to the user
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,
    /// Whether the user may come in
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<Status>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Rules apply
    Normal,
    /// Everything is allowed
    Super,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    /// The user may come in
    Enable,
    /// The user may not
    Disable,
}

const COLUMNS: &[Column] = &[
    Column::new("brokerName", "BROKER"),
    Column::new("user", "USER").name(),
    Column::new("type", "TYPE"),
    Column::new("status", "STATUS"),
];

pub(super) async fn run(args: Args, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    match args.what {
        What::Ls { filter, targets } => list(&filter, &targets, admin, context).await,
        What::Set(args) => set(args, admin, context).await,
        What::Rm {
            names,
            targets,
            consent,
        } => remove(&names, &targets, consent, admin, context).await,
        What::Copy {
            names,
            from,
            to,
            consent,
        } => copy(&names, &from, &to, consent, admin, context).await,
    }
}

async fn list(
    filter: &str,
    targets: &Targets,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    for broker in targets.masters(admin).await? {
        for user in admin
            .users_at(&broker.address, filter)
            .await
            .map_err(explained)?
        {
            rows.push(json!({
                "brokerName": broker.name,
                "user": user.username,
                "type": user.user_type,
                "status": user.user_status,
            }));
        }
    }
    context.output.rows(COLUMNS, rows)?;
    Ok(Exit::Ok)
}

/// A user as rows show it: never with the password.
fn described(user: &UserInfo) -> Value {
    json!({ "type": user.user_type, "status": user.user_status })
}

fn password(file: Option<&PathBuf>) -> Result<Option<String>, CliError> {
    let text = match file {
        Some(file) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut std::io::stdin().lock(), &mut text)?;
            Some(text)
        }
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            CliError::usage(format!("cannot read {}: {error}", file.display()))
        })?),
        None => std::env::var("RMQ_USER_PASSWORD").ok(),
    };
    let text = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    if text.as_ref().is_some_and(String::is_empty) {
        return Err(CliError::usage("the password is empty"));
    }
    Ok(text)
}

async fn set(args: SetArgs, admin: &Admin, context: &Context) -> Result<Exit, CliError> {
    let password = password(args.password_file.as_ref())?;
    let wanted = UserInfo {
        username: Some(args.name.clone()),
        password: password.clone(),
        user_type: args.kind.map(|kind| format!("{kind:?}")),
        user_status: args
            .status
            .map(|status| format!("{status:?}").to_ascii_lowercase()),
    };
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for broker in args.targets.masters(admin).await? {
        let found = admin
            .user_at(&broker.address, &args.name)
            .await
            .map_err(explained)?;
        let is_new = found.is_none();
        if is_new && password.is_none() {
            return Err(CliError::usage(format!(
                "{} is new on {} and needs a password",
                args.name, broker.name
            ))
            .hint("--password-file FILE, or RMQ_USER_PASSWORD"));
        }
        let base = found.clone().unwrap_or_else(|| UserInfo {
            user_type: Some("Normal".to_owned()),
            user_status: Some("enable".to_owned()),
            ..UserInfo::default()
        });
        let after = UserInfo {
            user_type: wanted.user_type.clone().or(base.user_type),
            user_status: wanted.user_status.clone().or(base.user_status),
            ..wanted.clone()
        };
        let action = if is_new { "create" } else { "change" };
        let step = Step::new(action, "user", &args.name, &broker.name);
        let mut step = step.change(found.as_ref().map(described), described(&after));
        if !is_new && password.is_some() {
            step = step.anyway().field("password");
        }
        plan.steps.push(step);
        work.push((broker, is_new));
    }
    if plan.agreed(args.consent, Danger::None, context)? {
        for (step, (broker, is_new)) in plan.steps.iter_mut().zip(&work) {
            if !step.is_planned() {
                continue;
            }
            put(step, &broker.address, &wanted, *is_new, admin).await;
        }
    }
    plan.finish(context)
}

/// Sends a user to one broker and reads back what it has then.
async fn put(step: &mut Step, address: &str, user: &UserInfo, is_new: bool, admin: &Admin) {
    let put = async {
        if is_new {
            admin.create_user_at(address, user).await?;
        }
        // Creating takes the name and the password; the rest is a change.
        if !is_new || user.user_status.is_some() {
            admin.update_user_at(address, user).await?;
        }
        let name = user.username.as_deref().unwrap_or_default();
        admin.user_at(address, name).await
    };
    let now = put.await.map_err(explained);
    step.read_back(now.map(|now| now.as_ref().map(described)));
}

async fn remove(
    names: &[String],
    targets: &Targets,
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let mut plan = Plan::default();
    let brokers = targets.masters(admin).await?;
    for name in names {
        for broker in &brokers {
            let found = admin
                .user_at(&broker.address, name)
                .await
                .map_err(explained)?;
            if let Some(found) = found {
                let step = Step::new("delete", "user", name, &broker.address);
                plan.steps.push(step.change(described(&found), Value::Null));
            }
        }
        if !plan.steps.iter().any(|step| step.name == *name) {
            return Err(CliError::not_found(format!("there is no user {name}")));
        }
    }
    let list = names.join(" ");
    let question = format!("Deleting {list}");
    if plan.agreed(consent, Danger::Name(&question, &list), context)? {
        for step in &mut plan.steps {
            let (address, name) = (step.at.clone(), step.name.clone());
            let deleted = async {
                admin.delete_user_at(&address, &name).await?;
                admin.user_at(&address, &name).await
            };
            step.read_back(
                deleted
                    .await
                    .map(|now| now.as_ref().map(described))
                    .map_err(explained),
            );
        }
    }
    plan.finish(context)
}

async fn copy(
    names: &[String],
    from: &str,
    to: &[String],
    consent: Consent,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let (source, targets) = two(from, to, admin).await?;
    let mut users = admin
        .users_at(&source.address, "")
        .await
        .map_err(explained)?;
    let name = |user: &UserInfo| user.username.clone().unwrap_or_default();
    if !names.is_empty() {
        users.retain(|user| names.contains(&name(user)));
        if let Some(missing) = names
            .iter()
            .find(|wanted| !users.iter().any(|user| name(user) == **wanted))
        {
            return Err(CliError::not_found(format!("{from} has no user {missing}")));
        }
    }
    let mut plan = Plan::default();
    let mut work = Vec::new();
    for target in &targets {
        for user in &users {
            let found = admin
                .user_at(&target.address, &name(user))
                .await
                .map_err(explained)?;
            let step = Step::new("copy", "user", name(user), &target.address);
            // Passwords cannot be compared without showing them, so a user that looks the same is copied too.
            plan.steps.push(
                step.change(found.as_ref().map(described), described(user))
                    .anyway(),
            );
            work.push((user.clone(), found.is_none()));
        }
    }
    let question = format!(
        "Copying {} users to {} brokers. Go on?",
        users.len(),
        targets.len()
    );
    if plan.agreed(consent, Danger::Ask(&question), context)? {
        for (step, (user, is_new)) in plan.steps.iter_mut().zip(&work) {
            let address = step.at.clone();
            put(step, &address, user, *is_new, admin).await;
        }
    }
    plan.finish(context)
}
