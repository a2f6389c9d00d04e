//! Who the controllers are, as the configuration tells it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::list::addresses;

/// One controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Its name among the controllers: `n0`.
    pub(crate) id: String,
    /// Where it listens, `host:port`; empty for a single controller, which nobody has to be told about.
    pub(crate) address: String,
}

/// All controllers of a group, and which of them this one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    /// The group's name.
    pub(crate) group: String,
    /// By place, in the order of their ids: the same numbers everywhere, whatever order the peers are written in.
    pub(crate) all: BTreeMap<u64, Member>,
    /// The place of this one.
    pub(crate) own: u64,
}

/// Why a list of peers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeersError {
    #[error("{0:?} is no controller; write ID-HOST:PORT;ID-HOST:PORT")]
    Syntax(String),
    #[error("the id {0} stands twice")]
    Twice(String),
    #[error("{0} controllers; there may be 1, 3 or 5")]
    Count(usize),
    #[error("{id:?} is none of the controllers {known}")]
    Stranger { id: String, known: String },
    #[error("which of the controllers {0} is this one? Give its id")]
    Unnamed(String),
}

impl Members {
    /// A controller that is alone.
    pub(crate) fn alone(group: String, id: String, address: String) -> Self {
        Self {
            group,
            all: BTreeMap::from([(0, Member { id, address })]),
            own: 0,
        }
    }

    /// Reads Apache's `controllerDLegerPeers`: `n0-host:port;n1-host:port;…`.
    pub(crate) fn parse(group: &str, peers: &str, own: Option<&str>) -> Result<Self, PeersError> {
        let mut by_id = BTreeMap::new();
        for peer in addresses(peers) {
            let parsed = peer.split_once('-').filter(|(id, address)| {
                let port = address
                    .rsplit_once(':')
                    .map(|(_, port)| port.parse::<u16>());
                !id.is_empty() && matches!(port, Some(Ok(1..)))
            });
            let (id, address) = parsed.ok_or_else(|| PeersError::Syntax(peer.to_owned()))?;
            if by_id.insert(id.to_owned(), address.to_owned()).is_some() {
                return Err(PeersError::Twice(id.to_owned()));
            }
        }
        if ![1, 3, 5].contains(&by_id.len()) {
            return Err(PeersError::Count(by_id.len()));
        }
        let known = || by_id.keys().cloned().collect::<Vec<_>>().join(", ");
        let own = match own {
            Some(own) => own,
            None if by_id.len() == 1 => by_id.keys().next().map_or("", String::as_str),
            None => return Err(PeersError::Unnamed(known())),
        };
        let Some(place) = by_id.keys().position(|id| id == own) else {
            let id = own.to_owned();
            return Err(PeersError::Stranger { id, known: known() });
        };
        let all = by_id
            .into_iter()
            .map(|(id, address)| Member { id, address });
        Ok(Self {
            group: group.to_owned(),
            own: place as u64,
            all: (0..).zip(all).collect(),
        })
    }

    /// This controller.
    pub(crate) fn me(&self) -> &Member {
        static NOBODY: Member = Member {
            id: String::new(),
            address: String::new(),
        };
        self.all.get(&self.own).unwrap_or(&NOBODY)
    }

    /// All ids, for comparing.
    pub(crate) fn ids(&self) -> String {
        let ids: Vec<_> = self.all.values().map(|member| member.id.as_str()).collect();
        ids.join(";")
    }
}

/// As Apache lists them: `n0:host:port;n1:host:port;`.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for member in self.all.values() {
            write!(f, "{}:{};", member.id, member.address)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_have_the_same_places_whatever_their_order() {
        let one = Members::parse("g", "n1-h:2;n0-h:1; n2-h-x:3;", Some("n1")).unwrap();
        let other = Members::parse("g", "n2-h-x:3;n1-h:2;n0-h:1", Some("n1")).unwrap();
        assert_eq!(one, other);
        assert_eq!((one.own, one.me().address.as_str()), (1, "h:2"));
        assert_eq!(one.to_string(), "n0:h:1;n1:h:2;n2:h-x:3;");
        let alone = Members::parse("g", "n0-h:1", None).unwrap();
        assert_eq!(alone.ids(), "n0");
    }

    #[test]
    fn peers_that_make_no_group_are_refused() {
        let parse = |peers: &str, own: Option<&str>| Members::parse("g", peers, own).unwrap_err();
        assert_eq!(parse("n0-h:1;n1-h:2", Some("n0")), PeersError::Count(2));
        assert_eq!(parse("", None), PeersError::Count(0));
        assert!(matches!(parse("n0", None), PeersError::Syntax(_)));
        assert!(matches!(parse("n0-h:0", None), PeersError::Syntax(_)));
        assert!(matches!(parse("-h:1", None), PeersError::Syntax(_)));
        assert!(matches!(
            parse("a-h:1;a-h:2;b-h:3", None),
            PeersError::Twice(_)
        ));
        let three = "a-h:1;b-h:2;c-h:3";
        assert!(matches!(parse(three, None), PeersError::Unnamed(_)));
        assert!(matches!(
            parse(three, Some("d")),
            PeersError::Stranger { .. }
        ));
    }
}
