//! `dbal policy check`: what is wrong with a policy before a daemon has to say so.

use super::inputs::{Inputs, Loaded};
use crate::error::ToolError;

/// Load entities and rules as the daemons do; print warnings; exit 1 if they do not load.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    inputs: Inputs,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Loaded { policy, warnings } = options.inputs.load()?;
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let count = policy.schema().entities().len();
    println!("sound: {count} entities, policy {}", policy.hash());
    Ok(())
}
