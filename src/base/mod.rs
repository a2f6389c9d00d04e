//! Words everyone shares: identifiers, offsets, units and watermarks. No I/O, no clock, no threads.

pub mod cidr;
pub mod ids;
pub mod list;
pub mod offset;
pub mod units;
pub mod watermark;

pub use ids::{BrokerName, GroupName, NameError, QueueId, TopicName};
pub use offset::{LogOffset, QueueOffset};
pub use watermark::Watermark;
