//! The other looks: timer, offsets, one message, top, export, totals, packed files.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support_golden::{Golden, cases};
use super::{inspect, rows, stderr};

#[test]
fn the_timer_lists_as_the_manifest_says() {
    let golden = Golden::unpack("timer");
    let timer = &golden.manifest["timer"];
    let found = rows(&inspect("timer", &golden.dir(), &["--slots", "--all"]));
    for name in [
        "lastReadTimeMs",
        "lastTimerLogFlushPos",
        "lastTimerQueueOffset",
        "masterTimerQueueOffset",
    ] {
        assert_eq!(found[0][name], timer["timercheck"][name]);
    }
    let slots = timer["timerwheel"]["nonZeroSlots"].as_array().unwrap();
    assert_eq!(found.len(), slots.len() + 1);
    for (row, slot) in found[1..].iter().zip(slots) {
        for (name, value) in slot.as_object().unwrap() {
            assert_eq!(row[name], *value, "{name}");
        }
        let due = slot["timeDivPrecision"].as_i64().unwrap() * 1000;
        assert_eq!(row["dueTimestamp"], due);
    }
    let units = timer["timerlog"].as_array().unwrap().iter();
    let units: Vec<&Value> = units
        .flat_map(|file| file["units"].as_array().unwrap())
        .collect();
    let found = rows(&inspect("timer", &golden.dir(), &["--log"]));
    assert_eq!(found.len(), units.len());
    for (row, unit) in found.iter().zip(units) {
        for name in [
            "pos",
            "prevPos",
            "magic",
            "writeTime",
            "delayedTime",
            "hashCode",
        ] {
            assert_eq!(row[name], unit[name], "{name}");
        }
        assert_eq!(row["physicalOffset"], unit["offsetPy"]);
        assert_eq!(row["size"], unit["sizePy"]);
        assert_eq!(row["topic"], "GoldTimer");
    }
    let waiting = rows(&inspect("timer", &golden.dir(), &[]));
    assert_eq!(waiting[0]["waiting"], 2);
    assert!(waiting[1..].iter().all(|row| row["waits"] == true));
    let none = inspect("timer", &Golden::unpack("batch").dir(), &[]);
    assert!(
        matches!(none.status.code(), Some(0 | 3)),
        "{}",
        stderr(&none)
    );
}

#[test]
fn offsets_are_what_the_files_say_against_the_queues() {
    for case in cases() {
        let golden = Golden::unpack(&case);
        let output = inspect("offsets", &golden.dir(), &["-o", "jsonl"]);
        for row in rows(&output).iter().filter(|row| row["kind"] == "group") {
            let file = golden.dir().join("config/consumerOffset.json");
            let text = std::fs::read_to_string(file).unwrap();
            let name = format!(
                "\"{}@{}\"",
                row["topic"].as_str().unwrap(),
                row["group"].as_str().unwrap()
            );
            assert!(text.contains(&name), "{case}: {name}");
            let view = &golden.manifest["meta"]["brokerView"]["topicStats"];
            let queue = format!("{}", row["queueId"]);
            let bounds = &view[row["topic"].as_str().unwrap()][&queue];
            if case.starts_with("damage-") || bounds[1].is_null() || row["maxOffset"].is_null() {
                continue;
            }
            assert_eq!(row["maxOffset"], bounds[1], "{case}: {row}");
            assert_eq!(row["minOffset"], bounds[0], "{case}: {row}");
        }
    }
    let golden = Golden::unpack("retry-dlq");
    let delays = rows(&inspect("offsets", &golden.dir(), &["-o", "jsonl"]));
    let delays = delays.iter().filter(|row| row["kind"] == "delay").count();
    assert_eq!(delays, 3);
    let topics = rows(&inspect(
        "offsets",
        &golden.dir(),
        &["--topics", "-o", "jsonl"],
    ));
    let dlq = topics
        .iter()
        .find(|row| row["topicName"] == "%DLQ%GoldRetryGroup");
    assert_eq!(dlq.unwrap()["messages"], 3);
    let groups = inspect("offsets", &golden.dir(), &["--groups", "-o", "name"]);
    assert!(String::from_utf8_lossy(&groups.stdout).contains("GoldRetryGroup\n"));
    let absent = inspect("offsets", &golden.dir(), &["--group", "nobody"]);
    assert_eq!(absent.status.code(), Some(3));
}

