//! The broker's settings: shown (26) and changed while it runs (25).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request, success};
use crate::broker::options::{BrokerOptions, Effect, OptionError};
use crate::broker::settings::{Changes, Unkept};
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::broker::GetBrokerConfigResponseHeader;

/// `GET_BROKER_CONFIG`: properties text.
pub(super) fn get(broker: &Broker) -> Command {
    let live = broker.options.load().properties();
    let (shown, version) = (broker.settings.shown(live), broker.settings.version());
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
/// Apache; a value its key cannot take is refused, which Apache passes over in silence. As there, what was changed is
/// written into the file the node was started with. Settings that end with the process are a success whose remark says
/// so: Apache answers the same without the remark. Blocks.
pub(super) fn update(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let text = std::str::from_utf8(request.body)
        .map_err(|_| Refusal::error("the properties are not UTF-8"))?;
    let settings = &broker.settings;
    settings.one_at_a_time(|| {
        let mut options = (*broker.options.load()).clone();
        let (changes, effects) = read(text, &mut options)?;
        let note = match settings.keep(&changes) {
            _ if changes.is_empty() => None,
            Ok(note) => note,
            Err(Unkept::Refused(why)) => return Err(Refusal::error(why)),
            Err(Unkept::Lost(why)) => Some(format!(
                "{} will be forgotten when this process ends: {why}",
                changes.keys().cloned().collect::<Vec<_>>().join(", ")
            )),
        };
        if let Some(note) = &note {
            tracing::warn!("an administrator changes settings: {note}");
        }
        broker.store.set_retention(&options.store);
        broker.options.publish(Arc::new(options));
        settings.changed(changes, &effects, broker.clock.now_ms());
        broker.registrar.announce();
        if let Some(timer) = &broker.timer {
            // It may have been told to go on.
            timer.ring();
        }
        Ok(match note {
            Some(note) => success().with_remark(note),
            None => success(),
        })
    })
}

/// Sets what the text says. Gives back the settings that are known here, and when each of them counts.
fn read(text: &str, options: &mut BrokerOptions) -> Result<(Changes, Vec<Effect>), Refusal> {
    let blacklist = options.config_black_list.clone();
    let mut changes = BTreeMap::new();
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
            Ok(effect) => {
                if effect == Effect::AfterRestart {
                    tracing::warn!(
                        "an administrator sets {key}={value}, which counts from the next start"
                    );
                }
                changes.insert(key.to_owned(), (value.to_owned(), effect));
            }
            // Apache passes over settings it does not know.
            Err(OptionError::Unknown { key }) => {
                tracing::warn!("an administrator sets {key}, which is unknown here");
            }
            Err(error) => return Err(Refusal::error(error.to_string())),
        }
    }
    let effects = changes.values().map(|(_, effect)| *effect).collect();
    let values = changes.into_iter().map(|(key, (value, _))| (key, value));
    Ok((values.collect(), effects))
}
