//! Apache's `NamesrvConfig`: what a name server can be told, at the start and by `mqadmin updateNamesrvConfig`.

use std::path::PathBuf;
use std::time::Duration;

use super::peers::Peers;
use super::routes::Rules;

/// How a name server behaves. Fields carry Apache's names.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamesrvOptions {
    /// Where `kvConfig.json` is; `None` keeps the values in memory.
    pub(crate) kv_config_path: Option<PathBuf>,
    /// The port it is reached on; shown to administrators.
    pub(crate) listen_port: u16,
    /// What each client is told about the broker beside this name server; `None`: what it registered.
    pub(crate) peers: Option<Peers>,
    /// What may be changed while it runs.
    pub(crate) settings: Settings,
}

/// Apache's other keys, with its defaults: tools look for them, and they change nothing here.
const WITHOUT_MEANING: [(&str, &str); 24] = [
    ("bindAddress", "0.0.0.0"),
    ("clientRequestThreadPoolNums", "8"),
    ("clientRequestThreadPoolQueueCapacity", "50000"),
    ("clusterTest", "false"),
    ("configStorePath", ""),
    ("defaultThreadPoolNums", "16"),
    ("defaultThreadPoolQueueCapacity", "10000"),
    ("enableControllerInNamesrv", "false"),
    ("enableShutdownGracefully", "false"),
    ("productEnvName", "center"),
    ("rocketmqHome", ""),
    ("serverAsyncSemaphoreValue", "64"),
    ("serverCallbackExecutorThreads", "0"),
    ("serverChannelMaxIdleTimeSeconds", "120"),
    ("serverNettyWorkerGroupEnable", "true"),
    ("serverOnewaySemaphoreValue", "256"),
    ("serverPooledByteBufAllocatorEnable", "true"),
    ("serverSelectorThreads", "3"),
    ("serverSocketBacklog", "1024"),
    ("serverSocketRcvBufSize", "0"),
    ("serverSocketSndBufSize", "0"),
    ("serverWorkerThreads", "8"),
    ("shutdownWaitTimeSeconds", "30"),
    ("useEpollNativeSelector", "false"),
];

impl NamesrvOptions {
    /// Apache's defaults, with the values of administrators in `kv_config_path`.
    pub(crate) fn new(kv_config_path: PathBuf) -> Self {
        Self {
            kv_config_path: Some(kv_config_path),
            listen_port: 0,
            peers: None,
            settings: Settings::default(),
        }
    }

    /// Sets what Apache calls `key`. `None`: a name server has no such setting.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
        self.settings.set(key, value).map(|set| {
            set.map_err(|NotThis(wanted)| format!("{value:?} is no value for {key}: {wanted}"))
        })
    }

    /// Everything as Java properties, for `mqadmin getNamesrvConfig`.
    pub(super) fn show(&self, now: &Settings) -> String {
        let path = self.kv_config_path.as_deref();
        let path = path.map(|path| path.display().to_string());
        let mut pairs = now.pairs();
        pairs.push(("kvConfigPath", path.unwrap_or_default()));
        pairs.push(("listenPort", self.listen_port.to_string()));
        let others = WITHOUT_MEANING.iter();
        pairs.extend(others.map(|(key, value)| (*key, (*value).to_owned())));
        pairs.sort_unstable();
        let lines = pairs.iter().map(|(key, value)| [key, "=", value, "\n"]);
        lines.flatten().collect()
    }
}

/// The settings that may change while the name server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are Apache's independent switches"
)]
pub(crate) struct Settings {
    /// Whether routes carry the topic's order conf.
    pub(crate) order_message_enable: bool,
    /// Whether a registration is answered with all order confs.
    pub(crate) return_order_topic_config_to_broker: bool,
    /// How often silent brokers are looked for.
    pub(crate) scan_not_active_broker_interval: Duration,
    /// Whether brokers hear that the smallest id of their name changed.
    pub(crate) notify_min_broker_id_changed: bool,
    /// Whether a slave may be presented as master where there is none.
    pub(crate) support_acting_master: bool,
    /// Whether 206 is answered.
    pub(crate) enable_all_topic_list: bool,
    /// Whether 224 and 311 to 313 are answered.
    pub(crate) enable_topic_list: bool,
    /// Whether routes are refused for a while after the start, until brokers had time to register.
    pub(crate) need_wait_for_service: bool,
    /// That while, in seconds.
    pub(crate) wait_seconds_for_service: u32,
    /// Whether topics that a broker's registration does not name any more are dropped.
    pub(crate) delete_topic_with_broker_registration: bool,
    /// Keys that cannot be changed from outside, separated by `;`.
    pub(crate) config_black_list: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            order_message_enable: false,
            return_order_topic_config_to_broker: true,
            scan_not_active_broker_interval: Duration::from_secs(5),
            notify_min_broker_id_changed: false,
            support_acting_master: false,
            enable_all_topic_list: true,
            enable_topic_list: true,
            need_wait_for_service: false,
            wait_seconds_for_service: 45,
            delete_topic_with_broker_registration: false,
            config_black_list: "configBlackList;configStorePath;kvConfigPath".to_owned(),
        }
    }
}

/// These are refused whatever the black list says.
const ALWAYS_BLACK: [&str; 4] = [
    "configBlackList",
    "configStorePath",
    "kvConfigPath",
    "rocketmqHome",
];

/// Why a change of settings is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A key of the black list.
    Black,
    /// A value that its key cannot take.
    Bad {
        /// The key.
        key: String,
        /// What it could take.
        wanted: &'static str,
    },
}

