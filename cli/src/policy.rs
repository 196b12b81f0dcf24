//! `dbal policy check`: what is wrong with a policy before a daemon has to say so.

use std::path::PathBuf;
use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::Schema;

use crate::error::ToolError;

/// Check a policy.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Load entities and rules as the daemons do; print warnings; exit 1 if they do not load.
    Check {
        /// Folder of entity files.
        #[arg(long, value_name = "DIR")]
        entities: PathBuf,
        /// The policy's rules.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        command: Command::Check { entities, policy },
    } = options;
    let schema = Schema::load(&entities)?;
    for warning in &schema.warnings {
        eprintln!("warning: {warning}");
    }
    let count = schema.schema.entities().len();
    let policy = Policy::load(&policy, Arc::new(schema.schema))?;
    for warning in &policy.warnings {
        eprintln!("warning: {warning}");
    }
    println!("sound: {count} entities, policy {}", policy.policy.hash());
    Ok(())
}
