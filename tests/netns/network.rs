//! Namespaces, the bridge that joins them, and what can be done to a broker's share of it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Brokers are 11, 12, 13; the clients and the name server 1.
const SUBNET: &str = "10.77.0.";
/// A hardware address nobody has: frames to it arrive nowhere.
const NOBODY: &str = "02:00:00:00:00:99";
/// Room on each broker's disk.
const DISK: &str = "size=192m";

pub(crate) const BROKERS: usize = 3;
/// Where the clients are.
pub(crate) const CLIENTS: &str = "10.77.0.1";

/// The address of a broker.
pub(crate) fn address(index: usize) -> String {
    format!("{SUBNET}{}", 11 + index)
}

/// Runs a command that has to work.
fn must(command: &str) {
    if let Err(why) = attempt(command) {
        panic!("{command}: {why}");
    }
}

fn attempt(command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// The namespace of a broker in the run whose directories are under `root`.
pub(crate) fn namespace(root: &Path, index: usize) -> String {
    format!("{}-{index}", root.file_name().unwrap().to_str().unwrap())
}

/// All of it; gone when dropped.
pub(crate) struct Network {
    root: PathBuf,
    is_kept: bool,
}

impl Network {
    /// Why this machine has no namespaces for the test.
    pub(crate) fn is_possible() -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let name = format!("rmqtry{}", std::process::id());
        attempt(&format!("ip netns add {name}"))?;
        let tried = attempt(&format!("ip -n {name} link add v0 type veth peer name v1"))
            .and_then(|_| attempt(&format!("tc -n {name} qdisc add dev v0 root blackhole")))
            .and_then(|_| attempt(&format!("tc -n {name} qdisc add dev v1 root {SLOW}")));
        attempt(&format!("ip netns del {name}"))?;
        tried.map(drop)
    }

    pub(crate) fn build() -> Self {
        let root = std::env::temp_dir().join(format!("rmqns{}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let network = Self {
            root,
            is_kept: false,
        };
        let clients = network.clients();
        must(&format!("ip netns add {clients}"));
        must(&format!("ip -n {clients} link set lo up"));
        must(&format!("ip -n {clients} link add bridge type bridge"));
        must(&format!("ip -n {clients} addr add {CLIENTS}/24 dev bridge"));
        must(&format!("ip -n {clients} link set bridge up"));
        for index in 0..BROKERS {
            let (own, address) = (namespace(&network.root, index), address(index));
            must(&format!("ip netns add {own}"));
            must(&format!(
                "ip link add port{index} netns {clients} type veth peer name eth0 netns {own}"
            ));
            must(&format!(
                "ip -n {clients} link set port{index} master bridge up"
            ));
            must(&format!("ip -n {own} link set lo up"));
            must(&format!("ip -n {own} addr add {address}/24 dev eth0"));
            must(&format!("ip -n {own} link set eth0 up"));
            let disk = network.root.join(format!("broker{index}"));
            std::fs::create_dir(&disk).unwrap();
            must(&format!(
                "mount -t tmpfs -o {DISK} rmq-netns {}",
                disk.display()
            ));
        }
        network
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn clients(&self) -> String {
        format!("{}-c", self.root.file_name().unwrap().to_str().unwrap())
    }

    /// Leaves the brokers' disks where they are.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        println!("the brokers' disks are in {}", self.root.display());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let brokers = (0..BROKERS).map(|index| namespace(&self.root, index));
        for name in brokers.chain([self.clients()]) {
            for pid in attempt(&format!("ip netns pids {name}"))
                .unwrap_or_default()
                .lines()
            {
                let _ = attempt(&format!("kill -9 {pid}"));
            }
            let _ = attempt(&format!("ip netns del {name}"));
        }
        if self.is_kept {
            return;
        }
        for index in 0..BROKERS {
            let disk = self.root.join(format!("broker{index}"));
            let _ = attempt(&format!("umount -l {}", disk.display()));
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Each packet counts as 4000 bytes, of which 100,000 pass in a second: 40 ms a packet, and what queues up waits longer.
const SLOW: &str = "tbf rate 800kbit burst 4000 mpu 4000 limit 400000";

/// A broker's place in the network, as seen from the clients' namespace.
pub(crate) struct Place {
    index: usize,
    namespace: String,
}

impl Place {
    pub(crate) fn new(root: &Path, index: usize) -> Self {
        Self {
            index,
            namespace: namespace(root, index),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Nothing it sends arrives.
    pub(crate) fn mute(&self) {
        must(&format!(
            "tc -n {} qdisc replace dev eth0 root blackhole",
            self.namespace
        ));
    }

    /// Nothing that is sent to it arrives.
    pub(crate) fn deafen(&self) {
        must(&format!(
            "tc qdisc replace dev port{} root blackhole",
            self.index
        ));
    }

    /// Nothing it sends to these brokers arrives; the others hear it.
    pub(crate) fn mute_towards(&self, others: impl Iterator<Item = usize>) {
        for other in others {
            must(&format!(
                "ip -n {} neigh replace {} lladdr {NOBODY} dev eth0 nud permanent",
                self.namespace,
                address(other)
            ));
        }
    }

    /// Everything it sends is late.
    pub(crate) fn slow(&self) {
        must(&format!(
            "tc -n {} qdisc replace dev eth0 root {SLOW}",
            self.namespace
        ));
    }

    /// Undoes all of it.
    pub(crate) fn heal(&self) {
        // What is not there cannot be deleted, and need not be.
        let _ = attempt(&format!("tc -n {} qdisc del dev eth0 root", self.namespace));
        let _ = attempt(&format!("tc qdisc del dev port{} root", self.index));
        for other in (0..BROKERS).filter(|other| *other != self.index) {
            let (own, address) = (&self.namespace, address(other));
            let _ = attempt(&format!("ip -n {own} neigh del {address} dev eth0"));
        }
    }
}
