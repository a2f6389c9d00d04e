//! A slave's copy of its master's tables (`SlaveSynchronize`): topics, groups, offsets of consumers and of delayed
//! messages, request modes.
//!
//! Topics, groups and modes become what the master has; offsets are taken over and none is dropped. Each table is asked
//! for on its own, and one that cannot be read leaves the others alone.
//!
//! Offsets say what is dealt with, and what follows from it is in the log: the copies of delayed messages, the check
//! points of popped ones, their retries. So a slave takes offsets over only when its log has all that the master's had
//! when they were read (in majority mode, when that is committed). Else a slave that became master in between would take
//! for delivered what nobody has. Apache's slaves do not wait.
//!
//! The timer's check point (60) and metrics (61) are copied in the same way, where the master has a timer.
//!
//! Also learnt here is what kind of master it is, which this slave will be too when it takes the place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::BrokerRole;
use crate::broker::Broker;
use crate::broker::timer::told::{self, Told};
use crate::protocol::body::ha::ReplicationStatus;
use crate::protocol::body::lists::KVTable;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::NoHeader;
use crate::protocol::header::broker::ExchangeHAInfoRequestHeader;
use crate::remoting::Channel;
use crate::store::timer::format::Check;

/// How often the tables are copied.
const EVERY: Duration = Duration::from_secs(10);
/// They are copied no more often than this, and sooner when messages come of a topic that is not known here.
const PAUSE: Duration = Duration::from_millis(200);
/// While the master is unknown or silent it is tried again after this.
const RETRY: Duration = Duration::from_secs(2);
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// How long offsets wait for the log before they are asked for again.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// Follows the master's tables for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut told = String::new();
    // Where this log ended when the tables were copied last.
    let mut before = None;
    loop {
        let end = broker.store.appended().get();
        let pause = match all(&broker, before).await {
            Ok(()) => {
                before = Some(end);
                told.clear();
                EVERY
            }
            Err(why) => {
                if why != told {
                    tracing::warn!("the master's tables cannot be copied: {why}");
                    told = why;
                }
                RETRY
            }
        };
        let _ = timeout(pause, broker.replication.lacking.notified()).await;
        sleep(PAUSE).await;
    }
}

