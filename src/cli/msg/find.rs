//! `rmq msg find`: by key, or by tag and time.

use super::{COLUMNS, line, row};
use crate::cli::exit::{CliError, Exit};
use crate::cli::times::parse_time;
use crate::cli::{Context, interrupted};
use crate::client::admin::MessageQuery;
use crate::client::{Client, ReadFrom, ReadOptions};

/// Find messages of a topic by key, tag and time
///
/// A key is looked up in the brokers' index, which has at most 64 messages a broker for a question; anything else is read
/// from the queues. The fields are those of `rmq consume -o json`, and storedIn.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq msg find orders --key 42
  rmq msg find orders --tag paid --from -1h -n 100
  rmq msg find orders --from 2026-11-22T10:00 --to 2026-11-22T10:05 -o jsonl")]
pub(super) struct Args {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// With this key
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// With one of these tags, as in 'a || b'
    #[arg(long, value_name = "TAGS")]
    tag: Option<String>,
    /// Stored at or after this
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Stored at or before this
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value = "32")]
    count: usize,
}

pub(super) async fn run(args: Args, client: &Client, context: &Context) -> Result<Exit, CliError> {
    let now_ms = context.clock.now_ms();
    let time = |text: &Option<String>| {
        text.as_deref()
            .map(|text| parse_time(text, now_ms))
            .transpose()
    };
    let (from, to) = (time(&args.from)?, time(&args.to)?);
    let utc = context.global.utc;
    let mut sheet = context.output.listing(COLUMNS, &line);
    let mut found = 0;
    let mut exit = Exit::Ok;
    if let Some(key) = &args.key {
        let query = MessageQuery {
            from_ms: from.unwrap_or(0),
            to_ms: to.unwrap_or(i64::MAX),
            ..MessageQuery::key(&args.topic, key)
        };
        let tags: Option<Vec<&str>> = args
            .tag
            .as_deref()
            .map(|tags| tags.split("||").map(str::trim).collect());
        for message in client.admin().query_messages(query).await? {
            let fits = tags
                .as_ref()
                .is_none_or(|tags| message.tag().is_some_and(|tag| tags.contains(&tag)));
            if fits && found < args.count {
                found += 1;
                sheet.row(&row(&message, utc))?;
            }
        }
    } else {
        let options = ReadOptions {
            from: from.map_or(ReadFrom::Earliest, |ms| ReadFrom::Time { ms }),
            until_ms: to,
            tags: args.tag.clone().unwrap_or_else(|| "*".to_owned()),
            ..ReadOptions::default()
        };
        let mut reader = client.reader(&args.topic, options).await?;
        let mut stop = std::pin::pin!(interrupted());
        while found < args.count {
            let message = tokio::select! {
                biased;
                () = &mut stop => {
                    exit = Exit::Interrupted;
                    break;
                }
                message = reader.next() => message?,
            };
            let Some(message) = message else { break };
            found += 1;
            sheet.row(&row(&message, utc))?;
        }
    }
    sheet.finish()?;
    if found == 0 && exit == Exit::Ok {
        return Err(CliError::not_found(format!(
            "no message of {} fits",
            args.topic
        )));
    }
    if found == args.count {
        context
            .output
            .note(&format!("the first {found}; -n takes more"));
    }
    Ok(exit)
}
