//! The stored record: what one message is in the commit log and in a pull answer (`MessageDecoder`).
//!
//! | bytes | field |
//! |---|---|
//! | 4 | record length, everything included |
//! | 4 | magic: [`MAGIC_V1`], or [`MAGIC_V2`] when the topic length takes two bytes |
//! | 4 | CRC-32 of the stored body, top bit cleared; 0 for an empty body |
//! | 4, 4 | queue id, application flag |
//! | 8, 8 | queue offset, physical offset |
//! | 4, 8, 8 or 20 | sysFlag, born timestamp, born host |
//! | 8, 8 or 20 | store timestamp, store host |
//! | 4, 8 | reconsume times, offset of the half message |
//! | 4 + n | body |
//! | 1 or 2 + n | topic |
//! | 2 + n | properties |

use std::net::{IpAddr, SocketAddr};
use std::str;

use super::cursor::Cursor;
use super::id::offset_message_id;
use super::properties::{self, Properties};
use super::sysflag;
use crate::base::LogOffset;

/// Marks a record whose topic length takes one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Marks a record whose topic length takes two bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Marks the filler at the end of a commit-log file; the length before it counts the bytes left in the file.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;

/// Where the queue offset lies in a record. Left open by [`Draft::encode_into`].
pub const QUEUE_OFFSET_AT: usize = 20;
/// Where the physical offset lies in a record. Left open by [`Draft::encode_into`].
pub const PHYSICAL_OFFSET_AT: usize = 28;
/// Bytes of an end-of-file filler: length and magic.
pub const BLANK_BYTES: usize = 8;
/// The shortest possible record: IPv4 hosts, no body, no topic, no properties.
pub const MIN_BYTES: usize = 91;

const BORN_HOST_AT: usize = 48;

/// Where the store timestamp lies in a record with these flags. Left open by [`Draft::encode_into`].
pub const fn store_timestamp_at(sys_flag: i32) -> usize {
    if sys_flag & sysflag::BORN_HOST_V6 == 0 {
        BORN_HOST_AT + 8
    } else {
        BORN_HOST_AT + 20
    }
}

/// Why bytes are not a record, or a draft cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the length field says, or than any record has.
    #[error("record needs {needed} bytes, {have} are there")]
    Short {
        /// Bytes the record claims.
        needed: u64,
        /// Bytes given.
        have: usize,
    },
    /// Neither of the two record magics.
    #[error("magic {found:#010x} is not a record's")]
    Magic {
        /// What stands in its place.
        found: u32,
    },
    /// The length field is smaller than any record or does not equal the sum of the parts.
    #[error("record length {size} does not add up: {part}")]
    Length {
        /// The length field.
        size: u32,
        /// The part that does not fit.
        part: &'static str,
    },
    /// Topic is not UTF-8.
    #[error("topic is not UTF-8")]
    Topic,
    /// A part of a draft is larger than the format can hold.
    #[error("{part} has {size} bytes, the limit is {max}")]
    TooLarge {
        /// "body", "topic", "properties", or the whole "record".
        part: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
}

