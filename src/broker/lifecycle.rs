//! Starting and stopping a broker, and its housekeeping in between.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

use super::Broker;
use super::clients::Clients;
use super::controller::Member;
use super::controller::group::await_role;
use super::flush_wait::{FlushWaits, LineOf, answer_line};
use super::groups::Groups;
use super::handlers::pop;
use super::handlers::pull::{self, ParkedPulls};
use super::kept::{self, ConfigFileError, Form, Kept};
use super::locks::Locks;
use super::modes::Modes;
use super::offsets::Offsets;
use super::options::BrokerOptions;
use super::pop::{PopState, revive};
use super::registration::{self, Registrar};
use super::replication::state::StateFile;
use super::replication::{self, BrokerRole, Replication, ReplicationMode};
use super::schedule::{self, Schedule};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::stats::{self, Stats};
use super::tasks::Tasks;
use super::timer::{self, Timer};
use super::topics::{PERM_READ, PERM_WRITE, Topics};
use super::transaction::{self, Transactions};
use crate::base::{GroupName, TopicName};
use crate::message::UniqIds;
use crate::protocol::fastjson;
use crate::store::{RecoveryReport, Store, StoreError, WriteRefusal};
use crate::sys::{Clock, platform};

/// How often silent clients are looked for.
const EXPIRY_SCAN: Duration = Duration::from_secs(10);
/// How often the progress of delayed messages is written (`flushDelayOffsetInterval`).
const DELAY_SAVE: Duration = Duration::from_secs(10);

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file under `config/` cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// The timer's files cannot be opened.
    #[error("cannot open the files of the timer: {0}")]
    Timer(std::io::Error),
    /// What was noted about roles and epochs cannot be read.
    #[error("cannot read what was noted about this broker's role: {0}")]
    Replication(std::io::Error),
    /// The advertised address is no address.
    #[error("brokerIP1 {0:?} is not an address")]
    Address(String),
}

fn load<T: DeserializeOwned + Default>(config: &Path, name: &str) -> Result<T, ConfigFileError> {
    Ok(kept::load(&config.join(name))?.unwrap_or_default())
}

fn file<T>(config: &Path, name: &str, table: T, form: Form<T>) -> Kept<T> {
    Kept::new(config.join(name), table, form)
}

/// The address records carry as their store host.
fn store_host(options: &BrokerOptions) -> Result<SocketAddr, BrokerError> {
    let (host, port) = (options.broker_ip1.as_str(), options.told_port());
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let resolved = (host, port).to_socket_addrs();
    resolved
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| BrokerError::Address(host.to_owned()))
}

impl Broker {
    /// A broker on its own.
    #[cfg(test)]
    pub(crate) fn start(
        options: BrokerOptions,
        clock: Clock,
    ) -> Result<(Arc<Self>, RecoveryReport), BrokerError> {
        let settings = Settings::new(None, clock.now_ms());
        Self::start_in(options, clock, None, Arc::new(settings))
    }

