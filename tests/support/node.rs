//! `rmq serve` as a child process on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than a start takes, also under valgrind on a machine that is busy.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A running node; killed when dropped.
pub struct NodeProcess {
    child: Child,
    pub name_server: SocketAddr,
    pub broker: SocketAddr,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts `rmq serve` on `data_dir` with broker settings in Apache's spelling, and waits until it is ready. What
    /// it says goes to a file beside the directory.
    pub fn start(data_dir: &Path, settings: &[&str]) -> Self {
        Self::start_with(data_dir, &["--port", "0", "--broker-port", "0"], settings)
    }

    /// The same with other flags than those for free ports.
    pub fn start_with(data_dir: &Path, flags: &[&str], settings: &[&str]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_rmq"));
        Self::start_as(program, data_dir, flags, settings)
    }

    /// The same by a command that the arguments of `rmq` are added to.
    pub fn start_as(
        mut command: Command,
        data_dir: &Path,
        flags: &[&str],
        settings: &[&str],
    ) -> Self {
        let ready_file = data_dir.with_extension("ready.json");
        let log = data_dir.with_extension("log");
        let _ = std::fs::remove_file(&ready_file);
        let stderr = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command.arg("serve").arg("--data-dir").arg(data_dir);
        command.args(flags).arg("--ready-file").arg(&ready_file);
        for setting in settings {
            command.args(["--set", setting]);
        }
        // No variable of the machine's may change what the test starts.
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("RMQ_") || name == "NAMESRV_ADDR")
        {
            command.env_remove(name);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut node = Self {
            child,
            name_server: "0.0.0.0:0".parse().unwrap(),
            broker: "0.0.0.0:0".parse().unwrap(),
            log,
        };
        let ready = node.wait_for_ready_file(&ready_file);
        let address = |role: &str| match ready[role].as_str() {
            Some(text) => text.parse().unwrap(),
            None => "0.0.0.0:0".parse().unwrap(),
        };
        node.name_server = address("namesrv");
        node.broker = address("broker");
        node
    }

    fn wait_for_ready_file(&mut self, ready_file: &Path) -> serde_json::Value {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(ready) = std::fs::read(ready_file)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
            {
                return ready;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the node ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < deadline,
                "the node is not ready after {READY_LIMIT:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the node wrote to stderr, all its lives on this directory together.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is flushed, no destructor runs.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    #[cfg(unix)]
    pub fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
