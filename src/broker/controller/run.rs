//! The loop that keeps this broker's role what the controller says, and the signs of life.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Member;
use super::ask::{AskError, Controller, Told, beat_once, leader};
use super::identity::{Applied, Progress};
use crate::broker::Broker;
use crate::protocol::codes::ResponseCode;
use crate::sys::Clock;

/// How soon it is tried again when something went wrong, and asked again while something is amiss.
const RETRY: Duration = Duration::from_secs(1);
/// How often it looks whether the broker runs again.
const START_LOOK: Duration = Duration::from_millis(50);
/// How often a master that is not one yet is asked for its HA port.
const MASTER_LOOK: Duration = Duration::from_millis(150);
/// How often is looked at the set while the master has one.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// Tells one controller that this broker lives, for as long as it is a member.
pub(super) async fn beat(member: Arc<Member>, controller: String) {
    let every = Duration::from_millis(member.options.broker_heartbeat_interval.max(100));
    loop {
        if let Some(pulse) = member.pulse().filter(|_| member.state.lock().registered)
            && let Err(error) = beat_once(&member, &controller, pulse).await
        {
            tracing::debug!("no sign of life reaches a controller: {error}");
        }
        sleep(every).await;
    }
}

/// Asks, and does what the controller says, for as long as this broker is a member.
pub(super) async fn run(member: Arc<Member>) {
    let mut said = String::new();
    loop {
        let pause = match member.broker() {
            None => START_LOOK,
            Some(broker) => match step(&member, &broker).await {
                Ok(pause) => {
                    if !said.is_empty() {
                        tracing::info!("the controller answers again");
                    }
                    said.clear();
                    pause
                }
                Err(error) => {
                    let why = error.to_string();
                    // The same trouble again and again is told once.
                    if said != why {
                        tracing::warn!("no word from the controller: {why}");
                        said = why;
                    }
                    let mut state = member.state.lock();
                    state.leader = None;
                    if error.is(ResponseCode::CONTROLLER_BROKER_METADATA_NOT_EXIST)
                        || error.is(ResponseCode::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED)
                    {
                        state.registered = false;
                    }
                    RETRY
                }
            },
        };
        let _ = timeout(pause, member.ring.notified()).await;
    }
}

/// One round. Says after how long the next is due.
async fn step(member: &Arc<Member>, broker: &Arc<Broker>) -> Result<Duration, AskError> {
    let controller = the_leader(member).await?;
    let id = match known_id(member).await? {
        Some(id) => id,
        None => apply(member, &controller).await?,
    };
    if member.state.lock().silent_until.is_some()
        && keeps_silent(member, broker, &controller, id).await?
    {
        return Ok(RETRY);
    }
    if let Some(told) = ask_if_due(member, broker, &controller, id).await? {
        broker.be_what_is_told(id, told).await?;
    }
    broker.keep_sync_set(&controller).await?;
    if !broker.knows_ha_address().await {
        return Ok(MASTER_LOOK);
    }
    let options = broker.options.load();
    let look = Duration::from_millis(options.check_sync_state_set_period).max(LOOK_MIN);
    Ok(look.min(RETRY))
}

async fn the_leader(member: &Arc<Member>) -> Result<Controller<'_>, AskError> {
    let every = Duration::from_millis(member.options.sync_controller_metadata_period);
    let known = member.state.lock().leader.clone();
    let fresh = known.filter(|(_, heard)| heard.elapsed() < every);
    let address = match fresh {
        Some((address, _)) => address,
        None => leader(member).await?,
    };
    let controller = Controller::at(member, &address).await?;
    let mut state = member.state.lock();
    if state
        .leader
        .as_ref()
        .is_none_or(|(known, heard)| *known != address || heard.elapsed() >= every)
    {
        state.leader = Some((address, Instant::now()));
    }
    drop(state);
    Ok(controller)
}

fn on_disk<R: Send + 'static>(
    member: &Arc<Member>,
    work: impl FnOnce(&Member) -> io::Result<R> + Send + 'static,
) -> impl Future<Output = Result<R, AskError>> {
    let member = Arc::clone(member);
    let working = tokio::task::spawn_blocking(move || work(&member));
    async move {
        match working.await {
            Ok(done) => done.map_err(|error| AskError::Here(error.to_string())),
            Err(error) => Err(AskError::Here(error.to_string())),
        }
    }
}

