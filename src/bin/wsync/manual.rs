//! What describes the command: the man page and completions, made of its arguments.

use crate::failure::Failure;

#[derive(clap::Args)]
pub(crate) struct Completions {}

#[derive(clap::Args)]
pub(crate) struct Man {}

pub(crate) fn completions(_arguments: &Completions) -> Result<(), Failure> {
    Ok(())
}

pub(crate) fn man(_arguments: &Man) -> Result<(), Failure> {
    Ok(())
}
