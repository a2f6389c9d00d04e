//! `rmq`'s client against a running RocketMQ, such as Apache's Java broker.
//!
//! Ignored unless asked for: `RMQ_COMPAT_NAMESRV=host:port cargo test --test compat -- --ignored`.

#[path = "../support/client_scenarios.rs"]
mod client_scenarios;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs a running RocketMQ: set RMQ_COMPAT_NAMESRV"]
            async fn $name() {
                let namesrv = std::env::var("RMQ_COMPAT_NAMESRV")
                    .expect("RMQ_COMPAT_NAMESRV names a name server");
                client_scenarios::$name(&namesrv).await;
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
);
