//! The controller: which broker of a name is its master, and who takes its place.
//!
//! Brokers register ([`state`]), send heartbeats ([`heartbeat`]) and ask who leads; a master tells which slaves have
//! everything ([`state::Command::Alter`]). When a master falls silent, the leader among the controllers has another one
//! elected from those ([`elect`], [`scan`]) and tells the brokers. What the controllers agree on is agreed by Raft
//! ([`raft`]); liveness is each controller's own business, since brokers send heartbeats to all of them.
//!
//! It speaks Apache's requests (`ControllerRequestProcessor` of 5.5.0): brokers and tools of either kind work with it.
//!
//! Deliberately absent: messages, routes and topics, of which a controller knows nothing.
//!
//! Lock order: `settings`, `live`, then the consensus' state; none is held across `.await`.

mod elect;
mod handlers;
mod heartbeat;
mod jobs;
mod links;
mod metrics;
mod raft;
mod scan;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use metrics::ControllerMetrics;
pub(crate) use raft::{ConsensusError, PeersError};
pub(crate) use settings::ControllerOptions;

use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::frame::Frame;
use crate::remoting::{Asked, Channel, Service};
use crate::sys::platform::{open_write, try_lock};
use heartbeat::{LiveTable, tell_gone};
use jobs::Job;
use links::Links;
use raft::{Consensus, Members, StoredError};
use settings::Settings;

/// How long the controllers have to agree on something. Brokers and tools wait three seconds for an answer.
const AGREEMENT: Duration = Duration::from_millis(2500);
/// How long a broker has to take a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Why a controller cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    /// The list of controllers makes no sense.
    #[error("controllerDLegerPeers: {0}")]
    Peers(#[from] PeersError),
    /// Another controller uses the directory.
    #[error("another controller uses {}", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
}

impl From<StoredError> for ControllerError {
    fn from(error: StoredError) -> Self {
        Self::Consensus(error.into())
    }
}

/// What has happened since the start.
#[derive(Debug, Default)]
struct Counters {
    leaders: AtomicU64,
    elected: AtomicU64,
    failed: AtomicU64,
}

/// A controller. Give it to [`crate::remoting::serve`].
#[derive(Debug)]
pub(crate) struct Controller {
    options: ControllerOptions,
    members: Arc<Members>,
    port: u16,
    settings: RwLock<Settings>,
    live: Mutex<LiveTable>,
    consensus: Consensus,
    links: Arc<Links>,
    began: Instant,
    somebody_gone: Arc<Notify>,
    counters: Counters,
    tasks: Mutex<JoinSet<()>>,
    /// Held as long as the controller is there.
    _lock: File,
}

impl Controller {
    /// Reads what is in `dir`, begins to take part in the agreement and to look after the brokers. `port` is where it
    /// will be reached. Needs a tokio runtime.
    pub(crate) async fn start(
        options: ControllerOptions,
        dir: &Path,
        port: u16,
    ) -> Result<Arc<Self>, ControllerError> {
        let dir = options.controller_store_path.as_deref().unwrap_or(dir);
        let lock = lock(dir)?;
        let members = Arc::new(options.members()?);
        let links = Arc::new(Links::default());
        let election = options.election();
        let consensus =
            Consensus::start(dir, Arc::clone(&members), Arc::clone(&links), election).await?;
        let controller = Arc::new(Self {
            settings: RwLock::new(options.settings.clone()),
            options,
            members,
            port,
            live: Mutex::new(LiveTable::new(0)),
            consensus,
            links,
            began: Instant::now(),
            somebody_gone: Arc::default(),
            counters: Counters::default(),
            tasks: Mutex::default(),
            _lock: lock,
        });
        let mut tasks = controller.tasks.lock();
        tasks.spawn(scan::watch(Arc::downgrade(&controller)));
        tasks.spawn(scan::watch_leader(Arc::downgrade(&controller)));
        drop(tasks);
        Ok(controller)
    }

    /// Returns when somebody leads the controllers.
    pub(crate) async fn led(&self) {
        self.consensus.led().await;
    }

    /// Why it can do nothing for anybody, if it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Some(stopped) = self.consensus.trouble() {
            return Some(format!("the controller has stopped: {stopped}"));
        }
        let led = self.consensus.leadership().leader.is_some();
        (!led).then(|| "no controller leads".to_owned())
    }

    /// Takes no part in the agreement any more.
    pub(crate) async fn stop(&self) {
        self.tasks.lock().abort_all();
        self.consensus.stop().await;
        self.links.close();
    }

    /// Milliseconds since the start.
    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn count_leader(&self, is_there: bool) {
        if is_there {
            self.counters.leaders.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget_finished_tasks(&self) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
    }

    /// Answers at once what needs no agreement; the rest in a task of its own.
    fn take(self: &Arc<Self>, channel: &Arc<Channel>, frame: &Frame) {
        let (head, body) = match frame.parse() {
            Ok(parsed) => parsed,
            Err(error) => return channel.refuse(&error),
        };
        if head.is_response() {
            return;
        }
        if let Some(answer) = self.at_once(channel, &head, &body) {
            return channel.answer(&head, answer);
        }
        let job = match Job::read(&head, &body) {
            Ok(job) => job,
            Err(failed) => return channel.answer(&head, failed.into()),
        };
        let Some(place) = channel.admit() else {
            let busy = Command::response(ResponseCode::SYSTEM_BUSY);
            return channel.answer(&head, busy.with_remark("too many requests at once"));
        };
        let (controller, channel) = (Arc::clone(self), Arc::clone(channel));
        let asked = Asked::from(&head);
        self.tasks.lock().spawn(async move {
            let _place = place;
            let answer = controller.work(job).await;
            channel.answer(asked, answer);
        });
    }
}

/// Makes the directory this controller's alone.
fn lock(dir: &Path) -> Result<File, ControllerError> {
    let path = dir.join("lock");
    let open = || -> std::io::Result<_> {
        std::fs::create_dir_all(dir)?;
        let file = open_write(&path)?;
        let locked = try_lock(&file)?;
        Ok((file, locked))
    };
    match open() {
        Ok((file, true)) => Ok(file),
        Ok((_, false)) => Err(ControllerError::InUse(dir.to_owned())),
        Err(source) => Err(StoredError::Io {
            action: "lock",
            path,
            source,
        }
        .into()),
    }
}

/// The controller as its connections see it.
#[derive(Debug)]
pub(crate) struct ControllerPort(pub(crate) Arc<Controller>);

impl Service for ControllerPort {
    type Session = ();

    fn open(&self, _: &Arc<Channel>) {}

    fn frames(&self, (): &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            self.0.take(channel, &frame);
        }
        self.0.forget_finished_tasks();
    }

    fn closed(&self, (): (), channel: &Arc<Channel>) {
        let gone = self.0.live.lock().channel_closed(channel.id());
        if !gone.is_empty() {
            tell_gone(&gone, "has closed its connection");
            self.0.somebody_gone.notify_one();
        }
    }
}
