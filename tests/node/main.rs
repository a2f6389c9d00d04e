//! A live node in the test process.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod client;
mod clock;

use std::net::TcpStream;

use rmq::node::config::{Flags, Role, load};
use rmq::node::{Node, NodeError};

fn flags(role: Role) -> Flags {
    Flags {
        role,
        ephemeral: true,
        port: role.has_name_server().then_some(0),
        broker_port: role.has_broker().then_some(0),
        ..Flags::default()
    }
}

async fn start(flags: &Flags) -> Result<Node, NodeError> {
    Node::start(load(flags, []).unwrap().options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_takes_connections_when_it_is_ready_and_none_afterwards() {
    let node = start(&flags(Role::All)).await.unwrap();
    let ready = node.ready().clone();
    let addresses = [ready.namesrv, ready.broker, ready.broker_vip].map(Option::unwrap);
    for address in addresses {
        TcpStream::connect(address).unwrap();
    }
    assert!(ready.loopback_only());
    assert_eq!(ready.advertised, Some(addresses[1].to_string()));
    node.stop().await;
    for address in addresses {
        assert!(TcpStream::connect(address).is_err());
    }
    assert!(!ready.data_dir.exists(), "it was ephemeral");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_owner_and_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let given = Flags {
        ephemeral: false,
        data_dir: Some(dir.path().join("data")),
        topics: vec!["orders:3".parse().unwrap()],
        ..flags(Role::All)
    };
    let first = start(&given).await.unwrap();
    assert_eq!(first.ready().topics, [("orders".to_owned(), 3)]);
    let second = start(&given).await.unwrap_err();
    assert!(matches!(second, NodeError::DataDirTaken(_)), "{second}");
    first.stop().await;
    let again = Flags {
        topics: vec!["orders".parse().unwrap()],
        ..given
    };
    let node = start(&again).await.unwrap();
    assert_eq!(
        node.ready().topics,
        [("orders".to_owned(), 3)],
        "the topic was kept"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_before_anything_is_written() {
    let namesrv = start(&flags(Role::Namesrv)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let given = Flags {
        ephemeral: false,
        data_dir: Some(dir.path().join("data")),
        port: Some(namesrv.ready().namesrv.unwrap().port()),
        ..flags(Role::All)
    };
    let error = start(&given).await.unwrap_err();
    assert!(
        matches!(error, NodeError::PortTaken { flag: "--port", .. }),
        "{error}"
    );
    assert!(!dir.path().join("data").exists());
    namesrv.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_registers_with_a_name_server_elsewhere() {
    let namesrv = start(&flags(Role::Namesrv)).await.unwrap();
    let address = namesrv.ready().namesrv.unwrap().to_string();
    let broker = start(&Flags {
        namesrv: Some(address.clone()),
        ..flags(Role::Broker)
    })
    .await
    .unwrap();
    assert_eq!(broker.ready().name_servers, [address]);
    broker.stop().await;
    namesrv.stop().await;
}
