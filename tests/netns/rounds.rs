//! One harm after the other, the operator who answers them, and what has to be true afterwards.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::ledger::Traffic;
use crate::member::{Member, binary, others};
use crate::network::{BROKERS, CLIENTS};
use crate::support::node::NodeProcess;
use crate::support::numbers::Numbers;

const NAME_SERVER_PORT: &str = "9876";
/// How long until a group is whole again after a harm was undone.
const WHOLE_LIMIT: Duration = Duration::from_mins(1);
/// How long producers may wait where nobody has to do anything.
const SERVICE_LIMIT: Duration = Duration::from_secs(20);
/// What a promotion by hand may take, from the command's start to the first message the new master acknowledges.
const PROMOTION_LIMIT: Duration = Duration::from_secs(3);

/// The same where controllers do it, from the harm on.
const ELECTION_LIMIT: Duration = Duration::from_secs(10);

/// Who says which broker is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chooser {
    Operator,
    Controllers,
}

/// What is done to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Kill,
    Restart,
    CutBoth,
    /// What it sends is lost.
    CutOut,
    /// What is sent to it is lost.
    CutIn,
    /// It does not reach the other brokers, but clients do reach it.
    CutPeers,
    Slow,
    Freeze,
    FillDisk,
    CorruptTail,
    /// None: another broker becomes master while all are well.
    Switch,
}

impl Harm {
    const ALL: [(Self, &str); 11] = [
        (Self::Kill, "kill"),
        (Self::Restart, "restart"),
        (Self::CutBoth, "cut-both"),
        (Self::CutOut, "cut-out"),
        (Self::CutIn, "cut-in"),
        (Self::CutPeers, "cut-peers"),
        (Self::Slow, "slow"),
        (Self::Freeze, "freeze"),
        (Self::FillDisk, "fill-disk"),
        (Self::CorruptTail, "corrupt-tail"),
        (Self::Switch, "switch"),
    ];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(harm, _)| *harm == self);
        found.unwrap().1
    }

    /// Whether controllers find another master when it happens to theirs.
    fn silences_master(self) -> bool {
        self.stops_master() && self != Self::FillDisk
    }

    /// Whether a master to which it happens cannot serve until it is undone.
    fn stops_master(self) -> bool {
        !matches!(self, Self::Restart | Self::Slow | Self::Switch)
    }
}

fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

/// The harms to choose from.
fn harms(chooser: Chooser) -> Vec<Harm> {
    let only = std::env::var("RMQ_NETNS_ONLY").unwrap_or_default();
    let named = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let all = Harm::ALL.iter().filter(|(_, name)| named(name));
    let all = all.map(|(harm, _)| *harm);
    all.filter(|harm| chooser == Chooser::Operator || *harm != Harm::Switch)
        .collect()
}

/// Everything that takes part.
struct Rig {
    _name_server: NodeProcess,
    name_server: String,
    members: Vec<Member>,
    master: usize,
    chooser: Chooser,
    traffic: Traffic,
    numbers: Numbers,
    /// From a promotion's start to the first acknowledgement.
    promotions: Vec<Duration>,
    /// The logs are the same up to here.
    compared: u64,
}

/// All rounds, within the clients' namespace.
pub(crate) fn run(root: &Path, chooser: Chooser) {
    let rounds = setting("RMQ_NETNS_ROUNDS", 50);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = setting("RMQ_NETNS_SEED", now.unwrap().as_secs());
    let flush = ["ASYNC_FLUSH", "SYNC_FLUSH"][usize::try_from(seed % 2).unwrap()];
    println!("RMQ_NETNS_SEED={seed}, {rounds} rounds, {flush}");
    let mut rig = Rig::start(root, seed, flush, chooser);
    let harms = harms(chooser);
    let begun = Instant::now();
    for round in 1..=rounds {
        rig.traffic.wait_for_acks(20, SERVICE_LIMIT);
        let harm = harms[usize::try_from(rig.numbers.below(harms.len() as u64)).unwrap()];
        rig.round(round, harm);
    }
    rig.traffic.resume();
    rig.traffic.wait_for_acks(100, SERVICE_LIMIT);
    rig.make_whole();
    rig.traffic.wait_for_deliveries(WHOLE_LIMIT);
    rig.compared = 0;
    rig.compare(true);
    let mut times: Vec<_> = rig.promotions.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    println!(
        "{rounds} rounds in {} s (seed {seed}, {flush}): {} acknowledged, {} seen, none lost; {} promotions by {chooser:?}, \
         ms from the command or the harm to the first message: median {:?}, longest {:?}",
        begun.elapsed().as_secs(),
        rig.traffic.acknowledged(),
        rig.traffic.seen(),
        times.len(),
        times.get(times.len() / 2),
        times.last()
    );
}

