//! `cargo xtask dev`: from a checkout to a running daemon.

use std::os::unix::process::CommandExt;

use crate::Outcome;
use crate::run::{build_shipped, build_together, command, root, target};

/// Build and run a development daemon on 127.0.0.1:50051, in .dbal-dev.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Release binaries, each built for itself as they are shipped.
    #[arg(long)]
    release: bool,
    /// For `dbal dev`; --dir and --listen override ours.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Builds and runs a development daemon; further arguments go to `dbal dev` and override ours.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { release, more } = arguments;
    // Behind the first argument that is not ours everything is `dbal dev`'s for clap, but not for people.
    let is_release = *release || more.iter().any(|argument| argument == "--release");
    let folder = if is_release {
        build_shipped(&["--release"])?;
        "release"
    } else {
        build_together()?;
        "debug"
    };
    let mut ours = vec!["dev".to_owned()];
    for (option, value) in [
        ("--dir", root().join(".dbal-dev").display().to_string()),
        ("--listen", "127.0.0.1:50051".to_owned()),
    ] {
        if !more.iter().any(|argument| argument == option) {
            ours.extend([option.to_owned(), value]);
        }
    }
    ours.extend(more.iter().filter(|argument| *argument != "--release").cloned());
    // In our place, so that Ctrl-C and SIGTERM reach the supervisor and nothing stands between.
    let error = command(target().join(folder).join("dbal"), ours).exec();
    Err(format!("`dbal dev` could not start: {error}").into())
}
