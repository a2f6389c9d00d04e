//! A listening port of a broker, as the remoting layer sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Broker;
use super::fault::{self, Fault, Faults};
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
    /// Only where somebody asked for faults.
    faults: Option<Arc<Faults>>,
}

impl Port {
    /// The port clients are told.
    pub(crate) fn main(broker: Arc<Broker>, faults: Option<Arc<Faults>>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            vip: false,
            faults,
        })
    }

    /// The port two below, for clients that keep sends away from pulls.
    pub(crate) fn vip(broker: Arc<Broker>, faults: Option<Arc<Faults>>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            vip: true,
            faults,
        })
    }
}

impl Port {
    /// Takes out the requests that a fault hits, and does to them what it says.
    fn strike(&self, faults: &Faults, channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        let mut closed = false;
        frames.retain(|frame| {
            if closed {
                return false;
            }
            let Ok((head, _body)) = frame.parse() else {
                return true;
            };
            if head.is_response() {
                return true;
            }
            match faults.next(head.request_code()) {
                None => return true,
                Some(Fault::Refuse(code)) => channel.answer(&head, fault::refusal(code).into()),
                Some(Fault::Delay(delay)) => self.take_later(delay, channel, frame),
                Some(Fault::Drop) => {}
                Some(Fault::Close) => {
                    channel.close();
                    closed = true;
                }
            }
            false
        });
    }

    /// Takes a request as if it had come so much later, on a connection that sent nothing else.
    fn take_later(&self, delay: Duration, channel: &Arc<Channel>, frame: &Frame) {
        let port = Self {
            broker: Arc::clone(&self.broker),
            vip: self.vip,
            faults: None,
        };
        let channel = Arc::clone(channel);
        // The buffer it was read into is not kept for so long.
        let bytes = Bytes::copy_from_slice(&frame.bytes);
        self.broker.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            let mut session = Session::new(&port.broker);
            port.frames(&mut session, &channel, &mut vec![Frame { bytes }]);
        });
    }

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
        if let Some(faults) = &self.faults {
            self.strike(faults, channel, frames);
        }
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