/// The id, if it was granted already.
async fn known_id(member: &Arc<Member>) -> Result<Option<i64>, AskError> {
    if let Some(id) = member.id() {
        return Ok(Some(id));
    }
    let progress = on_disk(member, |member| member.identity.read()).await?;
    let Progress::Granted(id) = progress else {
        return Ok(None);
    };
    member.state.lock().id = Some(id);
    Ok(Some(id))
}

/// Applies for an id: first noted with its code, then asked for, then noted as granted. Interrupted anywhere, the same
/// id is asked for again with the same code.
async fn apply(member: &Arc<Member>, controller: &Controller<'_>) -> Result<i64, AskError> {
    let applied = match on_disk(member, |member| member.identity.read()).await? {
        Progress::Granted(id) => return Ok(id),
        Progress::Applied(applied) => applied,
        Progress::None => {
            let id = controller.next_id().await?;
            let check_code = format!("{};{}", member.options.address(), Clock::machine_ms());
            let applied = Applied { id, check_code };
            let noted = applied.clone();
            on_disk(member, move |member| member.identity.note_applied(&noted)).await?;
            applied
        }
    };
    let id = applied.id;
    if let Err(error) = controller.apply(id, &applied.check_code).await {
        if error.is(ResponseCode::CONTROLLER_BROKER_ID_INVALID) {
            // Another broker was faster.
            on_disk(member, |member| member.identity.forget_applied()).await?;
        }
        return Err(error);
    }
    on_disk(member, move |member| member.identity.note_granted(id)).await?;
    tracing::info!(id, "the controller has given this broker its id");
    member.state.lock().id = Some(id);
    Ok(id)
}

/// Whether a master that may have lost the end of its log still waits for the controller to miss it.
async fn keeps_silent(
    member: &Arc<Member>,
    broker: &Arc<Broker>,
    controller: &Controller<'_>,
    id: i64,
) -> Result<bool, AskError> {
    let until = member.state.lock().silent_until;
    let may_end = until.is_none_or(|until| Instant::now() >= until);
    if !may_end {
        let told = controller.replica_info().await?;
        let same = told.master.as_ref().is_some_and(|master| master.id == id);
        if same && told.epoch == broker.replication.epoch() {
            return Ok(true);
        }
    }
    member.state.lock().silent_until = None;
    Ok(false)
}

/// Asks who is master, when it is time to.
async fn ask_if_due(
    member: &Arc<Member>,
    broker: &Arc<Broker>,
    controller: &Controller<'_>,
    id: i64,
) -> Result<Option<(Told, i64)>, AskError> {
    let asked_ms = Clock::machine_ms();
    if !member.state.lock().registered {
        if let Some(pulse) = member.pulse() {
            controller.beat(pulse.0, pulse.1).await?;
        }
        let told = controller.register(id).await?;
        member.state.lock().registered = true;
        if let Some(told) = told {
            return Ok(Some((heard(member, told), asked_ms)));
        }
    }
    let every = if broker.is_as_told() {
        Duration::from_millis(member.options.sync_broker_metadata_period)
    } else {
        RETRY
    };
    let due = {
        let mut state = member.state.lock();
        let rung = std::mem::take(&mut state.rung);
        let fresh = state
            .told
            .as_ref()
            .is_some_and(|(told, heard)| told.master.is_some() && heard.elapsed() < every);
        rung || !fresh
    };
    if !due {
        return Ok(None);
    }
    let mut told = controller.replica_info().await?;
    if told.master.is_none() && !member.options.async_learner {
        // Apache's controller keeps the dead from becoming master by this sign of life.
        if let Some(pulse) = member.pulse() {
            controller.beat(pulse.0, pulse.1).await?;
        }
        told = controller.elect(id).await?;
    }
    Ok(Some((heard(member, told), asked_ms)))
}

fn heard(member: &Member, told: Told) -> Told {
    let mut state = member.state.lock();
    let before = state.told.as_ref().map(|(before, _)| before);
    if before.is_none_or(|before| (&before.master, before.epoch) != (&told.master, told.epoch)) {
        tracing::info!(
            master = told.master.as_ref().map(|master| master.address.as_str()),
            id = told.master.as_ref().map(|master| master.id),
            epoch = told.epoch,
            "the controller says who is master"
        );
    }
    state.told = Some((told.clone(), Instant::now()));
    told
}
