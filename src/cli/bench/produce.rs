//! Sending, as fast as it goes or at a rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Args;
use super::stage::Stage;
use super::tally::{Shared, Tally};
use crate::cli::exit::CliError;
use crate::cli::send::Rate;
use crate::client::{Message, Producer, ProducerOptions};

/// The number of a message, the time it was due and the run it belongs to, which every body begins with.
pub(super) const SIZE_MIN: usize = 24;

/// A stretch of sending.
#[derive(Clone)]
pub(super) struct Load {
    topic: String,
    size: usize,
    run: u64,
    batch: u64,
    rate: Option<Rate>,
    /// Messages of this stretch: from this number, so many.
    first: u64,
    count: u64,
    /// The moment that times in bodies count from.
    pub(super) origin: Instant,
    /// Whether acknowledgements are what is measured.
    counts: bool,
}

/// What all workers of a stretch share.
struct Turn {
    load: Load,
    began: Instant,
    next: AtomicU64,
}

impl Load {
    pub(super) fn new(args: &Args, stage: &Stage, first: u64, count: u64) -> Self {
        Self {
            topic: stage.topic.clone(),
            size: args.size(),
            run: stage.run,
            batch: u64::from(args.batch),
            rate: args.rate,
            first,
            count,
            origin: Instant::now(),
            counts: false,
        }
    }

    /// As fast as it goes.
    pub(super) fn unpaced(self) -> Self {
        Self { rate: None, ..self }
    }

    /// Sends it with all clients; returns when all of it is acknowledged or has failed.
    pub(super) async fn run(
        self,
        args: &Args,
        stage: &Stage,
        shared: &Arc<Shared>,
    ) -> Result<(), CliError> {
        let turn = Arc::new(Turn {
            load: self,
            began: Instant::now(),
            next: AtomicU64::new(0),
        });
        let mut workers = JoinSet::new();
        for client in &stage.clients {
            // Failures are to be seen, and a body that is packed is no measure.
            let options = ProducerOptions {
                retries: 0,
                compress_from_bytes: None,
                ..ProducerOptions::windowed()
            };
            let producer = client.producer("rmq_bench", options)?;
            for _ in 0..args.in_flight {
                let (turn, shared) = (Arc::clone(&turn), Arc::clone(shared));
                workers.spawn(work(producer.clone(), turn, shared));
            }
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        Ok(())
    }

    fn body(&self, number: u64, due: Instant) -> Bytes {
        let mut body = vec![b'x'; self.size];
        let since = due.saturating_duration_since(self.origin).as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let head = [number, since, self.run].map(u64::to_be_bytes);
        for (place, byte) in body.iter_mut().zip(head.into_iter().flatten()) {
            *place = byte;
        }
        body.into()
    }
}

/// The number of a message of this run, and when it was due, counted from the origin.
pub(super) fn read_body(body: &[u8], run: u64) -> Option<(u64, Duration)> {
    let nth = |nth: usize| {
        let bytes = body.get(nth * 8..nth * 8 + 8)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    (nth(2)? == run).then_some((nth(0)?, Duration::from_micros(nth(1)?)))
}

async fn work(producer: Producer, turn: Arc<Turn>, shared: Arc<Shared>) {
    let load = &turn.load;
    while !shared.is_over() {
        let at = turn.next.fetch_add(load.batch, Ordering::Relaxed);
        if at >= load.count {
            return;
        }
        let count = load.batch.min(load.count - at);
        let due = match load.rate {
            Some(rate) => {
                let due = turn.began + rate.due(at);
                sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        let message = |nth: u64| {
            let body = load.body(load.first + at + nth, due);
            Message::new(load.topic.as_str(), body)
        };
        let sent = if count == 1 {
            producer.send(message(0)).await.map(drop)
        } else {
            let messages: Vec<Message> = (0..count).map(message).collect();
            producer.send_batch(&messages).await.map(drop)
        };
        let now = Instant::now();
        match sent {
            Ok(()) if load.counts => shared.done(count, Some(now - due), now),
            Ok(()) => shared.warmed(count),
            Err(error) => shared.fail(count, error.into()),
        }
    }
}

/// `rmq bench send`.
pub(super) async fn measure(
    args: &Args,
    stage: &Stage,
    shared: &Arc<Shared>,
) -> Result<Tally, CliError> {
    let warm_up = Load::new(args, stage, 0, args.warm_up()).unpaced();
    warm_up.run(args, stage, shared).await?;
    // What fails now fails later as well.
    if !shared.has_failed() && !shared.is_over() {
        let load = Load {
            counts: true,
            ..Load::new(args, stage, args.warm_up(), args.count)
        };
        shared.begin(Instant::now());
        load.run(args, stage, shared).await?;
    }
    Ok(shared.tally())
}
