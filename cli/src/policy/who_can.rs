//! `dbal policy who-can read User.email`.

use dbal_review::who_can::{Question, who_can};

use super::inputs::Inputs;
use crate::error::ToolError;
use crate::output;

/// Tell which roles may do something, with the rows that each reaches and the rules and walls that say so.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// create, read, list, update or delete.
    operation: String,
    /// An entity, or a field of one: `User`, `User.email`.
    #[arg(value_name = "ENTITY[.FIELD]")]
    what: String,
    #[command(flatten)]
    inputs: Inputs,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let policy = options.inputs.load()?;
    let question = Question::new(&policy, &options.operation, &options.what)
        .map_err(|error| ToolError::Usage(error.to_string()))?;
    output::print(who_can(&policy, question))?;
    Ok(())
}
