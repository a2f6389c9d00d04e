//! A listening port of a broker, as the remoting layer sees it.

use std::sync::Arc;

use super::Broker;
use super::handlers::{Request, pop, pull, send};
use super::router;
use super::session::Session;
use crate::protocol::frame::Frame;
use crate::remoting::{Channel, Service};

/// The main port, or the VIP port, which serves everything but pulling.
pub(crate) struct Port {
    broker: Arc<Broker>,
    vip: bool,
}

impl Port {
    /// The port clients are told.
    pub(crate) fn main(broker: Arc<Broker>) -> Arc<Self> {
        Arc::new(Self { broker, vip: false })
    }

    /// The port two below, for clients that keep sends away from pulls.
    pub(crate) fn vip(broker: Arc<Broker>) -> Arc<Self> {
        Arc::new(Self { broker, vip: true })
    }
}

impl Service for Port {
    type Session = Session;

    fn open(&self, _channel: &Arc<Channel>) -> Session {
        Session::new(&self.broker)
    }

    fn frames(&self, session: &mut Session, channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        session.refresh(&self.broker);
        for frame in frames.drain(..) {
            match frame.parse() {
                Ok((head, body)) => {
                    let request = Request {
                        head: &head,
                        body: &body,
                        channel,
                    };
                    router::route(&self.broker, session, &request, self.vip);
                }
                Err(error) => {
                    // Without a readable header there is nobody to answer to.
                    send::finish(&self.broker, session, channel);
                    channel.refuse(&error);
                    return;
                }
            }
            if session.sends.is_full() {
                send::finish(&self.broker, session, channel);
            }
        }
        send::finish(&self.broker, session, channel);
    }

    fn closed(&self, _session: Session, channel: &Arc<Channel>) {
        pull::forget(&self.broker, channel);
        pop::forget(&self.broker, channel);
        let changed = self.broker.clients.lock().channel_closed(channel.id());
        self.broker.notify_changed(changed);
    }
}
