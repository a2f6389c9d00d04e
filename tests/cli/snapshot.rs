//! `rmq snapshot`: of a stopped node, of a running one under load, and what is damaged.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::messages::{code, objects};
use super::{first_line, rmq, run, stderr, stdout};

/// A node on a directory that outlives it.
struct Kept {
    child: Child,
    namesrv: String,
}

impl Kept {
    fn start(dir: &Path) -> Self {
        let mut child = rmq([
            "serve",
            "--port",
            "0",
            "--broker-port",
            "0",
            "--topic",
            "t:4",
        ])
        .args(["--set", "mappedFileSizeCommitLog=1048576"])
        .arg("--data-dir")
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let ready: Value = serde_json::from_str(&first_line(&mut child)).unwrap();
        Self {
            child,
            namesrv: ready["namesrv"].as_str().unwrap().to_owned(),
        }
    }

    fn bodies(&self) -> BTreeSet<String> {
        let output = run(["consume", "t", "-o", "jsonl", "--namesrv", &self.namesrv]);
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        objects(&stdout(&output))
            .iter()
            .map(|row| row["bodyText"].as_str().unwrap().to_owned())
            .collect()
    }

    #[cfg(unix)]
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_of_all() {
    super::golden_help("snapshot", &["snapshot"]);
    super::golden_help("snapshot_save", &["snapshot", "save"]);
    super::golden_help("snapshot_restore", &["snapshot", "restore"]);
    super::golden_help("snapshot_status", &["snapshot", "status"]);
}

/// Every message that was acknowledged before the snapshot began is in the copy, the group's offset too; the copy opens, and
/// has no gaps and nothing that was never sent.
#[cfg(unix)]
#[test]
fn a_running_broker_is_saved_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let (data, fresh) = (dir.path().join("data"), dir.path().join("fresh"));
    let file = dir.path().join("s.tar.gz");
    let node = Kept::start(&data);
    let mut load = rmq([
        "send",
        "t",
        "--template",
        "body {{ n }}",
        "--count",
        "1000000",
    ])
    .args(["--namesrv", &node.namesrv, "-o", "jsonl"])
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let mut acknowledged = BufReader::new(load.stdout.take().unwrap()).lines();
    // Several log files are full by then.
    let before = 20_000;
    for _ in 0..before {
        acknowledged.next().unwrap().unwrap();
    }
    // It goes on while the directory is read.
    let reading = std::thread::spawn(move || acknowledged.count());
    let saved = run([
        "snapshot",
        "save",
        text(&file),
        "--data-dir",
        text(&data),
        "-o",
        "json",
    ]);
    assert_eq!(code(&saved), Some(0), "{}", stderr(&saved));
    let saved: Value = serde_json::from_str(&stdout(&saved)).unwrap();
    assert_eq!(saved[0]["running"], true, "{saved}");
    assert!(
        load.try_wait().unwrap().is_none(),
        "the load ended too early"
    );
    load.kill().unwrap();
    load.wait().unwrap();
    reading.join().unwrap();
    node.stop();

    let restored = run([
        "snapshot",
        "restore",
        text(&file),
        "--data-dir",
        text(&fresh),
    ]);
    assert_eq!(code(&restored), Some(0), "{}", stderr(&restored));
    let node = Kept::start(&fresh);
    let bodies = node.bodies();
    assert!(bodies.len() >= before, "{}", bodies.len());
    let lost: Vec<_> = (1..=before)
        .map(|n| format!("body {n}"))
        .filter(|body| !bodies.contains(body))
        .collect();
    assert!(
        lost.is_empty(),
        "{} lost, first {:?}",
        lost.len(),
        lost.first()
    );
    node.stop();
    let fsck = run(["inspect", "fsck", text(&fresh)]);
    assert_eq!(code(&fsck), Some(0), "{}{}", stdout(&fsck), stderr(&fsck));
}

#[cfg(unix)]
#[test]
fn a_stopped_node_is_saved_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (data, fresh) = (dir.path().join("data"), dir.path().join("fresh"));
    let file = dir.path().join("s.tar.gz");
    let node = Kept::start(&data);
    let sent = run(["send", "t", "one", "two", "--namesrv", &node.namesrv]);
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
    node.stop();
    let save = ["snapshot", "save", text(&file), "--data-dir", text(&data)];
    let saved = run([&save[..], &["-o", "json"]].concat());
    assert_eq!(code(&saved), Some(0), "{}", stderr(&saved));
    let rows: Value = serde_json::from_str(&stdout(&saved)).unwrap();
    assert_eq!(rows[0]["running"], false);
    let packed = rows[0]["packedBytes"].as_u64().unwrap();
    assert!(packed < rows[0]["bytes"].as_u64().unwrap() / 20, "{rows}");
    assert_eq!(code(&run(save)), Some(2), "it is there already");
    let zst = dir.path().join("s.tar.zst");
    assert_eq!(
        code(&run([
            "snapshot",
            "save",
            text(&zst),
            "--data-dir",
            text(&data)
        ])),
        Some(2)
    );

    let status = run(["snapshot", "status", text(&file), "-o", "json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    assert_eq!(status[0]["files"], rows[0]["files"]);
    assert_eq!(status[0]["sound"], true);

    let restore = [
        "snapshot",
        "restore",
        text(&file),
        "--data-dir",
        text(&fresh),
    ];
    assert_eq!(code(&run([&restore[..], &["--dry-run"]].concat())), Some(0));
    assert!(!fresh.exists());
    assert_eq!(code(&run(restore)), Some(0));
    let again = run(restore);
    assert_eq!(code(&again), Some(2), "not empty");
    let node = Kept::start(&fresh);
    let expected: BTreeSet<String> = ["one", "two"].map(str::to_owned).into();
    assert_eq!(node.bodies(), expected);
    let busy = run([&restore[..], &["--force"]].concat());
    assert_eq!(code(&busy), Some(5), "{}", stderr(&busy));
    node.stop();
    let forced = run([&restore[..], &["--force"]].concat());
    assert_eq!(code(&forced), Some(0), "{}", stderr(&forced));
    assert!(stderr(&forced).contains("what was there before is in"));
}

#[test]
fn what_is_damaged_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("commitlog")).unwrap();
    std::fs::create_dir_all(data.join("config")).unwrap();
    // Hardly packed: in the packing of a single byte repeated, many a turned bit changes nothing.
    let noise = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    let topics = data.join("config/topics.json");
    std::fs::write(topics, noise.collect::<Vec<_>>()).unwrap();
    let file = dir.path().join("s.tar.gz");
    let saved = run(["snapshot", "save", text(&file), "--data-dir", text(&data)]);
    assert_eq!(code(&saved), Some(0), "{}", stderr(&saved));
    let whole = std::fs::read(&file).unwrap();
    let fresh = dir.path().join("fresh");
    let cut = whole[..whole.len() / 2].to_vec();
    let mut turned = whole.clone();
    let middle = turned.len() / 2;
    turned[middle] ^= 0x55;
    for bytes in [cut, turned, b"something else".to_vec()] {
        std::fs::write(&file, bytes).unwrap();
        let status = run(["snapshot", "status", text(&file)]);
        assert_eq!(code(&status), Some(7), "{}", stderr(&status));
        let restored = run([
            "snapshot",
            "restore",
            text(&file),
            "--data-dir",
            text(&fresh),
        ]);
        assert_eq!(code(&restored), Some(1), "{}", stderr(&restored));
        assert!(!fresh.exists());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
