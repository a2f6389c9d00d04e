//! The `rmq` binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmq::cli::run(std::env::args_os())
}
