//! `rmq consume`: look at messages, take them as a member of a group, or as one of many who all get them.
//!
//! Without a group nobody's offsets move. With one, a message counts as consumed when it was written to stdout and
//! flushed, or when the command or the HTTP server it was given to has taken it, not earlier: whoever reads the pipe may
//! lose what was sent to it, the group does not. A message that is not taken goes back to the group, which gets it again
//! after the broker's delays and finds it among its dead letters after the last one; an orderly group waits for it.
//!
//! `--pipe` runs its command once for each message, not once for all: only so is it known which messages came through.

mod args;
mod dump;
mod format;
mod print;
pub(crate) mod range;
mod run;
mod source;
mod tally;
mod work;

use serde_json::Value;

use super::Context;
use super::exit::{CliError, Exit};
use crate::client::Client;
use args::AckAfter;
pub(crate) use args::Args;
use dump::Dump;
use format::MessageFormat;
use print::{Printer, line, prints_rows};
use run::Run;
use source::{Source, Start};
use work::Work;

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    check(args)?;
    let start = Start::new(args, context.clock.now_ms())?;
    let format = args
        .format
        .as_deref()
        .map(MessageFormat::parse)
        .transpose()?;
    let rows = prints_rows(args, context) || args.format.is_some();
    let work = Work::new(args, rows)?;
    let dump = args.dump.as_deref().map(Dump::open).transpose()?;
    context.block_on(async {
        let client = context.connect().await?;
        let line = |row: &Value| line(row, context);
        let printer = Printer::new(args, format, context, &line);
        let run = Run::new(args, context, printer, work, dump);
        let ended = consume(&client, start, run).await;
        client.close().await;
        ended
    })
}

/// What the definition of the options cannot say.
fn check(args: &Args) -> Result<(), CliError> {
    if args.ack_after == AckAfter::End && args.wanted().is_none() {
        return Err(
            CliError::usage("--ack-after end needs to know what everything is")
                .hint("add -n N or --expect N"),
        );
    }
    if args.concurrency > 1 && !args.has_work() {
        return Err(CliError::usage(
            "--concurrency is for --exec, --forward and --pipe",
        ));
    }
    if args.broadcast && !args.queue.is_empty() {
        return Err(CliError::usage("--broadcast takes all queues"));
    }
    Ok(())
}

async fn consume(client: &Client, start: Start, mut run: Run<'_>) -> Result<Exit, CliError> {
    let mut source = Source::open(client, run.args, start, run.context).await?;
    let end = run.until_end(&mut source).await;
    // Whatever happened: what was acknowledged is committed, and the group is left in order.
    let closed = source.close().await;
    let end = end?;
    run.printer.finish()?;
    closed?;
    Ok(run.tally.exit(end, run.args, run.context))
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;

    use crate::cli::records;
    use crate::client::{BrokerName, Received};
    use crate::message::{Draft, PropertiesBuf, Record, record};

    /// A message as a broker would hand it out.
    pub(crate) fn received(body: &[u8]) -> Received {
        let properties: PropertiesBuf = [
            ("KEYS", "k1 k2"),
            ("TAGS", "paid"),
            ("UNIQ_KEY", "ID"),
            ("mine", "1"),
        ]
        .into_iter()
        .collect();
        let host = "127.0.0.1:5".parse().unwrap();
        let mut block = Vec::new();
        Draft {
            topic: "orders",
            queue_id: 2,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1000,
            born_host: host,
            store_host: host,
            reconsume_times: 3,
            prepared_transaction_offset: 0,
            body,
            properties: &properties.to_wire(),
        }
        .encode_into(&mut block)
        .unwrap();
        record::patch(&mut block, 0, 17, 4711, 2000);
        let block = Bytes::from(block);
        let record = Record::parse(&block).unwrap();
        Received::from_record(&record, &block, &BrokerName::stored("broker-a"))
    }

    fn shown(body: &[u8]) -> serde_json::Value {
        records::row_with(&received(body), body, records::BodyForm::Auto, true)
    }

    #[test]
    fn rows_have_apaches_field_names() {
        let row = shown(b"hello");
        assert_eq!(row["topic"], "orders");
        assert_eq!(row["queueOffset"], 17);
        assert_eq!(row["storeTimestamp"], 2000);
        assert_eq!(row["storeTime"], "1970-01-01T00:00:02.000Z");
        assert_eq!(row["bodyText"], "hello");
        assert_eq!(row["properties"]["mine"], "1");
        let row = shown(b"\xff");
        assert_eq!(row["bodyBase64"], "/w==");
        assert_eq!(row.get("bodyText"), None);
    }

    #[test]
    fn what_is_printed_can_be_sent_again() {
        let row = shown(b"hello");
        let message = records::read_row("other", &row.to_string()).unwrap();
        assert_eq!(message.topic(), "other");
        assert_eq!(message.tag(), Some("paid"));
        assert_eq!(message.body().as_ref(), b"hello");
    }
}
