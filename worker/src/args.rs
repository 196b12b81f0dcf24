//! The command line of `dbal-worker`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Parser;
use dbal_config::Identity;

use crate::inspect::Task;

/// Holds the database and executes what its own policy grants.
#[derive(Debug, Parser)]
#[command(name = "dbal-worker", version)]
pub struct Args {
    /// Configuration, plain (mode 0600) or sealed with age.
    #[arg(long, value_name = "FILE", default_value = "/etc/dbal/worker.yaml.age")]
    pub config: PathBuf,
    /// File with the age identity that opens the configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "identity_fd")]
    pub identity: Option<PathBuf>,
    /// Inherited descriptor from which the age identity is read.
    #[arg(long, value_name = "N")]
    pub identity_fd: Option<RawFd>,
    /// Listen on the socket that stands as standard input (systemd's `StandardInput=socket`).
    #[arg(long)]
    pub socket_stdin: bool,
    /// Check configuration, entities and policy, and exit.
    #[arg(long)]
    pub check: bool,
    /// Ask the database what is in it, or what differs from the entities, and exit: the half of `dbal schema` that needs a
    /// driver. Prints JSON.
    #[arg(long, value_name = "TASK", hide = true, conflicts_with = "check")]
    pub schema: Option<Task>,
    /// Ask whether the worker that listens at SOCKET still does its work, and exit: 0 if so. For a probe in its container; run it as
    /// the worker's user. Reads no configuration.
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["check", "schema"])]
    pub alive: Option<PathBuf>,
    /// Inherited descriptor that gets one line of JSON once the worker serves, and is closed then.
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<RawFd>,
    /// Inherited read end of a pipe that a supervisor holds: when it ends, the worker drains and ends too.
    #[arg(long, value_name = "N")]
    pub lifeline_fd: Option<RawFd>,
}

impl Args {
    /// Files that the worker must not get back to once it serves. To be asked before [`Args::identity`] is used, which
    /// closes the descriptor.
    pub fn secrets(&self) -> Vec<PathBuf> {
        let inherited = |number| std::fs::read_link(format!("/proc/self/fd/{number}")).ok();
        let mut secrets = vec![self.config.clone()];
        secrets.extend(self.identity.clone());
        // A pipe has a name there, and no path.
        let inherited = self.identity_fd.and_then(inherited);
        secrets.extend(inherited.filter(|path| path.is_absolute()));
        secrets
    }

    /// Inherited descriptors that it names.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let named = [self.identity_fd, self.ready_fd, self.lifeline_fd];
        named.into_iter().flatten().collect()
    }

    /// Where the age identity comes from: the command line, or else the systemd credential, where the unit brings one.
    pub fn identity(&self) -> Option<Identity> {
        let file = self.identity.clone().map(Identity::File);
        file.or_else(|| self.identity_fd.map(Identity::Descriptor))
            .or_else(Identity::from_credential)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_inherited_identity_is_kept_out_of_reach_like_one_that_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let number = file.as_file().as_raw_fd().to_string();
        let args = Args::parse_from(["dbal-worker", "--config", "/c", "--identity-fd", &number]);
        assert_eq!(
            args.secrets(),
            [PathBuf::from("/c"), file.path().canonicalize().unwrap()]
        );
        let (_writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
        let number = reader.as_raw_fd().to_string();
        let args = Args::parse_from(["dbal-worker", "--config", "/c", "--identity-fd", &number]);
        assert_eq!(args.secrets(), [PathBuf::from("/c")]);
    }
}
