//! Opens connections to others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::{self, Opened, Side};
use super::{Channel, ConnLimits, Service};
use crate::sys::task::boxed;

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, unknown name and the like.
    #[error("cannot connect to {addr}: {source}")]
    Io {
        /// Host and port as asked for.
        addr: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No answer in time.
    #[error("cannot connect to {addr}: no answer within {limit:?}")]
    Timeout {
        /// Host and port as asked for.
        addr: String,
        /// How long was waited.
        limit: Duration,
    },
}

/// Connects to `addr` (`host:port`) within `limit` and serves the connection with `service`, which answers what the
/// other side asks for on it.
///
/// The connection's task lives as long as the connection: it ends with [`Channel::close`], with the peer, or when
/// idle; [`Channel::ended`] tells. Whoever connects therefore closes.
pub(crate) async fn connect<S: Service>(
    addr: &str,
    service: Arc<S>,
    limits: ConnLimits,
    limit: Duration,
) -> Result<Arc<Channel>, ConnectError> {
    let io_error = |source| ConnectError::Io {
        addr: addr.to_owned(),
        source,
    };
    let stream = match timeout(limit, TcpStream::connect(addr)).await {
        Ok(connected) => connected.map_err(io_error)?,
        Err(_) => {
            return Err(ConnectError::Timeout {
                addr: addr.to_owned(),
                limit,
            });
        }
    };
    let channel = Channel::over(&stream, limits).map_err(io_error)?;
    let opened = Opened::new(service, Arc::clone(&channel));
    tokio::spawn(boxed(connection::run(
        stream,
        opened,
        limits,
        Side::Connected,
    )));
    Ok(channel)
}