impl Rig {
    fn start(root: &Path, seed: u64, flush: &str, chooser: Chooser) -> Self {
        let flags = [
            "--role",
            "namesrv",
            "--listen",
            CLIENTS,
            "--port",
            NAME_SERVER_PORT,
        ];
        let server = NodeProcess::start_with(&root.join("namesrv"), &flags, &[]);
        let name_server = format!("{CLIENTS}:{NAME_SERVER_PORT}");
        let more = [format!("flushDiskType={flush}")];
        let members = (0..BROKERS).map(|index| Member::new(root, index, &name_server, &more));
        let mut members: Vec<_> = members.collect();
        if chooser == Chooser::Controllers {
            for member in &mut members {
                member.obey_controllers(root);
            }
        }
        for member in &mut members {
            member.start();
        }
        let addresses: Vec<_> = members.iter().map(Member::address).collect();
        Self {
            _name_server: server,
            traffic: Traffic::start(&name_server, &addresses),
            name_server,
            members,
            master: 0,
            chooser,
            numbers: Numbers(seed),
            promotions: Vec::new(),
            compared: 0,
        }
    }

    fn pause_up_to(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_millis(self.numbers.below(millis)));
    }

    fn round(&mut self, round: u64, harm: Harm) {
        let chosen = usize::try_from(self.numbers.below(6)).unwrap();
        // The master two times out of three.
        let victim = if chosen < 4 || harm == Harm::Switch {
            self.master
        } else {
            (self.master + chosen - 3) % BROKERS
        };
        let is_master = victim == self.master;
        // Some masters get their place back without anybody's doing.
        let is_replaced = is_master && (!harm.stops_master() || self.numbers.below(4) > 0);
        let who = if is_master { "master" } else { "slave" };
        let name = harm.name();
        print!("round {round}: {name} {who} {victim}");
        let begun = Instant::now();
        let note = self.inflict(harm, victim);
        let mut how = String::new();
        let by_hand = self.chooser == Chooser::Operator;
        if is_replaced && !by_hand && harm.silences_master() {
            how = format!(
                ", replaced in {} ms",
                self.await_election(begun).as_millis()
            );
            self.traffic.wait_for_acks(20, SERVICE_LIMIT);
        } else if by_hand && (harm == Harm::Switch || is_replaced && harm.stops_master()) {
            self.pause_up_to(2000);
            let took = self.promote();
            how = format!(", {} took over in {} ms", self.master, took.as_millis());
            self.traffic.wait_for_acks(20, SERVICE_LIMIT);
        } else if is_master {
            self.pause_up_to(4000);
        } else {
            self.traffic.wait_for_acks(40, SERVICE_LIMIT);
            self.pause_up_to(3000);
        }
        let undone = Instant::now();
        self.undo(harm, victim);
        if by_hand && harm == Harm::CorruptTail && is_master && !is_replaced {
            // It may have lost what others have, who then do not follow it.
            let served = self.traffic.try_wait_for_acks(5, Duration::from_secs(5));
            if served.is_err() {
                let took = self.promote();
                how = format!(", {} took over in {} ms", self.master, took.as_millis());
            }
        }
        self.traffic.wait_for_acks(20, SERVICE_LIMIT);
        let served = undone.elapsed();
        self.make_whole();
        println!(
            "{note}{how}; served {} ms and whole {} ms after; {} acknowledged, {:.1} s",
            served.as_millis(),
            undone.elapsed().as_millis(),
            self.traffic.acknowledged(),
            begun.elapsed().as_secs_f32()
        );
        self.compare(round.is_multiple_of(10));
        self.traffic.resume();
    }

    fn inflict(&mut self, harm: Harm, victim: usize) -> String {
        let member = &mut self.members[victim];
        match harm {
            Harm::Kill => member.kill(),
            Harm::Restart => {
                member.stop();
                member.start();
            }
            Harm::CutBoth => {
                member.place.mute();
                member.place.deafen();
            }
            Harm::CutOut => member.place.mute(),
            Harm::CutIn => member.place.deafen(),
            Harm::CutPeers => {
                member.place.mute_towards(others(victim));
                for other in others(victim) {
                    self.members[other].place.mute_towards([victim].into_iter());
                }
            }
            Harm::Slow => member.place.slow(),
            Harm::Freeze => member.freeze(),
            Harm::FillDisk => member.fill_disk(self.numbers.below(100_000)),
            Harm::CorruptTail => {
                member.kill();
                return format!(", {}", member.corrupt_tail(&mut self.numbers));
            }
            Harm::Switch => {}
        }
        String::new()
    }

    fn undo(&mut self, harm: Harm, victim: usize) {
        let member = &mut self.members[victim];
        match harm {
            Harm::Kill | Harm::CorruptTail => member.start(),
            Harm::Freeze => member.thaw(),
            Harm::FillDisk => member.empty_disk(),
            Harm::Restart | Harm::Switch => {}
            Harm::CutBoth | Harm::CutOut | Harm::CutIn | Harm::CutPeers | Harm::Slow => {
                for member in &self.members {
                    member.place.heal();
                }
            }
        }
    }

    /// `rmq failover …`, as an operator at a client's place runs it.
    fn failover(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("failover").args(args);
        command.args(["--yes", "-o", "json", "--namesrv", &self.name_server]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RMQ_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Makes another broker master. Returns how long producers waited from the command's start.
    fn promote(&mut self) -> Duration {
        let begun = Instant::now();
        let output = self.failover(&["promote", "rig"]);
        let said = String::from_utf8_lossy(&output.stderr);
        let steps: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(
            output.status.success(),
            "promote: {said}\n{steps:#}\n{}",
            self.tails()
        );
        let steps = steps.as_array().unwrap();
        let step = steps.iter().find(|step| step["action"] == "promote");
        let address = step.unwrap()["at"].as_str().unwrap().to_owned();
        let of = |member: &Member| member.address().to_string() == address;
        self.master = self.members.iter().position(of).unwrap();
        let address = self.members[self.master].address();
        let first = loop {
            if let Some(first) = self.traffic.first_ack(address, begun) {
                break first;
            }
            assert!(
                begun.elapsed() < SERVICE_LIMIT,
                "producers do not find {address}\n{}",
                self.tails()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = first - begun;
        if took > PROMOTION_LIMIT {
            println!(
                "\n  SLOW: {} ms, of which the command {steps:#?}",
                took.as_millis()
            );
        }
        self.promotions.push(took);
        took
    }

    /// Waits for another master's first acknowledgement. Returns how long it took since the harm.
    fn await_election(&mut self, harmed: Instant) -> Duration {
        let old = self.members[self.master].address();
        loop {
            if let Some(first) = self.traffic.first_ack_of_another(old, harmed) {
                let took = first - harmed;
                if took > ELECTION_LIMIT {
                    println!("\n  SLOW: {} ms", took.as_millis());
                }
                self.promotions.push(took);
                return took;
            }
            assert!(
                harmed.elapsed() < WHOLE_LIMIT,
                "nobody is elected\n{}",
                self.tails()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The broker that is master of the latest epoch.
    fn find_master(&self) -> Result<usize, String> {
        let standing = (0..BROKERS).filter_map(|index| {
            let status = self.members[index].status().ok()?;
            let is_master = status.role != "SLAVE" && !status.fenced;
            is_master.then_some((status.epoch, index))
        });
        let latest = standing.max().map(|(_, index)| index);
        latest.ok_or_else(|| "nobody is master".to_owned())
    }

    /// Stops the producers and waits until all brokers have everything; whoever comes back as a master is made a slave.
    fn make_whole(&mut self) {
        self.traffic.pause();
        let deadline = Instant::now() + WHOLE_LIMIT;
        let mut patience = Duration::from_secs(5);
        while let Err(why) = self.try_make_whole() {
            if deadline - Instant::now() < WHOLE_LIMIT.saturating_sub(patience) {
                println!("\n  not whole after {} s: {why}", patience.as_secs());
                patience *= 2;
            }
            assert!(
                Instant::now() < deadline,
                "the group is not whole: {why}\n{}",
                self.tails()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_make_whole(&mut self) -> Result<(), String> {
        if self.chooser == Chooser::Controllers {
            self.master = self.find_master()?;
        }
        let status = |index: usize| {
            let status = self.members[index].status();
            status.map_err(|error| format!("{index}: {error}"))
        };
        let master = status(self.master)?;
        for index in others(self.master) {
            let own = status(index)?;
            if own.role != "SLAVE" && self.chooser == Chooser::Operator {
                let address = self.members[index].address().to_string();
                let output = self.failover(&["add-replica", "rig", &address]);
                return Err(format!(
                    "{own:#?} {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            let connected = own.master.as_ref().is_some_and(|link| link.connected);
            let same = (own.log_end, own.committed) == (master.log_end, master.log_end);
            if !connected || !same || own.epochs != master.epochs || master.fenced {
                return Err(format!("{own:#?}\nmaster: {master:#?}"));
            }
        }
        Ok(())
    }

    /// Compares the ledger with the master, and the logs with each other.
    fn compare(&mut self, from_the_beginning: bool) {
        self.traffic
            .compare(self.members[self.master].address(), from_the_beginning);
        let end = u64::try_from(self.members[self.master].status().unwrap().log_end).unwrap();
        let logs: Vec<_> = self
            .members
            .iter()
            .map(|one| one.log_bytes(self.compared, end))
            .collect();
        for (index, log) in logs.iter().enumerate() {
            let differs = logs[self.master].iter().zip(log).position(|(a, b)| a != b);
            let at = differs.map(|at| at as u64 + self.compared);
            assert_eq!(
                at, None,
                "the log of {index} is not that of {}",
                self.master
            );
            assert_eq!(
                log.len() as u64,
                end - self.compared,
                "the log of {index} is short"
            );
        }
        self.compared = end;
    }

    fn tails(&self) -> String {
        let tail = |member: &Member| format!("--- {}\n{}\n", member.index, member.tail());
        self.members.iter().map(tail).collect()
    }
}
