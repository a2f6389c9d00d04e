//! `rmq generate` (hidden): writes `completions/` and `man/`, which are part of the source tree.

use std::fs;
use std::path::PathBuf;

use super::Context;
use super::args::Shell;
use super::exit::{CliError, Exit};
use super::{completion, man};

/// Write the completion scripts and manual pages of this version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory that gets `completions/` and `man/`
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let files = files()?;
    for (path, text) in &files {
        let path = args.dir.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    context.output.note(&format!(
        "{} files written to {}",
        files.len(),
        args.dir.display()
    ));
    Ok(Exit::Ok)
}

/// Every generated file with its path relative to the top of the source tree.
fn files() -> Result<Vec<(PathBuf, Vec<u8>)>, CliError> {
    let shells = [
        (Shell::Bash, "rmq.bash"),
        (Shell::Zsh, "_rmq"),
        (Shell::Fish, "rmq.fish"),
        (Shell::PowerShell, "_rmq.ps1"),
        (Shell::Elvish, "rmq.elv"),
    ];
    let mut files: Vec<_> = shells
        .into_iter()
        .map(|(shell, name)| {
            let path = PathBuf::from("completions").join(name);
            Ok((path, completion::script(shell)?))
        })
        .collect::<Result<_, CliError>>()?;
    for page in man::pages()? {
        files.push((
            PathBuf::from("man").join(format!("{}.1", page.name)),
            page.text,
        ));
    }
    Ok(files)
}
