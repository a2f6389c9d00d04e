//! Controllers over real sockets, in one process.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;
use crate::protocol::body::controller::{
    BrokerReplicasInfo, ElectMasterResponseBody, SyncStateSet,
};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Reply;
use crate::protocol::fastjson;
use crate::protocol::header::namesrv::BrokerHeartbeatRequestHeader;
use crate::protocol::header::{Header, NoHeader, controller as header};
use crate::remoting::{ConnLimits, Server, connect, serve};

const SOON: Duration = Duration::from_secs(20);
const NAME: &str = "broker-a";

/// A broker of a test: takes what it is told, answers nothing.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(Option<i64>, Option<i32>)>>, Notify);

impl Service for Told {
    type Session = ();

    fn open(&self, _: &Arc<Channel>) {}

    fn frames(&self, (): &mut (), _: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            let (head, _) = frame.parse().unwrap();
            assert_eq!(head.request_code(), RequestCode::NOTIFY_BROKER_ROLE_CHANGED);
            let header: header::NotifyBrokerRoleChangedRequestHeader<'_> = head.header().unwrap();
            let told = (header.master_broker_id, header.master_epoch);
            self.0.lock().push(told);
            self.1.notify_one();
        }
    }

    fn closed(&self, (): (), _: &Arc<Channel>) {}
}

struct Running {
    controller: Arc<Controller>,
    server: Server,
}

impl Running {
    async fn start(listener: TcpListener, dir: &Path, options: ControllerOptions) -> Self {
        let port = listener.local_addr().unwrap().port();
        let controller = Controller::start(options, dir, port).await.unwrap();
        let service = Arc::new(ControllerPort(Arc::clone(&controller)));
        let server = serve(listener, service, ConnLimits::default()).unwrap();
        Self { controller, server }
    }

    async fn dial(&self) -> Arc<Channel> {
        dial(self.server.local_addr()).await
    }

