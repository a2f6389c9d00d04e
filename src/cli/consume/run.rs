//! Takes messages until there is a reason to end, a few of them at a time.
//!
//! A message is acknowledged here and nowhere else, after its row has left for stdout. When that fails (a closed pipe)
//! the error ends everything with the message unacknowledged, and so are those still in work.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::args::{AckAfter, Args};
use super::dump::Dump;
use super::print::{Outcome, Printer};
use super::source::{Item, Source};
use super::tally::{Back, End, Tally};
use super::work::{Verdict, Work};
use crate::cli::exit::CliError;
use crate::cli::{Context, interrupted};
use crate::client::{Delivery, MessageQueue, Received};

/// How long a queue waits after its message failed in an orderly group, as in Apache's clients
/// (`suspendCurrentQueueTimeMillis`).
const SUSPEND: Duration = Duration::from_secs(1);
/// The retries of a concurrent group unless options say otherwise.
const RETRIES_MAX: u32 = 16;

/// One run of the command.
pub(super) struct Run<'a> {
    pub(super) args: &'a Args,
    pub(super) context: &'a Context,
    pub(super) printer: Printer<'a>,
    pub(super) work: Arc<Work>,
    pub(super) dump: Option<Dump>,
    pub(super) tally: Tally,
    /// Messages somebody is working on.
    jobs: JoinSet<Finished>,
    /// Messages of an orderly group that hold their queues up for a moment.
    suspended: JoinSet<()>,
    /// How often such a message was tried here. The broker counts nothing for it.
    tries: BTreeMap<(MessageQueue, i64), u32>,
    /// What is acknowledged only at the end.
    held: Vec<Delivery>,
}

/// A message and what became of it.
struct Finished {
    message: Received,
    /// Still to be acknowledged, or to be handed out again.
    duty: Option<Delivery>,
    verdict: Verdict,
    back: Back,
    on_purpose: bool,
}

