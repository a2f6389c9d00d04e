//! Requests under way, begun and answered in order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::client::{ClientError, SendReceipt};

type Answer = Result<Vec<SendReceipt>, ClientError>;

/// A request, and the names of its messages.
struct Sent {
    names: Vec<String>,
    request: Pin<Box<dyn Future<Output = Answer> + Send>>,
    answer: Option<Answer>,
}

/// A bounded queue of requests that are carried out at the same time.
///
/// All of them are polled by one task, in order: what was pushed first reaches its connection first. So the lines of a
/// file stay in order within a queue, unless one of them has to be tried again.
pub(super) struct Window {
    size: usize,
    sent: VecDeque<Sent>,
    /// The first request goes alone: it finds the route and opens the connection, after which the order is certain.
    primed: bool,
}

impl Window {
    pub(super) fn new(size: u32) -> Self {
        Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            sent: VecDeque::new(),
            primed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < if self.primed { self.size } else { 1 }
    }

    pub(super) fn push(
        &mut self,
        names: Vec<String>,
        request: impl Future<Output = Answer> + Send + 'static,
    ) {
        self.sent.push_back(Sent {
            names,
            request: Box::pin(request),
            answer: None,
        });
    }

    /// The answer to the oldest request, once it is there. Never, if there is no request. Nothing is lost when the
    /// future is dropped.
    pub(super) async fn oldest(&mut self) -> (Vec<String>, Answer) {
        let answered = poll_fn(|cx| self.poll_oldest(cx)).await;
        self.primed = true;
        answered
    }

    fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<(Vec<String>, Answer)> {
        for sent in &mut self.sent {
            if sent.answer.is_none()
                && let Poll::Ready(answer) = sent.request.as_mut().poll(cx)
            {
                sent.answer = Some(answer);
            }
        }
        let Some(answer) = self.sent.front_mut().and_then(|sent| sent.answer.take()) else {
            return Poll::Pending;
        };
        let names = self.sent.pop_front().map(|sent| sent.names);
        Poll::Ready((names.unwrap_or_default(), answer))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_requests() {
        let mut window = Window::new(3);
        let request = |ms: u64| async move {
            sleep(Duration::from_millis(ms)).await;
            Ok(Vec::new())
        };
        window.push(vec!["slow".into()], request(30));
        assert!(!window.has_room(), "the first one goes alone");
        window.push(vec!["fast".into()], request(0));
        assert_eq!(window.oldest().await.0, ["slow"]);
        assert!(window.has_room());
        assert_eq!(window.oldest().await.0, ["fast"]);
        assert!(window.is_empty());
    }
}
