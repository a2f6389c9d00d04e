//! The storage engine: files and offsets; no sockets, no roles.

pub mod checkpoint;
pub mod index;
pub mod layout;
pub mod log;
pub mod queue;
pub mod view;
mod window;

pub use view::{View, ViewError};
