//! What a broker is among the brokers of its name.

use std::fmt;
use std::str::FromStr;

/// `brokerRole`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BrokerRole {
    /// Takes messages and does not wait for slaves.
    #[default]
    AsyncMaster,
    /// Takes messages and answers when a slave has them.
    SyncMaster,
    /// Follows a master.
    Slave,
}

impl BrokerRole {
    const ALL: [Self; 3] = [Self::AsyncMaster, Self::SyncMaster, Self::Slave];

    /// Apache's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AsyncMaster => "ASYNC_MASTER",
            Self::SyncMaster => "SYNC_MASTER",
            Self::Slave => "SLAVE",
        }
    }
}

impl fmt::Display for BrokerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BrokerRole {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or(())
    }
}

/// `replication`: a setting of this broker's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReplicationMode {
    /// As Apache's master and slave: a message can be read as soon as the master has it.
    #[default]
    Classic,
    /// A message is acknowledged, and can be read, when more than half of `totalReplicas` have it.
    Majority,
}

impl fmt::Display for ReplicationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Majority => "majority",
        })
    }
}

impl FromStr for ReplicationMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "classic" | "" => Ok(Self::Classic),
            "majority" => Ok(Self::Majority),
            _ => Err(()),
        }
    }
}
