//! What a replay is going to do, found out by reading all letters once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::letters::Letters;
use super::super::pick::{Pick, Picker};
use super::super::{Kind, Place};
use super::args::Args;
use super::report::{Header, Resumed, Spot};
use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::cli::output::Column;
use crate::client::{Client, ClientError, MessageQueue, Received, TopicName};

pub(super) const COLUMNS: &[Column] = &[
    Column::new("from", "FROM"),
    Column::new("to", "TO").name(),
    Column::new("send", "SEND").right(),
    Column::new("of", "OF").right(),
    Column::new("exists", "EXISTS"),
];

/// Where letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Each to the topic it came from.
    Origin,
    /// To this topic.
    Topic(String),
}

impl Target {
    /// Reads `--to` and `--group-only`.
    fn parse(args: &Args, place: &Place) -> Result<Self, CliError> {
        match args.to.as_str() {
            _ if args.group_only => Ok(Self::retry_of(place)),
            "origin" => Ok(Self::Origin),
            "retry" => Ok(Self::retry_of(place)),
            topic if topic == place.topic => Err(CliError::usage(
                "--to names the topic the messages are taken from",
            )),
            topic => {
                TopicName::parse(topic).map_err(ClientError::from)?;
                Ok(Self::Topic(topic.to_owned()))
            }
        }
    }

    fn retry_of(place: &Place) -> Self {
        Self::Topic(format!("{}{}", Kind::Retry.prefix(), place.group))
    }

    /// As reports keep it: nothing for the origin.
    pub(super) fn topic(&self) -> Option<&str> {
        match self {
            Self::Origin => None,
            Self::Topic(topic) => Some(topic),
        }
    }
}

/// What a replay is going to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pick: Pick,
    pub(super) picker: Picker,
    target: Target,
    /// The command that changes bodies, if they are to be changed.
    pub(super) edit: Option<String>,
    /// Where each queue ended when the plan was made; what came later is not meant.
    pub(super) ends: BTreeMap<MessageQueue, i64>,
    /// What an earlier run has settled.
    pub(super) settled: BTreeSet<Spot>,
    /// How many letters there are.
    pub(super) total: u64,
    /// How many of them are to be sent.
    pub(super) wanted: u64,
    /// The same by topic; `None` for letters that do not say where they came from.
    by_target: BTreeMap<Option<String>, u64>,
    /// The targets that have a route.
    existing: BTreeSet<String>,
}

impl Plan {
    /// Makes a plan from the options.
    pub(super) async fn new(
        client: &Client,
        args: &Args,
        place: &Place,
        now_ms: i64,
        context: &Context,
    ) -> Result<Self, CliError> {
        let target = Target::parse(args, place)?;
        let pick = args.pick.fixed(now_ms)?;
        let picker = pick.compile(now_ms)?;
        let letters = Letters::open(client, place, args.open, context).await?;
        let plan = Self {
            pick,
            picker,
            target,
            edit: args.edit.clone(),
            ends: letters.ends.clone(),
            settled: BTreeSet::new(),
            total: 0,
            wanted: 0,
            by_target: BTreeMap::new(),
            existing: BTreeSet::new(),
        };
        plan.counted(client, letters).await
    }

    /// Takes the plan of a report, without what was settled since.
    pub(super) async fn resume(
        client: &Client,
        resumed: &Resumed,
        args: &Args,
        place: &Place,
        context: &Context,
    ) -> Result<Self, CliError> {
        let Header { pick, to, ends, .. } = &resumed.header;
        let edit = args.edit.as_ref().or(resumed.header.edit.as_ref());
        let ends: BTreeMap<MessageQueue, i64> =
            ends.iter().map(|end| end.of_topic(&place.topic)).collect();
        let letters = Letters::up_to(client, place, ends.clone()).await?;
        let plan = Self {
            pick: pick.clone(),
            picker: pick.compile(context.clock.now_ms())?,
            target: to.clone().map_or(Target::Origin, Target::Topic),
            edit: edit.cloned(),
            ends,
            settled: resumed.settled.clone(),
            total: 0,
            wanted: 0,
            by_target: BTreeMap::new(),
            existing: BTreeSet::new(),
        };
        plan.counted(client, letters).await
    }

    async fn counted(mut self, client: &Client, mut letters: Letters) -> Result<Self, CliError> {
        while let Some(letter) = letters.next().await? {
            self.total += 1;
            let settled = self.settled.contains(&Spot::of(&letter));
            if !settled && self.picker.refusal(&letter).is_none() {
                self.wanted += 1;
                *self.by_target.entry(self.target_of(&letter)).or_default() += 1;
            }
        }
        for topic in self.by_target.keys().flatten() {
            match client.admin().topic_route(topic).await {
                Ok(_) => {
                    self.existing.insert(topic.clone());
                }
                Err(ClientError::NoRoute { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self)
    }

    /// The topic a letter goes to, if that is known.
    pub(super) fn target_of(&self, letter: &Received) -> Option<String> {
        match &self.target {
            Target::Origin => letter.origin_topic().map(str::to_owned),
            Target::Topic(topic) => Some(topic.clone()),
        }
    }

    /// Whether a topic is there. One that is not would come into being with the first message, which nobody asked for.
    fn exists(&self, topic: &str) -> bool {
        self.existing.contains(topic)
    }

    /// The targets that are there.
    pub(super) fn existing(&self) -> &BTreeSet<String> {
        &self.existing
    }

    /// What reports keep of the target.
    pub(super) fn to(&self) -> Option<&str> {
        self.target.topic()
    }

    /// The plan in one sentence.
    pub(super) fn sentence(&self, place: &Place, dry_run: bool) -> String {
        let targets: Vec<String> = self
            .by_target
            .keys()
            .map(|topic| topic.clone().unwrap_or_else(|| "nowhere".to_owned()))
            .collect();
        let targets = match targets.len() {
            0 => "anywhere".to_owned(),
            1..=3 => targets.join(", "),
            more => format!("{more} topics"),
        };
        let which = if self.target == Target::Origin {
            " (original topic)"
        } else {
            ""
        };
        let verb = if dry_run { "would send" } else { "sends" };
        format!(
            "{verb} {} of {} from {} to {targets}{which}, keys and tags kept, RETRIES reset{}",
            self.wanted,
            self.total,
            place.topic,
            if self.edit.is_some() {
                ", bodies edited"
            } else {
                ""
            }
        )
    }

    /// What will go wrong.
    pub(super) fn problems(&self, place: &Place) -> Vec<String> {
        let mut problems = Vec::new();
        for (topic, count) in &self.by_target {
            match topic {
                None => problems.push(format!(
                    "{count} messages do not say where they came from; --to TOPIC names a target"
                )),
                Some(topic) if !self.exists(topic) => problems.push(format!(
                    "topic {topic} does not exist: {count} messages will fail"
                )),
                Some(_) => {}
            }
        }
        if self.pick.is_everything() && place.kind == Kind::Retry {
            problems.push(format!(
                "group {} gets these messages again by itself",
                place.group
            ));
        }
        problems
    }

    /// The plan, a row for each target.
    pub(super) fn rows(&self, place: &Place) -> Vec<Value> {
        let row = |(topic, count): (&Option<String>, &u64)| {
            json!({
                "from": place.topic,
                "to": topic,
                "send": count,
                "of": self.total,
                "exists": topic.as_ref().is_some_and(|topic| self.exists(topic)),
            })
        };
        self.by_target.iter().map(row).collect()
    }
}
