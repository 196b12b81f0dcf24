//! The command line: all commands in one place, so that `dbal --help` reads as a table of contents.

use clap::{Parser, Subcommand};

use crate::{audit, call, config, dev, keygen, policy, run, sandbox, token};

/// Secure database access: starts, checks and asks the daemon.
///
/// New here? `dbal dev` makes everything that a first query needs and prints what to paste.
#[derive(Debug, Parser)]
#[command(name = "dbal", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Dbal {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a daemon for development: keys, certificate, example entities, users, all made for you.
    Dev(dev::Options),
    /// Start broker and worker from their configuration and keep them running.
    Run(run::Options),
    /// Call a method of a running daemon.
    Call(call::Options),
    /// Seal, edit, show and check configuration.
    Config(config::Options),
    /// Make an age identity for sealed configuration.
    Keygen(keygen::Options),
    /// Sign a token with a development folder's key.
    Token(token::Options),
    /// Check a policy.
    Policy(policy::Options),
    /// Verify the audit trail.
    Audit(audit::Options),
    /// Show which layers of the sandbox are in force, as the kernel tells it.
    Sandbox(sandbox::Options),
}
