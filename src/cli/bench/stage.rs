//! The topic and the group a run uses, and the clients.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Args;
use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::client::{Client, TopicSpec};

/// How long a new topic may take to be known to the name servers.
const KNOWN_WITHIN: Duration = Duration::from_secs(40);

/// What a run uses.
pub(super) struct Stage {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) clients: Vec<Client>,
    /// Tells this run's messages from those of another one.
    pub(super) run: u64,
    /// Remove the topic at the end.
    own: bool,
}

impl Stage {
    /// Connects, and makes the topic unless one is given.
    pub(super) async fn set(args: &Args, context: &Context) -> Result<Self, CliError> {
        let mut clients = Vec::new();
        for _ in 0..args.clients {
            clients.push(context.connect().await?);
        }
        let (pid, now_ms) = (std::process::id(), context.clock.now_ms());
        let name = format!("rmq_bench_{pid}_{now_ms}");
        let stage = Self {
            topic: args.topic.clone().unwrap_or_else(|| name.clone()),
            group: name,
            run: u64::try_from(now_ms).unwrap_or_default() << 20 | u64::from(pid & 0xf_ffff),
            own: args.topic.is_none() && !args.keep,
            clients,
        };
        if args.topic.is_none() {
            let spec = TopicSpec::new(stage.topic.as_str(), args.queues);
            let admin = stage.client(0)?.admin();
            admin.create_topic(&spec).await?;
        }
        if let Err(error) = stage.wait_for_route().await {
            stage.clear(context).await;
            return Err(error);
        }
        if args.topic.is_none() && args.keep {
            context
                .output
                .note(&format!("topic {} is kept", stage.topic));
        }
        Ok(stage)
    }

    /// One of the clients.
    pub(super) fn client(&self, nth: usize) -> Result<&Client, CliError> {
        let client = self.clients.get(nth);
        client.ok_or_else(|| CliError::failed("there is no client"))
    }

    /// How many queues the topic has that can be read.
    pub(super) async fn queues(&self) -> Result<usize, CliError> {
        let route = self.client(0)?.admin().topic_route(&self.topic).await?;
        Ok(route.read_queues().len())
    }

    async fn wait_for_route(&self) -> Result<(), CliError> {
        let deadline = Instant::now() + KNOWN_WITHIN;
        loop {
            match self.queues().await {
                Ok(queues) if queues > 0 => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                _ => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Removes what was made, and disconnects. What cannot be removed is named.
    pub(super) async fn clear(self, context: &Context) {
        if let Err(error) = self.remove().await {
            context.output.warn(&format!(
                "{} could not be removed: {error}; rmq topic rm does",
                self.topic
            ));
        }
        for client in self.clients {
            client.close().await;
        }
    }

    async fn remove(&self) -> Result<(), CliError> {
        let admin = self.client(0)?.admin();
        let clusters = admin.clusters().await?;
        let masters = clusters.brokers.iter();
        // A group that never was there cannot be removed, nor can what belongs to it, which is as good.
        let retries = format!("%RETRY%{}", self.group);
        for master in masters.filter_map(|broker| broker.master()) {
            admin.delete_group_at(master, &self.group, true).await.ok();
            admin.delete_topic_at(master, &retries).await.ok();
            if self.own {
                admin.delete_topic_at(master, &self.topic).await?;
            }
        }
        for name_server in admin.name_servers() {
            admin
                .forget_topic_at(name_server, &retries, None)
                .await
                .ok();
        }
        if self.own {
            for name_server in admin.name_servers() {
                admin
                    .forget_topic_at(name_server, &self.topic, None)
                    .await?;
            }
        }
        Ok(())
    }
}
