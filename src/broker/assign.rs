//! Sharing the queues of a topic among the members of a group, as Apache's brokers and clients do.

use crate::protocol::body::MessageQueue;

/// How queues are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Each member gets queues that lie side by side.
    Average,
    /// One queue after another, round and round.
    Circle,
}

impl Strategy {
    /// The strategy with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "AVG" => Some(Self::Average),
            "AVG_BY_CIRCLE" => Some(Self::Circle),
            _ => None,
        }
    }
}

/// What is shared, among whom, and who asks. Members and queues are sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) strategy: Strategy,
    pub(crate) client_id: &'a str,
    pub(crate) members: &'a [String],
    pub(crate) queues: &'a [MessageQueue],
}

impl Share<'_> {
    fn position(&self) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|member| member == self.client_id)
    }

    /// The queues of one member.
    fn of(&self, position: usize) -> Vec<MessageQueue> {
        let (queues, members) = (self.queues.len(), self.members.len().max(1));
        match self.strategy {
            Strategy::Average => {
                let (each, left) = (queues / members, queues % members);
                let start = position * each + position.min(left);
                let count = each + usize::from(position < left);
                self.queues
                    .iter()
                    .skip(start)
                    .take(count)
                    .cloned()
                    .collect()
            }
            Strategy::Circle => {
                let mine = self.queues.iter().skip(position).step_by(members);
                mine.cloned().collect()
            }
        }
    }

    /// The client's own queues, when each queue has one member.
    pub(crate) fn own(&self) -> Vec<MessageQueue> {
        self.position()
            .map(|position| self.of(position))
            .unwrap_or_default()
    }

    /// The client's queues when members pop from shared ones: all queues of a broker as one (-1), or its own and those of
    /// the next `share` members.
    pub(crate) fn popped(&self, share: i32) -> Vec<MessageQueue> {
        let members = self.members.len();
        let share = usize::try_from(share).unwrap_or(0);
        if share == 0 || share.saturating_add(1) >= members {
            let mut all: Vec<MessageQueue> = Vec::new();
            for queue in self.queues {
                let any = MessageQueue {
                    queue_id: -1,
                    ..queue.clone()
                };
                if !all.contains(&any) {
                    all.push(any);
                }
            }
            return all;
        }
        let Some(position) = self.position() else {
            return Vec::new();
        };
        if members <= self.queues.len() {
            let sharers = (0..=share).map(|step| (position + step) % members);
            return sharers.flat_map(|sharer| self.of(sharer)).collect();
        }
        // More members than queues: everybody gets one.
        let at = position.checked_rem(self.queues.len());
        let queue = at.and_then(|at| self.queues.get(at));
        queue.cloned().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: i32) -> Vec<MessageQueue> {
        let queue = |queue_id| MessageQueue {
            topic: "T".to_owned(),
            broker_name: "b".to_owned(),
            queue_id,
        };
        (0..count).map(queue).collect()
    }

    fn ids(queues: &[MessageQueue]) -> Vec<i32> {
        queues.iter().map(|queue| queue.queue_id).collect()
    }

    fn members() -> Vec<String> {
        ["a", "b", "c", "d"].map(str::to_owned).to_vec()
    }

    #[test]
    fn every_queue_has_one_member() {
        let (members, queues) = (members(), queues(6));
        for (strategy, first, last) in [
            (Strategy::Average, vec![0, 1], vec![5]),
            (Strategy::Circle, vec![0, 4], vec![3]),
        ] {
            let share = |client_id| Share {
                strategy,
                client_id,
                members: &members,
                queues: &queues,
            };
            assert_eq!(ids(&share("a").own()), first);
            assert_eq!(ids(&share("d").own()), last);
            assert_eq!(ids(&share("x").own()), Vec::<i32>::new());
            let mut all: Vec<i32> = ["a", "b", "c", "d"]
                .into_iter()
                .flat_map(|id| ids(&share(id).own()))
                .collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn popped_queues_are_shared() {
        let members = members();
        let popped = |count: i32, client_id: &str, share: i32| {
            let queues = queues(count);
            let share_of = Share {
                strategy: Strategy::Average,
                client_id,
                members: &members,
                queues: &queues,
            };
            ids(&share_of.popped(share))
        };
        assert_eq!(popped(6, "a", 0), [-1]);
        assert_eq!(popped(6, "a", -1), [-1]);
        assert_eq!(popped(6, "a", 3), [-1]);
        assert_eq!(popped(6, "a", 1), [0, 1, 2, 3]);
        assert_eq!(popped(6, "d", 1), [5, 0, 1]);
        assert_eq!(popped(2, "c", 1), [0]);
        assert_eq!(popped(0, "c", 1), Vec::<i32>::new());
        assert_eq!(popped(2, "x", 1), Vec::<i32>::new());
    }
}
