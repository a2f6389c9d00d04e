//! One broker: a process in its namespace, with its disk.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rmq::protocol::body::ha::ReplicationStatus;
use rmq::protocol::codes::RequestCode;
use rmq::protocol::command;
use rmq::protocol::fastjson;
use rmq::protocol::header::broker::ReplicationRequestHeader;
use rustix::process::{Pid, Signal, kill_process};

use crate::network::{BROKERS, Place, address};
use crate::support::numbers::Numbers;
use crate::support::wire::Wire;

const PORT: u16 = 10911;
/// How long a process may take to start or to end.
const LIMIT: Duration = Duration::from_mins(1);
/// How long a question may take.
const CALL_LIMIT: Duration = Duration::from_secs(3);

const SETTINGS: &[&str] = &[
    "brokerName=rig",
    "brokerClusterName=Rig",
    "replication=majority",
    "totalReplicas=3",
    "slaveTimeout=2000",
    "mappedFileSizeCommitLog=262144",
    "mappedFileSizeConsumeQueue=20000",
    "maxHashSlotNum=500",
    "maxIndexNum=2000",
    "defaultTopicQueueNums=4",
    "slaveReadEnable=true",
    "cleanFileForciblyEnable=false",
];

const CONTROLLER_PORT: u16 = 9878;

/// A broker, whether it runs or not.
pub(crate) struct Member {
    pub(crate) index: usize,
    pub(crate) place: Place,
    disk: PathBuf,
    log: PathBuf,
    flags: Vec<String>,
    settings: Vec<String>,
    process: Option<Child>,
    /// Of the controller beside it, where there is one.
    controller: Option<Child>,
}

impl Member {
    /// The first one as master, the others as its slaves.
    pub(crate) fn new(root: &Path, index: usize, name_server: &str, more: &[String]) -> Self {
        let first = format!("{}:{PORT}", address(0));
        let flags: &[&str] = match index {
            0 => &["--role", "broker"],
            _ => &["--role", "slave", "--master", &first],
        };
        let mut settings: Vec<String> = SETTINGS.iter().map(ToString::to_string).collect();
        settings.push(format!("namesrvAddr={name_server}"));
        if index > 0 {
            settings.push(format!("brokerId={index}"));
        }
        settings.extend_from_slice(more);
        Self {
            index,
            place: Place::new(root, index),
            disk: root.join(format!("broker{index}")),
            log: root.join(format!("broker{index}.log")),
            flags: flags.iter().map(ToString::to_string).collect(),
            settings,
            process: None,
            controller: None,
        }
    }

    /// Leaves its role to controllers, of which one runs beside each broker, and starts that one.
    pub(crate) fn obey_controllers(&mut self, root: &Path) {
        let at = |index: usize| format!("{}:{CONTROLLER_PORT}", address(index));
        let all = (0..BROKERS).map(at).collect::<Vec<_>>().join(";");
        self.flags = vec!["--role".to_owned(), "broker".to_owned()];
        self.settings
            .retain(|setting| !setting.starts_with("brokerId="));
        self.settings.push("enableControllerMode=true".to_owned());
        self.settings.push(format!("controllerAddr={all}"));
        let peers = (0..BROKERS).map(|index| format!("n{index}-{}", at(index)));
        let peers = peers.collect::<Vec<_>>().join(";");
        let name = root.join(format!("controller{}", self.index));
        let mut command = self.rmq();
        command.args(["--role", "controller", "--http", "off", "--data-dir"]);
        command.arg(&name).args(["--listen", &address(self.index)]);
        command.args(["--controller-peers", &peers, "--controller-id"]);
        command.arg(format!("n{}", self.index));
        let log = File::create(name.with_extension("log")).unwrap();
        self.controller = Some(command.stderr(log).spawn().unwrap());
    }

