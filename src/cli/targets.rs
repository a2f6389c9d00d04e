//! Which brokers a command means.

use super::exit::CliError;
use crate::client::RouteBroker;
use crate::client::admin::{Admin, Clusters};

/// The flags that choose among brokers.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Targets {
    /// Only these brokers, by name or address; may be given more than once
    #[arg(long = "broker", value_name = "NAME|ADDR")]
    pub(crate) brokers: Vec<String>,
    /// Only the brokers of this cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) cluster: String,
    pub(crate) name: String,
    /// 0 is the master.
    pub(crate) id: i64,
    pub(crate) address: String,
}

impl Targets {
    /// The masters that are meant; an error if there is none. An address that no name server knows is taken as it is, so
    /// that a broker can be asked which has lost its name servers.
    pub(crate) async fn masters(&self, admin: &Admin) -> Result<Vec<Target>, CliError> {
        let clusters = admin.clusters().await?;
        let mut found = Vec::new();
        for group in chosen(&clusters, self.cluster.as_deref()) {
            found.extend(group.master().map(|address| target(group, 0, address)));
        }
        self.narrow(found, &clusters)
    }

    /// All brokers that are meant, slaves too.
    pub(crate) async fn all(&self, admin: &Admin) -> Result<Vec<Target>, CliError> {
        let clusters = admin.clusters().await?;
        let mut found = Vec::new();
        for group in chosen(&clusters, self.cluster.as_deref()) {
            let addresses = group.addresses.iter();
            found.extend(addresses.map(|(id, address)| target(group, *id, address)));
        }
        self.narrow(found, &clusters)
    }

    fn narrow(&self, found: Vec<Target>, clusters: &Clusters) -> Result<Vec<Target>, CliError> {
        if self.brokers.is_empty() {
            if found.is_empty() {
                return Err(self.nobody(clusters));
            }
            return Ok(found);
        }
        let mut chosen = Vec::new();
        for wanted in &self.brokers {
            let before = chosen.len();
            let matching = found
                .iter()
                .filter(|target| target.name == *wanted || target.address == *wanted);
            chosen.extend(matching.cloned());
            if chosen.len() > before {
                continue;
            }
            if let Some((group, id)) = clusters.at_address(wanted) {
                chosen.push(target(group, id, wanted));
            } else if wanted.contains(':') {
                chosen.push(Target {
                    cluster: String::new(),
                    name: wanted.clone(),
                    id: 0,
                    address: wanted.clone(),
                });
            } else {
                return Err(CliError::not_found(format!("there is no broker {wanted}"))
                    .hint(names(clusters)));
            }
        }
        chosen.dedup();
        Ok(chosen)
    }

    fn nobody(&self, clusters: &Clusters) -> CliError {
        let message = match &self.cluster {
            Some(cluster) => format!("there is no broker of a cluster {cluster}"),
            None => "the name server knows no broker with a master".to_owned(),
        };
        CliError::not_found(message).hint(names(clusters))
    }
}

fn chosen<'a>(
    clusters: &'a Clusters,
    cluster: Option<&'a str>,
) -> impl Iterator<Item = &'a RouteBroker> {
    let brokers = clusters.brokers.iter();
    brokers.filter(move |group| cluster.is_none_or(|wanted| group.cluster == wanted))
}

fn target(group: &RouteBroker, id: i64, address: &str) -> Target {
    Target {
        cluster: group.cluster.clone(),
        name: group.name.to_string(),
        id,
        address: address.to_owned(),
    }
}

fn names(clusters: &Clusters) -> String {
    let names: Vec<String> = clusters
        .brokers
        .iter()
        .map(|group| format!("{} ({})", group.name, group.cluster))
        .collect();
    if names.is_empty() {
        "brokers register within 30 s of their start; is this the right name server?".to_owned()
    } else {
        format!("known: {}", names.join(", "))
    }
}
