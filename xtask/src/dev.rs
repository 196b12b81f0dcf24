//! `cargo xtask dev`: from a checkout to a running daemon.

use std::os::unix::process::CommandExt;

use crate::Outcome;
use crate::run::{build_shipped, command, root, target};

/// Builds and runs a development daemon; further arguments go to `dbal dev` and override ours.
pub fn run(arguments: &[String]) -> Outcome {
    let (profile, folder): (&[&str], _) = if arguments.iter().any(|argument| argument == "--release") {
        (&["--release"], "release")
    } else {
        (&[], "debug")
    };
    build_shipped(profile)?;
    let mut ours = vec!["dev".to_owned()];
    for (option, value) in [
        ("--dir", root().join(".dbal-dev").display().to_string()),
        ("--listen", "127.0.0.1:50051".to_owned()),
    ] {
        if !arguments.iter().any(|argument| argument == option) {
            ours.extend([option.to_owned(), value]);
        }
    }
    ours.extend(
        arguments
            .iter()
            .filter(|argument| *argument != "--release")
            .cloned(),
    );
    // In our place, so that Ctrl-C and SIGTERM reach the supervisor and nothing stands between.
    let error = command(&target().join(folder).join("dbal").to_string_lossy(), ours).exec();
    Err(format!("`dbal dev` could not start: {error}").into())
}