    /// Opens the store and the tables, and starts the broker's tasks. Needs a tokio runtime; blocks while the store
    /// recovers. Whoever calls serves a [`super::Port`] and calls [`Broker::shutdown`] at the end. With a member, a
    /// controller gives the broker its role.
    pub(crate) fn start_in(
        mut options: BrokerOptions,
        clock: Clock,
        member: Option<Arc<Member>>,
        settings: Arc<Settings>,
    ) -> Result<(Arc<Self>, RecoveryReport), BrokerError> {
        // A bad address is told before the store is opened.
        store_host(&options)?;
        settings.apply(&mut options);
        let state = StateFile::open(&options.store.dir).map_err(BrokerError::Replication)?;
        let configured = options.broker_role;
        state.saved().apply(&mut options);
        if let Some(member) = &member {
            await_role(&mut options, &state, member);
        }
        if options.store.cut_at.is_some() {
            // What the timer filed may point to what is cut, where other messages will be.
            timer::discard(&options.store.dir).map_err(BrokerError::Timer)?;
        }
        let memory_bytes = platform::memory_bytes();
        options.store.cut_at_damage =
            options.replication == ReplicationMode::Majority || member.is_some();
        options.store.log_cache_bytes = options.log_cache_bytes(memory_bytes);
        let (store, report) = Store::open(options.store.clone(), clock.clone())?;
        let damaged = !report.damaged.is_empty();
        if damaged && options.store.cut_at_damage {
            timer::discard(&options.store.dir).map_err(BrokerError::Timer)?;
        }
        let opened = Arc::clone(&store);
        let replicated =
            Replication::open(&options, configured, state, &store, damaged, member.clone());
        let broker = replicated
            .map_err(BrokerError::Replication)
            .and_then(|replication| {
                let memory_bytes = memory_bytes.unwrap_or(u64::MAX);
                Self::assemble(options, clock, store, replication, settings, memory_bytes)
            })
            .map(Arc::new)
            .and_then(|broker| broker.begin(report.clean).map(|()| broker))
            .inspect_err(|_| {
                // Nothing was written: the next start need not look for what a crash left.
                if let Err(error) = opened.shutdown() {
                    tracing::warn!("the store was not closed in order: {error}");
                }
            })?;
        if let Some(member) = member {
            member.attach(&broker, report.clean);
        }
        Ok((broker, report))
    }

    /// Starts the broker's tasks.
    fn begin(self: &Arc<Self>, clean: bool) -> Result<(), BrokerError> {
        let broker = self;
        let tasks = &broker.tasks;
        tasks.spawn(pull::expire(Arc::clone(broker)));
        tasks.spawn(pop::expire(Arc::clone(broker)));
        for which in [LineOf::Flushed, LineOf::Replicated] {
            tasks.spawn(answer_line(Arc::clone(broker), which));
        }
        // What writes messages by itself is for masters: a slave gets them from there.
        broker.start_replication();
        if broker.replication.took_over() {
            replication::assume::unknown(broker, broker.replication.tables_at());
        }
        if !broker.replication.is_slave() {
            revive::restore(broker, clean && !broker.replication.took_over());
            tasks.spawn(revive::run(Arc::clone(broker)));
            tasks.spawn(schedule::run(Arc::clone(broker)));
            Timer::start(broker).map_err(BrokerError::Timer)?;
            tasks.spawn(transaction::run_ops(Arc::clone(broker)));
            tasks.spawn(transaction::run_checks(Arc::clone(broker)));
        }
        tasks.spawn(save_offsets(Arc::clone(broker)));
        tasks.spawn(save_progress(Arc::clone(broker)));
        tasks.spawn(housekeeping(Arc::clone(broker)));
        Ok(())
    }

