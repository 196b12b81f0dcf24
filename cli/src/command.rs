//! The command line: all commands in one place, so that `dbal --help` reads as a table of contents.

use clap::{Parser, Subcommand};

use crate::{audit, call, config, dev, doctor, key, keygen, policy, run, sandbox, schema, token, top};

/// Secure database access: starts, checks and asks the daemon.
///
/// New here? `dbal dev` makes everything that a first query needs and prints what to paste.
#[derive(Debug, Parser)]
#[command(name = "dbal", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Dbal {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done; each command is told where it is defined.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::Options),
    Run(run::Options),
    Call(call::Options),
    Config(config::Options),
    Keygen(keygen::Options),
    Token(token::Options),
    Key(key::Options),
    Policy(policy::Options),
    Schema(schema::Options),
    Audit(audit::Options),
    Sandbox(sandbox::Options),
    Doctor(doctor::Options),
    Top(top::Options),
}