/// One stored message, borrowed from the bytes it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Length in bytes, everything included.
    pub size: u32,
    /// [`MAGIC_V1`] or [`MAGIC_V2`].
    pub magic: u32,
    /// CRC-32 of the stored body with the top bit cleared.
    pub body_crc: u32,
    /// The queue, within its topic.
    pub queue_id: i32,
    /// Free for the application.
    pub flag: i32,
    /// Number of the message in its queue.
    pub queue_offset: i64,
    /// Position in the commit log.
    pub physical_offset: i64,
    /// See [`sysflag`].
    pub sys_flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker.
    pub store_host: SocketAddr,
    /// How often consumers gave it back.
    pub reconsume_times: i32,
    /// Physical offset of the half message this one commits, else 0.
    pub prepared_transaction_offset: i64,
    /// The body as stored (perhaps compressed).
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// The properties.
    pub properties: Properties<'a>,
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, which may go on behind it. The body's checksum is not looked at
    /// (see [`Record::crc_ok`]), and the physical offset is not compared with anything.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let short = |needed: u64| RecordError::Short {
            needed,
            have: bytes.len(),
        };
        let mut head = Cursor::new(bytes);
        let (Some(size), Some(magic)) = (head.u32(), head.u32()) else {
            return Err(short(BLANK_BYTES as u64));
        };
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(RecordError::Magic { found: magic });
        }
        if (size as usize) < MIN_BYTES {
            return Err(RecordError::Length {
                size,
                part: "shorter than any record",
            });
        }
        let whole = bytes
            .get(..size as usize)
            .ok_or_else(|| short(u64::from(size)))?;
        let mut rest = Cursor::new(whole);
        rest.take(8).ok_or_else(|| short(u64::from(size)))?;
        let record = Self::parse_parts(size, magic, &mut rest)?;
        if rest.remaining() != 0 {
            return Err(RecordError::Length {
                size,
                part: "bytes left over",
            });
        }
        Ok(record)
    }

    /// Whether `bytes` begin as a record of just their length does. Eight bytes are looked at, so this is cheap enough
    /// for every message that is served.
    pub fn begins(bytes: &[u8]) -> bool {
        let mut head = Cursor::new(bytes);
        let size_fits = head.u32().is_some_and(|size| size as usize == bytes.len());
        size_fits && matches!(head.u32(), Some(MAGIC_V1 | MAGIC_V2))
    }

    fn parse_parts(size: u32, magic: u32, rest: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let misfit = |part: &'static str| move || RecordError::Length { size, part };
        let fixed = misfit("fixed part");
        let body_crc = rest.u32().ok_or_else(fixed)?;
        let queue_id = rest.i32().ok_or_else(fixed)?;
        let flag = rest.i32().ok_or_else(fixed)?;
        let queue_offset = rest.i64().ok_or_else(fixed)?;
        let physical_offset = rest.i64().ok_or_else(fixed)?;
        let sys_flag = rest.i32().ok_or_else(fixed)?;
        let born_timestamp = rest.i64().ok_or_else(fixed)?;
        let born_host = rest
            .host(sys_flag & sysflag::BORN_HOST_V6 != 0)
            .ok_or_else(misfit("born host"))?;
        let store_timestamp = rest.i64().ok_or_else(fixed)?;
        let store_host = rest
            .host(sys_flag & sysflag::STORE_HOST_V6 != 0)
            .ok_or_else(misfit("store host"))?;
        let reconsume_times = rest.i32().ok_or_else(fixed)?;
        let prepared_transaction_offset = rest.i64().ok_or_else(fixed)?;
        let body_size = rest.u32().ok_or_else(misfit("body length"))?;
        let body = rest.take(body_size as usize).ok_or_else(misfit("body"))?;
        let topic_size = if magic == MAGIC_V2 {
            rest.u16().map(usize::from)
        } else {
            rest.u8().map(usize::from)
        };
        let topic = rest
            .take(topic_size.ok_or_else(misfit("topic length"))?)
            .ok_or_else(misfit("topic"))?;
        let topic = str::from_utf8(topic).map_err(|_| RecordError::Topic)?;
        let properties_size = rest
            .i16()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(misfit("properties length"))?;
        let properties = Properties::new(
            rest.take(properties_size)
                .ok_or_else(misfit("properties"))?,
        );
        Ok(Self {
            size,
            magic,
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic,
            properties,
        })
    }

    /// The same message for another place: everything kept but topic, queue and properties. It commits no half message.
    pub fn draft_for<'d>(&self, topic: &'d str, queue_id: i32, properties: &'d [u8]) -> Draft<'d>
    where
        'a: 'd,
    {
        Draft {
            topic,
            queue_id,
            flag: self.flag,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            born_host: self.born_host,
            store_host: self.store_host,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: 0,
            body: self.body,
            properties,
        }
    }

    /// Whether the body is the one that was stored.
    pub fn crc_ok(&self) -> bool {
        body_crc(self.body) == self.body_crc
    }

    /// The id that names this record's place: store host and physical offset. An offset below zero, which no broker
    /// writes, counts as zero.
    pub fn offset_message_id(&self) -> String {
        offset_message_id(
            self.store_host,
            LogOffset::from_wire(self.physical_offset).unwrap_or_default(),
        )
    }
}

