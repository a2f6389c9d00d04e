//! Brokers of both makes in one group under Apache's controller: whichever dies, the other takes its place, and in the end
//! both have the same log.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rmq::message::PropertiesBuf;
use rmq::protocol::codes::ResponseCode;

use crate::apache::Apache;
use crate::replication::{TOPIC, messages, produce, wait_until_same};
use crate::support::node::NodeProcess;
use crate::support::ports::Ports;
use crate::support::wire::{Wire, send};

const SETTINGS: &[&str] = &[
    "mappedFileSizeCommitLog=1048576",
    "defaultTopicQueueNums=4",
    "brokerName=mixed",
    "enableControllerMode=true",
    "allAckInSyncStateSet=true",
];
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// Sends until a message is taken; says how long that was.
fn until_master(broker: SocketAddr, limit: Duration) -> Duration {
    let begun = Instant::now();
    let message = || send(TOPIC, 0, "who is master", &PropertiesBuf::new());
    let taken = || {
        let mut wire = Wire::connect(broker)?;
        wire.set_patience(Duration::from_secs(5))?;
        wire.call(&message())
    };
    loop {
        match taken() {
            Ok(reply) if reply.code == ResponseCode::SUCCESS => return begun.elapsed(),
            other => assert!(begun.elapsed() < limit, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Ours<'a> {
    dir: &'a Path,
    flags: [&'a str; 6],
    settings: Vec<&'a str>,
}

impl Ours<'_> {
    fn start(&self) -> NodeProcess {
        NodeProcess::start_with(self.dir, &self.flags, &self.settings)
    }
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn a_mixed_group_changes_masters_both_ways() {
    let root = tempfile::tempdir().unwrap();
    let (apache_dir, our_dir) = (root.path().join("theirs"), root.path().join("ours"));
    let name_server = NodeProcess::start_with(
        &root.path().join("namesrv"),
        &["--role", "namesrv", "--port", "0"],
        &[],
    );
    let at = name_server.name_server.to_string();
    let (controller, controller_at) = Apache::controller(&root.path().join("controller"));
    let told = format!("controllerAddr={controller_at}");
    let settings = [SETTINGS, &[&told]].concat();
    let ports = Ports::reserve(4);
    let port = ports.first() + 2;
    let (our_port, ours_at) = (port.to_string(), SocketAddr::from(([127, 0, 0, 1], port)));
    let flags = [
        "--role",
        "broker",
        "--broker-port",
        &our_port,
        "--namesrv",
        &at,
    ];
    let ours = Ours {
        dir: &our_dir,
        flags,
        settings: settings.clone(),
    };

    // Apache's is the first, so it is master.
    let apache = Apache::slave(&apache_dir, &at, &settings);
    until_master(apache.broker(), Duration::from_mins(1));
    let running = ours.start();
    produce(apache.broker(), messages());
    wait_until_same(&apache_dir, &our_dir, Duration::from_mins(10));

    // SIGKILL.
    drop(apache);
    let to_ours = until_master(ours_at, FAILOVER_LIMIT);
    produce(ours_at, 500);
    let apache = Apache::slave(&apache_dir, &at, &settings);
    wait_until_same(&our_dir, &apache_dir, Duration::from_mins(2));
    produce(ours_at, messages());
    wait_until_same(&our_dir, &apache_dir, Duration::from_mins(10));

    running.kill();
    let to_theirs = until_master(apache.broker(), FAILOVER_LIMIT);
    produce(apache.broker(), 500);
    let running = ours.start();
    let files = wait_until_same(&apache_dir, &our_dir, Duration::from_mins(2));
    assert_eq!(running.stop(), Some(0));
    apache.stop();
    controller.stop();
    println!(
        "{} messages each way, {files} files the same; ours was master after {to_ours:.1?}, Apache's after {to_theirs:.1?}",
        messages()
    );
}