    fn assemble(
        options: BrokerOptions,
        clock: Clock,
        store: Arc<Store>,
        replication: Replication,
        settings: Arc<Settings>,
        memory_bytes: u64,
    ) -> Result<Self, BrokerError> {
        let store_host = store_host(&options)?;
        let now_ms = clock.now_ms();
        let config: PathBuf = options.store.dir.join("config");
        let mut topics = Topics::with_system_topics(&options, now_ms);
        let topic_file = config.join("topics.json");
        if let Some(saved) = kept::load(&topic_file)? {
            topics.restore(saved);
        }
        if let Some(journal) = kept::load_journal(&topic_file)? {
            topics.replay(&journal);
        }
        if !options.auto_create_topic_enable {
            topics.stop_auto_creation();
        }
        let mut groups = Groups::with_system_groups(now_ms);
        let group_file = config.join("subscriptionGroup.json");
        if let Some(saved) = kept::load(&group_file)? {
            groups.restore(saved);
        }
        let light = options.store.light_queues;
        // With light queues Apache keeps all offsets in a file of another name. Those of before are worth reading.
        let offset_file = if light {
            "lmqConsumerOffset.json"
        } else {
            "consumerOffset.json"
        };
        let saved = match kept::load(&config.join(offset_file))? {
            Some(saved) => saved,
            None => load(&config, "consumerOffset.json")?,
        };
        let offsets = Offsets::restore(saved).with_light_groups(light);
        let modes = Modes::restore(load(&config, "messageRequestMode.json")?);
        let schedule = Schedule::new(
            config.join("delayOffset.json"),
            load(&config, "delayOffset.json")?,
            options.store.delay_levels_ms.clone(),
        );
        let pop = PopState::new(
            &options,
            config.join("consumerOrderInfo.json"),
            load(&config, "consumerOrderInfo.json")?,
            &topics.map(),
        );
        // A slave has the timer's messages only; it makes the files when it becomes master.
        let timer = (options.timer_wheel_enable && options.broker_role != BrokerRole::Slave)
            .then(|| Timer::open(&store, &options, now_ms))
            .transpose()
            .map_err(BrokerError::Timer)?;
        let transactions = Transactions::restore(&store, &offsets);
        let parked_max = usize::try_from(options.max_parked_pulls).unwrap_or(usize::MAX);
        // Tells apart the brokers of one process, and the lives of one broker.
        let seed = u32::from(store_host.port()) ^ u32::try_from(now_ms & 0x7fff_ffff).unwrap_or(0);
        Ok(Self {
            topic_map: Snapshot::new(topics.map()),
            group_map: Snapshot::new(groups.map()),
            topics: file(&config, "topics.json", topics, topics_form()),
            groups: file(&config, "subscriptionGroup.json", groups, groups_form()),
            offsets: file(&config, offset_file, offsets, offsets_form()),
            modes: file(&config, "messageRequestMode.json", modes, modes_form()),
            schedule,
            pop,
            timer,
            transactions,
            settings,
            clients: Mutex::new(Clients::default()),
            locks: Mutex::new(Locks::default()),
            parked: ParkedPulls::new(parked_max),
            flush_waits: FlushWaits::default(),
            stats: Stats::default(),
            registrar: Registrar::new(),
            replication,
            tasks: Tasks::default(),
            unique_ids: UniqIds::new(store_host.ip(), std::process::id(), seed),
            store_host,
            started_ms: now_ms,
            memory_bytes,
            options: Snapshot::new(options),
            clock,
            store,
        })
    }

    /// Whether this broker follows a master.
    pub(crate) fn is_slave(&self) -> bool {
        self.replication.is_slave()
    }

    /// Makes a topic that can be read and written, unless it is there; says how many queues it has. Without a number it
    /// gets as many as a topic made by a first send.
    pub(crate) fn create_topic(&self, name: &TopicName, queues: Option<u32>) -> u32 {
        let default = self.options.load().default_topic_queue_nums;
        let queues = queues.map_or(default, |queues| i32::try_from(queues).unwrap_or(default));
        self.ensure_topic(name, queues, PERM_READ | PERM_WRITE, false, 0);
        let made = self.topic(name.as_str());
        made.map_or(0, |topic| {
            u32::try_from(topic.write_queue_nums).unwrap_or(0)
        })
    }

    /// Makes a consumer group with the defaults, unless it is there.
    pub(crate) fn create_group(&self, name: &GroupName) {
        let now_ms = self.clock.now_ms();
        self.change_groups(|groups| groups.create(name, now_ms));
    }

    /// Serves slaves on the port that `listen` opens, where this is a master. A slave's port stays shut.
    pub(crate) fn serve_slaves<E>(
        self: &Arc<Self>,
        listen: impl FnOnce() -> Result<TcpListener, E>,
    ) -> Result<(), E> {
        if !self.replication.is_slave() {
            let slaves = replication::master::serve(Arc::clone(self), listen()?);
            self.tasks.spawn(slaves);
        }
        Ok(())
    }

    /// Why sends are refused at the moment, if they are.
    pub(crate) fn write_refusal(&self) -> Option<String> {
        // A slave is as it should be.
        self.store
            .write_refusal()
            .filter(|refusal| !(self.is_slave() && *refusal == WriteRefusal::Replica))
            .map(|refusal| refusal.to_string())
    }

    /// Begins to register with the name servers; call it once the port is served.
    pub(crate) fn announce(self: &Arc<Self>) {
        self.tasks.spawn(registration::run(Arc::clone(self)));
    }

    /// Completes when a name server knows this broker.
    pub(crate) async fn registered(&self) {
        self.registrar.registered().await;
    }

