//! `dbal audit seal`: records are taken, as they come, into a folder that the worker can't reach.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dbal_audit::{Look, SealError, Sealer};
use dbal_sandbox::{Mode, Profile, Rules, RunAs, Setup};

use crate::error::ToolError;
use crate::output::{self, Output};

/// How often the head is told.
const TOLD: Duration = Duration::from_mins(1);

/// Take the records of a journal into a folder that is out of the worker's reach; run it as a user of its own (docs/audit.md). Exit 1
/// when the journal does not go on from what is sealed: it was cut, or written anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that `audit.directory` names. It is only read.
    from: PathBuf,
    /// The folder to seal into, which is made if need be. Nobody else may write it.
    to: PathBuf,
    /// Go on as records come, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// With --follow: look so often, in milliseconds. Until a record is sealed, a taken worker can still change it.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=3_600_000))]
    every_ms: u32,
    /// With --follow: how much of the sandbox must hold, as `security.sandbox` of the daemons.
    #[arg(long, value_enum, default_value_t = Sandbox::Strict)]
    sandbox: Sandbox,
    /// With --follow: become this user, UID:GID or a name, if root starts it. FROM must be readable to it, TO its own.
    #[arg(long, value_name = "USER")]
    run_as: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sandbox {
    /// All layers, or it does not start.
    Strict,
    /// What this kernel has.
    Permissive,
    /// None.
    Off,
}

pub(crate) fn run(options: &Options) -> Result<(), ToolError> {
    let Options {
        from,
        to,
        follow,
        every_ms,
        sandbox,
        run_as,
    } = options;
    if !follow {
        let mut sealer = Sealer::open(from, to)?;
        let Look { records, packed: _ } = sealer.look()?;
        return output::line(format_args!("{records} records sealed; {}", head(&sealer)));
    }
    let run_as = run_as.as_deref().map(RunAs::resolve).transpose()?;
    let setup = Setup::begin()?;
    setup.keep_only(&[])?;
    let mut sealer = Sealer::open(from, to)?;
    // What reads the worker's files is locked in like the worker itself, and can't write these.
    let mode = match sandbox {
        Sandbox::Strict => Mode::Strict,
        Sandbox::Permissive => Mode::Permissive,
        Sandbox::Off => Mode::Off,
    };
    let rules = Rules {
        profile: Profile::Worker { network: false },
        read: vec![from.clone()],
        write: vec![to.clone()],
        connect_ports: Vec::new(),
        leave_network: true,
        run_as,
    };
    // It asks whether a terminal reads, which is not allowed any more afterwards.
    let mut output = Output::open();
    let _locked = setup.lock(mode, &rules)?;
    output.line(format_args!(
        "sealing {} into {}; {}",
        from.display(),
        to.display(),
        head(&sealer)
    ))?;
    output.flush()?;
    let mut told = (Instant::now(), sealer.head());
    loop {
        let Look { records: _, packed } = sealer.look()?;
        for file in packed {
            output.line(format_args!(
                "{} has ended and is sealed; {}",
                file.display(),
                head(&sealer)
            ))?;
        }
        // Where the log goes, neither daemon can write: `dbal audit verify --head` asks for these.
        if told.0.elapsed() >= TOLD && told.1 != sealer.head() {
            told = (Instant::now(), sealer.head());
            output.line(format_args!("{}", head(&sealer)))?;
        }
        output.flush()?;
        std::thread::sleep(Duration::from_millis(u64::from(*every_ms)));
    }
}

fn head(sealer: &Sealer) -> String {
    sealer.head().map_or_else(
        || "no record yet".to_owned(),
        |head| format!("head:  {}:{}", head.sequence, head.hash),
    )
}

impl From<SealError> for ToolError {
    fn from(error: SealError) -> Self {
        ToolError::Failed(error.to_string())
    }
}

impl From<dbal_sandbox::SandboxError> for ToolError {
    fn from(error: dbal_sandbox::SandboxError) -> Self {
        ToolError::Failed(error.to_string())
    }
}
