//! The servers that are measured, and what the kernel knows about them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::node::NodeProcess;

/// A running server.
pub enum Server {
    Rmq(NodeProcess),
    Apache(Apache),
}

/// `start-apache-rocketmq`, which runs both of Apache's servers until it is told to end.
pub struct Apache {
    child: Child,
    broker: SocketAddr,
}

impl Server {
    pub fn rmq(dir: &Path, settings: &[&str]) -> Self {
        Self::Rmq(NodeProcess::start(&dir.join("rmq"), settings))
    }

    /// Starts the script on ports of its own and waits until the broker takes connections.
    pub fn apache(script: &Path, dir: &Path, ports: (u16, u16), settings: &[&str]) -> Self {
        let mut command = Command::new(script);
        command
            .args(["--heap", "2g", "--data-dir"])
            .arg(dir.join("apache"))
            .args(["--namesrv-port", &ports.0.to_string()])
            .args(["--broker-port", &ports.1.to_string()]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker: SocketAddr = ([127, 0, 0, 1], ports.1).into();
        let deadline = Instant::now() + Duration::from_mins(2);
        while TcpStream::connect(broker).is_err() {
            assert!(Instant::now() < deadline, "Apache's broker is not there");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self::Apache(Apache { child, broker })
    }

    pub fn broker(&self) -> SocketAddr {
        match self {
            Self::Rmq(node) => node.broker,
            Self::Apache(apache) => apache.broker,
        }
    }

    /// All its processes.
    fn processes(&self) -> Vec<u32> {
        match self {
            Self::Rmq(node) => vec![node.pid()],
            Self::Apache(apache) => descendants(apache.child.id()),
        }
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Duration {
        self.processes().into_iter().map(cpu_of).sum()
    }

    /// Memory in kB: all that is mapped and resident, and what of it is not backed by files.
    pub fn memory(&self) -> (u64, u64) {
        let of = |name: &str| {
            let pids = self.processes().into_iter();
            pids.map(|pid| status_kb(pid, name)).sum()
        };
        (of("VmRSS:"), of("RssAnon:"))
    }

    pub fn stop(self) {
        match self {
            Self::Rmq(node) => drop(node.stop()),
            Self::Apache(apache) => drop(apache),
        }
    }
}

/// The script ends both servers when it is told to end.
impl Drop for Apache {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// `root` and all processes below it.
fn descendants(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        let children = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
        let text = fs::read_to_string(children).unwrap_or_default();
        all.extend(
            text.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    all
}

/// User and system time; the kernel counts in hundredths of a second.
fn cpu_of(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold blanks.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    Duration::from_millis(10 * (ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0)))
}

fn status_kb(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}
