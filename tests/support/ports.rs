//! Ports that a node keeps across restarts, or that nobody listens on.
//!
//! A port that was bound with 0 and closed again may be anybody's a moment later: another test's, or that of an outgoing
//! connection. These lie below the range that systems give such connections, and a UDP socket of the same number, which
//! no node uses, keeps other tests away.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the ephemeral ports of Linux (32768), macOS and Windows (49152).
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Ports in a row, held for this test until dropped.
pub struct Ports {
    first: u16,
    _held: Vec<UdpSocket>,
}

impl Ports {
    /// So many ports in a row that nobody uses.
    pub fn reserve(count: u16) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let spread = now.subsec_nanos() ^ std::process::id().wrapping_mul(2_654_435_761);
        let length = u32::from(RANGE.end - RANGE.start - count);
        for step in 0..length {
            let offset = (spread % length + step * u32::from(count)) % length;
            let first = RANGE.start + u16::try_from(offset).unwrap();
            let held: Option<Vec<_>> = (first..first + count).map(hold).collect();
            if let Some(held) = held {
                return Self { first, _held: held };
            }
        }
        panic!("no {count} free ports in a row");
    }

    /// One port.
    pub fn one() -> Self {
        Self::reserve(1)
    }

    /// The first of them.
    pub fn first(&self) -> u16 {
        self.first
    }
}

fn hold(port: u16) -> Option<UdpSocket> {
    let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
    Some(held)
}