#[test]
fn a_message_is_found_by_each_of_its_ids() {
    for case in ["plain", "ipv6", "tx", "lmq-multidispatch", "batch", "timer"] {
        let golden = Golden::unpack(case);
        let wanted: Vec<&Value> = golden
            .list("commitlog")
            .iter()
            .filter(|item| item["kind"] == "message" && item["uniqKey"].is_string())
            .step_by(7)
            .collect();
        for item in wanted {
            let at = item["physicalOffset"].to_string();
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            for more in [
                vec![text("msgId")],
                vec![text("uniqKey")],
                vec!["--at".to_owned(), at.clone()],
                vec!["--scan".to_owned(), "--key".to_owned(), text("uniqKey")],
            ] {
                let more: Vec<&str> = more.iter().map(String::as_str).collect();
                let found = rows(&inspect("message", &golden.dir(), &more));
                let row = found
                    .iter()
                    .find(|row| row["physicalOffset"] == item["physicalOffset"]);
                let row = row.unwrap_or_else(|| panic!("{case}: {more:?}"));
                assert_eq!(row["properties"], item["properties"], "{case}");
                let references = row["references"].as_array().unwrap();
                let of = |part: &str| references.iter().filter(|one| one["in"] == part).count();
                let queues = of("consumequeue") + of("batchconsumequeue");
                assert!(queues > 0, "{case}: {row}");
                assert!(of("index") > 0, "{case}: {row}");
            }
        }
    }
    let golden = Golden::unpack("plain");
    for more in [&["nobody"][..], &["--key", "nobody"], &[&"0".repeat(32)]] {
        let output = inspect("message", &golden.dir(), more);
        let expected = if more[0].starts_with('0') { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(expected), "{more:?}");
    }
    assert_eq!(
        inspect("message", &golden.dir(), &[]).status.code(),
        Some(2)
    );
    let nowhere = inspect("message", &golden.dir(), &["--at", "3"]);
    assert_eq!(nowhere.status.code(), Some(7));
}

#[test]
fn top_counts_every_message_once() {
    let golden = Golden::unpack("rollover");
    let messages = golden.list("commitlog").iter();
    let messages: Vec<&Value> = messages.filter(|item| item["kind"] == "message").collect();
    let bytes: u64 = messages
        .iter()
        .map(|item| item["storeSize"].as_u64().unwrap())
        .sum();
    for by in ["topic", "queue", "tag", "hour", "host"] {
        let more = ["--by", by, "-n", "1000", "-o", "jsonl"];
        let found = rows(&inspect("top", &golden.dir(), &more));
        let sum = |name: &str| -> u64 { found.iter().map(|row| row[name].as_u64().unwrap()).sum() };
        assert_eq!(
            (sum("messages"), sum("bytes")),
            (messages.len() as u64, bytes),
            "{by}"
        );
    }
    let found = rows(&inspect(
        "top",
        &golden.dir(),
        &["--by", "size", "-n", "3", "-o", "jsonl"],
    ));
    let mut sizes: Vec<u64> = messages
        .iter()
        .map(|item| item["storeSize"].as_u64().unwrap())
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let largest: Vec<u64> = found
        .iter()
        .map(|row| row["storeSize"].as_u64().unwrap())
        .collect();
    assert_eq!(largest, sizes[..3]);
    let keys = rows(&inspect(
        "top",
        &golden.dir(),
        &["--by", "key", "-n", "5000", "-o", "jsonl"],
    ));
    let expected: BTreeSet<&str> = messages
        .iter()
        .filter_map(|item| item["keys"].as_str())
        .flat_map(|keys| keys.split(' '))
        .collect();
    assert_eq!(keys.len(), expected.len());
}

#[test]
fn totals_agree_with_the_manifest() {
    for case in cases() {
        let golden = Golden::unpack(&case);
        let messages = golden.list("commitlog").iter();
        let whole: Vec<&Value> = messages
            .filter(|item| item["kind"] == "message" && item["crcMismatch"].is_null())
            .collect();
        let sum =
            |name: &str| -> u64 { whole.iter().map(|item| item[name].as_u64().unwrap()).sum() };
        let output = inspect("commitlog", &golden.dir(), &["--summary", "-o", "jsonl"]);
        let row = &rows(&output)[0];
        assert_eq!(row["messages"], whole.len(), "{case}");
        assert_eq!(row["messageBytes"], sum("storeSize"), "{case}");
        assert_eq!(row["bodyBytes"], sum("bodyLength"), "{case}");
        let info = rows(&inspect("info", &golden.dir(), &["--fast", "-o", "jsonl"]));
        assert_eq!(info[0]["commitlog"]["topics"], row["topics"], "{case}");
    }
}

