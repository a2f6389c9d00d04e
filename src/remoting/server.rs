//! Accepts connections and owns their tasks.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{self, Opened, Side};
use super::{Channel, ConnLimits, Service};
use crate::base::Watermark;
use crate::sys::task::boxed;

/// How long to wait after a failed accept; doubles while they keep failing. The usual cause is a process out of
/// file descriptors, and trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A listening socket and its connections. Dropping it ends them at once; [`Server::shutdown`] lets them finish.
#[derive(Debug)]
pub(crate) struct Server {
    local: SocketAddr,
    /// How long connections may take to write out what is queued; `None` while the server runs.
    grace: watch::Sender<Option<Duration>>,
    ended: Watermark,
    open: Registry,
    accepted: Arc<AtomicU64>,
}

/// Every open channel of a server, by id. Lock order: leaf.
type Registry = Arc<Mutex<HashMap<u64, Arc<Channel>>>>;

impl Server {
    /// Where it listens; the real port if port 0 was asked for.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.open.lock().len()
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Stops accepting, lets every connection write out what is queued for at most `grace`, then ends them all.
    /// Returns when every [`Service::closed`] has returned.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        self.grace.send_replace(Some(grace));
        self.ended.reached(1).await;
    }
}

/// Serves `listener` until the returned [`Server`] is shut down or dropped. Needs a tokio runtime.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    limits: ConnLimits,
) -> io::Result<Server> {
    let local = listener.local_addr()?;
    let (grace, told) = watch::channel(None);
    let ended = Watermark::new(0);
    let open = Registry::default();
    let accepted = Arc::new(AtomicU64::new(0));
    let acceptor = Acceptor {
        listener,
        service,
        limits,
        open: Arc::clone(&open),
        accepted: Arc::clone(&accepted),
        tasks: JoinSet::new(),
    };
    let end = ended.clone();
    tokio::spawn(boxed(async move {
        acceptor.run(told).await;
        end.advance(1);
    }));
    Ok(Server {
        local,
        grace,
        ended,
        open,
        accepted,
    })
}

struct Acceptor<S> {
    listener: TcpListener,
    service: Arc<S>,
    limits: ConnLimits,
    open: Registry,
    accepted: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl<S: Service> Acceptor<S> {
    async fn run(mut self, mut told: watch::Receiver<Option<Duration>>) {
        let mut pause = ACCEPT_PAUSE;
        loop {
            tokio::select! {
                biased;
                _ = told.changed() => break,
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        pause = ACCEPT_PAUSE;
                        self.admit(stream, peer);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection, trying again");
                        tokio::select! {
                            biased;
                            _ = told.changed() => break,
                            () = sleep(pause) => {}
                        }
                        pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                    }
                },
            }
        }
        // A dropped server leaves no grace behind.
        let grace = told.borrow().unwrap_or_default();
        self.drain(grace).await;
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.tasks.len() >= self.limits.connections_max {
            tracing::warn!(%peer, limit = self.limits.connections_max, "too many connections, closing this one");
            return;
        }
        let channel = match Channel::over(&stream, self.limits) {
            Ok(channel) => channel,
            Err(error) => {
                // The peer was gone before it was accepted.
                tracing::debug!(%peer, %error, "cannot use an accepted connection");
                return;
            }
        };
        let entry = Entry {
            id: channel.id(),
            open: Arc::clone(&self.open),
        };
        self.open.lock().insert(channel.id(), Arc::clone(&channel));
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let service = Arc::clone(&self.service);
        let limits = self.limits;
        self.tasks.spawn(boxed(async move {
            let _entry = entry;
            let opened = Opened::new(service, channel);
            connection::run(stream, opened, limits, Side::Accepted).await;
        }));
    }

    async fn drain(mut self, grace: Duration) {
        drop(self.listener);
        let channels: Vec<_> = self.open.lock().values().cloned().collect();
        for channel in channels {
            channel.close();
        }
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(grace, all_ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// A place in the registry, given up when the connection's task ends in whatever way.
struct Entry {
    id: u64,
    open: Registry,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}
