//! `rmq topic`: what there is, how it is made, changed, emptied and deleted.

mod change;
mod drain;
mod list;
pub(crate) mod perm;
mod show;

use clap::Subcommand;

use super::Context;
use super::exit::{CliError, Exit};

pub(crate) use list::rounded;
pub(crate) use show::{time, time_ms};

/// List, show, create, change, empty and delete topics
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq topic ls
  rmq topic show orders --by group
  rmq topic create orders --queues 8 --type fifo
  rmq topic set orders --perm r --dry-run
  rmq topic rm orders --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(list::Args),
    Show(show::Args),
    Create(change::CreateArgs),
    Set(change::SetArgs),
    Rm(change::RmArgs),
    Drain(drain::Args),
}

/// Runs the command.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    context.block_on(async {
        let client = context.connect().await?;
        let admin = client.admin();
        let exit = match args.what {
            What::Ls(args) => list::run(args, &admin, context).await,
            What::Show(args) => show::run(args, &admin, context).await,
            What::Create(args) => change::create(args, &admin, context).await,
            What::Set(args) => change::set(args, &admin, context).await,
            What::Rm(args) => change::remove(args, &admin, context).await,
            What::Drain(args) => drain::run(args, &admin, context).await,
        };
        client.close().await;
        exit
    })
}

/// Whether a name fits a pattern, in which `*` stands for anything.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(left) = name.strip_prefix(first) else {
        return false;
    };
    let mut ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
    ends.any(|at| fits(rest, &left[at..]))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        assert!(fits("orders", "orders") && !fits("orders", "orders2"));
        assert!(fits("ord*", "orders") && fits("*rs", "orders") && fits("o*d*s", "orders"));
        assert!(fits("*", "") && !fits("o*x", "orders") && fits("é*é", "été"));
    }
}
