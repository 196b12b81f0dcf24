//! `dbal schema`: from entities to tables, and from what exists already to entities. A live database is only ever asked
//! through the worker's program: no driver is in this one.

mod ddl;
mod entity_file;
mod prisma;

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
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    match options.command {
        Command::Ddl { entities, database } => ddl::run(&entities, &database),
        Command::ImportPrisma { file, out } => prisma::run(&file, &out),
    }
}