    /// `rmq serve` in its namespace.
    fn rmq(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.place.namespace()]);
        command.arg(binary()).arg("serve");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RMQ_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(address(self.index).parse().unwrap(), PORT)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.disk.join("data")
    }

    /// Starts it as it was configured in the beginning.
    pub(crate) fn start(&mut self) {
        let ready = self.disk.with_extension("ready.json");
        let _ = std::fs::remove_file(&ready);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let mut command = self.rmq();
        command.arg("--data-dir").arg(self.data());
        command.arg("--ready-file").arg(&ready).args(&self.flags);
        command.args(["--listen", &address(self.index), "--broker-port"]);
        command.args([&PORT.to_string(), "--http", "off"]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        let mut child = command.stderr(log.unwrap()).spawn().unwrap();
        let deadline = Instant::now() + LIMIT;
        while !ready.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "broker {} ended with {status}:\n{}",
                    self.index,
                    self.tail()
                );
            }
            assert!(Instant::now() < deadline, "not ready:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process = Some(child);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.process.take().unwrap();
        let deadline = Instant::now() + LIMIT;
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "does not end:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().unwrap().id();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What it said last.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Where it stands, if it says so.
    pub(crate) fn status(&self) -> std::io::Result<ReplicationStatus> {
        let header = ReplicationRequestHeader::default();
        let request = command::Command::request(RequestCode::RMQ_REPLICATION, &header);
        let reply = Wire::connect_within(self.address(), CALL_LIMIT)?.call(&request)?;
        fastjson::from_slice(&reply.body).map_err(std::io::Error::other)
    }

    fn filler(&self) -> PathBuf {
        self.disk.join("filler")
    }

    /// Leaves so many bytes on its disk.
    pub(crate) fn fill_disk(&self, left: u64) {
        let disk = rustix::fs::statvfs(&self.disk).unwrap();
        let bytes = (disk.f_bavail * disk.f_frsize).saturating_sub(left);
        let mut file = File::create(self.filler()).unwrap();
        let chunk = vec![1; 1 << 20];
        let mut written = 0;
        while written < bytes {
            let count = usize::try_from((bytes - written).min(1 << 20)).unwrap();
            // Somebody else may have been faster.
            if file.write_all(&chunk[..count]).is_err() {
                break;
            }
            written += count as u64;
        }
    }

    pub(crate) fn empty_disk(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    /// Damages the last bytes of the log of a broker that does not run: some are overwritten, or all from a place on are
    /// gone.
    pub(crate) fn corrupt_tail(&self, numbers: &mut Numbers) -> String {
        let files = self.log_files();
        let end = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            bytes.iter().rposition(|byte| *byte != 0).map(|at| at + 1)
        };
        let (path, end) = files
            .iter()
            .rev()
            .find_map(|path| Some((path, end(path)?)))
            .unwrap();
        // So much that a body or a header is hit: nobody can tell damage in the properties alone.
        let from = end.saturating_sub(usize::try_from(1000 + numbers.below(60_000)).unwrap());
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        let is_cut = numbers.below(2) == 0;
        let count = if is_cut {
            end - from
        } else {
            (end - from).min(usize::try_from(1000 + numbers.below(3000)).unwrap())
        };
        let filler = |numbers: &mut Numbers| u8::try_from(numbers.below(256)).unwrap();
        let bytes: Vec<u8> = (0..count)
            .map(|_| if is_cut { 0 } else { filler(numbers) })
            .collect();
        file.seek(SeekFrom::Start(from as u64)).unwrap();
        file.write_all(&bytes).unwrap();
        let how = if is_cut { "zeroed" } else { "overwritten" };
        format!("{count} bytes {how}, {} before the end", end - from)
    }

    fn log_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data().join("commitlog")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The log from `from` to `to`, as it is on the disk.
    pub(crate) fn log_bytes(&self, from: u64, to: u64) -> Vec<u8> {
        let mut all = Vec::new();
        for path in self.log_files() {
            let base: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let mut file = File::open(&path).unwrap();
            let end = base + file.metadata().unwrap().len();
            let (start, stop) = (from.max(base), to.min(end));
            if start >= stop {
                continue;
            }
            file.seek(SeekFrom::Start(start - base)).unwrap();
            let mut bytes = vec![0; usize::try_from(stop - start).unwrap()];
            file.read_exact(&mut bytes).unwrap();
            all.extend_from_slice(&bytes);
        }
        all
    }
}

/// The binary under test: this build's, or what `RMQ_NETNS_BINARY` names.
pub(crate) fn binary() -> PathBuf {
    let given = std::env::var_os("RMQ_NETNS_BINARY").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_rmq").into())
}

/// The others.
pub(crate) fn others(index: usize) -> impl Iterator<Item = usize> {
    (0..BROKERS).filter(move |other| *other != index)
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut controller) = self.controller.take() {
            let _ = controller.kill();
            let _ = controller.wait();
        }
    }
}