/// The checksum a record holds for its body: CRC-32 with the top bit cleared (`UtilAll.crc32`).
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// A record to be written. The places for queue offset, physical offset and store timestamp stay open: only the one
/// who appends knows them.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The queue, within its topic.
    pub queue_id: i32,
    /// Free for the application.
    pub flag: i32,
    /// See [`sysflag`]; the two bits for address lengths are set from the hosts.
    pub sys_flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer is.
    pub born_host: SocketAddr,
    /// This broker.
    pub store_host: SocketAddr,
    /// How often consumers gave it back.
    pub reconsume_times: i32,
    /// Physical offset of the half message this one commits, else 0.
    pub prepared_transaction_offset: i64,
    /// The body as it is to be stored.
    pub body: &'a [u8],
    /// The properties in stored form.
    pub properties: &'a [u8],
}

/// What [`Draft::encode_into`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Length of the record in bytes.
    pub size: u32,
    /// The flags as written, from which [`store_timestamp_at`] follows.
    pub sys_flag: i32,
}

impl Draft<'_> {
    /// Appends the record to `out`, with the three open fields zero. On an error `out` is as it was.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<Encoded, RecordError> {
        let too_large = |part, size, max| RecordError::TooLarge { part, size, max };
        let long_topic = self.topic.len() > i8::MAX as usize;
        let topic_size = i16::try_from(self.topic.len())
            .map_err(|_| too_large("topic", self.topic.len(), i16::MAX as usize))?;
        let properties_size = i16::try_from(self.properties.len())
            .map_err(|_| too_large("properties", self.properties.len(), properties::MAX_BYTES))?;
        let body_max = i32::MAX as usize / 2;
        let body_size = u32::try_from(self.body.len())
            .ok()
            .filter(|&size| size as usize <= body_max)
            .ok_or_else(|| too_large("body", self.body.len(), body_max))?;

        let sys_flag = sysflag::with_hosts(self.sys_flag, &self.born_host, &self.store_host);
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(if long_topic { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
        out.extend_from_slice(&body_crc(self.body).to_be_bytes());
        out.extend_from_slice(&self.queue_id.to_be_bytes());
        out.extend_from_slice(&self.flag.to_be_bytes());
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&sys_flag.to_be_bytes());
        out.extend_from_slice(&self.born_timestamp.to_be_bytes());
        put_host(out, self.born_host);
        out.extend_from_slice(&[0; 8]);
        put_host(out, self.store_host);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared_transaction_offset.to_be_bytes());
        out.extend_from_slice(&body_size.to_be_bytes());
        out.extend_from_slice(self.body);
        if long_topic {
            out.extend_from_slice(&topic_size.to_be_bytes());
        } else {
            let [_, low] = topic_size.to_be_bytes();
            out.push(low);
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&properties_size.to_be_bytes());
        out.extend_from_slice(self.properties);

        // All parts were bounded above, so their sum fits; the fallback cannot be taken.
        let size = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *place = size.to_be_bytes();
        }
        Ok(Encoded { size, sys_flag })
    }
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// Fills in the three open fields of a record. `record` is the whole record; a shorter slice stays as it is, which
/// the store asserts before it writes.
pub fn patch(
    record: &mut [u8],
    sys_flag: i32,
    queue_offset: i64,
    physical_offset: i64,
    store_timestamp: i64,
) {
    let mut put = |at: usize, value: i64| {
        if let Some(place) = record.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *place = value.to_be_bytes();
        }
    };
    put(QUEUE_OFFSET_AT, queue_offset);
    put(PHYSICAL_OFFSET_AT, physical_offset);
    put(store_timestamp_at(sys_flag), store_timestamp);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft<'a>(
        topic: &'a str,
        body: &'a [u8],
        properties: &'a [u8],
        born_host: &str,
    ) -> Draft<'a> {
        Draft {
            topic,
            queue_id: 3,
            flag: -5,
            sys_flag: 0,
            born_timestamp: 1_700_000_000_000,
            born_host: born_host.parse().unwrap(),
            store_host: "127.0.0.1:10911".parse().unwrap(),
            reconsume_times: 1,
            prepared_transaction_offset: 77,
            body,
            properties,
        }
    }

    #[test]
    fn encodes_and_parses() {
        let mut bytes = vec![9, 9];
        let encoded = draft("Topic", b"hello", b"TAGS\x01a\x02", "10.0.0.1:5000")
            .encode_into(&mut bytes)
            .unwrap();
        let record_bytes = &mut bytes[2..];
        assert_eq!(record_bytes.len(), encoded.size as usize);
        patch(record_bytes, encoded.sys_flag, 11, 4096, 1_700_000_000_001);
        let record = Record::parse(record_bytes).unwrap();
        assert_eq!(
            (record.magic, record.queue_id, record.flag),
            (MAGIC_V1, 3, -5)
        );
        assert_eq!((record.queue_offset, record.physical_offset), (11, 4096));
        assert_eq!(record.store_timestamp, 1_700_000_000_001);
        assert_eq!(record.born_host, "10.0.0.1:5000".parse().unwrap());
        assert_eq!((record.topic, record.body), ("Topic", &b"hello"[..]));
        assert_eq!(record.properties.get("TAGS"), Some("a"));
        assert!(record.crc_ok());
    }

    #[test]
    fn long_topics_and_v6_hosts_change_the_layout() {
        let topic = "t".repeat(200);
        let mut bytes = Vec::new();
        let encoded = draft(&topic, b"x", b"", "[::1]:7")
            .encode_into(&mut bytes)
            .unwrap();
        patch(&mut bytes, encoded.sys_flag, 1, 2, 3);
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(
            (record.magic, record.topic, record.store_timestamp),
            (MAGIC_V2, topic.as_str(), 3)
        );
        assert_eq!(record.sys_flag, sysflag::BORN_HOST_V6);
    }

    #[test]
    fn the_smallest_record_has_the_smallest_size() {
        let mut bytes = Vec::new();
        draft("", b"", b"", "1.2.3.4:5")
            .encode_into(&mut bytes)
            .unwrap();
        assert_eq!(bytes.len(), MIN_BYTES);
        assert_eq!(Record::parse(&bytes).unwrap().body_crc, 0);
    }

    #[test]
    fn oversized_properties_are_refused() {
        let mut bytes = Vec::new();
        let error = draft("T", b"", &vec![b'a'; 32_768], "1.2.3.4:5")
            .encode_into(&mut bytes)
            .unwrap_err();
        assert_eq!(
            error,
            RecordError::TooLarge {
                part: "properties",
                size: 32_768,
                max: 32_767
            }
        );
        assert!(bytes.is_empty());
    }

    proptest! {
        #[test]
        fn damaged_records_never_panic(at in 0_usize..140, value in any::<u8>(), cut in 0_usize..200) {
            let mut bytes = Vec::new();
            draft("Topic", b"some body that is long enough", b"TAGS\x01a\x02", "10.0.0.1:5000").encode_into(&mut bytes).unwrap();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            if let Ok(record) = Record::parse(&bytes) {
                prop_assert!(record.size as usize <= bytes.len());
            }
        }
    }
}
