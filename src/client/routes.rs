//! The route cache and the name servers it is filled from.
//!
//! A route is fetched on first use, again in the background while it is in use, and at once when a caller has
//! reason to distrust it. Name servers do not talk to each other, so any one will do: the client stays with one
//! until it fails and then goes on to the next. Lock order: leaf.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::TopicName;
use crate::message::names::AUTO_CREATE_TOPIC;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::fastjson;
use crate::protocol::header::namesrv::GetRouteInfoRequestHeader;

use super::error::ClientError;
use super::net::{Net, refused, unreadable};
use super::route::Route;

/// The most queues a topic gets that is created by a send (`DefaultMQProducer.defaultTopicQueueNums`).
pub(crate) const NEW_TOPIC_QUEUES: u32 = 4;
/// A route is not doubted before it is this old.
pub(crate) const BELIEVED: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Routes {
    net: Arc<Net>,
    name_servers: Vec<String>,
    /// Index of the name server that answered last.
    chosen: AtomicUsize,
    timeout: Duration,
    table: Mutex<BTreeMap<TopicName, Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    route: Arc<Route>,
    /// Made from the template topic: the topic itself did not exist then.
    provisional: bool,
    /// A broker on it did not answer: whoever wants it next looks first whether it still holds.
    doubted: bool,
    fetched: Instant,
}

impl Routes {
    pub(crate) fn new(net: Arc<Net>, name_servers: Vec<String>, timeout: Duration) -> Self {
        Self {
            net,
            name_servers,
            chosen: AtomicUsize::new(0),
            timeout,
            table: Mutex::default(),
        }
    }

    /// The name servers, in the order they were given.
    pub(crate) fn name_servers(&self) -> &[String] {
        &self.name_servers
    }

    /// Finds a name server that answers; returns the address this machine has towards it. The question does not
    /// matter, but it is one every name server can answer.
    pub(crate) async fn first_contact(&self) -> Result<SocketAddr, ClientError> {
        let (address, _) = self.ask(&route_request(AUTO_CREATE_TOPIC)).await?;
        let channel = self.net.channel(&address, self.timeout).await?;
        Ok(channel.local())
    }

    /// Asks a name server, and the next one if that one cannot be reached.
    pub(crate) async fn ask(&self, request: &Command) -> Result<(String, Reply), ClientError> {
        let first = self.chosen.load(Ordering::Relaxed);
        let mut tried = Vec::new();
        for step in 0..self.name_servers.len() {
            let at = (first + step) % self.name_servers.len();
            let address = &self.name_servers[at];
            match self.net.call(address, request.clone(), self.timeout).await {
                Ok(reply) => {
                    self.chosen.store(at, Ordering::Relaxed);
                    return Ok((address.clone(), reply));
                }
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(ClientError::NoNameServer {
            tried: tried.join("; "),
        })
    }

    /// The route of a topic: cached, or fetched.
    pub(crate) async fn get(&self, topic: &TopicName) -> Result<Arc<Route>, ClientError> {
        match self.cached(topic).await {
            Some(cached) if !cached.provisional => Ok(cached.route),
            _ => self.refresh(topic).await,
        }
    }

    /// The route to send to, also for a topic that does not exist yet: brokers that create topics on first use offer
    /// a template topic for that.
    pub(crate) async fn for_sending(&self, topic: &TopicName) -> Result<Arc<Route>, ClientError> {
        match self.cached(topic).await {
            Some(cached) => Ok(cached.route),
            None => self.look_up(topic).await,
        }
    }

    /// The same, whatever the cache has.
    pub(crate) async fn look_up(&self, topic: &TopicName) -> Result<Arc<Route>, ClientError> {
        match self.refresh(topic).await {
            Err(error @ ClientError::NoRoute { .. }) => {
                let Some(template) = self.fetch(&TopicName::stored(AUTO_CREATE_TOPIC)).await?
                else {
                    return Err(error);
                };
                let route = Arc::new(template.for_new_topic(topic.clone(), NEW_TOPIC_QUEUES));
                self.keep(&route, true);
                Ok(route)
            }
            other => other,
        }
    }

    /// What the cache has. One caller looks after a doubted route, and the others go on with what there is.
    async fn cached(&self, topic: &TopicName) -> Option<Cached> {
        let cached = {
            let mut table = self.table.lock();
            let cached = table.get_mut(topic)?;
            let before = cached.clone();
            cached.doubted = false;
            before
        };
        if !cached.doubted {
            return Some(cached);
        }
        let looked = if cached.provisional {
            self.look_up(topic).await
        } else {
            self.refresh(topic).await
        };
        if let Err(error) = looked {
            tracing::debug!(%topic, "route not refreshed: {error}");
        }
        self.table.lock().get(topic).cloned()
    }

    /// A broker on this route did not answer; another may have taken its place. What was just fetched is believed, so
    /// that a broker which stays away does not cost a look at the route with every message.
    pub(crate) fn doubt(&self, topic: &TopicName) {
        if let Some(cached) = self.table.lock().get_mut(topic) {
            cached.doubted = cached.fetched.elapsed() >= BELIEVED;
        }
    }

    /// Fetches a route anew. A topic that has vanished leaves the cache.
    pub(crate) async fn refresh(&self, topic: &TopicName) -> Result<Arc<Route>, ClientError> {
        let Some(route) = self.fetch(topic).await? else {
            let mut table = self.table.lock();
            if table.get(topic).is_some_and(|cached| !cached.provisional) {
                table.remove(topic);
            }
            return Err(ClientError::NoRoute {
                topic: topic.to_string(),
                reason: "the name server does not know it",
            });
        };
        let route = Arc::new(route);
        self.keep(&route, false);
        Ok(route)
    }

    /// Fetches every cached route anew; what fails keeps its old one.
    pub(crate) async fn refresh_all(&self) {
        let topics: Vec<TopicName> = self.table.lock().keys().cloned().collect();
        for topic in topics {
            if let Err(error) = self.refresh(&topic).await {
                tracing::debug!(%topic, "route not refreshed: {error}");
            }
        }
    }

    fn keep(&self, route: &Arc<Route>, provisional: bool) {
        let cached = Cached {
            route: Arc::clone(route),
            provisional,
            doubted: false,
            fetched: Instant::now(),
        };
        self.table.lock().insert(route.topic.clone(), cached);
    }

    async fn fetch(&self, topic: &TopicName) -> Result<Option<Route>, ClientError> {
        let code = RequestCode::GET_ROUTEINFO_BY_TOPIC;
        let (address, reply) = self.ask(&route_request(topic.as_str())).await?;
        match reply.code {
            ResponseCode::SUCCESS => {
                let data = fastjson::from_slice(&reply.body)
                    .map_err(|error| unreadable(&address, code, error))?;
                Ok(Some(Route::new(topic.clone(), data)))
            }
            ResponseCode::TOPIC_NOT_EXIST => Ok(None),
            _ => Err(refused(&address, "GET_ROUTEINFO_BY_TOPIC", &reply)),
        }
    }

    /// All broker addresses known from cached routes.
    pub(crate) fn broker_addresses(&self) -> BTreeSet<String> {
        let table = self.table.lock();
        table
            .values()
            .flat_map(|cached| &cached.route.brokers)
            .flat_map(|broker| broker.addresses.values().cloned())
            .collect()
    }
}

fn route_request(topic: &str) -> Command {
    let header = GetRouteInfoRequestHeader {
        topic,
        accept_standard_json_only: Some(true),
    };
    Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, &header)
}
