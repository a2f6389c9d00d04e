//! The remoting wire format: pure encoding and decoding, no sockets and no roles.
//!
//! A [`frame::Frame`] is cut out of a socket buffer without copying. [`frame::Frame::parse`] yields a
//! [`command::Head`] that borrows from it, and the body as a slice of the same bytes. Typed headers
//! ([`header`]) are read from the head's fields in one pass and written straight into the out buffer.
//! Bodies ([`body`]) are JSON; [`fastjson`] bridges the forms of it that only Java speaks.
//!
//! Deliberately absent: string maps, and anything that decides what a request means.

pub mod body;
pub mod codes;
pub mod command;
pub mod fastjson;
pub mod frame;
pub mod ha;
pub mod header;
