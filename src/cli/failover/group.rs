//! The brokers of one name: where each stands, as far as it and the name servers tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;

use crate::cli::exit::CliError;
use crate::cli::gather::gather;
use crate::client::ClientError;
use crate::client::admin::{Admin, ReplicationStatus};

/// A broker that has said nothing for so long counts as silent: producers wait while it is asked.
const SILENCE: Duration = Duration::from_millis(1500);

/// What makes a broker's role changeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `rmq`: this command changes it.
    Rmq,
    /// Apache's master and slave: an operator changes it.
    Classic,
    /// Apache's brokers with a controller, which changes it.
    Controller,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rmq => "rmq",
            Self::Classic => "apache",
            Self::Controller => "apache-controller",
        }
    }
}

/// Where a broker that answers stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) kind: Kind,
    pub(super) role: String,
    /// What kind of master it is or would be, and whether anybody told it.
    pub(super) as_master: Option<(String, bool)>,
    pub(super) majority: bool,
    pub(super) total_replicas: usize,
    pub(super) epoch: i32,
    pub(super) promised: i32,
    pub(super) fenced: bool,
    pub(super) log_end: i64,
    pub(super) committed: i64,
    pub(super) stored_ms: i64,
    /// The slaves it sees, if it is a master.
    pub(super) slaves: usize,
    /// The master it follows.
    pub(super) master: Option<String>,
    /// Whether its connection to that one stands.
    pub(super) connected: bool,
    /// Why not.
    pub(super) trouble: Option<String>,
}

impl Standing {
    pub(super) fn is_slave(&self) -> bool {
        self.role == "SLAVE"
    }

    /// Whether it takes messages as far as its role goes.
    pub(super) fn takes_messages(&self) -> bool {
        !self.is_slave() && !self.fenced
    }

    /// How far its log may hold acknowledged messages, as far as it knows.
    pub(super) fn acknowledged(&self) -> i64 {
        if self.majority {
            self.committed.min(self.log_end)
        } else {
            self.log_end
        }
    }

    pub(super) fn of_rmq(status: ReplicationStatus) -> Self {
        let master = status.master.unwrap_or_default();
        Self {
            kind: Kind::Rmq,
            majority: status.replication == "majority",
            role: status.role,
            // A broker of an earlier version does not say.
            as_master: Some((status.role_as_master, status.role_as_master_known))
                .filter(|(role, _)| !role.is_empty()),
            total_replicas: usize::try_from(status.total_replicas).unwrap_or(usize::MAX),
            epoch: status.epoch,
            promised: status.promised,
            fenced: status.fenced,
            log_end: status.log_end,
            committed: status.committed,
            stored_ms: status.last_store_timestamp,
            slaves: status.replicas.len(),
            master: master.address,
            connected: master.connected,
            trouble: master.trouble,
        }
    }
}

/// One broker of the name.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) address: String,
    /// The id under which name servers know it; the one it says itself if none does.
    pub(super) id: Option<i64>,
    /// How many name servers know it.
    pub(super) listed: usize,
    /// How many know it as the master.
    pub(super) listed_as_master: usize,
    pub(super) standing: Result<Standing, String>,
}

impl Member {
    pub(super) fn known(&self) -> Option<&Standing> {
        self.standing.as_ref().ok()
    }

    pub(super) fn takes_messages(&self) -> bool {
        self.known().is_some_and(Standing::takes_messages)
    }

    pub(super) fn is_slave(&self) -> bool {
        self.known().is_some_and(Standing::is_slave)
    }
}

/// What would be lost if a replica became master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It has every acknowledged message.
    None,
    /// It lacks the last bytes of what another has.
    Known { bytes: i64, messages: i64 },
    /// Nobody can tell, because of this.
    Unknown(String),
}

/// All brokers of a name.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) members: Vec<Member>,
}

