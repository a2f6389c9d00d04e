//! Single messages: by key (`QUERY_MESSAGE`, 12) and by place in the log (`VIEW_MESSAGE_BY_ID`, 33).

use bytes::{Bytes, BytesMut};

use super::{Answer, Refusal, Request, success};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::replication::slave::REPLICA_MARK;
use crate::message::Record;
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::message::{
    QueryMessageRequestHeader, QueryMessageResponseHeader, ViewMessageRequestHeader,
};
use crate::store::LogSlice;

/// Most matches of one query, whatever is asked for (`maxMsgsNumBatch`).
const MATCHES_MAX: usize = 64;

/// `QUERY_MESSAGE`.
pub(crate) fn by_key(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: QueryMessageRequestHeader<'_> = request.header()?;
    let unique = header.unique_key_query == Some(true);
    let asked = if unique {
        broker.options.load().default_query_max_num
    } else {
        header.max_num
    };
    let max = usize::try_from(asked).unwrap_or(0).min(MATCHES_MAX);
    // 5.5 also indexes tags, under `T#tag`; the client names the kind of key.
    let key = match header.index_type {
        Some("T") if !unique => format!("T#{}", header.key),
        _ => header.key.to_owned(),
    };
    let matches = broker.store.query(
        header.topic,
        &key,
        max,
        header.begin_timestamp,
        header.end_timestamp,
    );
    let fields = QueryMessageResponseHeader {
        index_last_update_timestamp: matches.last_update_timestamp,
        index_last_update_phyoffset: matches.last_update_offset,
    };
    if matches.slices.is_empty() {
        return Err(Refusal::new(
            ResponseCode::QUERY_NOT_FOUND,
            "can not find message, maybe time range not correct",
        ));
    }
    let mut body = BytesMut::new();
    for slice in &matches.slices {
        body.extend_from_slice(slice.as_ref());
    }
    Ok(success().with_header(&fields).with_body(body.freeze()))
}

/// `VIEW_MESSAGE_BY_ID`.
pub(crate) fn by_offset(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: ViewMessageRequestHeader<'_> = request.header()?;
    let found = if header.topic == Some(REPLICA_MARK) {
        LogOffset::from_wire(header.offset)
            .and_then(|at| broker.store.record_at(at))
            .map(LogSlice::into_bytes)
    } else {
        record_at(broker, header.offset)
    };
    let body = found.ok_or_else(|| {
        Refusal::error(format!(
            "can not find message by the offset, {}",
            header.offset
        ))
    })?;
    Ok(success().with_body(body))
}

/// The record that begins at a place in the log.
pub(crate) fn record_at(broker: &Broker, offset: i64) -> Option<Bytes> {
    let at = LogOffset::from_wire(offset)?;
    let slice = broker.store.record_at(at)?;
    let size = Record::parse(slice.as_ref()).ok()?.size;
    if broker.is_unsettled() || !broker.store.is_visible(at.plus(size.into()).get()) {
        return None;
    }
    Some(slice.into_bytes())
}