/// `rmq send --input jsonl --dry-run` reads every line, whatever the message held.
#[test]
fn an_export_is_what_send_takes() {
    for case in ["plain", "batch", "compressed", "ordered", "retry-dlq"] {
        let golden = Golden::unpack(case);
        let output = inspect("export", &golden.dir(), &[]);
        assert_eq!(output.status.code(), Some(0), "{case}");
        let found = rows(&output);
        let mut expected = 0;
        for item in golden.list("commitlog") {
            let topic = item["topic"].as_str().unwrap_or_default();
            let own =
                topic.to_lowercase().starts_with("rmq_sys_") || topic == "SCHEDULE_TOPIC_XXXX";
            if item["kind"] == "message" && !own {
                expected += item["inner"].as_array().map_or(1, Vec::len);
            }
        }
        assert_eq!(found.len(), expected, "{case}");
        for row in &found {
            assert!(
                row["bodyText"].is_string() || row["bodyBase64"].is_string(),
                "{case}"
            );
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_rmq"))
            .args(["send", "Other", "--input", "jsonl", "--dry-run"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(&output.stdout)
            .unwrap();
        let sent = child.wait_with_output().unwrap();
        assert_eq!(sent.status.code(), Some(0), "{case}: {}", stderr(&sent));
    }
}

#[test]
fn an_export_is_filtered() {
    let golden = Golden::unpack("plain");
    let all = rows(&inspect("export", &golden.dir(), &[]));
    let count = |more: &[&str]| rows(&inspect("export", &golden.dir(), more)).len();
    let tagged = |tag: &str| all.iter().filter(|row| row["tags"] == tag).count();
    assert_eq!(
        count(&["--tag", "TagA||TagB"]),
        tagged("TagA") + tagged("TagB")
    );
    assert_eq!(count(&["--key", "key-1"]), 1);
    assert_eq!(count(&["--topic", "GoldAutoCreated"]), 1);
    assert_eq!(count(&["-n", "3"]), 3);
    let middle = all[10]["physicalOffset"].to_string();
    assert_eq!(count(&["--to-offset", &middle]), 10);
    assert_eq!(count(&["--from-offset", &middle]), all.len() - 10);
    let time = all[10]["storeTimestamp"].to_string();
    let before = count(&["--to", &time]);
    assert_eq!(before + count(&["--from", &time]), all.len());
    assert!(before > 0);

    let file = golden.dir().join("out.jsonl");
    let out = file.to_str().unwrap();
    let written = inspect("export", &golden.dir(), &["--out", out]);
    assert_eq!(written.status.code(), Some(0));
    assert_eq!(
        std::fs::read_to_string(&file).unwrap().lines().count(),
        all.len()
    );
    let again = inspect("export", &golden.dir(), &["--out", out]);
    assert_eq!(again.status.code(), Some(2));
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packed_log_files_are_read_as_what_is_in_them() {
    let golden = Golden::unpack("rollover");
    let log = golden.dir().join("commitlog");
    let expected = rows(&inspect("commitlog", &golden.dir(), &["-o", "jsonl"]));
    for name in ["00000000000000262144", "00000000000000000000"] {
        let plain = log.join(name);
        let packed = log.join(format!("{name}.gz"));
        std::fs::write(&packed, pack(&std::fs::read(&plain).unwrap())).unwrap();
        let one = rows(&inspect("commitlog", &plain, &["-o", "jsonl"]));
        std::fs::remove_file(&plain).unwrap();
        assert_eq!(rows(&inspect("commitlog", &packed, &["-o", "jsonl"])), one);
    }
    assert_eq!(
        rows(&inspect("commitlog", &golden.dir(), &["-o", "jsonl"])),
        expected
    );
    let fsck = inspect("fsck", &golden.dir(), &["-o", "jsonl"]);
    assert_eq!(
        fsck.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&fsck.stdout)
    );

    // Half a packed file: what is in it, and that there is more.
    let packed = log.join("00000000000000000000.gz");
    let whole = std::fs::read(&packed).unwrap();
    std::fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
    let half = inspect("commitlog", &packed, &["-o", "jsonl"]);
    assert_eq!(half.status.code(), Some(7));
    assert!(rows(&half).len() > 10);
}

#[test]
fn columns_are_the_same_in_every_form() {
    let golden = Golden::unpack("plain");
    let csv = inspect("top", &golden.dir(), &["--by", "queue", "-o", "csv"]);
    let text = String::from_utf8(csv.stdout).unwrap();
    assert!(
        text.starts_with("name,messages,bytes,averageBytes,share,"),
        "{text}"
    );
    let json = inspect("top", &golden.dir(), &["--by", "queue", "-o", "json"]);
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document.as_array().unwrap().len() + 1, text.lines().count());
    let picked = rows(&inspect(
        "fsck",
        &golden.dir(),
        &["-o", "jsonl", "--columns", "kind,problems"],
    ));
    assert_eq!(picked, [json!({"kind": "summary", "problems": 0})]);
}
