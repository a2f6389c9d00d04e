//! The node's HTTP port, for whoever watches it: `/livez`, `/readyz`, `/metrics`.
//!
//! Alive is a process that answers. Ready is one that takes messages: the store is recovered and accepts writes, and the
//! listeners take connections. The port opens before the store does, so that a probe can tell "starting" from "gone".
//!
//! A node that waits for its address is told it here (`POST /advertise`), once. Absent on purpose: anything else that
//! changes the node. Nothing here asks who is asking.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::NodeError;
use super::config::HostPort;
use super::ports::Claim;
use crate::broker::{Broker, BrokerMetrics};
use crate::controller::{Controller, ControllerMetrics};

/// The form that Prometheus asks for (`OpenMetrics`).
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// How many may watch at a time; more wait until one of them is done.
const CONNECTIONS_MAX: usize = 64;
/// The longest address anybody may post.
const ADDRESS_BYTES_MAX: usize = 1024;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the node is doing.
#[derive(Default)]
enum State {
    /// Opening the store.
    #[default]
    Starting,
    /// Serving, with this broker if it has one.
    Serving(Option<Arc<Broker>>),
    /// On its way out.
    Stopping,
}

/// What the port tells, and what it is told.
#[derive(Default)]
pub(super) struct Watched {
    state: Mutex<State>,
    controller: Mutex<Option<Arc<Controller>>>,
    /// Whoever waits for the address clients are to be told.
    asked: Mutex<Option<oneshot::Sender<HostPort>>>,
}

impl Watched {
    /// From now on the node is ready, as far as its store is.
    pub(super) fn serving(&self, broker: Option<Arc<Broker>>) {
        *self.state.lock() = State::Serving(broker);
    }

    /// From now on there is a controller.
    pub(super) fn controls(&self, controller: Arc<Controller>) {
        *self.controller.lock() = Some(controller);
    }

    /// From now on it is not.
    pub(super) fn stopping(&self) {
        *self.state.lock() = State::Stopping;
    }

    /// Waits until somebody posts the address that clients are to be told.
    pub(super) async fn asked_for_address(&self, port: SocketAddr) -> HostPort {
        tracing::warn!(
            "waiting for the address to advertise: rmq advertise HOST:PORT --http {port}, or POST /advertise"
        );
        loop {
            let (sender, answer) = oneshot::channel();
            *self.asked.lock() = Some(sender);
            if let Ok(told) = answer.await {
                return told;
            }
        }
    }

    /// Takes the address that clients are to be told, once, from whoever posts it first.
    fn told(&self, text: &[u8]) -> Response<Full<Bytes>> {
        let text = String::from_utf8_lossy(text);
        let told: HostPort = match text.trim().parse() {
            Ok(told) => told,
            Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let advertised = format!("advertised as {told}\n");
        match self.asked.lock().take().map(|asked| asked.send(told)) {
            Some(Ok(())) => plain(StatusCode::OK, advertised),
            _ => plain(
                StatusCode::CONFLICT,
                "this node does not wait for an address (rmq serve --advertise wait)\n",
            ),
        }
    }

    /// Why the node is not ready, if it is not.
    fn unready(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Starting => Some("starting".to_owned()),
            State::Stopping => Some("stopping".to_owned()),
            State::Serving(broker) => {
                let of_broker = broker.as_ref().and_then(|broker| broker.write_refusal());
                let controller = self.controller.lock();
                of_broker.or_else(|| controller.as_ref()?.trouble())
            }
        }
    }

    fn metrics(&self) -> String {
        let mut registry = Registry::default();
        if let State::Serving(Some(broker)) = &*self.state.lock() {
            registry.register_collector(Box::new(BrokerMetrics::new(Arc::clone(broker))));
        }
        if let Some(controller) = &*self.controller.lock() {
            let metrics = ControllerMetrics::new(Arc::clone(controller));
            registry.register_collector(Box::new(metrics));
        }
        let mut out = String::new();
        // Writing to a string fails only if a collector does, and then a part is better than nothing.
        if text::encode(&mut out, &registry).is_err() {
            tracing::warn!("the metrics are not complete");
        }
        out
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match path {
            "/livez" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => match self.unready() {
                None => plain(StatusCode::OK, "ok\n"),
                Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/metrics" => typed(StatusCode::OK, METRICS_TYPE, self.metrics()),
            "/" => plain(StatusCode::OK, "rmq: /livez /readyz /metrics\n"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz and /metrics\n",
            ),
        }
    }
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, TEXT_TYPE, body)
}

fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

/// The port, served until this is dropped.
#[derive(Debug)]
pub(super) struct HttpServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl HttpServer {
    /// Serves `watched` on a claimed port.
    pub(super) fn start(claim: Claim, watched: Arc<Watched>) -> Result<Self, NodeError> {
        let address = claim.address();
        let accepting = tokio::spawn(accept(claim.listen()?, watched));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn respond(watched: &Watched, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != "/advertise" {
        return watched.answer(&head.method, head.uri.path());
    }
    let read = Limited::new(body, ADDRESS_BYTES_MAX).collect();
    match tokio::time::timeout(HEAD_TIMEOUT, read).await {
        Ok(Ok(text)) => watched.told(&text.to_bytes()),
        _ => plain(StatusCode::BAD_REQUEST, "no address; write HOST:PORT\n"),
    }
}

async fn accept(listener: TcpListener, watched: Arc<Watched>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the task that accepted them.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file handles, most likely: trying again at once would only burn the processor.
                tracing::warn!("the HTTP port cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let watched = Arc::clone(&watched);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let watched = Arc::clone(&watched);
                async move { Ok::<_, Infallible>(respond(&watched, request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!("an HTTP connection broke: {error}");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn alive_is_not_ready() {
        let watched = Watched::default();
        let status = |path: &str| watched.answer(&Method::GET, path).status().as_u16();
        assert_eq!((status("/livez"), status("/readyz")), (200, 503));
        watched.serving(None);
        assert_eq!((status("/livez"), status("/readyz")), (200, 200));
        assert_eq!(watched.told(b"a:1").status(), 409, "nobody asked");
        assert_eq!(watched.told(b"a b").status(), 400);
        watched.stopping();
        assert_eq!((status("/livez"), status("/readyz")), (200, 503));
        assert_eq!(status("/x"), 404);
        assert_eq!(watched.answer(&Method::POST, "/livez").status(), 405);
        let metrics = watched.answer(&Method::GET, "/metrics").into_body();
        let text = metrics.collect().await.unwrap().to_bytes();
        assert_eq!(text, "# EOF\n");
    }
}
