//! The client's scenarios against a node in this process.

use rmq::node::config::Role;

#[path = "../support/client_scenarios.rs"]
mod client_scenarios;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let node = super::start(&super::flags(Role::All)).await.unwrap();
                let namesrv = node.ready().namesrv.unwrap().to_string();
                client_scenarios::$name(&namesrv).await;
                node.stop().await;
            }
        )*
    };
}

scenarios!(
    a_dead_name_server_is_passed_over,
    sent_messages_are_read,
    unknown_topics_are_created,
    readers_begin_where_told,
    groups_remember_where_they_are,
    failed_messages_come_again,
    members_share_queues,
    what_is_in_hand_is_finished_first,
    requests_are_replied_to,
    packed_and_ordered_messages_are_read,
);
