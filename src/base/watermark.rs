//! A number that only grows, and tasks that wait for it to pass a point.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A position that only moves forward, shared by the one who moves it and those who wait for it.
///
/// Reading it is one atomic load. Waiters are kept in order of the point they wait for, so an advance touches only
/// those it releases: one fsync answers everyone below it.
///
/// Lock order: leaf. Wakers run after the table is unlocked.
#[derive(Debug, Default, Clone)]
pub struct Watermark(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    value: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_ticket: u64,
    wakers: BTreeMap<(u64, u64), Waker>,
}

impl Watermark {
    /// A watermark that stands at `value`.
    pub fn new(value: u64) -> Self {
        let mark = Self::default();
        mark.0.value.store(value, Ordering::Release);
        mark
    }

    /// Where it stands now.
    pub fn get(&self) -> u64 {
        self.0.value.load(Ordering::Acquire)
    }

    /// Moves it to `value` (never back) and wakes everyone who waited for that or less.
    pub fn advance(&self, value: u64) {
        if self.0.value.fetch_max(value, Ordering::AcqRel) >= value {
            return;
        }
        let released = {
            let mut waiting = self.0.waiting.lock();
            if waiting.wakers.is_empty() {
                return;
            }
            let still_waiting = waiting.wakers.split_off(&(value.saturating_add(1), 0));
            std::mem::replace(&mut waiting.wakers, still_waiting)
        };
        for waker in released.into_values() {
            waker.wake();
        }
    }

    /// Sets it anywhere, also back. Only for truncation, when nobody waits or reads.
    pub fn reset(&self, value: u64) {
        self.0.value.store(value, Ordering::Release);
    }

    /// Completes once the watermark stands at `point` or past it. Dropping the future leaves the queue.
    pub fn reached(&self, point: u64) -> Reached {
        Reached {
            mark: self.clone(),
            point,
            ticket: None,
        }
    }
}

/// The future made by [`Watermark::reached`].
#[derive(Debug)]
pub struct Reached {
    mark: Watermark,
    point: u64,
    ticket: Option<u64>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.mark.get() >= self.point {
            return Poll::Ready(());
        }
        let inner = Arc::clone(&self.mark.0);
        let mut waiting = inner.waiting.lock();
        let ticket = *self.ticket.get_or_insert_with(|| {
            waiting.next_ticket += 1;
            waiting.next_ticket
        });
        waiting
            .wakers
            .insert((self.point, ticket), cx.waker().clone());
        // An advance between the first look and the lock found no waker: look again under the lock.
        if inner.value.load(Ordering::Acquire) >= self.point {
            waiting.wakers.remove(&(self.point, ticket));
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.mark
                .0
                .waiting
                .lock()
                .wakers
                .remove(&(self.point, ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_advance_releases_everyone_below_it() {
        let mark = Watermark::new(10);
        mark.reached(10).await;
        let low = tokio::spawn(mark.reached(15));
        let high = tokio::spawn(mark.reached(30));
        tokio::task::yield_now().await;
        mark.advance(20);
        low.await.unwrap();
        assert!(!high.is_finished());
        mark.advance(5);
        assert_eq!(mark.get(), 20);
        mark.advance(30);
        high.await.unwrap();
        assert!(mark.0.waiting.lock().wakers.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_waiter_leaves_the_table() {
        let mark = Watermark::new(0);
        let mut waiter = Box::pin(mark.reached(1));
        assert!(futures_pending(waiter.as_mut()));
        drop(waiter);
        assert!(mark.0.waiting.lock().wakers.is_empty());
    }

    fn futures_pending(future: Pin<&mut Reached>) -> bool {
        future
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }
}
