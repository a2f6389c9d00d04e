//! Three brokers to which a controller gives their roles: whoever is master may die or hang, another takes its place by
//! itself, and nothing acknowledged is lost.
//!
//! `RMQ_CONTROLLER_ROUNDS` sets the number of failures (default 3), `RMQ_HA_SEED` the seed. The test against Apache's
//! controller needs a JDK and the jars in `ROCKETMQ_JAVA_LIB`.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmq::protocol::body::route::ClusterInfo;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::Command;
use rmq::protocol::fastjson;
use rmq::protocol::header::NoHeader;

use crate::SETTINGS;
use crate::group::{LIMIT, Member, assert_same_log, wait_for};
use crate::majority::{Traffic, assert_none_lost, await_alike, setting};
use crate::support::node::NodeProcess;
use crate::support::numbers::Numbers;
use crate::support::ports::Ports;
use crate::support::wire::Wire;

const NAME: &str = "trio";
/// Automatic failover is to be done within this.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// One controller: Apache's.
struct Apache {
    child: Child,
    ports: Ports,
}

impl Apache {
    fn start(root: &Path) -> Self {
        let home = root.join("apache");
        std::fs::create_dir_all(home.join("conf")).unwrap();
        let ports = Ports::one();
        let port = ports.first();
        let text = format!(
            "controllerDLegerGroup=group1\ncontrollerDLegerPeers=n0-127.0.0.1:{port}\ncontrollerDLegerSelfId=n0\n\
             controllerStorePath={}\nscanNotActiveBrokerInterval=1000\nnotifyBrokerRoleChanged=true\n",
            home.join("store").display()
        );
        let config = home.join("controller.conf");
        std::fs::write(&config, text).unwrap();
        let lib = std::env::var("ROCKETMQ_JAVA_LIB")
            .expect("ROCKETMQ_JAVA_LIB names the folder of Apache's jars");
        let out = std::fs::File::create(home.join("out")).unwrap();
        let child = Program::new("java")
            .args(["-Xmx256m", "-cp", &format!("{lib}/*")])
            .arg(format!("-Duser.home={}", home.display()))
            .env("ROCKETMQ_HOME", &home)
            .arg("org.apache.rocketmq.controller.ControllerStartup")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        let apache = Self { child, ports };
        wait_for("Apache's controller listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        apache
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three controllers: ours.
struct Ours {
    root: PathBuf,
    _ports: Ports,
    peers: String,
    running: Vec<Option<NodeProcess>>,
}

impl Ours {
    fn start(root: &Path) -> Self {
        let ports = Ports::reserve(3);
        let peers: Vec<_> = (0..3)
            .map(|id| format!("n{id}-127.0.0.1:{}", ports.first() + id))
            .collect();
        let mut ours = Self {
            root: root.to_owned(),
            _ports: ports,
            peers: peers.join(";"),
            running: vec![None, None, None],
        };
        for at in 0..3 {
            ours.start_one(at);
        }
        ours
    }

    fn start_one(&mut self, at: usize) {
        let id = format!("n{at}");
        let flags = [
            "--role",
            "controller",
            "--controller-peers",
            &self.peers,
            "--controller-id",
            &id,
        ];
        let node =
            NodeProcess::start_with(&self.root.join(format!("controller-{at}")), &flags, &[]);
        self.running[at] = Some(node);
    }

    /// As brokers are told.
    fn addresses(&self) -> String {
        let peers = self
            .peers
            .split(';')
            .filter_map(|peer| peer.split_once('-'));
        peers
            .map(|(_, address)| address)
            .collect::<Vec<_>>()
            .join(";")
    }

    /// SIGKILL, and a new start.
    fn fail(&mut self, at: usize) {
        if let Some(node) = self.running[at].take() {
            node.kill();
        }
        self.start_one(at);
    }
}

/// Tells the traffic who is master, as the name server says.
struct Finder {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Finder {
    fn start(name_server: SocketAddr, master: Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(port) = registered_master(name_server) {
                    master.store(port.into(), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn registered_master(name_server: SocketAddr) -> Option<u16> {
    let mut wire = Wire::connect(name_server).ok()?;
    let request = Command::request(RequestCode::GET_BROKER_CLUSTER_INFO, &NoHeader);
    let reply = wire.call(&request).ok()?;
    if reply.code != ResponseCode::SUCCESS {
        return None;
    }
    let info: ClusterInfo = fastjson::from_slice(&reply.body).ok()?;
    let address = info.broker_addr_table.get(NAME)?.broker_addrs.get(&0)?;
    address.rsplit_once(':')?.1.parse().ok()
}

fn trio(root: &Path, name_server: SocketAddr, controllers: &str) -> Vec<Member> {
    let own = [
        format!("brokerName={NAME}"),
        format!("namesrvAddr={name_server}"),
        format!("controllerAddr={controllers}"),
        "enableControllerMode=true".to_owned(),
        "replication=majority".to_owned(),
        "totalReplicas=3".to_owned(),
        "slaveTimeout=2000".to_owned(),
    ];
    let settings: Vec<&str> = SETTINGS
        .iter()
        .copied()
        .chain(own.iter().map(String::as_str))
        .collect();
    ["one", "two", "three"]
        .map(|name| Member::new(root, name, None, &settings))
        .into()
}

/// The master, once it has slaves enough in sync for one more failure.
fn settled(trio: &[Member], name_server: SocketAddr) -> usize {
    wait_for("a master with slaves in sync", || {
        let port = registered_master(name_server)?;
        let at = trio.iter().position(|member| member.port == port)?;
        let status = trio[at].status();
        let in_sync = status.replicas.iter().filter(|replica| replica.in_sync);
        (status.role != "SLAVE" && in_sync.count() == 2).then_some(at)
    })
}

#[allow(clippy::print_stdout, reason = "figures of a test")]
fn fail_at_random(controllers: &str, root: &Path, mut beside: impl FnMut(&mut Numbers)) {
    let rounds = setting("RMQ_CONTROLLER_ROUNDS", 3);
    let seed = setting("RMQ_HA_SEED", 1);
    let mut numbers = Numbers(seed);
    let name_server = NodeProcess::start_with(
        &root.join("namesrv"),
        &["--role", "namesrv", "--port", "0"],
        &[],
    );
    let at = name_server.name_server;
    let mut trio = trio(root, at, controllers);
    for member in &mut trio {
        member.start();
    }
    let first = settled(&trio, at);
    let traffic = Traffic::start(trio[first].port);
    let finder = Finder::start(at, Arc::clone(&traffic.master));
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let more = usize::try_from(50 + numbers.below(300)).unwrap();
        await_acknowledged(&traffic, more, &trio, LIMIT);
        let master = settled(&trio, at);
        // Most often it is the master; a slave may fail as well.
        let victim = match numbers.below(4) {
            0 => (master + 1) % 3,
            _ => master,
        };
        let freeze = numbers.below(2) == 0;
        beside(&mut numbers);
        let begun = Instant::now();
        if freeze {
            trio[victim].freeze();
        } else {
            trio[victim].kill();
        }
        // What was under way is acknowledged late; what counts is that it goes on.
        await_acknowledged(&traffic, 30, &trio, LIMIT);
        let took = begun.elapsed();
        longest = longest.max(took);
        println!(
            "round {round}: {} {} {}, going on after {took:.1?}",
            if freeze { "SIGSTOP" } else { "SIGKILL" },
            if victim == master { "master" } else { "slave" },
            trio[victim].port
        );
        assert!(took < FAILOVER_LIMIT, "{took:?}");
        if freeze {
            trio[victim].thaw();
        } else {
            trio[victim].start();
        }
    }
    let master = settled(&trio, at);
    drop(finder);
    let (acknowledged, consumed) = traffic.end();
    await_alike(&trio, master);
    assert_none_lost(&trio[master], &acknowledged, &consumed);
    let epoch = trio[master].status().epoch;
    for member in &mut trio {
        member.kill();
    }
    assert_same_log(&trio[0].dir, &trio[1].dir);
    assert_same_log(&trio[0].dir, &trio[2].dir);
    println!(
        "{rounds} failures (seed {seed}), epoch {epoch}, the longest pause {longest:.1?}: {} acknowledged, {} consumed, none lost",
        acknowledged.len(),
        consumed.len()
    );
}

fn await_acknowledged(traffic: &Traffic, more: usize, trio: &[Member], limit: Duration) {
    let wanted = traffic.acknowledged() + more;
    let deadline = Instant::now() + limit;
    while traffic.acknowledged() < wanted {
        assert!(
            Instant::now() < deadline,
            "nothing is acknowledged any more: {:#?}",
            trio.iter().map(Member::log).collect::<Vec<_>>()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn apaches_controller_finds_another_master() {
    let root = tempfile::tempdir().unwrap();
    let controller = Apache::start(root.path());
    let address = format!("127.0.0.1:{}", controller.ports.first());
    fail_at_random(&address, root.path(), |_| {});
}

#[test]
fn another_broker_becomes_master_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let mut controllers = Ours::start(root.path());
    let addresses = controllers.addresses();
    fail_at_random(&addresses, root.path(), |numbers| {
        // Now and then a controller fails as well, it may be the one that leads.
        if numbers.below(3) == 0 {
            controllers.fail(usize::try_from(numbers.below(3)).unwrap());
        }
    });
}
