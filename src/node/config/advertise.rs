//! Which address clients are told, as `--advertise` writes it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::base::cidr::Cidr;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// `None`: the port the broker listens on.
    pub port: Option<u16>,
}

impl HostPort {
    /// With the port the broker listens on where none was written.
    pub(crate) fn with_port(&self, listening: u16) -> String {
        let port = self.port.unwrap_or(listening);
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => f.write_str(&self.with_port(port)),
            None => f.write_str(&self.host),
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address; write HOST or HOST:PORT");
        let is_address = text.parse::<IpAddr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_address => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or_else(wrong)?))
            }
            _ => (text, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let odd = |c: char| {
            c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']' | ';' | ',' | '=')
        };
        let good = (bare.is_none() || host.contains(':'))
            && !host.is_empty()
            && !host.contains(odd)
            && (!host.contains(':') || host.parse::<IpAddr>().is_ok());
        if !good {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// One part of `--advertise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertise {
    /// Each client is told the address it connected to.
    Auto,
    /// The node begins when it is told an address.
    Wait,
    /// Clients of this range are told this.
    Range(Cidr, HostPort),
    /// Everybody else is told this.
    Others(HostPort),
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "wait" => Ok(Self::Wait),
            _ => match text.split_once('=') {
                Some((range, address)) => Ok(Self::Range(range.parse()?, address.parse()?)),
                None => text.parse().map(Self::Others),
            },
        }
    }
}

/// What is advertised to whom, as far as it was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) ranges: Vec<(Cidr, HostPort)>,
    pub(crate) auto: bool,
    pub(crate) wait: bool,
    pub(crate) others: Option<HostPort>,
}

impl Told {
    pub(super) fn new(parts: &[Advertise]) -> Self {
        let mut told = Self::default();
        for part in parts {
            match part {
                Advertise::Auto => told.auto = true,
                Advertise::Wait => told.wait = true,
                Advertise::Range(range, address) => told.ranges.push((*range, address.clone())),
                Advertise::Others(address) => told.others = Some(address.clone()),
            }
        }
        told
    }

    /// Whether clients of other machines are meant although the address for everybody does not say so.
    pub(super) fn reaches_out(&self, in_container: bool) -> bool {
        let mapped = self
            .others
            .as_ref()
            .is_some_and(|others| others.port.is_some());
        self.auto || self.wait || !self.ranges.is_empty() || (mapped && in_container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let shown = |text: &str| text.parse::<HostPort>().map(|address| address.to_string());
        for good in [
            "localhost",
            "localhost:32768",
            "10.0.0.5:1",
            "::1",
            "[::1]:99",
            "a-b.example:65535",
        ] {
            assert_eq!(shown(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            ":1",
            "a:0",
            "a:b",
            "a:70000",
            "http://a:1",
            "a b",
            "a;b:1",
            "[x]:1",
            "x::y:1",
        ] {
            assert!(shown(bad).is_err(), "{bad}");
        }
        assert_eq!("auto".parse(), Ok(Advertise::Auto));
        assert_eq!("wait".parse(), Ok(Advertise::Wait));
        assert!(matches!(
            "10.0.0.0/8=a:1".parse(),
            Ok(Advertise::Range(_, _))
        ));
        assert!("10.0.0.0/40=a:1".parse::<Advertise>().is_err());
        let parts = ["10.0.0.0/8=a:1", "auto", "b"].map(|part| part.parse().unwrap());
        let told = Told::new(&parts);
        assert_eq!((told.ranges.len(), told.auto, told.wait), (1, true, false));
        assert_eq!(told.others.unwrap().with_port(7), "b:7");
    }
}
