//! Where messages come from, and how far that is read.

use std::time::Duration;

use super::args::{AckAfter, Args};
use super::range;
use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::cli::times::show_time;
use crate::client::{
    Client, ClientError, Consumer, ConsumerOptions, Delivery, GroupName, MessageQueue, PullReader,
    ReadFrom, ReadOptions, Received, StartFrom, Subscription,
};

/// How often a group without --follow is asked whether it has finished, while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often offsets are committed. What was done since is done again after a crash, and a command may be dear.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The group whose members broadcast if none is named.
const BROADCAST_GROUP: &str = "rmq_consume";

/// How to get at the messages.
pub(super) enum Start {
    Peek(ReadOptions),
    Join {
        group: String,
        options: ConsumerOptions,
    },
}

impl Start {
    /// What the options ask for.
    pub(super) fn new(args: &Args, now_ms: i64) -> Result<Self, CliError> {
        let from = args.from.as_deref();
        let from = from
            .map(|text| range::parse_from(text, now_ms))
            .transpose()?;
        let subscription = match &args.sql {
            Some(expression) => Subscription::sql(&args.topic, expression)?,
            None => Subscription::tagged(&args.topic, &args.tag).map_err(ClientError::from)?,
        };
        if args.broadcast || args.joined_group().is_some() {
            let start = range::start_of_group(from.as_ref())?;
            return Ok(Self::join(args, subscription, start));
        }
        let to = args.to.as_deref();
        let to = to.map(|text| range::parse_to(text, now_ms)).transpose()?;
        let to = to.unwrap_or_default();
        Ok(Self::Peek(ReadOptions {
            from: match &args.group {
                Some(group) => ReadFrom::Group(GroupName::parse(group).map_err(ClientError::from)?),
                None => from.unwrap_or_default(),
            },
            until_ms: to.ms,
            until_offset: to.offset,
            tags: args.tag.clone(),
            sql: args.sql.clone(),
            queues: args.queue.clone(),
            follow: args.follows(),
            ..ReadOptions::default()
        }))
    }

    fn join(args: &Args, subscription: Subscription, start_from: StartFrom) -> Self {
        let mut options = ConsumerOptions {
            subscriptions: vec![subscription],
            start_from,
            ordered: args.orderly,
            broadcast: args.broadcast,
            commit_every: COMMIT_EVERY,
            ..ConsumerOptions::default()
        };
        if let Some(retries) = args.max_retries {
            options.retries_max = retries;
        }
        if args.ack_after == AckAfter::End {
            // All of them are held until the end.
            options.buffered_messages_max = usize::MAX;
            options.buffered_bytes_max = usize::MAX;
        }
        let group = args.group.as_deref().unwrap_or(BROADCAST_GROUP).to_owned();
        Self::Join { group, options }
    }
}

/// Where messages come from.
pub(super) enum Source {
    Peek(PullReader),
    Member {
        client: Client,
        consumer: Consumer,
        /// Where the topic ended at the start. Empty if it is followed.
        ends: Vec<(MessageQueue, i64)>,
    },
}

/// A message, and the duty to acknowledge it if it came to a group.
pub(super) enum Item {
    Seen(Received),
    Delivered(Delivery),
}

impl Source {
    /// Opens it, and says on stderr which of the three modes this is.
    pub(super) async fn open(
        client: &Client,
        args: &Args,
        start: Start,
        context: &Context,
    ) -> Result<Self, CliError> {
        let topic = &args.topic;
        match start {
            Start::Peek(options) => {
                let from = range::describe(&options.from, |ms| show_time(ms, context.global.utc));
                let reader = client.reader(topic, options).await?;
                let queues = reader.queues().len();
                context.output.note(&format!(
                    "peek {topic}, {queues} queues, {from} (no offset is moved)"
                ));
                Ok(Self::Peek(reader))
            }
            Start::Join { group, options } => {
                let ends = ends(client, args, context).await?;
                let broadcast = options.broadcast;
                let joined = client.consumer(&group, options).await;
                let consumer = joined.map_err(|error| why_not(args, error))?;
                context.output.note(&if broadcast {
                    format!("broadcast {topic} as a member of {group} (no offset is kept)")
                } else {
                    format!("group {group} on {topic} (offsets move {})", once(args))
                });
                Ok(Self::Member {
                    client: client.clone(),
                    consumer,
                    ends,
                })
            }
        }
    }

    /// The next message; `None` at the end of a source that has one.
    pub(super) async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        match self {
            Self::Peek(reader) => Ok(reader.next().await?.map(Item::Seen)),
            Self::Member { consumer, .. } => Ok(consumer.next().await.map(Item::Delivered)),
        }
    }

    /// Whether the group, all its members together, has finished what there was at the start.
    pub(super) async fn group_is_done(&self) -> Result<bool, ClientError> {
        let Self::Member {
            client,
            consumer,
            ends,
        } = self
        else {
            return Ok(false);
        };
        consumer.commit().await?;
        for (queue, end) in ends {
            let offset = client
                .admin()
                .group_offset(consumer.group().as_str(), queue)
                .await?;
            if offset.unwrap_or_default() < *end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// When to ask that next; never for a source that knows its end itself, or has none.
    pub(super) fn look_after(&self) -> Option<Duration> {
        match self {
            Self::Member { ends, .. } if !ends.is_empty() => Some(LOOK_EVERY),
            _ => None,
        }
    }

    /// Commits what was acknowledged and leaves the group.
    pub(super) async fn close(self) -> Result<(), ClientError> {
        match self {
            Self::Peek(_) => Ok(()),
            Self::Member { consumer, .. } => consumer.close().await,
        }
    }
}

/// Why a group could not be joined.
fn why_not(args: &Args, error: ClientError) -> CliError {
    let refused = error.code().is_some();
    let error = CliError::from(error);
    if refused && args.sql.is_some() {
        return error.hint(
            "brokers evaluate SQL92 if enablePropertyFilter=true; without --group rmq evaluates it itself",
        );
    }
    error
}

/// When a group's offsets move, for the first line.
fn once(args: &Args) -> &'static str {
    if args.ack_after == AckAfter::End {
        "when everything wanted was there"
    } else if args.exec.is_some() || args.pipe.is_some() {
        "as the command succeeds"
    } else if args.forward.is_some() {
        "as the server answers 2xx"
    } else {
        "as messages are printed"
    }
}

/// Where the topic ends now, for a member that stops there.
async fn ends(
    client: &Client,
    args: &Args,
    context: &Context,
) -> Result<Vec<(MessageQueue, i64)>, ClientError> {
    let admin = client.admin();
    let route = match admin.topic_route(&args.topic).await {
        Err(ClientError::NoRoute { .. }) if args.follows() => {
            context.output.warn(&format!(
                "topic {} does not exist so far; waiting for it",
                args.topic
            ));
            return Ok(Vec::new());
        }
        route => route?,
    };
    let mut ends = Vec::new();
    if !args.follows() {
        for queue in route.read_queues() {
            let end = admin.max_offset(&queue).await?;
            ends.push((queue, end));
        }
    }
    Ok(ends)
}
