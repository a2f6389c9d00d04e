//! Apache's brokers: what an operator has to do, since their roles change only by a restart or through a controller.

use super::decide::choose;
use super::group::{Group, Loss, loss};
use super::promote::Args;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;
use crate::client::admin::Admin;
use serde_json::json;

const COLUMNS: &[Column] = &[
    Column::new("step", "STEP").right(),
    Column::new("at", "AT").name(),
    Column::new("do", "DO"),
];

/// Apache's classic master and slave: a role is read at the start, so an operator restarts them. Prints what is to be
/// done in which order.
pub(super) async fn steps(
    args: &Args,
    group: &Group,
    admin: &Admin,
    context: &Context,
) -> Result<Exit, CliError> {
    let target = choose(group, args.next.to.as_deref())?;
    let lost = loss(admin, group, target).await;
    if let Some(file) = &args.rewrite {
        let config = admin.broker_config(&target.address).await?;
        let text = rewritten(&config);
        if file == "-" {
            context.output.raw(text.as_bytes())?;
        } else {
            std::fs::write(file, &text)
                .map_err(|error| CliError::failed(format!("{file}: {error}")))?;
            context.output.note(&format!("{file}: written"));
        }
        return Ok(Exit::Ok);
    }
    let name = &group.name;
    let mut steps: Vec<(String, String)> = Vec::new();
    let others = group
        .members
        .iter()
        .filter(|member| member.address != target.address);
    let (masters, slaves): (Vec<_>, Vec<_>) = others.partition(|member| !member.is_slave());
    for master in &masters {
        if master.known().is_some() {
            for name_server in admin.name_servers() {
                let text = format!("rmq broker perm {name} r --namesrv {name_server} --yes");
                steps.push((name_server.clone(), text));
            }
        }
        steps.push((
            master.address.clone(),
            "stop it (mqshutdown broker), and see that nothing starts it again".to_owned(),
        ));
    }
    steps.push((
        target.address.clone(),
        match &lost {
            Loss::None => format!("has everything: rmq failover status {name}"),
            Loss::Known { bytes, messages } => format!(
                "wait until it has the {messages} messages ({bytes} bytes) it lacks: rmq failover status {name}"
            ),
            Loss::Unknown(why) => format!("nobody can tell what it lacks: {why}"),
        },
    ));
    steps.push((
        target.address.clone(),
        format!(
            "rmq failover promote {name} --to {} --rewrite broker.conf; stop the broker, start it with this file",
            target.address
        ),
    ));
    for slave in &slaves {
        steps.push((
            slave.address.clone(),
            "restart it: it learns the new master from its name server".to_owned(),
        ));
    }
    for master in &masters {
        steps.push((
            master.address.clone(),
            "start it again with brokerRole=SLAVE and brokerId=1, on an empty store directory if it has messages that \
             the new master lacks"
                .to_owned(),
        ));
    }
    let rows = steps
        .into_iter()
        .enumerate()
        .map(|(index, (at, text))| json!({"step": index + 1, "at": at, "do": text}));
    context.output.rows(COLUMNS, rows.collect::<Vec<_>>())?;
    context.output.note(
        "Apache's classic brokers change roles only by a restart: these steps are an operator's, nothing was changed",
    );
    if args.consent.dry_run {
        return Ok(Exit::Ok);
    }
    Err(CliError::new(
        Exit::CheckFailed,
        format!("{name} was not changed: the steps are an operator's"),
    ))
}

/// A slave's configuration as that of a master.
fn rewritten(config: &std::collections::BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in config {
        let value = match key.as_str() {
            "brokerRole" => "ASYNC_MASTER",
            "brokerId" => "0",
            "haMasterAddress" | "masterAddress" => continue,
            _ => value,
        };
        text.extend([key.as_str(), "=", value, "\n"]);
    }
    text
}

/// Apache's brokers with a controller are its to change.
pub(super) fn elects(group: &Group) -> CliError {
    CliError::new(
        Exit::CheckFailed,
        format!(
            "{} has a controller, which chooses its master, but does not say where that is",
            group.name
        ),
    )
    .hint("name it: --controller HOST:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slaves_configuration_becomes_a_masters() {
        let config = [
            ("brokerRole", "SLAVE"),
            ("brokerId", "3"),
            ("haMasterAddress", "a:1"),
            ("x", "y"),
        ];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let text = rewritten(&config.into_iter().collect());
        assert_eq!(text, "brokerId=0\nbrokerRole=ASYNC_MASTER\nx=y\n");
    }
}
