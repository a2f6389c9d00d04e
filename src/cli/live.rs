//! Names of the cluster, for the completion of a command line.
//!
//! Somebody has pressed a key and waits: what does not answer at once has no names. Nothing is said about failures.

use std::ffi::OsStr;
use std::future::Future;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::Context;
use super::args::Global;
use super::doctor::facts::is_system_topic;
use super::exit::CliError;
use super::settings::contexts::{Contexts, contexts_file};
use crate::client::{Admin, Client, ClientOptions};

/// How long a key press may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Topics, without those that RocketMQ keeps for itself.
pub(super) fn topics(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |admin| {
        let mut topics = admin.topics().await?;
        topics.retain(|topic| !is_system_topic(topic));
        Ok(topics)
    });
    starting_with(typed, names)
}

/// Consumer groups of all brokers.
pub(super) fn groups(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |admin| {
        let mut names = Vec::new();
        for (_, address) in admin.masters().await? {
            names.extend(admin.groups_at(&address).await?.configs.into_keys());
        }
        Ok(names)
    });
    starting_with(typed, names)
}

/// Names of brokers.
pub(super) fn brokers(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |admin| {
        let masters = admin.masters().await?;
        Ok(masters
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect())
    });
    starting_with(typed, names)
}

/// Names of contexts.
pub(super) fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let contexts = contexts_file().and_then(|file| Contexts::read(&file).ok());
    let names = contexts.map(|contexts| contexts.contexts.into_keys().collect());
    starting_with(typed, names.unwrap_or_default())
}

fn starting_with(typed: &OsStr, mut names: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names.retain(|name| name.starts_with(&*typed));
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn ask<F>(question: impl FnOnce(Admin) -> F) -> Vec<String>
where
    F: Future<Output = Result<Vec<String>, CliError>>,
{
    let (context, _) = Context::new(Global::default());
    let answer = async {
        let options = ClientOptions {
            connect_timeout: PATIENCE,
            request_timeout: PATIENCE,
            ..ClientOptions::default()
        };
        let client = Client::connect(context.name_servers(), options).await?;
        question(client.admin()).await
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    answered.ok().and_then(Result::ok).unwrap_or_default()
}
