//! The pull loop of one owned queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use crate::protocol::codes::ResponseCode;

use super::super::error::ClientError;
use super::super::heartbeat;
use super::super::pull::{Pull, PullStatus, Pulled, pull};
use super::core::{Buffered, Core, Owned};

/// The pause after a failed pull, as in Apache's clients.
const AFTER_ERROR: Duration = Duration::from_secs(3);
/// The pause when the broker is busy.
const AFTER_BUSY: Duration = Duration::from_millis(100);
/// The pause after the broker was told what we subscribe to.
const AFTER_HEARTBEAT: Duration = Duration::from_millis(200);

/// Pulls until the task is aborted.
pub(super) async fn run(core: Arc<Core>, owned: Arc<Owned>) {
    let mut broker_id = 0;
    loop {
        core.flow.room().await;
        match once(&core, &owned, broker_id).await {
            Ok(pulled) => {
                broker_id = pulled.suggested_broker;
                take_in(&core, &owned, pulled).await;
            }
            Err(error) => {
                broker_id = 0;
                tracing::debug!(queue = %owned.queue, "pull failed: {error}");
                recover(&core, &owned, &error).await;
            }
        }
        let now_ms = core.shared().clock.now_ms();
        owned.last_pull_ms.store(now_ms, Ordering::Relaxed);
    }
}

async fn once(core: &Core, owned: &Owned, broker_id: i64) -> Result<Pulled, ClientError> {
    let Some(subscription) = core.subscription(&owned.queue.topic) else {
        return Err(ClientError::Closed);
    };
    let offset = owned.progress.lock().next();
    let request = Pull {
        group: core.group(),
        queue: &owned.queue,
        offset,
        messages_max: core.options().pull_messages_max,
        subscription,
        announced_version: Some(core.started_ms()),
        hold: core.options().pull_hold,
        broker_id,
    };
    pull(core.shared(), &request).await
}

async fn take_in(core: &Core, owned: &Arc<Owned>, pulled: Pulled) {
    if pulled.status == PullStatus::Moved {
        // The offset is outside the queue, or an administrator moved it: the broker says where to go on.
        tracing::warn!(queue = %owned.queue, next = pulled.next, "the queue goes on elsewhere");
        owned.progress.lock().reset(pulled.next);
        if let Err(error) = core.commit(owned).await {
            tracing::debug!(queue = %owned.queue, "offset not committed: {error}");
        }
        return;
    }
    let offsets = pulled.messages.iter().map(|message| message.queue_offset);
    owned.progress.lock().pulled(offsets, pulled.next);
    for message in pulled.messages {
        let permit = core.flow.take(message.body().len());
        core.hand_out(Buffered::FromQueue {
            owned: Arc::clone(owned),
            message,
            permit,
        });
    }
}

async fn recover(core: &Core, owned: &Owned, error: &ClientError) {
    let pause = match error.code().map(ResponseCode) {
        Some(ResponseCode::SYSTEM_BUSY | ResponseCode::FLOW_CONTROL) => AFTER_BUSY,
        Some(ResponseCode::SUBSCRIPTION_NOT_EXIST | ResponseCode::SUBSCRIPTION_NOT_LATEST) => {
            heartbeat::beat(core.shared()).await;
            AFTER_HEARTBEAT
        }
        Some(_) => AFTER_ERROR,
        None => {
            if let Err(error) = core.shared().routes.refresh(&owned.queue.topic).await {
                tracing::debug!("route not refreshed: {error}");
            }
            AFTER_ERROR / 3
        }
    };
    sleep(pause).await;
}
