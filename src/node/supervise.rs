//! A broker that is started anew when it is given another role.
//!
//! A change of roles stops the broker in order and starts it on the same directory, ports and settings; what it was told
//! it finds in its state file. Clients see a connection that ends and one that can be made again, as after any restart.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::http::Watched;
use super::ports::broker_ports;
use super::{NodeError, RunningBroker};
use crate::broker::{BrokerOptions, Faults, Member, Membership, Settings};
use crate::sys::Clock;
use crate::sys::task::boxed;

/// How long after a failed start the next is tried: the old ports may not be free yet.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A running broker, and the task that starts it anew. Dropping it ends the task, and the broker like a crash.
#[derive(Debug)]
pub(super) struct Supervised {
    running: Arc<Mutex<Option<RunningBroker>>>,
    _task: JoinSet<()>,
    /// Ends last, so that the controllers miss the broker only when it is gone.
    _membership: Option<Membership>,
}

impl Supervised {
    pub(super) fn new(running: RunningBroker, anew: Anew, membership: Option<Membership>) -> Self {
        let running = Arc::new(Mutex::new(Some(running)));
        let mut task = JoinSet::new();
        task.spawn(boxed(supervise(Arc::clone(&running), anew)));
        Self {
            running,
            _task: task,
            _membership: membership,
        }
    }

    /// How many connections are open, and how many there have been since the broker was started. While it is started anew
    /// nobody can tell, which is not the same as that nobody is there.
    pub(super) fn connections(&self) -> (usize, u64) {
        match self.running.try_lock() {
            Ok(running) => running.as_ref().map_or((0, 0), RunningBroker::connections),
            Err(_) => (1, 0),
        }
    }

    /// Stops the broker in order.
    pub(super) async fn stop(self) {
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            running.stop().await;
        }
    }
}

/// What a new start needs.
pub(super) struct Anew {
    pub(super) options: BrokerOptions,
    pub(super) listen: IpAddr,
    /// Who is asked over HTTP how the broker is.
    pub(super) watched: Option<Arc<Watched>>,
    pub(super) beside: Beside,
}

/// What a broker works with that outlives its roles.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) clock: Clock,
    /// What is to happen to requests, if anything is.
    pub(super) faults: Option<Arc<Faults>>,
    /// Its place among the brokers of its name, where a controller gives them their roles.
    pub(super) member: Option<Arc<Member>>,
    /// What administrators changed.
    pub(super) settings: Arc<Settings>,
}

async fn supervise(running: Arc<Mutex<Option<RunningBroker>>>, anew: Anew) {
    loop {
        let broker = running
            .lock()
            .await
            .as_ref()
            .map(|now| Arc::clone(&now.broker));
        let Some(broker) = broker else { return };
        let change = broker.role_change().await;
        // Nobody else stops or starts it meanwhile.
        let mut place = running.lock().await;
        let Some(old) = place.take() else { return };
        tracing::warn!(?change, "starting the broker anew in another role");
        drop(broker);
        old.stop().await;
        let mut options = anew.options.clone();
        options.store.cut_at = change.cut_at;
        let mut pause = RETRY;
        *place = loop {
            match anew.start(options.clone()).await {
                Ok(started) => break Some(started),
                Err(error) => tracing::error!("the broker cannot start anew: {error}"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        };
    }
}

impl Anew {
    async fn start(&self, options: BrokerOptions) -> Result<RunningBroker, NodeError> {
        let ha = Some(options.ha_listen_port).filter(|port| *port != 0);
        let claims = broker_ports(self.listen, options.listen_port, ha)?;
        let name_servers: Vec<_> = options.name_servers().map(str::to_owned).collect();
        let running = RunningBroker::start(options, claims, self.beside.clone()).await?;
        if let Some(watched) = &self.watched {
            watched.serving(Some(Arc::clone(&running.broker)));
        }
        running.register(&name_servers).await;
        Ok(running)
    }
}
