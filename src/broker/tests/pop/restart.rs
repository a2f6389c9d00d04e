//! POP over restarts: stopped, killed, and taken over from Apache.

use super::*;
use crate::base::QueueId;
use crate::store::ReadLimits;

/// Pops five messages, acknowledges two, stops the broker, and looks what comes after its return.
async fn over_a_restart(merge: bool, crash: bool) {
    let clock = Clock::manual(1_800_000_000_000);
    let fixture = Fixture::with_clock(clock.clone(), |options| {
        options.enable_pop_buffer_merge = merge;
    })
    .await;
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b", "c", "d", "e"]).await;
    let mut first = Vec::new();
    for messages in [2, 1, 2] {
        let few = PopMessageRequestHeader {
            max_msg_nums: messages,
            ..pop("T", 0)
        };
        first.extend(popped(&call(&channel, request(&few)).await));
    }
    ack(&channel, &first[1]).await;
    ack(&channel, &first[3]).await;
    if merge {
        assert_eq!(offset_of(&fixture, "T", 0), Some(0));
    } else {
        assert_eq!(offset_of(&fixture, "T", 0), Some(5));
    }
    let dir = if crash {
        fixture.crash().await
    } else {
        fixture.stop().await
    };

    let fixture = Fixture::reopen(dir, clock.clone()).await;
    let channel = fixture.connect().await;
    if merge && crash {
        // Nothing was stored: everything comes again, as Apache's buffer has it.
        let all = popped(&call(&channel, request(&pop("T", 0))).await);
        assert_eq!(texts(&all), ["a", "b", "c", "d", "e"]);
    } else {
        nothing(&channel, "T").await;
        clock.advance(INVISIBLE_MS);
        let again = pop_until(&channel, pop("T", 5_000), &["a", "c", "e"]).await;
        for message in &again {
            assert_eq!(message.tries, 1);
            ack(&channel, message).await;
        }
        settled(&fixture).await;
        let dir = fixture.crash().await;
        let fixture = Fixture::reopen(dir, clock.clone()).await;
        let channel = fixture.connect().await;
        clock.advance(100 * INVISIBLE_MS);
        tokio::time::sleep(Duration::from_millis(50)).await;
        nothing(&channel, "T").await;
        fixture.stop().await;
        return;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_what_was_popped_and_acknowledged() {
    over_a_restart(false, false).await;
    over_a_restart(true, false).await;
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_popped() {
    over_a_restart(false, true).await;
    over_a_restart(true, true).await;
}

#[tokio::test]
async fn buffered_check_points_are_stored_in_time() {
    let clock = Clock::manual(1_800_000_000_000);
    let fixture = Fixture::with_clock(clock.clone(), |options| {
        options.enable_pop_buffer_merge = true;
    })
    .await;
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b"]).await;
    let first = popped(&call(&channel, request(&pop("T", 0))).await);
    ack(&channel, &first[0]).await;
    clock.advance(10_000);
    while fixture.broker.pop.revival.open() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(offset_of(&fixture, "T", 0), Some(2));
    clock.advance(INVISIBLE_MS - 10_000);
    let again = pop_until(&channel, pop("T", 5_000), &["b"]).await;
    // All of one pop acknowledged in time: no record of it is ever stored.
    let stored = || {
        (0..8)
            .filter_map(|queue| {
                let topic = fixture.broker.pop.revive_topic.as_str();
                let queue = fixture
                    .broker
                    .store
                    .find_queue(topic, QueueId::new(queue))?;
                Some(queue.max_offset().to_wire())
            })
            .sum::<i64>()
    };
    let before = stored();
    ack(&channel, &again[0]).await;
    clock.advance(INVISIBLE_MS);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stored(), before);
    nothing(&channel, "T").await;
    fixture.stop().await;
}

/// The golden store `pop`, made to read its revive topic from the start: Apache's check points and acknowledgements say
/// which messages come again.
#[tokio::test]
async fn apaches_revive_topic_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/golden/pop");
    let archive = std::fs::File::open(format!("{golden}/store.tar.gz")).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(archive))
        .unpack(dir.path())
        .unwrap();
    let offsets = dir.path().join("store/config/consumerOffset.json");
    let text = std::fs::read_to_string(&offsets).unwrap();
    let text = text.replace("CID_RMQ_SYS_REVIVE_GROUP", "somebody");
    std::fs::write(&offsets, text).unwrap();
    let mut options = BrokerOptions::new(StoreOptions {
        log_file_bytes: 1 << 20,
        queue_file_bytes: 20_000,
        index_slots: 500,
        index_entries: 2_000,
        ..StoreOptions::new(dir.path().join("store"))
    });
    options.revive_queue_num = 2;
    let (broker, _) = Broker::start(options, Clock::manual(1_795_400_000_000)).unwrap();
    assert_eq!(broker.pop.queues_to_read(), 4);
    let retry = "%RETRY%GoldPopGroup_GoldPop";
    let queue = broker.store.find_queue(retry, QueueId::new(0)).unwrap();
    let limits = ReadLimits {
        messages: 100,
        bytes: 1 << 20,
    };
    let begun = Instant::now();
    let want = ["pop body 2", "pop body 3", "pop body 4", "pop body 5"];
    loop {
        let from = crate::base::QueueOffset::new(4);
        let found = broker.store.get(&queue, from, limits, |_| true);
        let mut revived = Vec::new();
        for slice in &found.slices {
            crate::broker::pop::revive::for_each_record(slice, |record| {
                assert_eq!(
                    record.properties.get(names::ORIGIN_GROUP),
                    Some("GoldPopGroup")
                );
                revived.push(String::from_utf8(record.body.to_vec()).unwrap());
            });
        }
        if want
            .iter()
            .all(|want| revived.iter().any(|body| body == want))
        {
            for acknowledged in ["pop body 0", "pop body 1"] {
                assert!(!revived.iter().any(|body| body == acknowledged));
            }
            break;
        }
        assert!(begun.elapsed() < LIMIT, "only {revived:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    broker.shutdown().await.unwrap();
}
