//! Compressed bodies: what clients do to large ones. The broker never looks inside.

use std::io::{Read, Write};

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

/// Packs a body with zlib, as clients do by default. `level` is zlib's 0 to 9.
pub fn compress_zlib(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder =
        flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level.min(9)));
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_round_trips_and_is_bounded() {
        let body = vec![b'a'; 10_000];
        let packed = compress_zlib(&body, 5);
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
}
