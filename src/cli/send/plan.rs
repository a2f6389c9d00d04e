//! Which messages travel together, and which have to wait for others. Pure.
//!
//! Messages of one queue whose order matters form a lane with one request under way at a time; what comes meanwhile
//! waits and travels together afterwards. When a message of a lane fails, the ones behind it must not overtake it, so
//! the lane takes no more. Messages whose order does not matter share a lane with any number of requests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::source::Place;
use crate::client::{Message, MessageQueue};

/// How long a batch of a wanted size waits for its next message before it leaves with what it has.
const LINGER: Duration = Duration::from_millis(50);
/// The most messages that travel together unasked.
const TOGETHER_MAX: usize = 1000;
/// The most bytes that travel together.
const TOGETHER_BYTES: usize = 512 << 10;

/// What may travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// Nothing.
    Alone,
    /// What waits anyway, except bodies of this size and more, which are packed.
    Auto { alone_from: usize },
    /// So many, for which the first ones wait a moment.
    Fixed(usize),
}

/// Messages that travel together.
#[derive(Debug)]
pub(super) struct Request {
    /// Which slots of the report they fill.
    pub(super) slots: Vec<u64>,
    pub(super) messages: Vec<Message>,
    /// Any, if it is not said.
    pub(super) queue: Option<MessageQueue>,
    pub(super) bytes: usize,
}

/// A message, and which slot of the report it fills.
#[derive(Debug)]
struct Waiting {
    slot: u64,
    message: Message,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    busy: bool,
    /// The message whose failure closed the lane.
    failed: Option<Place>,
    /// Since when the first message waits for others.
    since: Option<Instant>,
}

/// Messages that have not left yet.
#[derive(Debug)]
pub(super) struct Plan {
    batching: Batching,
    lanes: BTreeMap<Option<MessageQueue>, Lane>,
    waiting: usize,
}

impl Plan {
    pub(super) fn new(batching: Batching) -> Self {
        Self {
            batching,
            lanes: BTreeMap::new(),
            waiting: 0,
        }
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a message for a queue, or for any. If an earlier one of the lane has failed, it is named instead.
    pub(super) fn add(
        &mut self,
        slot: u64,
        message: Message,
        queue: Option<MessageQueue>,
        now: Instant,
    ) -> Result<(), Place> {
        let lane = self.lanes.entry(queue).or_default();
        if let Some(failed) = lane.failed {
            return Err(failed);
        }
        lane.since.get_or_insert(now);
        lane.waiting.push_back(Waiting { slot, message });
        self.waiting += 1;
        Ok(())
    }

    /// The next request, of at most `allowed` messages. `more`: further messages may come.
    pub(super) fn next(&mut self, allowed: usize, more: bool, now: Instant) -> Option<Request> {
        let batching = self.batching;
        let (queue, lane) = self
            .lanes
            .iter_mut()
            .find(|(queue, lane)| lane.is_ready(queue.is_some(), batching, more, now))?;
        let request = lane.take(queue.clone(), allowed, batching)?;
        lane.busy = true;
        lane.since = (!lane.waiting.is_empty()).then_some(now);
        self.waiting -= request.slots.len();
        Some(request)
    }

    /// When a batch that waits for further messages leaves without them.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        let Batching::Fixed(_) = self.batching else {
            return None;
        };
        let ends = self.lanes.values().filter_map(|lane| lane.since);
        ends.map(|since| since + LINGER)
            .filter(|end| *end > now)
            .min()
    }

    /// The request of an ordered lane has come back. If a message of it failed, returns the slots behind it.
    pub(super) fn came_back(&mut self, queue: &MessageQueue, failed: Option<Place>) -> Vec<u64> {
        let Some(lane) = self.lanes.get_mut(&Some(queue.clone())) else {
            return Vec::new();
        };
        lane.busy = false;
        let Some(failed) = failed else {
            return Vec::new();
        };
        lane.failed = Some(failed);
        lane.since = None;
        self.waiting -= lane.waiting.len();
        lane.waiting.drain(..).map(|waiting| waiting.slot).collect()
    }

    /// Takes everything out that has not left.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.waiting = 0;
        std::mem::take(&mut self.lanes)
            .into_values()
            .flat_map(|lane| lane.waiting)
            .map(|waiting| waiting.slot)
            .collect()
    }
}

impl Lane {
    fn is_ready(&self, ordered: bool, batching: Batching, more: bool, now: Instant) -> bool {
        if self.waiting.is_empty() || (ordered && self.busy) {
            return false;
        }
        match batching {
            Batching::Fixed(size) if more && self.waiting.len() < size => {
                self.since.is_some_and(|since| now >= since + LINGER)
            }
            _ => true,
        }
    }

