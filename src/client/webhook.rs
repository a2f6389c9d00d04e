//! Messages handed on to an HTTP server, one POST each.
//!
//! Connections are kept and used again. Plain HTTP/1.1 only: there is no TLS here, and an `https://` address is refused
//! instead of being sent to in the clear. Redirects are not followed; they count as any other status that is not 2xx.
//!
//! Lock order: leaf; the list of idle connections is never held while waiting.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::ClientError;
use super::message::Received;

/// What a server may answer; more is cut off with its connection.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const WHAT: &str = "POST";

/// An address that takes messages as HTTP requests.
///
/// The body of a request is the message's; its place and its properties are headers (`RMQ-Topic`, `RMQ-Message-Id`,
/// `RMQ-Keys`, `RMQ-Tag`, `RMQ-Retries`, `RMQ-Queue`, `RMQ-Offset`, `RMQ-Prop-…`). What cannot stand in a header is
/// left out.
#[derive(Debug)]
pub struct Webhook {
    address: String,
    host: HeaderValue,
    path: String,
    limit: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    connections: Mutex<JoinSet<()>>,
}

impl Webhook {
    /// Takes `http://host[:port]/path?query`. Each request may take `limit` in all.
    pub fn new(url: &str, limit: Duration) -> Result<Self, ClientError> {
        let wrong = |reason: &str| ClientError::Usage(format!("{url:?}: {reason}"));
        let uri: Uri = url
            .parse()
            .map_err(|error| wrong(&format!("write http://host:port/path ({error})")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("there is no TLS here; use http://")),
            _ => return Err(wrong("write http://host:port/path")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("it names no host"))?;
        Ok(Self {
            address: format!(
                "{}:{}",
                authority.host(),
                authority.port_u16().unwrap_or(80)
            ),
            host,
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            limit,
            idle: Mutex::default(),
            connections: Mutex::default(),
        })
    }

    /// Posts a message and returns the status the server answered with.
    ///
    /// A kept connection may have been closed by the server; a request that was lost with it is posted once more on a
    /// fresh one. The server may therefore see a message twice.
    pub async fn post(&self, message: &Received) -> Result<u16, ClientError> {
        let posted = timeout(self.limit, async {
            let kept = self.idle.lock().pop();
            if let Some(kept) = kept
                && let Ok(status) = self.post_on(kept, message).await
            {
                return Ok(status);
            }
            self.post_on(self.connect().await?, message).await
        });
        posted.await.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                address: self.address.clone(),
                what: WHAT,
                after: self.limit,
            })
        })
    }

    /// Posts a text; gives back the status the server answered with, and the text of its answer.
    pub async fn post_text(&self, text: String) -> Result<(u16, String), ClientError> {
        let lost = |reason: String| ClientError::Lost {
            address: self.address.clone(),
            what: WHAT,
            reason,
        };
        let posted = timeout(self.limit, async {
            let mut connection = self.connect().await?;
            let request = Request::builder()
                .method(Method::POST)
                .uri(&self.path)
                .header(HOST, &self.host)
                .header(CONTENT_TYPE, content_type(text.as_bytes()))
                .body(Full::new(Bytes::from(text)))
                .map_err(|error| lost(error.to_string()))?;
            let answer = connection.send_request(request).await;
            let answer = answer.map_err(|error| lost(error.to_string()))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
            let body = body.collect().await;
            let body = body.map_err(|error| lost(error.to_string()))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        });
        posted.await.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                address: self.address.clone(),
                what: WHAT,
                after: self.limit,
            })
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let failed = |reason: String| ClientError::Connect {
            address: self.address.clone(),
            reason,
        };
        let stream = TcpStream::connect(&self.address)
            .await
            .map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).ok();
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut connections = self.connections.lock();
        // Forgets those that have ended.
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("an HTTP connection ended: {error}");
            }
        });
        Ok(sender)
    }

    async fn post_on(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        message: &Received,
    ) -> Result<u16, ClientError> {
        let lost = |reason: String| ClientError::Lost {
            address: self.address.clone(),
            what: WHAT,
            reason,
        };
        let request = self.request(message).map_err(lost)?;
        let ready = connection.ready().await;
        ready.map_err(|error| lost(error.to_string()))?;
        let answer = connection.send_request(request).await;
        let answer = answer.map_err(|error| lost(error.to_string()))?;
        let status = answer.status().as_u16();
        // The connection can be used again when the answer was read to its end.
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        if body.collect().await.is_ok() {
            self.idle.lock().push(connection);
        }
        Ok(status)
    }

    fn request(&self, message: &Received) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, content_type(message.body()))
            .body(Full::new(message.body().clone()))
            .map_err(|error| error.to_string())?;
        let mut set = |name: &str, value: &str| {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
                && let Ok(value) = HeaderValue::from_str(value)
            {
                request.headers_mut().append(name, value);
            }
        };
        set("rmq-topic", message.topic());
        set("rmq-message-id", &message.message_id());
        set("rmq-keys", message.keys().unwrap_or_default());
        set("rmq-tag", message.tag().unwrap_or_default());
        set("rmq-retries", &message.reconsume_times.to_string());
        let queue = format!("{}/{}", message.queue.broker, message.queue.queue);
        set("rmq-queue", &queue);
        set("rmq-offset", &message.queue_offset.to_string());
        for (name, value) in message.user_properties() {
            set(&format!("rmq-prop-{name}"), value);
        }
        Ok(request)
    }
}

/// JSON and text are called so, for servers that look.
fn content_type(body: &[u8]) -> &'static str {
    match std::str::from_utf8(body) {
        Ok(text) if text.trim_start().starts_with(['{', '[']) => "application/json",
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let hook = |url| Webhook::new(url, Duration::from_secs(1));
        let plain = hook("http://localhost:3000/hook?a=1").unwrap();
        assert_eq!(plain.address, "localhost:3000");
        assert_eq!(plain.path, "/hook?a=1");
        assert_eq!(hook("http://h").unwrap().address, "h:80");
        for (bad, said) in [
            ("https://h/", "TLS"),
            ("ftp://h/", "http://"),
            ("h:80/x", "http://"),
            ("", "http://"),
        ] {
            let error = hook(bad).unwrap_err().to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }

    #[test]
    fn bodies_are_named_by_what_they_are() {
        assert_eq!(content_type(b" {\"a\":1}"), "application/json");
        assert_eq!(content_type("ö".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"\xff"), "application/octet-stream");
    }
}
