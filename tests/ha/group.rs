//! Brokers of one name as child processes, each on ports of its own that it keeps.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rmq::protocol::body::ha::ReplicationStatus;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply};
use rmq::protocol::fastjson;
use rmq::protocol::header::broker::ReplicationRequestHeader;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::node::NodeProcess;
use crate::support::ports::Ports;
use crate::support::wire::Wire;

/// One broker: its directory, its port and, while it runs, its process.
pub(crate) struct Member {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    flags: Vec<String>,
    settings: Vec<String>,
    _ports: Ports,
    process: Option<NodeProcess>,
}

impl Member {
    /// A broker that does not run yet. Without a master it is one.
    pub(crate) fn new(root: &Path, name: &str, master: Option<&Self>, settings: &[&str]) -> Self {
        // The port with the two before it and the one behind it.
        let ports = Ports::reserve(4);
        let port = ports.first() + 2;
        let mut flags = vec![
            "--broker-port".to_owned(),
            port.to_string(),
            "--role".to_owned(),
        ];
        match master {
            None => flags.push("broker".to_owned()),
            Some(master) => {
                let address = format!("127.0.0.1:{}", master.port);
                flags.extend(["slave".to_owned(), "--master".to_owned(), address]);
            }
        }
        Self {
            dir: root.join(name),
            port,
            flags,
            settings: settings.iter().map(ToString::to_string).collect(),
            _ports: ports,
            process: None,
        }
    }

    /// One more setting, from the next start on.
    pub(crate) fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn start(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.process = Some(NodeProcess::start_with(&self.dir, &flags, &settings));
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            assert_eq!(process.stop(), Some(0));
        }
    }

    /// SIGSTOP, and waits until every thread stands still.
    pub(crate) fn freeze(&self) {
        let pid = self.signal(Signal::STOP);
        wait_for("the process stands still", || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            let stopped = |thread: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
                stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
            };
            threads.map(stopped).collect::<Option<Vec<_>>>().map(drop)
        });
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) -> u32 {
        let pid = self.process.as_ref().unwrap().pid();
        let process = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
        pid
    }

    pub(crate) fn log(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, NodeProcess::log)
    }

    /// One request, one answer, over a new connection.
    pub(crate) fn call(&self, command: &Command) -> std::io::Result<Reply> {
        Wire::connect(self.address())?.call(command)
    }

    fn ask(&self, header: &ReplicationRequestHeader<'_>) -> std::io::Result<ReplicationStatus> {
        let reply = self.call(&Command::request(RequestCode::RMQ_REPLICATION, header))?;
        if reply.code != ResponseCode::SUCCESS {
            return Err(std::io::Error::other(format!(
                "{:?} {}",
                reply.code,
                reply.remark()
            )));
        }
        fastjson::from_slice(&reply.body).map_err(std::io::Error::other)
    }

    /// Where it stands; waits while it starts anew.
    pub(crate) fn status(&self) -> ReplicationStatus {
        self.patiently(|member| member.ask(&ReplicationRequestHeader::default()))
    }

    pub(crate) fn fence(&self, epoch: i32) -> ReplicationStatus {
        self.patiently(|member| {
            member.ask(&ReplicationRequestHeader {
                action: Some("fence"),
                epoch: Some(epoch),
                ..ReplicationRequestHeader::default()
            })
        })
    }

    /// Makes it master and waits until it is.
    pub(crate) fn promote(&self, epoch: i32) {
        self.ask(&ReplicationRequestHeader {
            action: Some("promote"),
            epoch: Some(epoch),
            ..ReplicationRequestHeader::default()
        })
        .unwrap();
        wait_for("the new master", || {
            let status = self.status();
            (status.role != "SLAVE" && status.epoch == epoch).then_some(())
        });
    }

    /// Makes it a slave and waits until it is.
    pub(crate) fn follow(&self, master: &Self, broker_id: i64) {
        let address = master.address().to_string();
        self.ask(&ReplicationRequestHeader {
            action: Some("follow"),
            master: Some(&address),
            broker_id: Some(broker_id),
            ..ReplicationRequestHeader::default()
        })
        .unwrap();
        wait_for("the slave", || {
            let status = self.status();
            let told = status.master.and_then(|master| master.address);
            (status.role == "SLAVE" && told.as_ref() == Some(&address)).then_some(())
        });
    }

    fn patiently<R>(&self, ask: impl Fn(&Self) -> std::io::Result<R>) -> R {
        let deadline = Instant::now() + LIMIT;
        loop {
            match ask(self) {
                Ok(answer) => return answer,
                Err(error) => assert!(
                    Instant::now() < deadline,
                    "port {} does not answer: {error}\n{}",
                    self.port,
                    self.log()
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How long anything is waited for.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// Waits for a condition.
pub(crate) fn wait_for<R>(what: &str, condition: impl Fn() -> Option<R>) -> R {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(result) = condition() {
            return result;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a slave has the master's whole log.
pub(crate) fn wait_until_equal(master: &Member, slave: &Member) {
    wait_for("the slave catches up", || {
        (slave.status().log_end == master.status().log_end).then_some(())
    });
}

/// Compares the log files both have, byte by byte.
pub(crate) fn assert_same_log(one: &Path, other: &Path) {
    let mut compared = 0;
    for file in std::fs::read_dir(one.join("commitlog")).unwrap() {
        let file = file.unwrap();
        let copy = other.join("commitlog").join(file.file_name());
        if let Ok(copy) = std::fs::read(&copy) {
            let same = std::fs::read(file.path()).unwrap() == copy;
            assert!(same, "{} differs", file.path().display());
            compared += 1;
        }
    }
    assert!(compared > 0, "nothing to compare");
}