impl Group {
    /// The master that takes messages; of two the one of the later epoch.
    pub(super) fn master(&self) -> Option<&Member> {
        let masters = self.members.iter().filter(|member| member.takes_messages());
        masters.max_by_key(|member| member.known().map(|known| known.epoch))
    }

    pub(super) fn member(&self, address: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.address == address)
    }

    pub(super) fn answering(&self) -> impl Iterator<Item = (&Member, &Standing)> {
        self.members
            .iter()
            .filter_map(|member| Some((member, member.known()?)))
    }

    pub(super) fn is_majority(&self) -> bool {
        self.answering().any(|(_, known)| known.majority)
    }

    /// Whether so many answer that every committed message is on one of them.
    pub(super) fn majority_answers(&self) -> bool {
        let total = self
            .answering()
            .map(|(_, known)| known.total_replicas)
            .max();
        self.answering().count() > total.unwrap_or(1) / 2
    }

    /// An epoch nobody has seen or promised yet.
    pub(super) fn next_epoch(&self) -> i32 {
        let epochs = self.answering();
        let latest = epochs
            .map(|(_, known)| known.epoch.max(known.promised))
            .max();
        latest.unwrap_or(0).max(0).saturating_add(1)
    }

    /// How far the log of acknowledged messages reaches, as far as those who answer know, and who knows that.
    pub(super) fn acknowledged_end(&self) -> Option<(i64, &Member)> {
        // A deposed master's tail counts as well: it may have acknowledged it.
        let ends = self
            .answering()
            .map(|(member, known)| (known.acknowledged(), member));
        ends.max_by_key(|(end, _)| *end)
    }

    /// How many bytes a member lacks of what is acknowledged.
    pub(super) fn behind(&self, member: &Member) -> Option<i64> {
        let (end, _) = self.acknowledged_end()?;
        Some((end - member.known()?.log_end).max(0))
    }

    /// Why nobody can tell what a promotion would lose.
    pub(super) fn doubt(&self) -> Option<String> {
        if self.is_majority() {
            let all = || self.answering().map(|(_, known)| known);
            let committed = all().map(|known| known.committed).max();
            let end = all().map(|known| known.log_end).max();
            if committed > end {
                return Some(format!(
                    "messages were acknowledged up to position {}, and nobody who answers has more than up to {}",
                    committed.unwrap_or(0),
                    end.unwrap_or(0)
                ));
            }
            return (!self.majority_answers()).then(|| {
                "fewer than half of the replicas answer, so the others may have committed messages that these lack"
                    .to_owned()
            });
        }
        if self.answering().any(|(_, known)| !known.is_slave()) {
            return None;
        }
        Some("no master answers: what it acknowledged and had not sent to a replica is on its disk only".to_owned())
    }
}

/// Looks at the brokers called `name`, or at those of every name. `more` are addresses no name server need know.
pub(super) async fn survey(
    admin: &Admin,
    name: Option<&str>,
    more: &[String],
) -> Result<Vec<Group>, CliError> {
    let listed = listed(admin).await?;
    let names: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => listed.keys().cloned().collect(),
    };
    if names.is_empty() {
        return Err(CliError::not_found("no name server knows a broker")
            .hint("brokers register within 30 s of their start; is this the right name server?"));
    }
    let mut groups = Vec::new();
    for name in names {
        let places = listed.get(&name).cloned().unwrap_or_default();
        let mut group = Group {
            cluster: places.cluster.clone(),
            name,
            members: Vec::new(),
        };
        let mut wanted: BTreeSet<String> = places.brokers.keys().map(|(_, a)| a.clone()).collect();
        wanted.extend(more.iter().cloned());
        let mut asked = BTreeSet::new();
        // Slaves tell of a master no name server knows any more.
        while let Some(round) = Some(wanted.difference(&asked).cloned().collect::<Vec<_>>())
            .filter(|round| !round.is_empty())
        {
            asked.extend(round.iter().cloned());
            for (address, standing) in ask(admin, round).await {
                if let Ok((known, _)) = &standing {
                    wanted.extend(known.master.clone().filter(|master| !master.is_empty()));
                }
                let at = |id: Option<i64>| {
                    let places = places.brokers.iter();
                    let here = places.filter(|((known, a), _)| {
                        *a == address && id.is_none_or(|id| id == *known)
                    });
                    here.map(|((id, _), count)| (*id, *count))
                        .max_by_key(|(_, count)| *count)
                };
                group.members.push(Member {
                    id: at(None)
                        .map(|(id, _)| id)
                        .or_else(|| standing.as_ref().ok().map(|(_, id)| *id)),
                    listed: at(None).map_or(0, |(_, count)| count),
                    listed_as_master: at(Some(0)).map_or(0, |(_, count)| count),
                    address,
                    standing: standing.map(|(known, _)| known),
                });
            }
        }
        if group.members.is_empty() {
            return Err(CliError::not_found(format!(
                "no name server knows a broker {}",
                group.name
            ))
            .hint("rmq broker ls lists them; --member ADDR names one that is not registered"));
        }
        group
            .members
            .sort_by_key(|member| (member.id.unwrap_or(i64::MAX), member.address.clone()));
        groups.push(group);
    }
    Ok(groups)
}

