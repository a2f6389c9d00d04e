//! `rmq msg get`: any kind of id.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{COLUMNS, row};
use crate::base::BrokerName;
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::gather::gather;
use crate::client::admin::{Admin, MessageQuery};
use crate::client::{Client, ClientError, Received};

/// Get messages by id: the producer's, or the one that names a place in a broker's log
///
/// Without --topic all topics are searched for a producer's id; retries and dead letters of the message are found with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq msg get 7F000001C27C18B4AAC2232EB0CADAE6
  rmq msg get 7F000001C27C18B4AAC2232EB0CADAE6 --topic orders -o json
  rmq msg get broker-a:1204331        a position in a broker's log")]
pub(super) struct Args {
    /// The ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Only in this topic
    #[arg(short, long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Print the body alone, as it is
    #[arg(long)]
    body: bool,
}

pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    let admin = client.admin();
    let utc = context.global.utc;
    let block = |row: &Value| block(row);
    let mut sheet = (!args.body).then(|| context.output.listing(COLUMNS, &block));
    let mut missing = Vec::new();
    for id in &args.ids {
        let found = by_id(&admin, id, args.topic.as_deref()).await?;
        if found.is_empty() {
            missing.push(id.as_str());
        }
        for message in &found {
            match &mut sheet {
                Some(sheet) => sheet.row(&row(message, utc))?,
                None => context.output.raw(message.body())?,
            }
        }
    }
    if let Some(sheet) = sheet {
        sheet.finish()?;
    }
    if missing.is_empty() {
        return Ok(Exit::Ok);
    }
    let message = format!("there is no message {}", missing.join(", "));
    if missing.len() < args.ids.len() {
        return Err(CliError::new(Exit::Partial, message));
    }
    Err(CliError::not_found(message).hint(
        "it may be older than the brokers keep messages; keys are looked for by `rmq msg find TOPIC --key`",
    ))
}

/// The messages an id means: `BROKER:POSITION`, the id of a place, or a producer's id.
pub(crate) async fn by_id(
    admin: &Admin,
    id: &str,
    topic: Option<&str>,
) -> Result<Vec<Received>, CliError> {
    if let Some((broker, position)) = id.rsplit_once(':')
        && let Ok(position) = position.parse::<i64>()
    {
        return at_position(admin, broker, position).await;
    }
    if let Some((address, position)) = Admin::parse_offset_id(id) {
        let address = address.to_string();
        let clusters = admin.clusters().await?;
        let name = clusters
            .at_address(&address)
            .map(|(broker, _)| broker.name.clone());
        match admin
            .message_at(
                &address,
                &name.unwrap_or_else(|| BrokerName::stored("")),
                position,
            )
            .await
        {
            Ok(found) => return Ok(found.into_iter().collect()),
            // The address in the id may be one that only brokers reach.
            Err(error) if error.is_unreachable() => {
                for (broker, master) in clusters.masters() {
                    let found = admin.message_at(master, &broker.name, position).await?;
                    let found: Vec<Received> = found
                        .into_iter()
                        .filter(|message| message.offset_message_id().eq_ignore_ascii_case(id))
                        .collect();
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let topics = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => admin.topics().await?,
    };
    everywhere(admin, id, topics, topic.is_some()).await
}

async fn at_position(
    admin: &Admin,
    broker: &str,
    position: i64,
) -> Result<Vec<Received>, CliError> {
    let clusters = admin.clusters().await?;
    let known = clusters
        .masters()
        .find(|(group, address)| group.name.as_str() == broker || *address == broker);
    let (name, address) = known.ok_or_else(|| {
        CliError::not_found(format!("there is no broker {broker}")).hint("rmq broker ls lists them")
    })?;
    let found = admin.message_at(address, &name.name, position).await?;
    Ok(found.into_iter().collect())
}

/// Looks for a producer's id in many topics.
async fn everywhere(
    admin: &Admin,
    id: &str,
    topics: Vec<String>,
    strict: bool,
) -> Result<Vec<Received>, CliError> {
    let answers = gather(topics, |topic| {
        let (admin, id) = (admin.clone(), id.to_owned());
        async move {
            admin
                .query_messages(MessageQuery::unique_id(&topic, &id))
                .await
        }
    })
    .await;
    let mut found: Vec<Received> = Vec::new();
    let mut places = BTreeSet::new();
    for answer in answers {
        match answer {
            Ok(messages) => {
                for message in messages {
                    let place = (message.queue.clone(), message.queue_offset);
                    if places.insert(place) {
                        found.push(message);
                    }
                }
            }
            // A topic that has just gone, or a name no client would accept, is no reason to stop.
            Err(ClientError::NoRoute { .. } | ClientError::Name(_)) if !strict => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_by_key(|message| message.store_timestamp);
    Ok(found)
}

/// A message for people: a field a line.
fn block(row: &Value) -> String {
    let mut text = String::new();
    let mut put = |name: &str, value: &Value| {
        let shown = match value {
            Value::Null => return,
            Value::String(text) if text.is_empty() => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.extend([format!("{name:>12}  "), shown, "\n".to_owned()]);
    };
    put("id", &row["uniqKey"]);
    if row["msgId"] != row["uniqKey"] {
        put("place", &row["msgId"]);
    }
    put("topic", &row["storedIn"]);
    if row["topic"] != row["storedIn"] {
        put("first topic", &row["topic"]);
    }
    let queue = format!(
        "{}/{} @{}",
        row["brokerName"].as_str().unwrap_or_default(),
        row["queueId"],
        row["queueOffset"]
    );
    put("queue", &queue.into());
    put("keys", &row["keys"]);
    put("tag", &row["tags"]);
    put("born", &row["bornTime"]);
    put("from", &row["bornHost"]);
    put("stored", &row["storeTime"]);
    put("at", &row["storeHost"]);
    if row["reconsumeTimes"] != 0 {
        put("retries", &row["reconsumeTimes"]);
    }
    put("bytes", &row["bodyLength"]);
    if let Value::Object(properties) = &row["properties"] {
        for (name, value) in properties {
            put(
                "property",
                &format!("{name} = {}", value.as_str().unwrap_or_default()).into(),
            );
        }
    }
    put("body", &row["bodyText"]);
    put("body base64", &row["bodyBase64"]);
    text
}
