//! What `--durable` means: each setting through which an acknowledged message could get lost has a value that closes it.
//!
//! A setting of the table that somebody gave otherwise is refused, not overridden: whoever asks for both has to say
//! which of the two is meant. Settings that nobody gave get the value of the table.
//!
//! Absent on purpose: `autoCreateSubscriptionGroup` stays on, because a group that appears on its own takes no message
//! from another one; `flushConsumerOffsetInterval` stays as it is, because offsets lost in a crash are too low, and
//! what follows from that is a second delivery, not a loss.

use super::Origin;
use super::layers::{Given, Layers};

/// The flag, as messages name it.
const FLAG: &str = "--durable";

/// Which values beside its own `--durable` puts up with.
#[derive(Clone, Copy, Debug)]
enum Tolerates {
    /// None.
    Nothing,
    /// Whole numbers from here on.
    AtLeast(u64),
    /// Everything: the setting is a matter of taste, and only its default changes.
    Anything,
}

#[derive(Debug)]
struct Link {
    key: &'static str,
    value: &'static str,
    tolerates: Tolerates,
    /// Why another value loses messages; completes "it must be …: ".
    why: &'static str,
}

const CHAIN: &[Link] = &[
    Link {
        key: "flushDiskType",
        value: "SYNC_FLUSH",
        tolerates: Tolerates::Nothing,
        why: "otherwise an acknowledged message may be in memory only",
    },
    Link {
        key: "cleanFileForciblyEnable",
        value: "false",
        tolerates: Tolerates::Nothing,
        why: "otherwise a filling disk deletes messages that nobody has consumed yet, instead of refusing new ones",
    },
    Link {
        key: "transactionCheckMax",
        // With an interval of 30 s: a day.
        value: "2880",
        tolerates: Tolerates::AtLeast(120),
        why: "otherwise a transaction whose producer is away for less than an hour is given up",
    },
    Link {
        key: "fileReservedTime",
        value: "168",
        tolerates: Tolerates::Anything,
        why: "",
    },
    Link {
        key: "autoCreateTopicEnable",
        value: "false",
        tolerates: Tolerates::Anything,
        why: "",
    },
];

impl Layers {
    /// Closes the chain. Returns what contradicts it: key, place and why.
    pub(super) fn make_durable(&mut self) -> Vec<(String, Origin, String)> {
        let mut contradictions = Vec::new();
        for link in CHAIN {
            match self.take(link.key) {
                Some(given) if link.puts_up_with(&given.value) => self.put_back(link.key, given),
                Some(given) => contradictions.push((
                    link.key.to_owned(),
                    given.origin,
                    format!(
                        "{:?} contradicts {FLAG}, which needs {}: {}",
                        given.value,
                        link.wanted(),
                        link.why
                    ),
                )),
                None => self.put_back(
                    link.key,
                    Given {
                        value: link.value.to_owned(),
                        origin: Origin::Flag(FLAG.to_owned()),
                    },
                ),
            }
        }
        contradictions
    }
}

impl Link {
    fn puts_up_with(&self, value: &str) -> bool {
        value.eq_ignore_ascii_case(self.value)
            || match self.tolerates {
                Tolerates::Nothing => false,
                Tolerates::AtLeast(least) => {
                    // What is no number is refused later, with a better message.
                    value.parse::<u64>().is_ok_and(|number| number >= least)
                }
                Tolerates::Anything => true,
            }
    }

    fn wanted(&self) -> String {
        match self.tolerates {
            Tolerates::AtLeast(least) => format!("at least {least}"),
            _ => self.value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::node::config::{Flags, Loaded, Role, load};
    use crate::store::FlushMode;

    fn durable(settings: &[(&str, &str)]) -> Flags {
        Flags {
            data_dir: Some(PathBuf::from("/data")),
            durable: true,
            settings: settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Flags::default()
        }
    }

    fn loaded(flags: &Flags) -> Loaded {
        load(flags, []).unwrap()
    }

    #[test]
    fn every_link_is_closed() {
        let Loaded { options, warnings } = loaded(&durable(&[]));
        assert_eq!(warnings, Vec::<String>::new());
        let broker = &options.broker;
        assert!(matches!(broker.store.flush, FlushMode::Sync { .. }));
        assert!(!broker.store.clean_file_forcibly);
        assert_eq!(broker.store.file_reserved_hours, 168);
        assert_eq!(broker.transaction_check_max, 2880);
        assert!(!broker.auto_create_topic_enable);
        assert!(broker.auto_create_subscription_group);
    }

    #[test]
    fn what_does_not_weaken_it_may_be_given() {
        let flags = durable(&[
            ("flushDiskType", "SYNC_FLUSH"),
            ("transactionCheckMax", "200"),
            ("fileReservedTime", "24"),
            ("autoCreateTopicEnable", "true"),
        ]);
        let broker = loaded(&flags).options.broker;
        assert_eq!(broker.transaction_check_max, 200);
        assert_eq!(broker.store.file_reserved_hours, 24);
        assert!(broker.auto_create_topic_enable);
    }

    #[test]
    fn contradictions_name_their_place() {
        let mut flags = durable(&[("cleanFileForciblyEnable", "true")]);
        flags.fsync = Some(false);
        let environment = [("RMQ_TRANSACTION_CHECK_MAX".to_owned(), "15".to_owned())];
        let text = load(&flags, environment).unwrap_err().to_string();
        for expected in [
            "--fsync: flushDiskType: \"ASYNC_FLUSH\" contradicts --durable, which needs SYNC_FLUSH",
            "--set: cleanFileForciblyEnable: \"true\" contradicts",
            "RMQ_TRANSACTION_CHECK_MAX: transactionCheckMax: \"15\" contradicts --durable, which needs at least 120",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_name_server_alone_keeps_no_messages() {
        let flags = Flags {
            role: Role::Namesrv,
            ..durable(&[])
        };
        let text = load(&flags, []).unwrap_err().to_string();
        assert!(text.contains("--durable"), "{text}");
    }
}
