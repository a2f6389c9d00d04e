//! The broker role: topics, groups, offsets and clients over a store, spoken to through the remoting protocol.
//!
//! Every table is a plain struct without a lock inside; [`Broker`] wraps each in one mutex and never hands out the guard.

mod locks;
mod offsets;
pub(crate) mod options;
mod parking;
mod snapshot;

pub(crate) use options::{BrokerOptions, OptionError};