/// One group again.
pub(super) async fn look(admin: &Admin, name: &str, more: &[String]) -> Result<Group, CliError> {
    let mut groups = survey(admin, Some(name), more).await?;
    groups
        .pop()
        .ok_or_else(|| CliError::not_found(format!("no name server knows a broker {name}")))
}

/// What the name servers say of one name: cluster, and how many of them know which (id, address).
#[derive(Clone, Debug, Default)]
struct Places {
    cluster: String,
    brokers: BTreeMap<(i64, String), usize>,
}

/// The names of the brokers that name servers know; none where there is no name server.
pub(super) async fn names(admin: &Admin) -> Result<Vec<String>, CliError> {
    Ok(listed(admin).await?.into_keys().collect())
}

async fn listed(admin: &Admin) -> Result<BTreeMap<String, Places>, CliError> {
    let answers = gather(admin.name_servers().to_vec(), |name_server| {
        let admin = admin.clone();
        async move { admin.clusters_at(&name_server).await }
    })
    .await;
    let mut all: BTreeMap<String, Places> = BTreeMap::new();
    let mut failed = None;
    let mut answered = false;
    for answer in answers {
        match answer {
            Err(error) => failed = Some(error),
            Ok(clusters) => {
                answered = true;
                for broker in clusters.brokers {
                    let places = all.entry(broker.name.to_string()).or_default();
                    places.cluster.clone_from(&broker.cluster);
                    for place in broker.addresses {
                        *places.brokers.entry(place).or_default() += 1;
                    }
                }
            }
        }
    }
    match failed {
        Some(error) if !answered => Err(error.into()),
        _ => Ok(all),
    }
}

async fn ask(
    admin: &Admin,
    addresses: Vec<String>,
) -> Vec<(String, Result<(Standing, i64), String>)> {
    gather(addresses, |address| {
        let admin = admin.clone();
        async move {
            let standing = match timeout(SILENCE, standing(&admin, &address)).await {
                Ok(standing) => standing.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} ms", SILENCE.as_millis())),
            };
            (address, standing)
        }
    })
    .await
}

