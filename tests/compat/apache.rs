//! The real name server and broker as child processes.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::ports::Ports;

fn jars() -> String {
    let lib = std::env::var("ROCKETMQ_JAVA_LIB")
        .expect("ROCKETMQ_JAVA_LIB names the folder of Apache's jars");
    format!("{lib}/*")
}

/// Runs `Takeover.java` and returns its standard output.
pub(crate) fn java_client(arguments: &[&str]) -> String {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat/Takeover.java");
    let output = Command::new("java")
        .args(["-Xmx256m", "-cp", &jars(), source])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}:\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs Apache's own administration tool and returns what it printed.
pub(crate) fn mqadmin(apache: &Apache, arguments: &[&str]) -> String {
    let output = Command::new("java")
        .args(["-Xmx128m", "-cp", &jars()])
        .arg("-Drocketmq.home.dir=.")
        .arg("org.apache.rocketmq.tools.command.MQAdminStartup")
        .args(arguments)
        .args(["-n", &apache.name_server])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Apache RocketMQ on a data directory of ours.
pub(crate) struct Apache {
    children: Vec<Child>,
    pub(crate) name_server: String,
    broker_port: u16,
    ports: Vec<Ports>,
}

impl Apache {
    /// Starts both servers on free ports and waits until the broker is registered and has its store.
    pub(crate) fn start(data_dir: &Path, settings: &[&str]) -> Self {
        let home = data_dir.with_extension("apache");
        std::fs::create_dir_all(home.join("conf")).unwrap();
        let ports = Ports::one();
        let name_server_port = ports.first();
        let name_server = format!("127.0.0.1:{name_server_port}");
        let mut apache = Self {
            children: Vec::new(),
            name_server: name_server.clone(),
            broker_port: 0,
            ports: vec![ports],
        };

        let config = write(
            &home.join("namesrv.conf"),
            &format!("listenPort={name_server_port}\n"),
        );
        apache.run(
            &home,
            "org.apache.rocketmq.namesrv.NamesrvStartup",
            &["-c", &config],
            name_server_port,
        );
        apache.run_broker(&home, data_dir, settings);
        apache
    }

    /// Starts a broker alone that registers with a name server of ours, a slave for one.
    pub(crate) fn slave(data_dir: &Path, name_server: &str, settings: &[&str]) -> Self {
        let home = data_dir.with_extension("apache");
        std::fs::create_dir_all(home.join("conf")).unwrap();
        let mut apache = Self {
            children: Vec::new(),
            name_server: name_server.to_owned(),
            broker_port: 0,
            ports: Vec::new(),
        };
        apache.run_broker(&home, data_dir, settings);
        apache
    }

    /// Starts a controller alone; says where it listens.
    pub(crate) fn controller(dir: &Path) -> (Self, String) {
        std::fs::create_dir_all(dir.join("conf")).unwrap();
        let ports = Ports::one();
        let port = ports.first();
        let config = write(
            &dir.join("controller.conf"),
            &format!(
                "controllerDLegerGroup=group1\ncontrollerDLegerPeers=n0-127.0.0.1:{port}\ncontrollerDLegerSelfId=n0\n\
                 controllerStorePath={}\nscanNotActiveBrokerInterval=1000\nnotifyBrokerRoleChanged=true\n",
                dir.join("store").display()
            ),
        );
        let mut controller = Self {
            children: Vec::new(),
            name_server: String::new(),
            broker_port: 0,
            ports: vec![ports],
        };
        let class = "org.apache.rocketmq.controller.ControllerStartup";
        controller.run(dir, class, &["-c", &config], port);
        (controller, format!("127.0.0.1:{port}"))
    }

    /// Where its broker listens.
    pub(crate) fn broker(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.broker_port).into()
    }

    fn run_broker(&mut self, home: &Path, data_dir: &Path, settings: &[&str]) {
        let ports = Ports::reserve(3);
        let broker_port = ports.first();
        self.broker_port = broker_port + 2;
        self.ports.push(ports);
        let name_server = self.name_server.clone();
        let store = data_dir.display().to_string();
        let text = format!(
            "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\n\
             brokerIP2=127.0.0.1\nlistenPort={}\nhaListenPort={}\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\n{}\n",
            broker_port + 2,
            broker_port + 1,
            settings.join("\n")
        );
        let config = write(&home.join("broker.conf"), &text);
        let arguments = ["-c", &config, "-n", &name_server];
        self.run(
            home,
            "org.apache.rocketmq.broker.BrokerStartup",
            &arguments,
            broker_port + 2,
        );
    }

    fn run(&mut self, home: &Path, class: &str, arguments: &[&str], port: u16) {
        let log = home.join(format!("{}.out", class.rsplit('.').next().unwrap()));
        let out = std::fs::File::create(&log).unwrap();
        let child = Command::new("java")
            .args([
                "-Xms256m",
                "-Xmx512m",
                "-XX:MaxDirectMemorySize=1g",
                "-cp",
                &jars(),
            ])
            .arg(format!("-Duser.home={}", home.display()))
            .arg(format!("-Drocketmq.home.dir={}", home.display()))
            .arg(class)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        self.children.push(child);
        let deadline = Instant::now() + Duration::from_mins(2);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        while !said().contains("boot success") || TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.children.last_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{class} ended:\n{}", said());
            assert!(
                Instant::now() < deadline,
                "{class} is not ready:\n{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGTERM to the broker, then to the name server: a clean stop.
    pub(crate) fn stop(mut self) {
        while let Some(mut child) = self.children.pop() {
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn write(path: &PathBuf, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}
