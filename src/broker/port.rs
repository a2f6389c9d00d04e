//! A listening port of a broker, as the remoting layer sees it.

use std::sync::Arc;

use super::Broker;
use super::handlers::{Refusal, Request, pop, pull, send};
use super::router;
use super::session::Session;
use crate::protocol::codes::ResponseCode;
use crate::protocol::frame::Frame;
use crate::remoting::{Channel, InFlight, Service};

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

impl Port {
    /// Answers a request where it may block.
    fn answer_later(&self, channel: &Arc<Channel>, frame: Frame, admitted: InFlight) {
        let (broker, channel) = (Arc::clone(&self.broker), Arc::clone(channel));
        let answer = move || {
            if let Ok((head, body)) = frame.parse() {
                let request = Request {
                    head: &head,
                    body: &body,
                    channel: &channel,
                };
                router::route_blocking(&broker, &request);
            }
            drop(admitted);
        };
        self.broker.tasks.spawn_blocking(answer);
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
                    if !router::may_block(head.request_code()) {
                        router::route(&self.broker, session, &request, self.vip);
                    } else if let Some(admitted) = channel.admit() {
                        // What came before it on the connection is to be seen by it.
                        send::finish(&self.broker, session, channel);
                        self.answer_later(channel, frame.clone(), admitted);
                    } else {
                        let remark = "too many requests of this connection wait";
                        let busy = Refusal::new(ResponseCode::SYSTEM_BUSY, remark);
                        request.answer(busy.into());
                    }
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
