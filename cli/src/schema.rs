//! `dbal schema`: from entities to tables, and from what exists already to entities. A live database is only ever asked
//! through the worker's program: no driver is in this one.

mod ddl;
mod entity_file;
mod loadable;
pub(crate) mod prisma;
mod worker;
mod check;
mod introspect;
mod typescript;

use std::path::PathBuf;

use crate::error::ToolError;

/// Make tables from entities, and entities from what there is.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the statements that make the tables and indexes of the entities. Runs none of them.
    Ddl {
        /// Folder of entity files.
        #[arg(long, value_name = "DIR")]
        entities: PathBuf,
        /// Kind of database.
        #[arg(long, value_name = "KIND", value_parser = ddl::kinds())]
        database: String,
    },
    /// Make entity files from a Prisma schema; tell what has no counterpart; exit 1 if a model is left out.
    ImportPrisma {
        /// The schema, usually prisma/schema.prisma.
        file: PathBuf,
        /// Where to put the entity files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Compare a live database with the entities. Exit 0: it fits. 1: something differs that matters. 2: it could not be
    /// asked.
    Check {
        #[command(flatten)]
        worker: worker::Asked,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make entity files from a live database.
    Introspect {
        #[command(flatten)]
        worker: worker::Asked,
        /// Where to put the entity files.
        #[arg(long, value_name = "DIR", required_unless_present = "json")]
        out: Option<PathBuf>,
        /// Print what is in the database as JSON instead.
        #[arg(long, conflicts_with = "out")]
        json: bool,
    },
    /// Make the tables and indexes that are missing; change nothing that is there. Exit codes as of `check`, afterwards.
    Apply {
        #[command(flatten)]
        worker: worker::Asked,
        /// Print what was made, and the findings, as JSON.
        #[arg(long)]
        json: bool,
    },
    Typescript(typescript::Options),
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Command::Ddl { entities, database } => ddl::run(&entities, &database),
        Command::ImportPrisma { file, out } => prisma::run(&file, &out),
        Command::Check { worker, json } => check::run(&worker, "check", json),
        Command::Introspect { worker, out, json: _ } => introspect::run(&worker, out.as_deref()),
        Command::Apply { worker, json } => check::run(&worker, "apply", json),
        Command::Typescript(options) => typescript::run(&options),
    }
}
