//! Apache's `ControllerConfig`: what a controller can be told, at the start and by `mqadmin updateControllerConfig`.

use std::path::PathBuf;
use std::time::Duration;

use super::raft::{Members, PeersError};

/// Where a controller listens unless it is told otherwise.
const USUAL_PORT: u16 = 9878;
/// The group of controllers that were not told theirs.
const USUAL_GROUP: &str = "rmq-controller";
/// A single controller's id, as Apache's examples have it.
const USUAL_ID: &str = "n0";

/// How a controller behaves. Fields carry Apache's names where it has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ControllerOptions {
    /// The port it listens on; `None`: that of its own entry in the list of controllers, or 9878.
    pub(crate) listen_port: Option<u16>,
    /// The name of the controllers' group.
    pub(crate) controller_dleger_group: Option<String>,
    /// All controllers of the group: `n0-host:port;n1-host:port;n2-host:port`.
    pub(crate) controller_dleger_peers: Option<String>,
    /// Which of them this one is.
    pub(crate) controller_dleger_self_id: Option<String>,
    /// Where the log and the snapshot are; `None`: below the data directory.
    pub(crate) controller_store_path: Option<PathBuf>,
    /// How long a follower hears nothing before it asks to lead; up to twice as long, at random.
    pub(crate) election_timeout: Option<Duration>,
    /// What may be changed while it runs.
    pub(crate) settings: Settings,
}

/// The settings that may change while the controller runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether a broker that is not in sync may become master where no other is left. It may lack messages.
    pub(crate) enable_elect_unclean_master: bool,
    /// Whether brokers are told of a new master; they ask every few seconds anyway.
    pub(crate) notify_broker_role_changed: bool,
    /// How often silent brokers and names without a master are looked for.
    pub(crate) scan_not_active_broker_interval: Duration,
    /// Keys that cannot be changed from outside, separated by `;`.
    pub(crate) config_black_list: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enable_elect_unclean_master: false,
            notify_broker_role_changed: true,
            scan_not_active_broker_interval: Duration::from_millis(500),
            config_black_list: "configBlackList;configStorePath".to_owned(),
        }
    }
}

/// Apache's other keys, with its defaults: tools look for them, and they change nothing here.
const WITHOUT_MEANING: [(&str, &str); 11] = [
    ("configStorePath", ""),
    ("controllerRequestThreadPoolQueueCapacity", "50000"),
    ("controllerThreadPoolNums", "16"),
    ("controllerType", "DLedger"),
    ("electMasterMaxRetryCount", "3"),
    ("isProcessReadEvent", "false"),
    ("mappedFileSize", "1073741824"),
    ("metricsExporterType", "DISABLE"),
    ("metricsPromExporterPort", "5557"),
    ("rocketmqHome", ""),
    ("scanInactiveMasterInterval", "5000"),
];

/// Keys that a running controller cannot change: they say which controllers there are, and where the files lie.
const FIXED: [&str; 9] = [
    "configBlackList",
    "configStorePath",
    "controllerDLegerGroup",
    "controllerDLegerPeers",
    "controllerDLegerSelfId",
    "controllerElectionTimeoutMillis",
    "controllerStorePath",
    "listenPort",
    "rocketmqHome",
];

/// Shortest and longest time a follower waits: less than some heartbeats would never come to rest.
const ELECTION_MS: std::ops::RangeInclusive<u64> = 50..=60_000;
const ELECTION: Duration = Duration::from_millis(400);

/// Why a change of settings is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A key that stays as it is.
    #[error("{0} cannot be changed while the controller runs")]
    Fixed(String),
    /// A value that its key cannot take.
    #[error("{value:?} is no value for {key}: write {wanted}")]
    Bad {
        key: String,
        value: String,
        wanted: &'static str,
    },
}

impl ControllerOptions {
    /// Sets what Apache calls `key`. `None`: a controller has no such setting.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
        let text = Some(value.trim().to_owned()).filter(|text| !text.is_empty());
        match key {
            "controllerDLegerGroup" => self.controller_dleger_group = text,
            "controllerDLegerPeers" => self.controller_dleger_peers = text,
            "controllerDLegerSelfId" => self.controller_dleger_self_id = text,
            "controllerStorePath" => self.controller_store_path = text.map(PathBuf::from),
            "controllerElectionTimeoutMillis" => match value.trim().parse() {
                Ok(ms) if ELECTION_MS.contains(&ms) => {
                    self.election_timeout = Some(Duration::from_millis(ms));
                }
                _ => {
                    let (least, most) = (ELECTION_MS.start(), ELECTION_MS.end());
                    let wanted = format!("{value:?} will not do: {least} to {most} milliseconds");
                    return Some(Err(wanted));
                }
            },
            _ => {
                let set = self.settings.set(key, value)?;
                return Some(
                    set.map_err(|wanted| {
                        format!("{value:?} is no value for {key}: write {wanted}")
                    }),
                );
            }
        }
        Some(Ok(()))
    }

    /// How long a follower waits.
    pub(super) fn election(&self) -> Duration {
        self.election_timeout.unwrap_or(ELECTION)
    }

    /// The controllers of the group. A controller that is alone needs no settings.
    pub(crate) fn members(&self) -> Result<Members, PeersError> {
        let group = self
            .controller_dleger_group
            .as_deref()
            .unwrap_or(USUAL_GROUP);
        let own = self.controller_dleger_self_id.as_deref();
        if let Some(peers) = &self.controller_dleger_peers {
            return Members::parse(group, peers, own);
        }
        let id = own.unwrap_or(USUAL_ID).to_owned();
        Ok(Members::alone(group.to_owned(), id, String::new()))
    }

    /// The port to listen on; 0 for any free one.
    pub(crate) fn port(&self) -> u16 {
        let of_peer = || {
            let members = self.members().ok()?;
            let (_, port) = members.me().address.rsplit_once(':')?;
            port.parse().ok()
        };
        self.listen_port.or_else(of_peer).unwrap_or(USUAL_PORT)
    }

    /// Everything as Java properties, for `mqadmin getControllerConfig`.
    pub(super) fn show(&self, now: &Settings, members: &Members, port: u16) -> String {
        let peers: Vec<_> = members.all.values().collect();
        let peers: Vec<_> = peers
            .iter()
            .map(|member| format!("{}-{}", member.id, member.address))
            .collect();
        let path = self.controller_store_path.as_deref();
        let mut pairs = now.pairs();
        pairs.extend([
            ("controllerDLegerGroup", members.group.clone()),
            ("controllerDLegerPeers", peers.join(";")),
            ("controllerDLegerSelfId", members.me().id.clone()),
            (
                "controllerElectionTimeoutMillis",
                self.election().as_millis().to_string(),
            ),
            (
                "controllerStorePath",
                path.map_or(String::new(), |path| path.display().to_string()),
            ),
            ("listenPort", port.to_string()),
        ]);
        let others = WITHOUT_MEANING.iter();
        pairs.extend(others.map(|(key, value)| (*key, (*value).to_owned())));
        pairs.sort_unstable();
        let lines = pairs.iter().map(|(key, value)| [key, "=", value, "\n"]);
        lines.flatten().collect()
    }
}

