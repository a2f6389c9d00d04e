//! The look at everybody: who has fallen silent, and which name needs another master.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::Controller;
use super::heartbeat::tell_gone;
use super::state::Group;

/// How long an election may take before it is tried again.
const ELECTION_LIMIT: Duration = Duration::from_secs(3);

impl Controller {
    /// Forgets who is silent, and has a master elected where one is missing and somebody could be it. Only the leader
    /// elects.
    async fn scan(&self) {
        let now_ms = self.now_ms();
        let silent = self.live.lock().expire(now_ms);
        tell_gone(&silent, "is silent for too long");
        self.forget_finished_tasks();
        if !self.consensus.leadership().is_own {
            return;
        }
        for name in self.masterless(now_ms) {
            match timeout(ELECTION_LIMIT, self.elect(&name, None, false)).await {
                Ok(Ok(_)) => {}
                Ok(Err(unsettled)) => {
                    tracing::warn!(broker = name, "no master could be elected: {unsettled}");
                }
                Err(_) => tracing::warn!(broker = name, "no master could be elected in time"),
            }
        }
    }

    /// Names that had a master and have none alive, while there is somebody to elect or a dead one to depose.
    fn masterless(&self, now_ms: i64) -> Vec<String> {
        let unclean = self.settings.read().enable_elect_unclean_master;
        let live = self.live.lock();
        let needs_one = |name: &str, group: &Group| {
            if !group.had_master {
                return false;
            }
            let alive = live.candidates(name, group, now_ms);
            let is_alive = |id: i64| alive.iter().any(|one| one.id == id);
            match group.master {
                Some(master) if is_alive(master) => false,
                Some(_) => !alive.is_empty(),
                None => alive
                    .iter()
                    .any(|one| unclean || group.in_sync.contains(&one.id)),
            }
        };
        self.consensus.look(|state| {
            let groups = state.groups();
            let needing = groups.filter(|(name, group)| needs_one(name, group));
            needing.map(|(name, _)| name.clone()).collect()
        })
    }
}

/// Scans as long as the controller exists: after each interval, and at once when a connection of a broker has closed.
pub(super) async fn watch(controller: Weak<Controller>) {
    while let Some(running) = controller.upgrade() {
        running.scan().await;
        let interval = running.settings.read().scan_not_active_broker_interval;
        let somebody_gone = Arc::clone(&running.somebody_gone);
        drop(running);
        let _ = timeout(interval, somebody_gone.notified()).await;
    }
}

/// Tells in the log who leads the controllers, whenever that changes, and counts.
pub(super) async fn watch_leader(controller: Weak<Controller>) {
    let Some(mut changes) = controller
        .upgrade()
        .map(|running| running.consensus.changes())
    else {
        return;
    };
    let mut known = None;
    loop {
        let leader = changes.borrow_and_update().current_leader;
        let Some(running) = controller.upgrade() else {
            return;
        };
        if leader != known {
            let name = leader.and_then(|place| running.members.all.get(&place));
            let name = name.map_or("nobody", |member| member.id.as_str());
            let term = running.consensus.leadership().term;
            tracing::info!(leader = name, term, "the controllers are led by another");
            running.count_leader(leader.is_some());
            known = leader;
        }
        drop(running);
        if changes.changed().await.is_err() {
            return;
        }
    }
}