/// Copies every table once. `before` is where this log ended a good while ago.
async fn all(broker: &Arc<Broker>, before: Option<u64>) -> Result<(), String> {
    let address = broker.replication.link().address;
    let Some(address) = address.filter(|address| *address != broker.options.load().address())
    else {
        let who = if broker.replication.group().is_some() {
            "controller"
        } else {
            "name server"
        };
        return Err(format!("no {who} has told where the master is"));
    };
    let channel = broker.registrar.channel(&address).await?;
    learn_ha_address(broker, &channel, &address).await;
    if broker.replication.compares_histories() && !broker.replication.link().connected {
        // A master whose log nobody follows may not be one any more.
        return Err("the master's log is not followed".to_owned());
    }
    let now_ms = broker.clock.now_ms();
    let here = broker.store.appended().get();
    let topics = ask(&channel, RequestCode::GET_ALL_TOPIC_CONFIG).await?;
    broker.change_topics(|table| table.follow(topics));
    let groups = ask(&channel, RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await?;
    broker.change_groups(|table| table.follow(groups));
    // What the log had got until then is of topics and groups that are known now, or were deleted.
    let at = &broker.replication.tables_at;
    at.store(here, Ordering::Relaxed);
    let modes = ask(&channel, RequestCode::GET_ALL_MESSAGE_REQUEST_MODE).await?;
    broker.modes.with(|table| table.follow(modes));
    learn_role(broker, &channel).await;
    let offsets = ask(&channel, RequestCode::GET_ALL_CONSUMER_OFFSET).await?;
    let delays = ask(&channel, RequestCode::GET_ALL_DELAY_OFFSET).await?;
    let timer = match before {
        Some(before) => timer(broker, &channel, before).await,
        None => None,
    };
    let (_, end) = log_range(&channel).await?;
    let own = if broker.replication.compares_histories() {
        broker.store.committed()
    } else {
        broker.store.appended()
    };
    if timeout(LOG_LIMIT, own.reached(end)).await.is_err() {
        return Err(format!(
            "offsets wait for the log, which is here up to {} and was there up to {end}",
            own.get()
        ));
    }
    broker.offsets.with(|table| table.follow(offsets));
    broker.schedule.follow(delays, now_ms);
    if let Some(told) = timer {
        *broker.replication.timer.lock() = Some(told.clone());
        let dir = broker.store.layout().dir().to_owned();
        let written = tokio::task::spawn_blocking(move || told::write(&dir, &told)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!("cannot note how far the master's timer is: {error}");
        }
    }
    Ok(())
}

/// How far the master's timer has got, if it has one. Copies of which its checkpoint does not know yet lie behind
/// `before` in the log.
async fn timer(broker: &Broker, channel: &Arc<Channel>, before: u64) -> Option<Told> {
    if !broker.options.load().timer_wheel_enable {
        return None;
    }
    let answer = async |code| {
        let reply = channel
            .call(Command::request(code, &NoHeader), CALL_LIMIT)
            .await;
        let reply = reply
            .ok()
            .filter(|reply| reply.code == ResponseCode::SUCCESS);
        reply
            .map(|reply| reply.body)
            .filter(|body| !body.is_empty())
    };
    let check = answer(RequestCode::GET_TIMER_CHECK_POINT).await?;
    let metrics = answer(RequestCode::GET_TIMER_METRICS).await?;
    Some(Told {
        check: Check {
            scan_from: Some(before),
            ..Check::decode(&check)
        },
        metrics,
    })
}

/// Where the master's log begins and ends, of whatever make it is.
pub(super) async fn log_range(channel: &Arc<Channel>) -> Result<(u64, u64), String> {
    let runtime: KVTable = ask(channel, RequestCode::GET_BROKER_RUNTIME_INFO).await?;
    let number = |key: &str| runtime.table.get(key).and_then(|text| text.parse().ok());
    let range = number("commitLogMinOffset").zip(number("commitLogMaxOffset"));
    range.ok_or_else(|| "the master does not tell where its log ends".to_owned())
}

/// Notes what kind of master it is.
async fn learn_role(broker: &Arc<Broker>, channel: &Arc<Channel>) {
    let role = match ask::<ReplicationStatus>(channel, RequestCode::RMQ_REPLICATION).await {
        Ok(status) => Some(status.role),
        Err(_) => configured_role(channel).await,
    };
    let role = role.and_then(|role| role.parse::<BrokerRole>().ok());
    let Some(role) = role.filter(|role| *role != BrokerRole::Slave) else {
        return;
    };
    let noting = Arc::clone(broker);
    let noted = tokio::task::spawn_blocking(move || noting.replication.master_role_is(role)).await;
    if let Ok(Err(error)) = noted {
        tracing::warn!("cannot note what kind of master this slave has: {error}");
    }
}

/// The `brokerRole` of a master that is Apache's.
async fn configured_role(channel: &Arc<Channel>) -> Option<String> {
    let request = Command::request(RequestCode::GET_BROKER_CONFIG, &NoHeader);
    let reply = channel.call(request, CALL_LIMIT).await.ok()?;
    let text = std::str::from_utf8(&reply.body).ok()?;
    let role = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("brokerRole="));
    role.map(|role| role.trim().to_owned())
}

/// Where only the master's remoting address was given, it is asked for its HA port.
async fn learn_ha_address(broker: &Arc<Broker>, channel: &Arc<Channel>, address: &str) {
    let told_by_controller = broker.replication.group().is_some();
    if broker.replication.link().ha_address.is_some() || told_by_controller {
        return;
    }
    let header = ExchangeHAInfoRequestHeader::default();
    let request = Command::request(RequestCode::EXCHANGE_BROKER_HA_INFO, &header);
    let told = match channel.call(request, CALL_LIMIT).await {
        Ok(reply) if reply.code == ResponseCode::SUCCESS => reply
            .header::<ExchangeHAInfoRequestHeader<'_>>()
            .ok()
            .and_then(|header| header.master_ha_address.map(str::to_owned)),
        _ => None,
    };
    // `haListenPort` is the next port unless it is set.
    let guessed = || {
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse::<u16>().ok()?.checked_add(1)?;
        Some(format!("{host}:{port}"))
    };
    let ha_address = told.filter(|told| !told.is_empty()).or_else(guessed);
    broker
        .replication
        .master_is(ha_address.as_deref(), Some(address));
}

async fn ask<T: DeserializeOwned>(channel: &Arc<Channel>, code: RequestCode) -> Result<T, String> {
    let failed = |why: String| format!("{code}: {why}");
    let reply = channel
        .call(Command::request(code, &NoHeader), CALL_LIMIT)
        .await
        .map_err(|error| failed(error.to_string()))?;
    if reply.code != ResponseCode::SUCCESS {
        return Err(failed(format!("{} {}", reply.code, reply.remark())));
    }
    fastjson::from_slice(&reply.body).map_err(|error| failed(error.to_string()))
}
