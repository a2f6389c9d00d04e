//! The bits of a record's `sysFlag` (`MessageSysFlag`).

use std::net::SocketAddr;

/// The body is compressed; see [`compression`].
pub const COMPRESSED: i32 = 0x1;
/// The message has more than one tag.
pub const MULTI_TAGS: i32 = 0x2;
/// A half message, not yet committed. Also the mask's lower bit.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// A committed transactional message.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// A rolled-back transactional message. Also the mask of both transaction bits.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// `bornHost` has 16 address bytes.
pub const BORN_HOST_V6: i32 = 0x10;
/// `storeHost` has 16 address bytes.
pub const STORE_HOST_V6: i32 = 0x20;
/// Consumers must unwrap an inner batch.
pub const NEED_UNWRAP: i32 = 0x40;
/// The record is an inner batch.
pub const INNER_BATCH: i32 = 0x80;
/// The three bits that hold the compression type.
pub const COMPRESSION_MASK: i32 = 0x700;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// LZ4 (frame format).
    Lz4,
    /// Zstandard.
    Zstd,
    /// zlib; also what clients before 5.0 mean when they set no type.
    Zlib,
}

/// The compression of a body with these flags; `None` when it is plain or of an unknown type.
pub const fn compression(sys_flag: i32) -> Option<Compression> {
    if sys_flag & COMPRESSED == 0 {
        return None;
    }
    match (sys_flag & COMPRESSION_MASK) >> 8 {
        1 => Some(Compression::Lz4),
        2 => Some(Compression::Zstd),
        0 | 3 => Some(Compression::Zlib),
        _ => None,
    }
}

/// The flags of a body compressed like this, the type spelled out as clients since 5.0 do.
pub const fn compressed_with(method: Compression) -> i32 {
    let kind = match method {
        Compression::Lz4 => 1,
        Compression::Zstd => 2,
        Compression::Zlib => 3,
    };
    COMPRESSED | kind << 8
}

/// The transaction bits alone: 0, prepared, commit or rollback.
pub const fn transaction(sys_flag: i32) -> i32 {
    sys_flag & TRANSACTION_ROLLBACK
}

/// `sys_flag` with the two address-length bits set as these hosts need them.
pub const fn with_hosts(sys_flag: i32, born_host: &SocketAddr, store_host: &SocketAddr) -> i32 {
    let mut flag = sys_flag & !(BORN_HOST_V6 | STORE_HOST_V6);
    if born_host.is_ipv6() {
        flag |= BORN_HOST_V6;
    }
    if store_host.is_ipv6() {
        flag |= STORE_HOST_V6;
    }
    flag
}