/// A message somebody has to work on.
struct Job {
    message: Received,
    duty: Option<Delivery>,
    /// Attempts before this one.
    tries: u32,
    /// It is to fail, whatever becomes of it.
    on_purpose: bool,
    orderly: bool,
    broadcast: bool,
    retries_max: Option<u32>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        args: &'a Args,
        context: &'a Context,
        printer: Printer<'a>,
        work: Work,
        dump: Option<Dump>,
    ) -> Self {
        Self {
            args,
            context,
            printer,
            work: Arc::new(work),
            dump,
            tally: Tally::default(),
            jobs: JoinSet::new(),
            suspended: JoinSet::new(),
            tries: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    /// Takes messages until the end, then waits for those in work.
    pub(super) async fn until_end(&mut self, source: &mut Source) -> Result<End, CliError> {
        let end = self.take_all(source).await?;
        while let Some(finished) = self.jobs.join_next().await {
            self.settle(finished.map_err(CliError::failed)?)?;
        }
        // A wanted message may have been in work when the time was up.
        let complete = self.wanted_left() == Some(0);
        if complete {
            for delivery in self.held.drain(..) {
                delivery.ack();
            }
        }
        Ok(if complete && end != End::Interrupted {
            End::Count
        } else {
            end
        })
    }

    async fn take_all(&mut self, source: &mut Source) -> Result<End, CliError> {
        let deadline = self.args.limit().map(|limit| Instant::now() + limit);
        let mut interrupted = pin!(interrupted());
        let mut last_message = Instant::now();
        let mut last_look = Instant::now();
        loop {
            if self.wanted_left() == Some(0) {
                return Ok(End::Count);
            }
            let room = self.has_room();
            let quiet = self.jobs.is_empty() && self.suspended.is_empty();
            let after = |pause: Option<Duration>, last: Instant| {
                pause.filter(|_| quiet).map(|pause| last + pause)
            };
            let idle = after(self.args.idle, last_message);
            let look = after(source.look_after(), last_look);
            tokio::select! {
                biased;
                () = &mut interrupted => return Ok(End::Interrupted),
                () = at(deadline) => return Ok(End::Timeout),
                Some(finished) = self.jobs.join_next() => {
                    self.settle(finished.map_err(CliError::failed)?)?;
                    last_message = Instant::now();
                }
                Some(_) = self.suspended.join_next() => last_message = Instant::now(),
                item = source.next(), if room => {
                    let Some(item) = item? else {
                        return Ok(End::AllRead);
                    };
                    last_message = Instant::now();
                    last_look = last_message;
                    self.take(item)?;
                }
                () = at(idle) => return Ok(End::Idle),
                () = at(look) => {
                    if source.group_is_done().await? {
                        return Ok(End::AllRead);
                    }
                    last_look = Instant::now();
                }
            }
        }
    }

    /// How many messages are still wanted, where that is known.
    fn wanted_left(&self) -> Option<u64> {
        let wanted = self.args.wanted()?;
        Some(wanted.saturating_sub(self.tally.counted(self.args)))
    }

    fn has_room(&self) -> bool {
        let in_work = self.jobs.len();
        // Of those in work each may count; more than are wanted are not taken.
        let holding = u64::try_from(in_work + self.suspended.len()).unwrap_or(u64::MAX);
        in_work < usize::from(self.args.concurrency)
            && self.wanted_left().is_none_or(|left| holding < left)
    }

    fn take(&mut self, item: Item) -> Result<(), CliError> {
        let (message, duty) = match item {
            Item::Seen(message) => (message, None),
            Item::Delivered(delivery) => (Received::clone(&delivery), Some(delivery)),
        };
        if !self.is_wanted(&message) {
            return Ok(());
        }
        let tries = self.tries_of(&message);
        let on_purpose = self.args.fail_first.is_some_and(|first| tries < first);
        if !on_purpose && matches!(*self.work, Work::Print) {
            return self.settle(Finished {
                message,
                duty,
                verdict: Ok(None),
                back: Back::Gone,
                on_purpose,
            });
        }
        let job = Job {
            message,
            duty,
            tries,
            on_purpose,
            orderly: self.args.orderly,
            broadcast: self.args.broadcast,
            retries_max: self.args.max_retries,
        };
        self.jobs.spawn(job.run(Arc::clone(&self.work)));
        Ok(())
    }

    /// How often a message was delivered before.
    fn tries_of(&self, message: &Received) -> u32 {
        let here = self
            .tries
            .get(&(message.queue.clone(), message.queue_offset));
        let counted = u32::try_from(message.reconsume_times).unwrap_or_default();
        counted.saturating_add(here.copied().unwrap_or_default())
    }

    fn is_wanted(&self, message: &Received) -> bool {
        let has_key = |wanted: &String| {
            let mut keys = message.keys().unwrap_or_default().split_whitespace();
            keys.any(|key| key == wanted)
        };
        self.args.key.as_ref().is_none_or(has_key)
            && self
                .args
                .grep
                .as_ref()
                .is_none_or(|regex| regex.is_match(message.body()))
    }

    /// Prints a message, then says to whom it belongs now.
    fn settle(&mut self, finished: Finished) -> Result<(), CliError> {
        let Finished {
            message,
            duty,
            verdict,
            back,
            on_purpose,
        } = finished;
        let place = (message.queue.clone(), message.queue_offset);
        match verdict {
            Ok(body) => {
                let body = body.as_deref().unwrap_or(message.body());
                let outcome = self.args.has_work().then_some(Outcome {
                    name: "ack",
                    reason: None,
                });
                self.printer.print(&message, body, outcome)?;
                if let Some(dump) = &mut self.dump {
                    dump.write(&message, body, self.context.global.utc)?;
                }
                self.count(&message, body);
                self.tries.remove(&place);
                self.acknowledge(duty);
            }
            Err(reason) => {
                let id = message.message_id();
                if !on_purpose {
                    self.context.output.note(&format!(
                        "failed: {}/{} @{} {id}: {reason}; {}",
                        message.queue.broker,
                        message.queue.queue,
                        message.queue_offset,
                        back.words()
                    ));
                }
                let outcome = Outcome {
                    name: back.name(),
                    reason: Some(&reason),
                };
                self.printer.print_failed(&message, outcome)?;
                self.tally.failure(id, back, on_purpose);
                if back == Back::Suspended {
                    *self.tries.entry(place).or_default() += 1;
                    // Dropped, the message is handed out again, unless its queue went to someone else meanwhile.
                    self.suspended.spawn(async move {
                        sleep(SUSPEND).await;
                        drop(duty);
                    });
                } else {
                    self.tries.remove(&place);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, message: &Received, body: &[u8]) {
        self.tally.success(&message.message_id());
        let matching = self.args.matching.as_ref();
        if matching.is_none_or(|regex| regex.is_match(body)) {
            self.tally.matched += 1;
        }
    }

    fn acknowledge(&mut self, duty: Option<Delivery>) {
        let Some(delivery) = duty else {
            return;
        };
        match self.args.ack_after {
            AckAfter::Output => delivery.ack(),
            AckAfter::End => self.held.push(delivery),
        }
    }
}

impl Job {
    async fn run(self, work: Arc<Work>) -> Finished {
        let verdict = if self.on_purpose {
            Err("given back on purpose".to_owned())
        } else {
            work.perform(&self.message, self.tries).await
        };
        let (duty, back) = match (&verdict, self.duty) {
            (Ok(_), duty) => (duty, Back::Gone),
            (Err(_), None) => (None, Back::Gone),
            (Err(_), Some(delivery)) if self.broadcast => {
                delivery.ack();
                (None, Back::Gone)
            }
            (Err(_), Some(delivery)) if self.orderly => {
                if self.retries_max.is_some_and(|max| self.tries >= max) {
                    (None, bury(delivery).await)
                } else {
                    (Some(delivery), Back::Suspended)
                }
            }
            (Err(_), Some(delivery)) => {
                let last = self.tries >= self.retries_max.unwrap_or(RETRIES_MAX);
                (None, give_back(delivery, last).await)
            }
        };
        Finished {
            message: self.message,
            duty,
            verdict,
            back,
            on_purpose: self.on_purpose,
        }
    }
}

/// Gives a message back to its group; the broker makes a dead letter of it after its last retry.
async fn give_back(delivery: Delivery, last: bool) -> Back {
    match delivery.retry().await {
        Ok(()) if last => Back::Dead,
        Ok(()) => Back::Later,
        Err(error) => {
            tracing::warn!("a message could not be given back: {error}");
            Back::Kept
        }
    }
}

/// Makes a dead letter of a message.
async fn bury(delivery: Delivery) -> Back {
    match delivery.retry_at_level(-1).await {
        Ok(()) => Back::Dead,
        Err(error) => {
            tracing::warn!("a message could not be made a dead letter: {error}");
            Back::Kept
        }
    }
}

/// Completes at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
