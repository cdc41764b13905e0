//! kmerge: parse, run one command, print the error chain, exit. Each command is a file of `cli/`.

mod cli;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::exit::from_clap(&error),
    };
    let quiet = cli.global.quiet;
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::exit::report(&error, quiet),
    }
}