impl Settings {
    pub(super) fn rules(&self) -> Rules {
        Rules {
            support_acting_master: self.support_acting_master,
            delete_topic_with_broker_registration: self.delete_topic_with_broker_registration,
        }
    }

    /// The settings as they are after the Java properties in `text`. Keys that mean nothing here are passed over, as
    /// in Apache; all or nothing is taken.
    pub(super) fn changed_by(&self, text: &str) -> Result<Self, Refused> {
        let mut changed = self.clone();
        let pairs: Vec<_> = properties(text).collect();
        let black = |key: &str| {
            ALWAYS_BLACK.contains(&key)
                || self.config_black_list.split(';').any(|black| black == key)
        };
        if pairs.iter().any(|(key, _)| black(key)) {
            return Err(Refused::Black);
        }
        for (key, value) in pairs {
            if let Some(Err(NotThis(wanted))) = changed.set(key, value) {
                return Err(Refused::Bad {
                    key: key.to_owned(),
                    wanted,
                });
            }
        }
        Ok(changed)
    }

    /// `None` for a key that means nothing here.
    fn set(&mut self, key: &str, value: &str) -> Option<Result<(), NotThis>> {
        let done = match key {
            "configBlackList" => {
                value.clone_into(&mut self.config_black_list);
                Ok(())
            }
            "deleteTopicWithBrokerRegistration" => {
                flag(value, &mut self.delete_topic_with_broker_registration)
            }
            "enableAllTopicList" => flag(value, &mut self.enable_all_topic_list),
            "enableTopicList" => flag(value, &mut self.enable_topic_list),
            "needWaitForService" => flag(value, &mut self.need_wait_for_service),
            "notifyMinBrokerIdChanged" => flag(value, &mut self.notify_min_broker_id_changed),
            "orderMessageEnable" => flag(value, &mut self.order_message_enable),
            "returnOrderTopicConfigToBroker" => {
                flag(value, &mut self.return_order_topic_config_to_broker)
            }
            "scanNotActiveBrokerInterval" => match value.parse() {
                Ok(millis) if millis > 0 => {
                    self.scan_not_active_broker_interval = Duration::from_millis(millis);
                    Ok(())
                }
                _ => Err(NotThis("a number of milliseconds above 0")),
            },
            "supportActingMaster" => flag(value, &mut self.support_acting_master),
            "waitSecondsForService" => match value.parse() {
                Ok(seconds) => {
                    self.wait_seconds_for_service = seconds;
                    Ok(())
                }
                Err(_) => Err(NotThis("a number of seconds")),
            },
            _ => return None,
        };
        Some(done)
    }

    /// Keys and values as Java shows them.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("configBlackList", self.config_black_list.clone()),
            (
                "deleteTopicWithBrokerRegistration",
                self.delete_topic_with_broker_registration.to_string(),
            ),
            ("enableAllTopicList", self.enable_all_topic_list.to_string()),
            ("enableTopicList", self.enable_topic_list.to_string()),
            ("needWaitForService", self.need_wait_for_service.to_string()),
            (
                "notifyMinBrokerIdChanged",
                self.notify_min_broker_id_changed.to_string(),
            ),
            ("orderMessageEnable", self.order_message_enable.to_string()),
            (
                "returnOrderTopicConfigToBroker",
                self.return_order_topic_config_to_broker.to_string(),
            ),
            (
                "scanNotActiveBrokerInterval",
                self.scan_not_active_broker_interval.as_millis().to_string(),
            ),
            (
                "supportActingMaster",
                self.support_acting_master.to_string(),
            ),
            (
                "waitSecondsForService",
                self.wait_seconds_for_service.to_string(),
            ),
        ]
    }
}

/// A value that its key cannot take; says what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotThis(&'static str);

fn flag(value: &str, place: &mut bool) -> Result<(), NotThis> {
    *place = match value {
        "true" => true,
        "false" => false,
        _ => return Err(NotThis("true or false")),
    };
    Ok(())
}

/// The pairs of a Java properties text. Escapes and continued lines do not occur in what admin tools send.
fn properties(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            return None;
        }
        let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        Some((key.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_taken_unknown_ones_passed_over() {
        let before = Settings::default();
        let after = before
            .changed_by("# from mqadmin\norderMessageEnable=true\nserverWorkerThreads=9\nwaitSecondsForService : 7\n")
            .unwrap();
        assert!(after.order_message_enable);
        assert_eq!(after.wait_seconds_for_service, 7);
        assert!(!before.order_message_enable);
        let options = NamesrvOptions {
            listen_port: 9876,
            ..NamesrvOptions::default()
        };
        let shown = options.show(&after);
        assert!(shown.contains("\nlistenPort=9876\n"), "{shown}");
        assert!(shown.contains("\norderMessageEnable=true\n"), "{shown}");
    }

    #[test]
    fn the_black_list_and_bad_values_refuse_everything() {
        let settings = Settings::default();
        for key in ["kvConfigPath", "rocketmqHome", "configBlackList"] {
            let text = format!("orderMessageEnable=true\n{key}=x");
            assert_eq!(settings.changed_by(&text), Err(Refused::Black));
        }
        assert_eq!(
            settings.changed_by("scanNotActiveBrokerInterval=soon"),
            Err(Refused::Bad {
                key: "scanNotActiveBrokerInterval".to_owned(),
                wanted: "a number of milliseconds above 0"
            })
        );
    }
}
