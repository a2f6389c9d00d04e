//! `rmq man`: a manual page, on stdout.

use clap::CommandFactory as _;

use super::Context;
use super::args::Cli;
use super::exit::{CliError, Exit};

/// Print a manual page (read it with `rmq man | man -l -`)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The command, `inspect commitlog` for instance; the whole program without it
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let wanted = std::iter::once("rmq")
        .chain(args.command.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("-");
    let page = pages()?.into_iter().find(|page| page.name == wanted);
    let Some(page) = page else {
        return Err(CliError::not_found(format!(
            "there is no command {:?}",
            args.command.join(" ")
        ))
        .hint("`rmq --help` lists the commands"));
    };
    context.output.raw(&page.text)?;
    Ok(Exit::Ok)
}

/// One manual page.
pub(crate) struct Page {
    /// `rmq`, `rmq-send`, `rmq-inspect-commitlog`, …
    pub(crate) name: String,
    /// The page in troff.
    pub(crate) text: Vec<u8>,
}

/// The pages of all commands that are not hidden, parents first.
pub(crate) fn pages() -> Result<Vec<Page>, CliError> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut open = vec![(String::from("rmq"), root)];
    while let Some((name, command)) = open.pop() {
        for child in command
            .get_subcommands()
            .filter(|child| !child.is_hide_set())
        {
            open.push((format!("{name}-{}", child.get_name()), child.clone()));
        }
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text)?;
        pages.push(Page { name, text });
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}
