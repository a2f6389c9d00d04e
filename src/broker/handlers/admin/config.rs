//! The broker's settings: shown (26) and changed while it runs (25).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, success};
use crate::broker::options::{Effect, OptionError};
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::broker::GetBrokerConfigResponseHeader;

/// `GET_BROKER_CONFIG`: properties text.
pub(super) fn get(broker: &Broker) -> Command {
    let live = broker.options.load().properties();
    let (shown, version) = {
        let settings = broker.settings.lock();
        (settings.shown(live), settings.version())
    };
    let mut text = String::new();
    for (key, value) in shown {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key}={value}");
    }
    let version = serde_json::to_string(&version).unwrap_or_default();
    let header = GetBrokerConfigResponseHeader { version: &version };
    success().with_header(&header).with_body(text)
}

/// `UPDATE_BROKER_CONFIG`: all of the given settings or none. What is read at the start only is taken and shown, as with
/// Apache, and named in the log; a value its key cannot take is refused, which Apache passes over in silence.
pub(super) fn update(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let text = std::str::from_utf8(request.body)
        .map_err(|_| Refusal::error("the properties are not UTF-8"))?;
    let mut options = (*broker.options.load()).clone();
    let blacklist = options.config_black_list.clone();
    let mut waiting = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(Refusal::error(format!("string2Properties error: {line}")));
        };
        let (key, value) = (key.trim(), value.trim());
        let forbidden = ["configBlackList", "brokerConfigPath", "rocketmqHome"];
        if forbidden.contains(&key) || blacklist.split(';').any(|listed| listed == key) {
            return Err(Refusal::new(
                ResponseCode::NO_PERMISSION,
                "Can not update config in black list.",
            ));
        }
        match options.set_while_running(key, value) {
            Ok(Effect::Now) => {}
            Ok(Effect::AfterRestart) => {
                tracing::warn!(
                    "an administrator sets {key}={value}; this has no effect on a running broker, put it into the configuration file"
                );
                waiting.insert(key.to_owned(), value.to_owned());
            }
            // Apache passes over settings it does not know.
            Err(OptionError::Unknown { key }) => {
                tracing::warn!("an administrator sets {key}, which is unknown here");
            }
            Err(error) => return Err(Refusal::error(error.to_string())),
        }
    }
    broker.store.set_retention(&options.store);
    broker.options.publish(Arc::new(options));
    let now_ms = broker.clock.now_ms();
    broker.settings.lock().changed(waiting, now_ms);
    broker.registrar.announce();
    if let Some(timer) = &broker.timer {
        // It may have been told to go on.
        timer.ring();
    }
    Ok(success())
}
