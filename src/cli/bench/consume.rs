//! Consuming as a group, with the messages already there or just being sent.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Args;
use super::produce::{Load, read_body};
use super::stage::Stage;
use super::tally::{Shared, Tally};
use crate::cli::exit::CliError;
use crate::client::{ClientError, Consumer, ConsumerOptions, StartFrom, Subscription};

/// What is measured about messages that are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// How many in which time; they were all there before.
    Rate,
    /// How long each took; they are sent meanwhile.
    Latency,
}

/// How often a consumer looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);
/// The longest it may take until the members of a group have shared the queues.
const SHARED_WITHIN: Duration = Duration::from_mins(1);

/// Which messages have come.
struct Seen {
    /// Messages below this number warm up.
    warm_up: u64,
    count: u64,
    bits: Mutex<Vec<u64>>,
    last: Mutex<Instant>,
    origin: Instant,
    run: u64,
    counted: Counted,
}

impl Seen {
    fn new(args: &Args, counted: Counted, origin: Instant, run: u64) -> Self {
        let total = args.count + args.warm_up();
        let words = usize::try_from(total / 64 + 1).unwrap_or(usize::MAX);
        Self {
            warm_up: args.warm_up(),
            count: args.count,
            bits: Mutex::new(vec![0; words]),
            last: Mutex::new(Instant::now()),
            origin,
            run,
            counted,
        }
    }

    /// A message was handed out.
    fn came(&self, body: &[u8], shared: &Shared) {
        let now = Instant::now();
        *self.last.lock() = now;
        // Somebody else's message on a topic that others use as well.
        let Some((number, due)) = read_body(body, self.run) else {
            return;
        };
        if number >= self.warm_up + self.count {
            return;
        }
        if !self.is_new(number) {
            shared.repeat();
            return;
        }
        if number < self.warm_up {
            shared.warmed(1);
            return;
        }
        match self.counted {
            Counted::Rate => shared.done(1, None, now),
            Counted::Latency => {
                let latency = now.saturating_duration_since(self.origin + due);
                shared.done(1, Some(latency), now);
            }
        }
    }

    fn is_new(&self, number: u64) -> bool {
        let mut bits = self.bits.lock();
        let word = usize::try_from(number / 64).unwrap_or(usize::MAX);
        let Some(word) = bits.get_mut(word) else {
            return false;
        };
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether nothing has come for so long.
    fn is_quiet(&self, patience: Duration) -> bool {
        self.last.lock().elapsed() >= patience
    }
}

/// `rmq bench consume` and `rmq bench e2e`.
pub(super) async fn measure(
    args: &Args,
    stage: &Stage,
    shared: &Arc<Shared>,
    counted: Counted,
) -> Result<Tally, CliError> {
    let load = Load::new(args, stage, 0, args.count + args.warm_up());
    let seen = Arc::new(Seen::new(args, counted, load.origin, stage.run));
    match counted {
        Counted::Rate => {
            load.unpaced().run(args, stage, shared).await?;
            if !shared.has_failed() && !shared.is_over() {
                let members = members(stage, StartFrom::Earliest).await?;
                *seen.last.lock() = Instant::now();
                shared.begin(Instant::now());
                consume(members, &seen, shared, args.patience).await;
            }
        }
        Counted::Latency => {
            // Nothing is in a topic of our own, so that its beginning is as good as its end, and safer.
            let start = match args.topic {
                Some(_) => StartFrom::Latest,
                None => StartFrom::Earliest,
            };
            let members = members(stage, start).await?;
            let queues = stage.queues().await?;
            wait_until_shared(&members, queues).await?;
            let consuming = async {
                consume(members, &seen, shared, args.patience).await;
            };
            let (sent, ()) = tokio::join!(load.run(args, stage, shared), consuming);
            sent?;
        }
    }
    Ok(shared.tally())
}

async fn members(stage: &Stage, start_from: StartFrom) -> Result<Vec<Consumer>, CliError> {
    let mut members = Vec::new();
    for client in &stage.clients {
        let options = ConsumerOptions {
            subscriptions: vec![Subscription::all(&stage.topic).map_err(ClientError::from)?],
            start_from,
            ..ConsumerOptions::default()
        };
        members.push(client.consumer(&stage.group, options).await?);
    }
    Ok(members)
}

/// Until all queues are read: nobody should wait for the group to settle.
async fn wait_until_shared(members: &[Consumer], queues: usize) -> Result<(), CliError> {
    let deadline = Instant::now() + SHARED_WITHIN;
    loop {
        let read: usize = members.iter().map(|member| member.queues().len()).sum();
        if read >= queues {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CliError::failed(format!(
                "the group reads {read} of {queues} queues after {SHARED_WITHIN:?}"
            )));
        }
        sleep(LOOK).await;
    }
}

/// Until every message has come, nothing comes any more, or the user has had enough.
async fn consume(
    members: Vec<Consumer>,
    seen: &Arc<Seen>,
    shared: &Arc<Shared>,
    patience: Duration,
) {
    let mut tasks = JoinSet::new();
    for mut member in members {
        let (seen, shared) = (Arc::clone(seen), Arc::clone(shared));
        tasks.spawn(async move {
            while shared.messages() < seen.count && !shared.is_over() && !seen.is_quiet(patience) {
                match timeout(LOOK, member.next()).await {
                    Ok(Some(delivery)) => {
                        seen.came(delivery.body(), &shared);
                        delivery.ack();
                    }
                    Ok(None) => break,
                    Err(_) => {}
                }
            }
            // The group goes away with the topic; its offsets matter to nobody.
            member.close().await.ok();
        });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
