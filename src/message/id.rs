//! Message ids: the one that names a place in a commit log, and the one a client makes.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::cursor::Cursor;
use crate::base::LogOffset;

/// Writes `bytes` as upper-case hex.
fn hex_upper(out: &mut String, bytes: &[u8]) {
    // By hand: ids are made for every message, and the formatting machinery would be most of their cost.
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0'.wrapping_add(nibble),
        _ => (b'A' - 10).wrapping_add(nibble),
    };
    for eight in bytes.chunks(8) {
        let mut text = [b'0'; 16];
        for (place, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(eight) {
            *place = [digit(byte >> 4), digit(byte & 0xF)];
        }
        let used = text.get(..eight.len().saturating_mul(2));
        let text = used.and_then(|text| std::str::from_utf8(text).ok());
        out.push_str(text.unwrap_or_default());
    }
}

/// The offset message id: store host address, port (4 bytes) and log offset (8 bytes) as upper-case hex; 32 digits
/// for IPv4, 56 for IPv6 (`MessageDecoder.createMessageId`).
pub fn offset_message_id(store_host: SocketAddr, offset: LogOffset) -> String {
    let mut id = String::with_capacity(56);
    push_offset_message_id(&mut id, store_host, offset);
    id
}

/// Appends an offset message id to `out`.
pub fn push_offset_message_id(out: &mut String, store_host: SocketAddr, offset: LogOffset) {
    match store_host.ip() {
        IpAddr::V4(ip) => hex_upper(out, &ip.octets()),
        IpAddr::V6(ip) => hex_upper(out, &ip.octets()),
    }
    hex_upper(out, &u32::from(store_host.port()).to_be_bytes());
    hex_upper(out, &offset.get().to_be_bytes());
}

/// Reads an offset message id; `None` if it is of another form (a client's id has the same length, so a well-formed
/// answer is no proof that the message exists).
pub fn parse_offset_message_id(id: &str) -> Option<(SocketAddr, LogOffset)> {
    let is_v6 = match id.len() {
        32 => false,
        56 => true,
        _ => return None,
    };
    let digits: Vec<u8> = id
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [high, low] => Some((high << 4) | low),
            _ => None,
        })
        .collect();
    let mut cursor = Cursor::new(&bytes);
    let host = cursor.host(is_v6)?;
    Some((host, LogOffset::from_wire(cursor.i64()?)?))
}

/// Makes client message ids (`UNIQ_KEY`): address, pid (2 bytes), a hash of this maker (4), milliseconds since the
/// start of the month (4), counter (2), as upper-case hex (`MessageClientIDSetter`).
#[derive(Debug)]
pub struct UniqIds {
    prefix: String,
    counter: AtomicU32,
}

impl UniqIds {
    /// A maker for a process at `ip` with process id `pid`; `seed` tells makers of one process apart.
    pub fn new(ip: IpAddr, pid: u32, seed: u32) -> Self {
        let mut prefix = String::with_capacity(44);
        match ip {
            IpAddr::V4(ip) => hex_upper(&mut prefix, &ip.octets()),
            IpAddr::V6(ip) => hex_upper(&mut prefix, &ip.octets()),
        }
        let [_, _, pid_high, pid_low] = pid.to_be_bytes();
        hex_upper(&mut prefix, &[pid_high, pid_low]);
        hex_upper(&mut prefix, &seed.to_be_bytes());
        Self {
            prefix,
            counter: AtomicU32::new(0),
        }
    }

    /// The next id. `ms_since_month_start` need not be exact, only not far off: the counter makes ids differ within
    /// one millisecond.
    pub fn next(&self, ms_since_month_start: u32) -> String {
        let mut id = String::with_capacity(56);
        self.push_next(&mut id, ms_since_month_start);
        id
    }

    /// Appends the next id to `out`.
    pub fn push_next(&self, out: &mut String, ms_since_month_start: u32) {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = count.to_be_bytes();
        out.push_str(&self.prefix);
        hex_upper(out, &ms_since_month_start.to_be_bytes());
        hex_upper(out, &[high, low]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_ids_round_trip() {
        let host: SocketAddr = "127.0.0.1:10911".parse().unwrap();
        let id = offset_message_id(host, LogOffset::new(0x1234));
        assert_eq!(id, "7F00000100002A9F0000000000001234");
        assert_eq!(
            parse_offset_message_id(&id),
            Some((host, LogOffset::new(0x1234)))
        );
        let host: SocketAddr = "[::1]:10911".parse().unwrap();
        let id = offset_message_id(host, LogOffset::new(7));
        assert_eq!(
            (id.len(), parse_offset_message_id(&id)),
            (56, Some((host, LogOffset::new(7))))
        );
    }

    #[test]
    fn other_texts_are_no_ids() {
        assert_eq!(parse_offset_message_id("7F"), None);
        assert_eq!(parse_offset_message_id(&"é".repeat(16)), None);
        assert_eq!(parse_offset_message_id(&"F".repeat(32)), None);
    }

    #[test]
    fn uniq_ids_differ_within_a_millisecond() {
        let ids = UniqIds::new("10.0.0.1".parse().unwrap(), 0x1_2345, 0xABCD);
        let (first, second) = (ids.next(5), ids.next(5));
        assert_eq!(first, "0A00000123450000ABCD000000050000");
        assert_eq!(second, "0A00000123450000ABCD000000050001");
    }
}
