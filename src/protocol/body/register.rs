//! A broker's registration, in its plain and its compressed form.
//!
//! The compressed form is a zlib stream: length-prefixed data version, topic count, one length-prefixed line
//! for each topic, length-prefixed filter server list, and from 5.0 on the count and length-prefixed JSON of
//! the queue mappings.
//!
//! Absent on purpose: a guess when the header contradicts the body. Apache 5.5.0 with `compressedRegister`
//! says `compressed=false` and sends this form; no name server understands that, ours included.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::topic_config::{TopicConfig, TopicConfigAndMappingSerializeWrapper};
use crate::protocol::fastjson;

/// `REGISTER_BROKER` (103).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RegisterBrokerBody {
    /// Always empty in practice.
    pub filter_server_list: Vec<String>,
    /// The broker's topics.
    pub topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper,
}

/// Why a compressed registration is refused.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Not a zlib stream, cut short, or longer than the limit.
    #[error("bad compressed registration: {0}")]
    Stream(#[from] io::Error),
    /// A length in the stream is negative or too large.
    #[error("bad length {0} in a compressed registration")]
    Length(i32),
    /// A topic line that is none.
    #[error("bad topic line {0:?} in a compressed registration")]
    Topic(String),
    /// A part is not the JSON it should be.
    #[error(transparent)]
    Body(#[from] fastjson::BodyError),
}

/// The first release that sends queue mappings (`V5_0_0`).
const VERSION_WITH_MAPPINGS: i32 = 413;

/// No part of a registration is longer; a length past it is hostile.
const PART_MAX: usize = 16 * 1024 * 1024;

/// No registration is longer once unpacked: a frame's worth of zlib could hold gigabytes.
const UNPACKED_MAX: u64 = 256 * 1024 * 1024;

impl RegisterBrokerBody {
    /// The CRC-32 that stands in the header as `bodyCrc32`: its top bit is cleared.
    pub fn crc(body: &[u8]) -> i32 {
        (crc32fast::hash(body) & 0x7fff_ffff).cast_signed()
    }

    /// Reads the compressed form, as a broker of `version` writes it.
    pub fn decode_compressed(body: &[u8], version: i32) -> Result<Self, RegisterError> {
        let mut stream = ZlibDecoder::new(body).take(UNPACKED_MAX);
        let mut register = Self::default();
        let wrapper = &mut register.topic_config_serialize_wrapper;
        wrapper.data_version = fastjson::from_slice(&read_part(&mut stream)?)?;
        for _ in 0..read_count(&mut stream)? {
            let line = read_part(&mut stream)?;
            let line = String::from_utf8_lossy(&line);
            let topic = TopicConfig::from_line(&line)
                .ok_or_else(|| RegisterError::Topic(line.into_owned()))?;
            let name = topic.topic_name.clone();
            wrapper.topic_config_table.insert(name, topic);
        }
        register.filter_server_list = fastjson::from_slice(&read_part(&mut stream)?)?;
        if version >= VERSION_WITH_MAPPINGS {
            for _ in 0..read_count(&mut stream)? {
                let mapping: Value = fastjson::from_slice(&read_part(&mut stream)?)?;
                let topic = mapping.get("topic").and_then(Value::as_str);
                let topic = topic.unwrap_or_default().to_owned();
                let mappings = &mut wrapper.topic_queue_mapping_info_map;
                mappings.insert(topic, mapping);
            }
        }
        Ok(register)
    }

    /// Writes the compressed form of 5.x.
    pub fn encode_compressed(&self) -> Result<Vec<u8>, RegisterError> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::best());
        write_part(&mut stream, &fastjson::to_wire(&wrapper.data_version)?)?;
        write_count(&mut stream, wrapper.topic_config_table.len())?;
        for topic in wrapper.topic_config_table.values() {
            write_part(&mut stream, topic.to_line().as_bytes())?;
        }
        write_part(&mut stream, &fastjson::to_wire(&self.filter_server_list)?)?;
        write_count(&mut stream, wrapper.topic_queue_mapping_info_map.len())?;
        for mapping in wrapper.topic_queue_mapping_info_map.values() {
            write_part(&mut stream, &fastjson::to_wire(mapping)?)?;
        }
        Ok(stream.finish()?)
    }
}

fn read_count(stream: &mut impl Read) -> Result<usize, RegisterError> {
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    let count = i32::from_be_bytes(word);
    usize::try_from(count).map_err(|_| RegisterError::Length(count))
}

fn read_part(stream: &mut impl Read) -> Result<Vec<u8>, RegisterError> {
    let length = read_count(stream)?;
    if length > PART_MAX {
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        return Err(RegisterError::Length(length));
    }
    // The length is a stranger's word: memory grows only with the bytes that are really there.
    let limit = u64::try_from(length).unwrap_or_default();
    let mut part = Vec::new();
    if stream.take(limit).read_to_end(&mut part)? < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(part)
}

fn write_count(stream: &mut impl Write, count: usize) -> io::Result<()> {
    let count = i32::try_from(count).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&count.to_be_bytes())
}

fn write_part(stream: &mut impl Write, part: &[u8]) -> io::Result<()> {
    write_count(stream, part.len())?;
    stream.write_all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> RegisterBrokerBody {
        let topic = TopicConfig {
            topic_name: "t".to_owned(),
            ..TopicConfig::default()
        };
        let mut body = RegisterBrokerBody::default();
        let wrapper = &mut body.topic_config_serialize_wrapper;
        wrapper.data_version.counter = 3;
        wrapper.topic_config_table.insert("t".to_owned(), topic);
        wrapper
            .topic_queue_mapping_info_map
            .insert("s".to_owned(), serde_json::json!({"topic": "s"}));
        body
    }

    #[test]
    fn compressed_round_trip() {
        let body = sample();
        let packed = body.encode_compressed().unwrap();
        assert_eq!(
            RegisterBrokerBody::decode_compressed(&packed, 513).unwrap(),
            body
        );
        let old = RegisterBrokerBody::decode_compressed(&packed, 401).unwrap();
        assert!(
            old.topic_config_serialize_wrapper
                .topic_queue_mapping_info_map
                .is_empty()
        );
    }

    #[test]
    fn damage_is_an_error() {
        let packed = sample().encode_compressed().unwrap();
        for cut in 0..packed.len() - 4 {
            let cut = packed.get(..cut).unwrap();
            assert!(RegisterBrokerBody::decode_compressed(cut, 513).is_err());
        }
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::fast());
        stream.write_all(&i32::MAX.to_be_bytes()).unwrap();
        let huge = stream.finish().unwrap();
        assert!(matches!(
            RegisterBrokerBody::decode_compressed(&huge, 513),
            Err(RegisterError::Length(i32::MAX))
        ));
    }
}