    /// Takes leave of the name servers, stops the tasks, saves every table and closes the store.
    pub(crate) async fn shutdown(self: &Arc<Self>) -> Result<(), BrokerError> {
        if let Some(group) = self.replication.group() {
            group.member().detach();
        }
        registration::unregister(self).await;
        self.tasks.stop();
        let broker = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || {
            if !broker.replication.is_slave() {
                broker.empty_pop_buffer();
            }
            broker.save_all();
            if let Some(timer) = &broker.timer {
                timer.stop(&broker);
            }
            broker.store.shutdown()
        });
        match closed.await {
            Ok(closed) => Ok(closed?),
            Err(error) => {
                tracing::error!("closing the store failed: {error}");
                Ok(())
            }
        }
    }

    fn save_all(&self) {
        if !self.replication.is_slave() {
            transaction::write_ops(self);
        }
        self.keep_committed();
        self.topics.keep();
        self.groups.keep();
        self.offsets.keep();
        self.modes.keep();
        self.schedule.keep(&self.store);
        self.pop.orders.keep();
    }
}

fn topics_form() -> Form<Topics> {
    Form {
        changes: Topics::changes,
        encode: |topics| fastjson::to_file(&topics.file()).unwrap_or_default(),
        line_since: Topics::line_since,
    }
}

fn groups_form() -> Form<Groups> {
    Form {
        changes: Groups::changes,
        encode: |groups| fastjson::to_file(&groups.file()).unwrap_or_default(),
        line_since: kept::whole,
    }
}

fn modes_form() -> Form<Modes> {
    Form {
        changes: Modes::changes,
        encode: |modes| fastjson::to_file(modes.file()).unwrap_or_default(),
        line_since: kept::whole,
    }
}

fn offsets_form() -> Form<Offsets> {
    Form {
        changes: Offsets::changes,
        encode: |offsets| fastjson::to_file(&offsets.file()).unwrap_or_default(),
        line_since: kept::whole,
    }
}

/// Runs `save` on a thread that may block.
async fn blocking(broker: &Arc<Broker>, save: fn(&Broker)) {
    let broker = Arc::clone(broker);
    if let Err(error) = tokio::task::spawn_blocking(move || save(&broker)).await {
        tracing::error!("saving failed: {error}");
    }
}

async fn save_offsets(broker: Arc<Broker>) {
    loop {
        let interval = broker.options.load().flush_consumer_offset_interval;
        tokio::time::sleep(Duration::from_millis(interval.max(100))).await;
        blocking(&broker, |broker| {
            broker.topics.keep();
            broker.groups.keep();
            broker.offsets.keep();
            broker.modes.keep();
            broker.pop.orders.keep();
            broker.keep_committed();
        })
        .await;
    }
}

async fn save_progress(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(DELAY_SAVE).await;
        blocking(&broker, |broker| broker.schedule.keep(&broker.store)).await;
    }
}

/// Samples the counters and drops silent clients.
async fn housekeeping(broker: Arc<Broker>) {
    broker.sample_stats();
    loop {
        tokio::time::sleep(EXPIRY_SCAN).await;
        broker.sample_stats();
        broker.expire_clients();
    }
}

impl Broker {
    fn sample_stats(&self) {
        let now_ms = Clock::machine_ms();
        self.stats.sample(now_ms, now_ms / 86_400_000);
    }

    fn expire_clients(&self) {
        let timeout = self.options.load().channel_expired_timeout;
        let timeout_ms = i64::try_from(timeout).unwrap_or(i64::MAX);
        let now_ms = Clock::machine_ms();
        let (changed, dropped) = self.clients.lock().expire(now_ms, timeout_ms);
        for channel in dropped {
            tracing::info!(peer = %channel.peer(), "client sent no heartbeat, closing");
            channel.close();
        }
        self.notify_changed(changed);
        self.locks.lock().expire(self.clock.now_ms());
    }
}

const _: () = assert!(stats::SAMPLE_INTERVAL_MS == 10_000 && EXPIRY_SCAN.as_secs() == 10);