    async fn stop(self) {
        self.server.shutdown(Duration::ZERO).await;
        self.controller.stop().await;
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn dial(address: SocketAddr) -> Arc<Channel> {
    let nothing = Arc::new(Told::default());
    connect(&address.to_string(), nothing, ConnLimits::default(), SOON)
        .await
        .unwrap()
}

async fn ask(channel: &Arc<Channel>, code: RequestCode, header: &impl Header) -> Reply {
    ask_with(channel, code, header, Vec::new()).await
}

async fn ask_with(
    channel: &Arc<Channel>,
    code: RequestCode,
    header: &impl Header,
    body: Vec<u8>,
) -> Reply {
    let request = Command::request(code, header).with_body(body);
    channel.call(request, SOON).await.unwrap()
}

async fn apply_and_register(channel: &Arc<Channel>, id: i64, address: &str) {
    let check_code = format!("{address};1");
    let apply = header::ApplyBrokerIdRequestHeader {
        cluster_name: "c",
        broker_name: NAME,
        applied_broker_id: id,
        register_check_code: &check_code,
    };
    let code = RequestCode::CONTROLLER_APPLY_BROKER_ID;
    assert_eq!(ask(channel, code, &apply).await.code, ResponseCode::SUCCESS);
    heartbeat(channel, id, address).await;
    let register = header::RegisterBrokerToControllerRequestHeader {
        cluster_name: "c",
        broker_name: NAME,
        broker_id: id,
        broker_address: address,
        invoke_time: 0,
    };
    let code = RequestCode::CONTROLLER_REGISTER_BROKER;
    assert_eq!(
        ask(channel, code, &register).await.code,
        ResponseCode::SUCCESS
    );
}

async fn heartbeat(channel: &Arc<Channel>, id: i64, address: &str) {
    let beat = BrokerHeartbeatRequestHeader {
        cluster_name: "c",
        broker_addr: address,
        broker_name: NAME,
        broker_id: Some(id),
        epoch: Some(1),
        max_offset: Some(0),
        heartbeat_timeout_mills: Some(600_000),
        ..BrokerHeartbeatRequestHeader::default()
    };
    let answer = ask(channel, RequestCode::BROKER_HEARTBEAT, &beat).await;
    assert_eq!(answer.code, ResponseCode::SUCCESS);
}

async fn elect(channel: &Arc<Channel>, id: i64, designate_elect: bool) -> Reply {
    let elect = header::ElectMasterRequestHeader {
        cluster_name: "c",
        broker_name: NAME,
        broker_id: id,
        designate_elect,
        invoke_time: 0,
    };
    ask(channel, RequestCode::CONTROLLER_ELECT_MASTER, &elect).await
}

async fn alter(channel: &Arc<Channel>, epoch: i32, ids: &[i64], set_epoch: i32) -> Reply {
    let alter = header::AlterSyncStateSetRequestHeader {
        broker_name: NAME,
        master_broker_id: 1,
        master_epoch: epoch,
        invoke_time: 0,
    };
    let set = SyncStateSet {
        sync_state_set: ids.iter().copied().collect(),
        sync_state_set_epoch: set_epoch,
    };
    let body = fastjson::to_wire(&set).unwrap();
    ask_with(
        channel,
        RequestCode::CONTROLLER_ALTER_SYNC_STATE_SET,
        &alter,
        body,
    )
    .await
}

async fn sync_state(channel: &Arc<Channel>) -> BrokerReplicasInfo {
    let names = serde_json::to_vec(&[NAME, "unknown"]).unwrap();
    let code = RequestCode::CONTROLLER_GET_SYNC_STATE_DATA;
    let answer = ask_with(channel, code, &NoHeader, names).await;
    assert_eq!(answer.code, ResponseCode::SUCCESS, "{}", answer.remark());
    fastjson::from_slice(&answer.body).unwrap()
}

/// The master of the test's name and its epoch, according to whichever controller leads.
async fn master(channel: &Arc<Channel>) -> (ResponseCode, Option<i64>, Option<i32>) {
    let code = RequestCode::CONTROLLER_GET_REPLICA_INFO;
    let asked = header::GetReplicaInfoRequestHeader { broker_name: NAME };
    let answer = ask(channel, code, &asked).await;
    let info: header::GetReplicaInfoResponseHeader<'_> = answer.header().unwrap();
    (answer.code, info.master_broker_id, info.master_epoch)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_closes_its_connection_is_replaced_and_the_others_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(listener().await, dir.path(), ControllerOptions::default()).await;
    running.controller.led().await;
    let slave = Arc::new(Told::default());
    let slave_at = listener().await;
    let slave_address = slave_at.local_addr().unwrap().to_string();
    let _slave_server = serve(slave_at, Arc::clone(&slave), ConnLimits::default()).unwrap();

    let (first, second) = (running.dial().await, running.dial().await);
    apply_and_register(&first, 1, "127.0.0.1:1").await;
    apply_and_register(&second, 2, &slave_address).await;
    let elected = elect(&first, 1, false).await;
    assert_eq!(elected.code, ResponseCode::SUCCESS);
    let body: ElectMasterResponseBody = fastjson::from_slice(&elected.body).unwrap();
    let group = body.broker_member_group.unwrap();
    assert_eq!(
        (group.broker_name.as_str(), group.broker_addrs.len()),
        (NAME, 2)
    );
    let remains = elect(&second, 2, false).await;
    assert_eq!(remains.code, ResponseCode::CONTROLLER_MASTER_STILL_EXIST);
    let lead: header::ElectMasterResponseHeader<'_> = remains.header().unwrap();
    assert_eq!(
        (lead.master_broker_id, lead.master_epoch),
        (Some(1), Some(1))
    );
    assert_eq!(
        alter(&first, 1, &[1, 2], 1).await.code,
        ResponseCode::SUCCESS
    );
    let info = sync_state(&second).await;
    assert_eq!(
        info.replicas_info_table.len(),
        1,
        "unknown names are left out"
    );
    let replicas = &info.replicas_info_table[NAME];
    assert_eq!(replicas.in_sync_replicas.len(), 2);
    assert!(
        replicas
            .in_sync_replicas
            .iter()
            .all(|replica| replica.alive)
    );

    first.close();
    let told = async {
        while slave.0.lock().last() != Some(&(Some(2), Some(2))) {
            slave.1.notified().await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap();
    assert_eq!(
        master(&second).await,
        (ResponseCode::SUCCESS, Some(2), Some(2))
    );
    running.stop().await;

    let again = Running::start(listener().await, dir.path(), ControllerOptions::default()).await;
    again.controller.led().await;
    let channel = again.dial().await;
    assert_eq!(
        master(&channel).await,
        (ResponseCode::SUCCESS, Some(2), Some(2))
    );
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_a_controller_is_its_own_groups() {
    let dir = tempfile::tempdir().unwrap();
    let options = ControllerOptions::default();
    let running = Running::start(listener().await, dir.path(), options.clone()).await;
    running.controller.led().await;
    running.stop().await;
    let mut others = options;
    let peers = "n0-127.0.0.1:1;n1-127.0.0.1:2;n2-127.0.0.1:3";
    others.set("controllerDLegerPeers", peers).unwrap().unwrap();
    others.set("controllerDLegerSelfId", "n0").unwrap().unwrap();
    let refused = Controller::start(others, dir.path(), 1).await.unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("n0;n1;n2") && told.contains("cannot be changed"),
        "{told}"
    );
}

/// Whichever of the controllers leads, once all that run agree on it: a leader of the first moments may be outvoted.
async fn leader(all: &[Option<Running>]) -> usize {
    let some_leads = async {
        loop {
            let running = all.iter().enumerate();
            let seen: Vec<_> = running
                .filter_map(|(at, one)| Some((at, one.as_ref()?.controller.consensus.leadership())))
                .collect();
            let agreed = seen
                .iter()
                .all(|(_, one)| one.leader.is_some() && one.term == seen[0].1.term);
            if let Some((at, _)) = seen.iter().find(|(_, one)| agreed && one.is_own) {
                return *at;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, some_leads).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_controllers_agree_and_go_on_as_two() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(listener().await);
    }
    let peers: Vec<_> = (0..3)
        .zip(&listeners)
        .map(|(at, listener)| format!("n{at}-{}", listener.local_addr().unwrap()))
        .collect();
    let options = |at: usize| {
        let mut options = ControllerOptions::default();
        let own = format!("n{at}");
        options
            .set("controllerDLegerPeers", &peers.join(";"))
            .unwrap()
            .unwrap();
        options
            .set("controllerDLegerSelfId", &own)
            .unwrap()
            .unwrap();
        options
    };
    let mut all = Vec::new();
    for (at, listener) in listeners.into_iter().enumerate() {
        all.push(Some(
            Running::start(listener, dirs[at].path(), options(at)).await,
        ));
    }
    let first = leader(&all).await;
    let channel = all[first].as_ref().unwrap().dial().await;
    apply_and_register(&channel, 1, "127.0.0.1:1").await;
    assert_eq!(elect(&channel, 1, false).await.code, ResponseCode::SUCCESS);

    let follower = (first + 1) % 3;
    let other = all[follower].as_ref().unwrap().dial().await;
    let refused = elect(&other, 1, false).await;
    assert_eq!(refused.code, ResponseCode::CONTROLLER_NOT_LEADER);
    let metadata = ask(&other, RequestCode::CONTROLLER_GET_METADATA_INFO, &NoHeader).await;
    let metadata: header::GetMetaDataResponseHeader<'_> = metadata.header().unwrap();
    assert!(!metadata.is_leader);
    let named = format!("n{first}");
    assert_eq!(metadata.controller_leader_id, Some(named.as_str()));
    assert_eq!(
        metadata.controller_leader_address,
        peers[first].split_once('-').map(|(_, a)| a)
    );
    let stranger = header::ConsensusRequestHeader {
        call: "append",
        group: "rmq-controller",
        members: "n0",
        from: "n0",
        to: "n1",
    };
    let refused = ask(&other, RequestCode::RMQ_CONSENSUS, &stranger).await;
    assert_eq!(refused.code, ResponseCode::CONTROLLER_INVALID_REQUEST);

    all[first].take().unwrap().stop().await;
    let second = leader(&all).await;
    let channel = all[second].as_ref().unwrap().dial().await;
    assert_eq!(
        master(&channel).await,
        (ResponseCode::SUCCESS, Some(1), Some(1))
    );
    for one in all.into_iter().flatten() {
        one.stop().await;
    }
}
