//! `dbal policy diff OLD NEW`: what a change widens and narrows.

use std::path::PathBuf;

use clap::ValueEnum;
use dbal_review::diff::{diff, json, markdown, terminal};

use super::inputs::Inputs;
use crate::error::ToolError;
use crate::output;

/// Tell what a change of the policy widens and narrows, per role, entity, operation, fields and rows.
///
/// Rows are compared by proof: what is not proven to be no wider counts as widened. Exit 0: nothing is widened. 2: something is,
/// so that somebody should look at it. 1: one of the two does not load.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The policy as it was: a folder with broker.yaml, or with acl.yaml and entities; a configuration; or a rules file beside
    /// its entities.
    old: PathBuf,
    /// The policy as it will be.
    new: PathBuf,
    /// Folder of entity files for both, where they don't lie beside the rules.
    #[arg(long, value_name = "DIR")]
    entities: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for a terminal.
    Text,
    /// Tables for a merge request.
    Markdown,
    /// One object.
    Json,
}

pub(crate) fn run(options: &Options) -> Result<(), ToolError> {
    let Options {
        old,
        new,
        entities,
        format,
    } = options;
    let entities = entities.as_deref();
    let found = diff(&Inputs::load_at(old, entities)?, &Inputs::load_at(new, entities)?);
    let text = match format {
        Format::Text => terminal(&found),
        Format::Markdown => markdown(&found),
        Format::Json => json(&found),
    };
    output::print(text)?;
    if found.widens() {
        Err(ToolError::Widened)
    } else {
        Ok(())
    }
}
