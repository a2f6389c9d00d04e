//! Nothing that recovery cuts or overwrites is lost: it is saved beside the store first.

use std::path::Path;

use super::error::StoreError;
use super::layout;
use super::segment::Segment;
use crate::message::record::{self, Draft};
use crate::message::sysflag;
use crate::sys::platform;

/// The directory, within the store directory, that saved bytes go to.
pub(crate) const DIR: &str = ".rmq-cut";

const CHUNK: usize = 1 << 20;
/// The topic of the records that take a damaged stretch's place.
const TOPIC: &str = "RMQ_DAMAGED";
/// Placeholders are no longer than a usual message, because readers hold one in memory.
const PLACEHOLDER_MAX: u64 = 1 << 20;

/// Saves the bytes of the log from `from` to `to`, without the zeros at their end, in a file that is named by
/// log file, position and count. Returns how many; `None` when all were zero.
pub(crate) fn save(
    segment: &Segment,
    from: u64,
    to: u64,
    dir: &Path,
) -> Result<Option<u64>, StoreError> {
    let reading = || StoreError::io("read", segment.path());
    let place = |at: u64| usize::try_from(at - segment.base()).unwrap_or(usize::MAX);
    let (from_place, to_place) = (place(from), place(to));
    let mut end = from_place;
    each_chunk(segment, from_place, to_place, |at, bytes| {
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            end = at + last + 1;
        }
        Ok(())
    })
    .map_err(reading())?;
    if end == from_place {
        return Ok(None);
    }
    let count = (end - from_place) as u64;
    std::fs::create_dir_all(dir).map_err(StoreError::io("make", dir))?;
    let name = layout::segment_name(segment.base());
    let path = dir.join(format!("{name}-at-{from}-bytes-{count}"));
    let saved = platform::open_write(&path).and_then(|file| {
        file.set_len(0)?;
        file.set_len(count)?;
        each_chunk(segment, from_place, end, |at, bytes| {
            platform::write_all_at(&file, bytes, (at - from_place) as u64)
        })?;
        file.sync_all()?;
        platform::sync_dir(dir)
    });
    saved.map_err(StoreError::io("save what is cut in", &path))?;
    Ok(Some(count))
}

/// Calls `each` with all stretches that may hold anything but zeros.
fn each_chunk(
    segment: &Segment,
    from: usize,
    to: usize,
    mut each: impl FnMut(usize, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(to.saturating_sub(from))];
    let mut at = from;
    while let Some(data) = segment.next_data(at).filter(|&data| data < to) {
        let want = CHUNK.min(to - data);
        let Some(bytes) = buffer.get_mut(..want) else {
            break;
        };
        let read = segment.read(data, bytes)?;
        if read == 0 {
            break;
        }
        each(data, bytes.get(..read).unwrap_or_default())?;
        at = data + read;
        if at >= to {
            break;
        }
    }
    Ok(())
}

/// Records that fill the stretch exactly and mean nothing to either broker; `None` when it is shorter than any record.
pub(crate) fn placeholders(from: u64, to: u64, store_timestamp_ms: i64) -> Option<Vec<u8>> {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut out = Vec::new();
    let mut at = from;
    while at < to {
        let left = to - at;
        // Never leaves a rest that no record fits into.
        let size = if left > 2 * PLACEHOLDER_MAX {
            PLACEHOLDER_MAX
        } else {
            left
        };
        let size = usize::try_from(size).ok()?;
        let room = size.checked_sub(record::MIN_BYTES)?;
        let topic = TOPIC.get(..room.min(TOPIC.len()))?;
        let start = out.len();
        let draft = Draft {
            topic,
            queue_id: 0,
            flag: 0,
            sys_flag: sysflag::TRANSACTION_ROLLBACK,
            born_timestamp: store_timestamp_ms,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &vec![0; room - topic.len()],
            properties: &[],
        };
        let encoded = draft.encode_into(&mut out).ok()?;
        let place = i64::try_from(at).ok()?;
        record::patch(
            out.get_mut(start..)?,
            encoded.sys_flag,
            0,
            place,
            store_timestamp_ms,
        );
        at += size as u64;
    }
    Some(out)
}

/// The filler at the end of a log file with this many bytes left; `None` when it does not fit.
pub(crate) fn blank(left: u64) -> Option<Vec<u8>> {
    let length = u32::try_from(left).ok().filter(|&left| left >= 8)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&record::MAGIC_BLANK.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Record;

    #[test]
    fn placeholders_fill_exactly() {
        for len in [91, 92, 101, 102, 103, 5000, 3 << 20, (2 << 20) + 1] {
            let bytes = placeholders(1000, 1000 + len, 7).unwrap();
            assert_eq!(bytes.len() as u64, len);
            let mut at = 0;
            while at < bytes.len() {
                let record = Record::parse(&bytes[at..]).unwrap();
                assert!(record.crc_ok());
                assert_eq!(record.physical_offset, i64::try_from(1000 + at).unwrap());
                at += record.size as usize;
            }
        }
        assert_eq!(placeholders(0, 90, 7), None);
        assert_eq!(blank(7), None);
        assert_eq!(blank(9).unwrap(), [0, 0, 0, 9, 0xCB, 0xD4, 0x31, 0x94]);
    }
}
