//! `dbal policy matrix`: who may do what, for people at a terminal, for a wiki, for programs, and for auditors.

mod terminal;
mod markdown;
mod html;
mod json;
#[cfg(test)]
mod fixture;

use std::io::IsTerminal;
use std::path::PathBuf;

use dbal_review::matrix::Matrix;
use dbal_shared::plan::Operation;

use super::inputs::Inputs;
use crate::diagnostics::Colour;
use crate::error::ToolError;
use crate::files::{self, PUBLIC};
use crate::output;

/// Tell who may do what: each role, entity and operation, with the rows, the fields and the rules that say so.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    inputs: Inputs,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to put it; standard output otherwise.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As wide as the terminal.
    Text,
    /// Tables for a wiki or a review.
    Markdown,
    /// One page that needs nothing else: to search, to print.
    Html,
    /// For programs.
    Json,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        inputs,
        format,
        output,
    } = options;
    let matrix = Matrix::new(&inputs.load()?);
    let text = match format {
        Format::Text => {
            let colour = if output.is_none() && std::io::stdout().is_terminal() {
                Colour::wanted()
            } else {
                Colour::No
            };
            terminal::render(&matrix, terminal::width(), colour)
        }
        Format::Markdown => markdown::render(&matrix),
        Format::Html => html::render(&matrix),
        Format::Json => json::render(&matrix),
    };
    match output {
        Some(path) => files::replace(&path, text.as_bytes(), PUBLIC),
        None if format == Format::Text => output::print_painted(text),
        None => output::print(text),
    }
}

/// What would be taken for more than it is: `self: true` in an entity file is a right of `public`.
fn of_public(matrix: &Matrix) -> Option<&'static str> {
    let roles = || matrix.entities.iter().flat_map(|entity| &entity.roles);
    roles()
        .any(|rights| rights.role == "public" && !rights.operations.is_empty())
        .then_some(
            "public is everybody; where a condition asks for $user.id, everybody who has proven who they are",
        )
}

/// `create`, or `read, list`.
fn joined(operations: &[Operation]) -> String {
    let names: Vec<_> = operations.iter().map(|operation| operation.name()).collect();
    names.join(", ")
}
