//! Section 1 for the tool and each of its commands, section 8 for the daemons, completions for bash, zsh and fish.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

use crate::{PageError, failed, made};

/// What a daemon's `--help` has no place for.
const OF_BROKER: &str = r".SH FILES
.TP
.I /etc/dbal/broker.yaml
See
.BR broker.yaml (5).
.SH SIGNALS
.TP
SIGTERM, SIGINT
Drain: answer what is in flight, close connections with 1001, end.
.TP
SIGHUP
Read policy, public keys, certificate and log level again; all or nothing.
.SH SEE ALSO
.BR broker.yaml (5),
.BR dbal\-worker (8),
.BR dbal (1)
";
const OF_WORKER: &str = r".SH FILES
.TP
.I /etc/dbal/worker.yaml.age
See
.BR worker.yaml (5).
.SH SIGNALS
.TP
SIGTERM, SIGINT
Drain: answer what is in flight, end.
.TP
SIGHUP
Read policy and public keys again; all or nothing.
.SH SEE ALSO
.BR worker.yaml (5),
.BR dbal\-broker (8),
.BR dbal (1)
";
const OF_TOOL: &str = r".SH SEE ALSO
.BR dbal\-broker (8),
.BR dbal\-worker (8),
.BR broker.yaml (5),
.BR worker.yaml (5)
";

/// Everything that is made from command lines.
pub(crate) fn write(folder: &Path) -> Result<(), PageError> {
    let tool = dbal::command_line();
    let broker = dbal_broker::startup::Arguments::command();
    let worker = dbal_worker::args::Args::command();

    let completions = made(folder.join("completions"))?;
    for command in [&tool, &broker, &worker] {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let name = command.get_name().to_owned();
            generate_to(shell, &mut command.clone(), name, &completions).map_err(failed(&completions))?;
        }
    }
    let users = made(folder.join("man/man1"))?;
    // Built, each command knows its whole name: `dbal-config-check` and not `check`.
    let mut all = tool.disable_help_subcommand(true);
    all.build();
    page_with_commands(&users, all, OF_TOOL)?;
    let administrators = made(folder.join("man/man8"))?;
    page(&administrators, broker, "8", OF_BROKER)?;
    page(&administrators, worker, "8", OF_WORKER)
}

/// `dbal(1)`, `dbal-config(1)`, `dbal-config-check(1)`: as git names its own.
fn page_with_commands(folder: &Path, command: Command, more: &str) -> Result<(), PageError> {
    let back = format!(
        ".SH SEE ALSO\n.BR {} (1)\n",
        whole_name(&command).replace('-', r"\-")
    );
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        page_with_commands(folder, below.clone(), &back)?;
    }
    page(folder, command, "1", more)
}

fn page(folder: &Path, command: Command, section: &str, more: &str) -> Result<(), PageError> {
    let name = whole_name(&command);
    let path = folder.join(format!("{name}.{section}"));
    let page = Man::new(command)
        .title(name.to_uppercase())
        .section(section)
        .source(format!("dbal {}", env!("CARGO_PKG_VERSION")))
        .manual("dbal")
        // A date would make two builds of one source differ.
        .date("");
    let mut file = File::create(&path).map_err(failed(&path))?;
    page.render(&mut file).map_err(failed(&path))?;
    file.write_all(more.as_bytes()).map_err(failed(&path))
}

fn whole_name(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    name.to_owned()
}
