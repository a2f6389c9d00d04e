//! A queue of a topic on one broker, and how a group's members share queues. Pure.

use crate::base::{BrokerName, QueueId, TopicName};

/// One queue of a topic on one broker.
///
/// Ordered as Apache's `MessageQueue` (topic, broker, queue), because all members of a group must see the
/// queues in the same order to agree on who owns which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageQueue {
    /// The topic.
    pub topic: TopicName,
    /// The broker that holds the queue.
    pub broker: BrokerName,
    /// The number of the queue on that broker.
    pub queue: QueueId,
}

impl std::fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.topic, self.broker, self.queue)
    }
}

/// The share of `queues` that falls to the member `me`, as Apache's `AllocateMessageQueueAveragely` deals it:
/// contiguous runs, the first members take one more when it does not come out even.
///
/// Both slices must be sorted. A member that is not in the list owns nothing.
pub(crate) fn allocate_averagely(
    queues: &[MessageQueue],
    members: &[String],
    me: &str,
) -> Vec<MessageQueue> {
    let Some(index) = members.iter().position(|member| member == me) else {
        return Vec::new();
    };
    let share = queues.len() / members.len();
    let rest = queues.len() % members.len();
    let start = index * share + index.min(rest);
    let count = share + usize::from(index < rest);
    queues.iter().skip(start).take(count).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: u32) -> Vec<MessageQueue> {
        (0..count)
            .map(|n| MessageQueue {
                topic: TopicName::stored("T"),
                broker: BrokerName::stored("b"),
                queue: QueueId::new(n),
            })
            .collect()
    }

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("c{n}")).collect()
    }

    fn shares(queue_count: u32, member_count: usize) -> Vec<Vec<u32>> {
        let queues = queues(queue_count);
        let members = members(member_count);
        members
            .iter()
            .map(|me| {
                allocate_averagely(&queues, &members, me)
                    .iter()
                    .map(|queue| queue.queue.get())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn shares_are_contiguous_and_the_first_take_the_rest() {
        assert_eq!(shares(8, 3), vec![vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
        assert_eq!(shares(4, 2), vec![vec![0, 1], vec![2, 3]]);
        assert_eq!(shares(2, 3), vec![vec![0], vec![1], vec![]]);
        assert_eq!(shares(0, 2), vec![Vec::<u32>::new(), vec![]]);
    }

    /// The formula of the Java class, written down independently.
    #[test]
    fn the_deal_is_the_java_classs() {
        for queue_count in 0..20_usize {
            for member_count in 1..8_usize {
                let mut expected = Vec::new();
                for index in 0..member_count {
                    let modulo = queue_count % member_count;
                    let average = if queue_count <= member_count {
                        1
                    } else if modulo > 0 && index < modulo {
                        queue_count / member_count + 1
                    } else {
                        queue_count / member_count
                    };
                    let start = if modulo > 0 && index < modulo {
                        index * average
                    } else {
                        index * average + modulo
                    };
                    let range = average.min(queue_count.saturating_sub(start));
                    expected.push(
                        (0..range)
                            .map(|n| u32::try_from((start + n) % queue_count).unwrap())
                            .collect::<Vec<_>>(),
                    );
                }
                let count = u32::try_from(queue_count).unwrap();
                assert_eq!(shares(count, member_count), expected);
            }
        }
    }

    #[test]
    fn a_stranger_owns_nothing() {
        assert!(allocate_averagely(&queues(4), &members(2), "nobody").is_empty());
        assert!(allocate_averagely(&queues(4), &[], "c0").is_empty());
    }
}
