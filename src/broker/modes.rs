//! How groups want their queues assigned: by clients (PULL) or by the broker (POP), as administrators set it.
//!
//! Lock order: leaf (the broker wraps the table).

use crate::protocol::body::assignment::{
    MessageRequestModeSerializeWrapper, SetMessageRequestModeRequestBody,
};

/// The request modes by topic and group.
#[derive(Debug, Default)]
pub(crate) struct Modes {
    table: MessageRequestModeSerializeWrapper,
    changes: u64,
}

impl Modes {
    /// Starts from what a file held.
    pub(crate) fn restore(table: MessageRequestModeSerializeWrapper) -> Self {
        Self { table, changes: 0 }
    }

    /// Becomes what the master of this slave has.
    pub(crate) fn follow(&mut self, master: MessageRequestModeSerializeWrapper) {
        if self.table != master {
            self.table = master;
            self.changes += 1;
        }
    }

    /// Sets a group's mode for a topic.
    pub(crate) fn set(&mut self, mode: SetMessageRequestModeRequestBody) {
        self.changes += 1;
        self.table
            .message_request_mode_map
            .entry(mode.topic.clone())
            .or_default()
            .insert(mode.consumer_group.clone(), mode);
    }

    /// A group's mode for a topic, if one was set.
    pub(crate) fn get(
        &self,
        topic: &str,
        group: &str,
    ) -> Option<&SetMessageRequestModeRequestBody> {
        self.table.message_request_mode_map.get(topic)?.get(group)
    }

    /// What the file holds.
    pub(crate) fn file(&self) -> &MessageRequestModeSerializeWrapper {
        &self.table
    }

    /// Moves with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }
}
