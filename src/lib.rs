//! `rmq`: a local Apache RocketMQ node and its command-line tool in one binary.
//!
//! Two contracts carry everything, byte for byte as Apache RocketMQ 5.5.0 has them: the remoting wire
//! protocol ([`protocol`]) and the on-disk store format ([`message`], [`store`]).
//!
//! The modules, lowest first; a module may use only modules above it in this list (a test in
//! `tests/tidy.rs` holds the arrows):
//!
//! | module | purpose |
//! |---|---|
//! | [`base`] | words everyone shares: ids, offsets, units, watermarks; no I/O |
//! | `sys` | the only door to the operating system: clock, disk, threads, directories |
//! | [`message`] | what a message is, in memory and as stored bytes |
//! | `filter` | tag expressions, compiled for the broker |
//! | [`protocol`] | the remoting wire format, pure encode and decode |
//! | [`store`] | the storage engine: files and offsets; no sockets, no roles |
//! | `remoting` | the protocol over sockets: connections, server loop, caller |
//! | [`client`] | a RocketMQ client others can use |
//! | `namesrv`, `controller`, `broker` | the roles of a node |
//! | [`node`] | composition: configuration, start order, ports, shutdown |
//! | [`cli`] | one file per command |

pub mod base;
pub(crate) mod broker;
pub mod cli;
pub mod client;
pub(crate) mod controller;
pub(crate) mod filter;
pub mod message;
pub(crate) mod namesrv;
pub mod node;
pub mod protocol;
pub(crate) mod remoting;
pub mod store;
pub(crate) mod sys;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
