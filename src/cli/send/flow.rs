//! The loop that keeps messages moving: input to plan, plan to requests, answers to the report.

use std::pin::pin;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::carry::{Back, Carrier, Fate};
use super::pace::Pace;
use super::plan::Plan;
use super::report::{End, Report};
use super::source::Item;
use crate::cli::exit::{CliError, Exit};
use crate::cli::interrupted;
use crate::client::{ClientError, MessageQueue, Producer};

/// Messages that wait in the plan before reading pauses.
const WAITING_MAX: usize = 8000;

/// Everything one run of `rmq send` moves.
pub(super) struct Flow<'a> {
    pub(super) producer: Producer,
    pub(super) topic: String,
    /// The queue all messages go to, if the command line names one.
    pub(super) target: Option<MessageQueue>,
    pub(super) plan: Plan,
    pub(super) pace: Pace,
    pub(super) carrier: Carrier,
    pub(super) report: Report<'a>,
}

impl Flow<'_> {
    /// Sends until the input ends, something stops it or the user does.
    pub(super) async fn run(
        mut self,
        mut items: mpsc::Receiver<Vec<Item>>,
    ) -> Result<Exit, CliError> {
        let mut interrupted = pin!(interrupted());
        let mut reading = true;
        loop {
            let wake = self.send_what_may_leave(reading).await;
            if !reading && self.plan.waiting() == 0 && self.carrier.is_empty() {
                return self.report.finish();
            }
            let goes_on = tokio::select! {
                biased;
                () = &mut interrupted, if !self.report.was_interrupted() => {
                    self.report.interrupt();
                    false
                }
                back = self.carrier.back(), if !self.carrier.is_empty() => {
                    self.came_back(back);
                    self.report.tell()?
                }
                chunk = items.recv(), if reading && self.plan.waiting() < WAITING_MAX => {
                    reading = match chunk {
                        Some(chunk) => self.take(chunk).await,
                        None => false,
                    };
                    self.report.tell()?
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => true,
            };
            if !goes_on {
                reading = false;
                for slot in self.plan.clear() {
                    self.report.close(slot, End::NotTried);
                }
            }
        }
    }

    /// Sends as much as the window and the pace allow. Returns when more may leave by the mere passing of time.
    async fn send_what_may_leave(&mut self, more: bool) -> Option<Instant> {
        while self.carrier.has_room() && self.plan.waiting() > 0 {
            let now = Instant::now();
            let allowed = self.pace.allowed(self.plan.waiting(), now);
            if allowed == 0 {
                return self.pace.next_at();
            }
            let Some(request) = self.plan.next(allowed, more, now) else {
                return self.plan.held_until(now);
            };
            self.pace.left(request.slots.len());
            self.carrier.send(request).await;
        }
        None
    }

    /// Takes messages in. `false` if no more should be read; what came before is still sent.
    async fn take(&mut self, chunk: Vec<Item>) -> bool {
        let mut queues = None;
        for item in chunk {
            let slot = self.report.open(item.place, item.message.as_ref().ok());
            let message = match item.message {
                Ok(message) => message,
                Err(error) => {
                    self.report.close(slot, End::Unreadable(error));
                    if self.report.fails_fast() {
                        return false;
                    }
                    continue;
                }
            };
            let queue = match &item.order_key {
                _ if item.queue.is_some() => Ok(item.queue),
                None => Ok(self.target.clone()),
                Some(key) => {
                    if queues.is_none() {
                        queues = Some(self.producer.queues(&self.topic).await);
                    }
                    queue_for(queues.as_ref(), key)
                }
            };
            let end = match queue {
                Err(error) => Some(End::Fate(Fate::Failed(error))),
                Ok(queue) => {
                    let added = self.plan.add(slot, message, queue, Instant::now());
                    added.err().map(End::Skipped)
                }
            };
            if let Some(end) = end {
                self.report.close(slot, end);
            }
        }
        true
    }

    fn came_back(&mut self, back: Back) {
        let mut failed = None;
        let places: Vec<_> = back
            .slots
            .iter()
            .map(|slot| self.report.place(*slot))
            .collect();
        for ((slot, place), fate) in back.slots.into_iter().zip(places).zip(back.fates) {
            if failed.is_none() && matches!(fate, Fate::Failed(_)) {
                failed = place;
            }
            self.report.close(slot, End::Fate(fate));
        }
        if let Some(queue) = &back.queue {
            for slot in self.plan.came_back(queue, failed) {
                if let Some(failed) = failed {
                    self.report.close(slot, End::Skipped(failed));
                }
            }
        }
    }
}

fn queue_for(
    queues: Option<&Result<Vec<MessageQueue>, ClientError>>,
    key: &str,
) -> Result<Option<MessageQueue>, ClientError> {
    match queues {
        None => Ok(None),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(queues)) => Ok(queues
            .get(Producer::nth_for_key(queues.len(), key))
            .cloned()),
    }
}