/// Asks one broker, of whatever make, where it stands; and its id.
pub(super) async fn standing(admin: &Admin, address: &str) -> Result<(Standing, i64), ClientError> {
    if let Some(status) = admin.replication_at(address).await? {
        let id = status.broker_id;
        return Ok((Standing::of_rmq(status), id));
    }
    let config = admin.broker_config(address).await?;
    let setting = |key: &str| config.get(key).map(String::as_str).unwrap_or_default();
    let status = admin.ha_status_at(address).await?;
    let runtime = admin.broker_runtime(address).await?;
    let controller = setting("enableControllerMode") == "true";
    let epochs = admin.epochs_at(address).await.ok().flatten();
    let epoch = epochs.and_then(|cache| cache.epoch_list.last().map(|epoch| epoch.epoch));
    let client = status.ha_client_runtime_info;
    let number = |key: &str| runtime.get(key).and_then(|text| text.parse::<i64>().ok());
    let end = number("commitLogMaxOffset").unwrap_or(if status.master {
        status.master_commit_log_max_offset
    } else {
        client.max_offset
    });
    let may_write = setting("brokerPermission")
        .parse::<i32>()
        .is_ok_and(|perm| perm & 2 != 0);
    let role = setting("brokerRole").to_owned();
    let is_slave = role == "SLAVE";
    Ok((
        Standing {
            kind: if controller {
                Kind::Controller
            } else {
                Kind::Classic
            },
            as_master: None,
            majority: false,
            total_replicas: setting("totalReplicas").parse().unwrap_or(1),
            epoch: epoch.unwrap_or(-1),
            promised: 0,
            fenced: !is_slave && !may_write,
            log_end: end,
            committed: number("confirmOffset")
                .filter(|_| controller)
                .unwrap_or(end),
            stored_ms: 0,
            slaves: status.ha_connection_info.len(),
            // Apache's slave names its master's HA port only.
            master: None,
            connected: is_slave && client.activated,
            trouble: (is_slave && !client.activated)
                .then(|| "not connected to its master".to_owned()),
            role,
        },
        setting("brokerId").parse().unwrap_or(0),
    ))
}

/// What promoting a member would lose, counted in messages where somebody has what it lacks.
pub(super) async fn loss(admin: &Admin, group: &Group, member: &Member) -> Loss {
    if member.known().is_none() {
        return Loss::Unknown("it does not answer".to_owned());
    }
    let bytes = group.behind(member).unwrap_or(0);
    if bytes == 0 {
        return group.doubt().map_or(Loss::None, Loss::Unknown);
    }
    let Some((_, best)) = group.acknowledged_end() else {
        return Loss::Unknown("nobody answers".to_owned());
    };
    match missing(admin, &best.address, &member.address).await {
        Ok(messages) => Loss::Known { bytes, messages },
        Err(error) => Loss::Unknown(format!(
            "{bytes} bytes; messages cannot be counted: {error}"
        )),
    }
}

/// How many messages a broker has that another lacks, by the ends of its queues.
async fn missing(admin: &Admin, has: &str, lacks: &str) -> Result<i64, ClientError> {
    let topics = admin.topic_configs_at(has).await?;
    let counts = gather(topics.into_keys(), |topic| {
        let admin = admin.clone();
        let (has, lacks) = (has.to_owned(), lacks.to_owned());
        async move {
            let all = admin
                .topic_stats_at(&has, &topic)
                .await?
                .unwrap_or_default();
            let known = admin
                .topic_stats_at(&lacks, &topic)
                .await?
                .unwrap_or_default();
            let gaps = all.offset_table.iter().map(|(queue, ends)| {
                let end = known
                    .offset_table
                    .get(queue)
                    .map_or(0, |ends| ends.max_offset);
                (ends.max_offset - end).max(0)
            });
            Ok::<i64, ClientError>(gaps.sum())
        }
    })
    .await;
    counts.into_iter().sum()
}

/// A member as tests want it.
#[cfg(test)]
pub(super) fn member(address: &str, id: i64, role: &str, log_end: i64) -> Member {
    Member {
        address: address.to_owned(),
        id: Some(id),
        listed: 1,
        listed_as_master: usize::from(id == 0),
        standing: Ok(Standing {
            kind: Kind::Rmq,
            role: role.to_owned(),
            as_master: None,
            majority: false,
            total_replicas: 2,
            epoch: 1,
            promised: 0,
            fenced: false,
            log_end,
            committed: log_end,
            stored_ms: 0,
            slaves: 0,
            master: None,
            connected: role == "SLAVE",
            trouble: None,
        }),
    }
}
