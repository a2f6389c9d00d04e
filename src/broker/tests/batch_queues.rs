//! Topics with `queue.type=BatchCQ`: a batch is one record.

use super::*;
use crate::message::sysflag;

const BATCH_TOPIC: &str = "Batches";

fn send_batch(bodies: &[&'static [u8]], properties: &str) -> Command {
    let mut body = Vec::new();
    for entry in bodies {
        assert!(batch::encode_entry(&mut body, 0, entry, b""));
    }
    let mut request = send(BATCH_TOPIC, 0, properties, b"");
    request.code = RequestCode::SEND_BATCH_MESSAGE.0;
    request.fields.push("m", "true");
    request.with_body(Bytes::from(body))
}

async fn start() -> (Fixture, Arc<Channel>) {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let made = call(&channel, create_topic(BATCH_TOPIC, "+queue.type=BatchCQ")).await;
    assert_eq!(made.code, ResponseCode::SUCCESS, "{}", made.remark());
    (fixture, channel)
}

#[tokio::test]
async fn a_batch_is_one_record_and_survives_a_restart() {
    let (fixture, channel) = start().await;
    for (uniq, base) in [("u1", 0), ("u2", 3)] {
        let properties = format!("UNIQ_KEY\u{1}{uniq}\u{2}");
        let sent = call(
            &channel,
            send_batch(&[b"one", b"two", b"three"], &properties),
        )
        .await;
        assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
        let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
        assert_eq!(header.batch_uniq_id, Some(uniq));
        assert_eq!(header.queue_offset, base);
        assert!(!header.msg_id.contains(','));
    }
    let alone = call(&channel, send(BATCH_TOPIC, 0, "TAGS\u{1}t\u{2}", b"alone")).await;
    let header: SendMessageResponseHeader<'_> = alone.header().unwrap();
    assert_eq!((header.batch_uniq_id, header.queue_offset), (None, 6));

    let check = async |channel: &Arc<Channel>| {
        // From the middle of the first batch on: all of it.
        let all = call(channel, pull(BATCH_TOPIC, 1, "*", 0)).await;
        assert_eq!(all.code, ResponseCode::SUCCESS, "{}", all.remark());
        assert_eq!(next_offset(&all), 7);
        let first = Record::parse(&all.body).unwrap();
        assert_eq!(
            first.sys_flag & 0xC0,
            sysflag::INNER_BATCH | sysflag::NEED_UNWRAP
        );
        assert_eq!(first.properties.get(names::INNER_NUM), Some("3"));
        assert_eq!(batch::decode(first.body).count(), 3);
        let found = call(channel, pull(BATCH_TOPIC, 6, "*", 0)).await;
        assert_eq!(bodies(&found), ["alone"]);
    };
    check(&channel).await;
    let dir = fixture.stop().await;
    let fixture = Fixture::in_dir(dir, |_| {}).await;
    let channel = fixture.connect().await;
    check(&channel).await;
    let sent = call(&channel, send_batch(&[b"four"], "UNIQ_KEY\u{1}u3\u{2}")).await;
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!(header.queue_offset, 7);
    fixture.stop().await;
}

#[tokio::test]
async fn batches_that_cannot_be_stored_so_are_refused() {
    let (fixture, channel) = start().await;
    let uniq = "UNIQ_KEY\u{1}u\u{2}";
    let delayed = send_batch(&[b"x"], &format!("{uniq}DELAY\u{1}2\u{2}"));
    let timed = send_batch(&[b"x"], &format!("{uniq}TIMER_DELAY_SEC\u{1}2\u{2}"));
    let mut torn = send_batch(&[b"x"], uniq);
    torn.body = Bytes::from_static(&[0, 0, 0, 99, 1, 2, 3]);
    let claims = send(BATCH_TOPIC, 0, "INNER_NUM\u{1}5\u{2}", b"x");
    let flagged = SendMessageRequestHeaderV2 {
        topic: "Other",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        sys_flag: sysflag::INNER_BATCH,
        properties: Some("INNER_NUM\u{1}1\u{2}"),
        ..SendMessageRequestHeaderV2::default()
    };
    let elsewhere = Command::request(RequestCode::SEND_MESSAGE_V2, &flagged).with_body("x");
    for request in [delayed, timed, torn, claims, elsewhere] {
        let refused = call(&channel, request).await;
        assert_eq!(
            refused.code,
            ResponseCode::MESSAGE_ILLEGAL,
            "{}",
            refused.remark()
        );
    }
    // Without a key of its own the batch is stored as single messages.
    let sent = call(&channel, send_batch(&[b"one", b"two"], "")).await;
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!(header.batch_uniq_id, None);
    let all = call(&channel, pull(BATCH_TOPIC, 0, "*", 0)).await;
    assert_eq!(bodies(&all), ["one", "two"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_batch_is_not_sent_back_as_one_message() {
    let (fixture, channel) = start().await;
    let sent = call(
        &channel,
        send_batch(&[b"one", b"two"], "UNIQ_KEY\u{1}u\u{2}"),
    )
    .await;
    assert_eq!(sent.code, ResponseCode::SUCCESS);
    let all = call(&channel, pull(BATCH_TOPIC, 0, "*", 0)).await;
    let record = Record::parse(&all.body).unwrap();
    let offset = record.physical_offset.to_string();
    let fields = [("group", "g"), ("offset", &offset), ("delayLevel", "0")];
    let request = ask(RequestCode::CONSUMER_SEND_MSG_BACK, &fields);
    let refused = call(&channel, request).await;
    assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(refused.remark(), "MESSAGE_ILLEGAL");
    fixture.stop().await;
}
