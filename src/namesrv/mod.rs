//! The name server: which brokers there are, which topics they have, and a few values administrators keep here.
//!
//! Brokers register every 10 to 60 seconds over one connection and are forgotten when that closes or when they are
//! silent for too long; clients ask for routes. State is small and all in memory, except the KV table ([`kv`]).
//!
//! Routes are read far more often than they change: encoded answers are kept until the table's generation changes.
//!
//! Deliberately absent: the controller, which is a role of its own.
//!
//! Lock order: `settings`, then `routes`; `encoded` and `channels` are leaves.

mod handlers;
mod kv;
mod notify;
mod peers;
mod routes;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub(crate) use kv::KvError;
pub(crate) use peers::Peers;
pub(crate) use settings::{NamesrvOptions, Settings};

use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::frame::Frame;
use crate::remoting::{Asked, Channel, Service};
use crate::sys::Clock;
use crate::sys::task::boxed;
use handlers::{Failed, Outcome, Request};
use kv::KvConfig;
use routes::RouteTable;

/// Encoded routes of one generation of the table.
#[derive(Debug, Default)]
struct Encoded {
    generation: u64,
    by_topic: HashMap<String, Bytes>,
}

/// A name server. Give it to [`crate::remoting::serve`].
#[derive(Debug)]
pub(crate) struct NameServer {
    options: NamesrvOptions,
    clock: Clock,
    started_ms: i64,
    settings: RwLock<Settings>,
    routes: Mutex<RouteTable>,
    encoded: RwLock<Encoded>,
    kv: Arc<KvConfig>,
    channels: Mutex<HashMap<u64, Arc<Channel>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl NameServer {
    /// Reads what was saved and starts looking for silent brokers. Needs a tokio runtime.
    pub(crate) fn start(options: NamesrvOptions, clock: Clock) -> Result<Arc<Self>, KvError> {
        let server = Arc::new(Self::open(options, clock)?);
        let watched = Arc::downgrade(&server);
        server.tasks.lock().spawn(boxed(watch(watched)));
        Ok(server)
    }

    fn open(options: NamesrvOptions, clock: Clock) -> Result<Self, KvError> {
        let settings = options.settings.clone();
        Ok(Self {
            kv: Arc::new(KvConfig::open(options.kv_config_path.clone())?),
            started_ms: clock.now_ms(),
            routes: Mutex::new(RouteTable::new(settings.rules())),
            settings: RwLock::new(settings),
            encoded: RwLock::default(),
            channels: Mutex::default(),
            tasks: Mutex::default(),
            options,
            clock,
        })
    }

    /// Forgets brokers that have been silent for too long and closes their connections.
    fn expire(&self) {
        let silent = self.routes.lock().expire(self.clock.now_ms());
        self.tell_minimums();
        for channel in silent {
            let channel = self.channels.lock().get(&channel).cloned();
            if let Some(channel) = channel {
                channel.close();
            }
        }
    }

    /// How many of its connections brokers have registered on.
    pub(crate) fn broker_connections(&self) -> usize {
        self.routes.lock().channels()
    }

    fn forget_finished_tasks(&self) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
    }

    /// Whether brokers shall have time to register first.
    fn still_waits(&self) -> bool {
        let settings = self.settings.read();
        let wait_ms = i64::from(settings.wait_seconds_for_service) * 1000;
        settings.need_wait_for_service && self.clock.now_ms() - self.started_ms < wait_ms
    }

    /// The route as it goes over the wire.
    fn encoded_route(&self, topic: &str) -> Result<Option<Bytes>, Failed> {
        let generation = self.routes.lock().generation();
        {
            let encoded = self.encoded.read();
            if encoded.generation == generation
                && let Some(route) = encoded.by_topic.get(topic)
            {
                return Ok(Some(route.clone()));
            }
        }
        let Some(route) = self.fresh_route(topic) else {
            return Ok(None);
        };
        let route = Bytes::from(fastjson::to_wire(&route)?);
        let mut encoded = self.encoded.write();
        if encoded.generation != generation {
            encoded.by_topic.clear();
            encoded.generation = generation;
        }
        encoded.by_topic.insert(topic.to_owned(), route.clone());
        Ok(Some(route))
    }

    fn answer(&self, channel: &Arc<Channel>, frame: &Frame) {
        let (head, body) = match frame.parse() {
            Ok(parsed) => parsed,
            Err(error) => return channel.refuse(&error),
        };
        if head.is_response() {
            return;
        }
        let request = Request {
            head: &head,
            body,
            channel,
        };
        match self.handle(&request) {
            Ok(Outcome::Answer(answer)) => channel.answer(&head, answer),
            Ok(Outcome::AnswerWhenSaved(answer)) => self.save(channel, Asked::from(&head), answer),
            Err(failed) => channel.answer(&head, failed.into()),
        }
    }

    /// Saves the KV table off the tokio threads, then answers.
    fn save(&self, channel: &Arc<Channel>, asked: Asked, answer: Command) {
        let (kv, channel) = (Arc::clone(&self.kv), Arc::clone(channel));
        self.tasks.lock().spawn_blocking(move || {
            let answer = match kv.save() {
                Ok(()) => answer,
                Err(error) => {
                    tracing::error!(%error, "cannot save the KV table");
                    let remark = format!("the value is set but cannot be saved: {error}");
                    Command::response(ResponseCode::SYSTEM_ERROR).with_remark(remark)
                }
            };
            channel.answer(asked, answer);
        });
    }
}

/// The rare look at everybody, as long as the name server exists.
async fn watch(server: Weak<NameServer>) {
    while let Some(running) = server.upgrade() {
        let interval = running.settings.read().scan_not_active_broker_interval;
        running.expire();
        running.forget_finished_tasks();
        drop(running);
        sleep(interval).await;
    }
}

impl Service for NameServer {
    type Session = ();

    fn open(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels.lock();
        channels.insert(channel.id(), Arc::clone(channel));
    }

    fn frames(&self, (): &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            self.answer(channel, &frame);
        }
    }

    fn closed(&self, (): (), channel: &Arc<Channel>) {
        self.channels.lock().remove(&channel.id());
        self.routes.lock().channel_closed(channel.id());
        self.tell_minimums();
    }
}
