//! A node inside the process of a test: no binary, no port to choose, nothing left behind.
//!
//! `cargo run --example node_per_test`

use std::error::Error;
use std::time::Duration;

use rmq::client::{
    Client, ClientOptions, ConsumerOptions, Message, ProducerOptions, StartFrom, Subscription,
};
use rmq::node::Node;
use rmq::node::config::{Flags, HttpPort, load};

/// A node on free ports with one topic, and its name server.
async fn start() -> Result<(Node, String), Box<dyn Error>> {
    let flags = Flags {
        ephemeral: true,
        port: Some(0),
        broker_port: Some(0),
        http: HttpPort::Off,
        topics: vec!["orders:4".parse()?],
        ..Flags::default()
    };
    let node = Node::start(load(&flags, [])?.options).await?;
    let name_server = node.ready().namesrv.ok_or("no name server")?.to_string();
    Ok((node, name_server))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (node, name_server) = start().await?;
    let client = Client::connect([name_server], ClientOptions::default()).await?;

    let producer = client.producer("orders-producer", ProducerOptions::default())?;
    producer.send(Message::new("orders", "hello")).await?;
    drop(producer);

    let options = ConsumerOptions {
        subscriptions: vec![Subscription::all("orders")?],
        start_from: StartFrom::Earliest,
        ..ConsumerOptions::default()
    };
    let mut consumer = client.consumer("billing", options).await?;
    let next = tokio::time::timeout(Duration::from_secs(30), consumer.next());
    let delivery = next.await?.ok_or("the consumer was closed")?;
    assert_eq!(delivery.body().as_ref(), b"hello");
    delivery.ack();
    consumer.close().await?;

    client.close().await;
    node.stop().await;
    Ok(())
}
