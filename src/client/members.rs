//! Which groups this client takes part in, and which replies it waits for. Lock order: leaf.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::base::GroupName;

use super::consumer::Core;
use super::error::ClientError;
use super::message::Received;
use super::transaction::Question;

#[derive(Debug, Default)]
pub(crate) struct Members(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Producer groups and how many handles each has.
    producers: BTreeMap<GroupName, usize>,
    consumers: BTreeMap<GroupName, Weak<Core>>,
    /// Who answers for a producer group when a broker asks about a transaction.
    checkers: BTreeMap<GroupName, Sender<Question>>,
    /// Who waits for the reply to which request.
    requests: BTreeMap<String, oneshot::Sender<Received>>,
}

impl Members {
    /// The reply to request `id`, once it is there.
    pub(crate) fn expect_reply(&self, id: &str) -> oneshot::Receiver<Received> {
        let (reply, expected) = oneshot::channel();
        self.0.lock().requests.insert(id.to_owned(), reply);
        expected
    }

    /// Whoever waits for the reply to request `id`; from now on nobody does.
    pub(crate) fn take_reply(&self, id: &str) -> Option<oneshot::Sender<Received>> {
        self.0.lock().requests.remove(id)
    }

    pub(crate) fn add_producer(&self, group: &GroupName) {
        *self.0.lock().producers.entry(group.clone()).or_default() += 1;
    }

    /// `true` if that was the last handle of the group.
    pub(crate) fn remove_producer(&self, group: &GroupName) -> bool {
        let mut table = self.0.lock();
        let Some(count) = table.producers.get_mut(group) else {
            return false;
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            table.producers.remove(group);
        }
        last
    }

    /// A client can be in a group only once: brokers know members by the client's id.
    pub(crate) fn add_consumer(
        &self,
        group: &GroupName,
        core: &Arc<Core>,
    ) -> Result<(), ClientError> {
        let mut table = self.0.lock();
        if table
            .consumers
            .get(group)
            .is_some_and(|core| core.strong_count() > 0)
        {
            return Err(ClientError::Usage(format!(
                "this client is already a consumer in group {group}; connect another client"
            )));
        }
        table.consumers.insert(group.clone(), Arc::downgrade(core));
        Ok(())
    }

    pub(crate) fn remove_consumer(&self, group: &GroupName) {
        self.0.lock().consumers.remove(group);
    }

    /// One checker for a group in one client: a broker asks the client, not a handle.
    pub(crate) fn add_checker(
        &self,
        group: &GroupName,
        questions: Sender<Question>,
    ) -> Result<(), ClientError> {
        let mut table = self.0.lock();
        if table.checkers.contains_key(group) {
            return Err(ClientError::Usage(format!(
                "this client already has a transaction producer in group {group}; clone it or connect another client"
            )));
        }
        table.checkers.insert(group.clone(), questions);
        Ok(())
    }

    pub(crate) fn remove_checker(&self, group: &GroupName) {
        self.0.lock().checkers.remove(group);
    }

    pub(crate) fn checker(&self, group: &str) -> Option<Sender<Question>> {
        self.0.lock().checkers.get(group).cloned()
    }

    pub(crate) fn producers(&self) -> Vec<GroupName> {
        self.0.lock().producers.keys().cloned().collect()
    }

    pub(crate) fn consumers(&self) -> Vec<Arc<Core>> {
        let table = self.0.lock();
        table.consumers.values().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn consumer(&self, group: &str) -> Option<Arc<Core>> {
        self.0.lock().consumers.get(group).and_then(Weak::upgrade)
    }
}