impl Settings {
    /// The settings as they are after the Java properties in `text`: all or nothing. Keys that mean nothing here are
    /// passed over, as in Apache.
    pub(super) fn changed_by(&self, text: &str) -> Result<Self, Refused> {
        let mut changed = self.clone();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            let (key, value) = (key.trim(), value.trim());
            let mut black = self.config_black_list.split(';');
            if FIXED.contains(&key) || black.any(|black| black == key) {
                return Err(Refused::Fixed(key.to_owned()));
            }
            if let Some(Err(wanted)) = changed.set(key, value) {
                return Err(Refused::Bad {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    wanted,
                });
            }
        }
        Ok(changed)
    }

    /// `None` for a key that means nothing here; the error is what the key could take.
    fn set(&mut self, key: &str, value: &str) -> Option<Result<(), &'static str>> {
        let place = match key {
            "enableElectUncleanMaster" => &mut self.enable_elect_unclean_master,
            "notifyBrokerRoleChanged" => &mut self.notify_broker_role_changed,
            "scanNotActiveBrokerInterval" => {
                return Some(match value.parse() {
                    Ok(ms @ 1..) => {
                        self.scan_not_active_broker_interval = Duration::from_millis(ms);
                        Ok(())
                    }
                    _ => Err("a number of milliseconds above 0"),
                });
            }
            "configBlackList" => {
                value.clone_into(&mut self.config_black_list);
                return Some(Ok(()));
            }
            _ => return None,
        };
        let Ok(wanted) = value.parse() else {
            return Some(Err("true or false"));
        };
        *place = wanted;
        Some(Ok(()))
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let interval = self.scan_not_active_broker_interval.as_millis();
        vec![
            ("configBlackList", self.config_black_list.clone()),
            (
                "enableElectUncleanMaster",
                self.enable_elect_unclean_master.to_string(),
            ),
            (
                "notifyBrokerRoleChanged",
                self.notify_broker_role_changed.to_string(),
            ),
            ("scanNotActiveBrokerInterval", interval.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_controller_needs_no_settings() {
        let options = ControllerOptions::default();
        let members = options.members().unwrap();
        assert_eq!((members.all.len(), members.me().id.as_str()), (1, "n0"));
        assert_eq!(options.port(), 9878);
    }

    #[test]
    fn the_port_is_the_own_peers_unless_told_otherwise() {
        let mut options = ControllerOptions::default();
        for (key, value) in [
            ("controllerDLegerPeers", "n0-h:19878;n1-h:19879;n2-h:19880"),
            ("controllerDLegerSelfId", "n1"),
            ("enableElectUncleanMaster", "true"),
        ] {
            options.set(key, value).unwrap().unwrap();
        }
        assert_eq!(options.port(), 19879);
        options.listen_port = Some(7);
        assert_eq!(options.port(), 7);
        assert!(options.settings.enable_elect_unclean_master);
        assert!(options.set("brokerName", "x").is_none());
        assert!(
            options
                .set("controllerElectionTimeoutMillis", "1")
                .unwrap()
                .is_err()
        );
        let shown = options.show(&options.settings, &options.members().unwrap(), 7);
        assert!(shown.contains("\ncontrollerDLegerSelfId=n1\n"), "{shown}");
        assert!(shown.contains("\nlistenPort=7\n"), "{shown}");
    }

    #[test]
    fn a_change_is_taken_whole_or_not_at_all() {
        let before = Settings::default();
        let text = "# from mqadmin\nenableElectUncleanMaster=true\ncontrollerThreadPoolNums=3\n";
        assert!(before.changed_by(text).unwrap().enable_elect_unclean_master);
        let fixed = before.changed_by("notifyBrokerRoleChanged=false\nlistenPort=1");
        assert_eq!(fixed, Err(Refused::Fixed("listenPort".to_owned())));
        let bad = before
            .changed_by("scanNotActiveBrokerInterval=0")
            .unwrap_err();
        assert!(bad.to_string().contains("above 0"), "{bad}");
    }
}
