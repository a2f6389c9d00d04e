//! Compressed bodies: what clients do to large ones. The broker never looks inside.

use std::io::{Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use ruzstd::encoding::CompressionLevel;

use super::sysflag::{self, Compression};

/// Why a body cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// The unpacked body is larger than the caller allows.
    #[error("the unpacked body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The packed bytes are damaged.
    #[error("the compressed body is damaged")]
    Damaged(#[source] std::io::Error),
    /// A kind of compression this program cannot unpack.
    #[error("bodies compressed with {0} cannot be unpacked here")]
    Unsupported(&'static str),
}

/// Unpacks a stored body as its `sysFlag` says; a plain body comes back as it is. Never returns, nor holds, more than
/// `limit` bytes, whatever the packed form claims.
pub fn decompress(sys_flag: i32, body: &[u8], limit: usize) -> Result<Vec<u8>, CompressError> {
    match sysflag::compression(sys_flag) {
        None if sys_flag & sysflag::COMPRESSED != 0 => {
            Err(CompressError::Unsupported("an unknown method"))
        }
        None => Ok(body.to_vec()),
        Some(Compression::Zlib) => unpack(flate2::read::ZlibDecoder::new(body), limit),
        Some(Compression::Lz4) => {
            let plain = unpack(lz4_flex::frame::FrameDecoder::new(body), limit)?;
            // Its decoder takes a header that is cut short for the end, and nobody packs nothing.
            if plain.is_empty() {
                let cut_short = std::io::ErrorKind::UnexpectedEof;
                return Err(CompressError::Damaged(cut_short.into()));
            }
            Ok(plain)
        }
        Some(Compression::Zstd) => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(body)
                .map_err(|error| CompressError::Damaged(std::io::Error::other(error)))?;
            unpack(decoder, limit)
        }
    }
}

fn unpack(packed: impl Read, limit: usize) -> Result<Vec<u8>, CompressError> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    packed
        .take(most)
        .read_to_end(&mut out)
        .map_err(CompressError::Damaged)?;
    if out.len() > limit {
        return Err(CompressError::TooLarge { limit });
    }
    Ok(out)
}

/// zlib's level in Apache's clients (`rocketmq.message.compressLevel`).
const ZLIB_LEVEL: u32 = 5;

/// Packs a body as clients do; the record's `sysFlag` must say how ([`sysflag::compressed_with`]).
///
/// LZ4 and Zstandard bodies are frames, which is what Apache's clients since 5.0 write and read.
pub fn compress(method: Compression, body: &[u8]) -> Vec<u8> {
    match method {
        Compression::Zlib => {
            let level = flate2::Compression::new(ZLIB_LEVEL);
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            // Writing to a Vec cannot fail.
            let _ = encoder.write_all(body);
            encoder.finish().unwrap_or_default()
        }
        Compression::Lz4 => {
            // Java's reader takes frames of independent blocks only.
            let info = FrameInfo::new()
                .block_mode(BlockMode::Independent)
                .block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            let _ = encoder.write_all(body);
            encoder.finish().unwrap_or_default()
        }
        Compression::Zstd => ruzstd::encoding::compress_to_vec(body, CompressionLevel::Fastest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_round_trips_and_is_bounded() {
        let body = vec![b'a'; 10_000];
        let packed = compress(Compression::Zlib, &body);
        assert!(packed.len() < 100);
        assert_eq!(
            decompress(sysflag::COMPRESSED, &packed, 10_000).unwrap(),
            body
        );
        assert!(matches!(
            decompress(sysflag::COMPRESSED, &packed, 9_999),
            Err(CompressError::TooLarge { limit: 9_999 })
        ));
        assert!(matches!(
            decompress(sysflag::COMPRESSED, b"junk", 9),
            Err(CompressError::Damaged(_))
        ));
    }
    #[test]
    fn every_method_gives_the_body_back() {
        let mut noise = 1_u32;
        let mut random = |_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        let text = br#"{"id":42,"state":"paid","text":"a line like many others"}"#.repeat(5_000);
        let bodies = [
            vec![b'x'],
            vec![0; 300_000],
            (0..200_000).map(&mut random).collect::<Vec<u8>>(),
            text,
        ];
        for method in [Compression::Zlib, Compression::Lz4, Compression::Zstd] {
            for body in &bodies {
                let packed = compress(method, body);
                let flag = sysflag::compressed_with(method);
                let plain = decompress(flag, &packed, body.len()).unwrap();
                assert!(plain == *body, "{method:?} of {} bytes", body.len());
            }
        }
    }
}