    fn take(
        &mut self,
        queue: Option<MessageQueue>,
        allowed: usize,
        batching: Batching,
    ) -> Option<Request> {
        let most = match batching {
            Batching::Alone => 1,
            Batching::Fixed(size) => size,
            // A share of what waits: few messages are dealt to several queues, many leave by the thousand.
            Batching::Auto { .. } if queue.is_none() => {
                (self.waiting.len() / 8).clamp(1, TOGETHER_MAX)
            }
            Batching::Auto { .. } => TOGETHER_MAX,
        };
        let alone = |message: &Message| match batching {
            Batching::Auto { alone_from } => message.body().len() >= alone_from,
            Batching::Alone | Batching::Fixed(_) => false,
        };
        let mut request = Request {
            slots: Vec::new(),
            messages: Vec::new(),
            queue,
            bytes: 0,
        };
        let most = most.min(allowed);
        while request.slots.len() < most {
            let Some(next) = self.waiting.front() else {
                break;
            };
            let bytes = request.bytes + next.message.body().len();
            let first = request.slots.is_empty();
            if !first && (bytes > TOGETHER_BYTES || alone(&next.message)) {
                break;
            }
            let ends = alone(&next.message);
            request.bytes = bytes;
            if let Some(Waiting { slot, message }) = self.waiting.pop_front() {
                request.slots.push(slot);
                request.messages.push(message);
            }
            if ends {
                break;
            }
        }
        (!request.slots.is_empty()).then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{BrokerName, QueueId, TopicName};

    fn queue(number: u32) -> MessageQueue {
        MessageQueue {
            topic: TopicName::parse("T").unwrap(),
            broker: BrokerName::stored("b"),
            queue: QueueId::new(number),
        }
    }

    fn place(number: u64) -> Place {
        Place {
            number,
            offset: None,
            crc: None,
            is_line: true,
        }
    }

    fn plan(batching: Batching, queues: &[Option<u32>]) -> Plan {
        let mut plan = Plan::new(batching);
        for (slot, number) in (0..).zip(queues) {
            let message = Message::new("T", "body");
            plan.add(slot, message, number.map(queue), Instant::now())
                .unwrap();
        }
        plan
    }

    fn sizes(plan: &mut Plan, more: bool, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| plan.next(usize::MAX, more, now))
            .map(|request| request.slots.len())
            .collect()
    }

    const AUTO: Batching = Batching::Auto { alone_from: 100 };

    #[test]
    fn few_messages_are_dealt_and_many_travel_together() {
        let now = Instant::now();
        assert_eq!(sizes(&mut plan(AUTO, &[None; 3]), true, now), [1, 1, 1]);
        let many = sizes(&mut plan(AUTO, &vec![None; 4000]), true, now);
        assert_eq!(many[0], 500);
        assert_eq!(many.iter().sum::<usize>(), 4000);
        assert!(many.len() < 80, "{many:?}");
        let alone = sizes(&mut plan(Batching::Alone, &[None; 3]), true, now);
        assert_eq!(alone, [1, 1, 1]);
        let mut few = plan(AUTO, &vec![None; 4000]);
        assert_eq!(few.next(7, true, now).unwrap().slots.len(), 7);
        assert_eq!(few.waiting(), 3993);
    }

    #[test]
    fn large_bodies_travel_alone() {
        let mut plan = Plan::new(AUTO);
        for (slot, size) in (0..).zip([1, 100, 1, 1]) {
            let message = Message::new("T", vec![b'x'; size]);
            plan.add(slot, message, Some(queue(0)), Instant::now())
                .unwrap();
        }
        let mut all = Vec::new();
        while let Some(request) = plan.next(usize::MAX, true, Instant::now()) {
            all.push(request.slots);
            plan.came_back(&queue(0), None);
        }
        assert_eq!(all, [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn a_wanted_size_is_waited_for_a_moment() {
        let mut plan = plan(Batching::Fixed(2), &[None; 3]);
        let now = Instant::now();
        assert_eq!(sizes(&mut plan, true, now), [2]);
        let held = plan.held_until(now).unwrap();
        assert_eq!(sizes(&mut plan, true, held), [1]);
        assert_eq!(plan.held_until(held), None);
    }

    #[test]
    fn a_lane_is_kept_in_order() {
        let mut plan = plan(AUTO, &[Some(0), Some(0), Some(1), Some(0)]);
        let now = Instant::now();
        let first = plan.next(1, true, now).unwrap();
        assert_eq!(first.slots, [0]);
        let other = plan.next(9, true, now).unwrap();
        assert_eq!(other.slots, [2], "lane 0 has one under way");
        assert!(plan.next(9, true, now).is_none());
        plan.came_back(&queue(1), None);
        assert_eq!(plan.came_back(&queue(0), Some(place(1))), [1, 3]);
        let message = Message::new("T", "x");
        let added = plan.add(4, message.clone(), Some(queue(0)), now);
        assert_eq!(added, Err(place(1)));
        assert_eq!(plan.add(5, message, Some(queue(1)), now), Ok(()));
        assert_eq!(plan.clear(), [5]);
        assert_eq!(plan.waiting(), 0);
    }
}
