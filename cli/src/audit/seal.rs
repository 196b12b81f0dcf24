//! `dbal audit seal`: records are taken, as they come, into a folder that the worker can't reach.

pub(crate) mod status;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbal_audit::{Keep, Look, Retired, SealError, Sealer};
use dbal_sandbox::{Mode, Profile, Rules, RunAs, Setup};
use nix::unistd::geteuid;

use crate::error::ToolError;
use crate::output::{self, Output};

use status::{Files, Status};

/// How often the head is told, and that it still can't be sealed.
const TOLD: Duration = Duration::from_mins(1);
/// After a failure that may pass: what it tried may have been much.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is written down that all is well.
const NOTED: Duration = Duration::from_secs(5);
/// How often it is looked for files that are past their time.
const RETIRED: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

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
    /// Remove sealed files so many days after their last record was sealed, if the journal's own `removed` records say that they went
    /// from there, too. Without, nothing is ever removed.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
    /// With --keep-days: keep so many files, whatever their age. A clock that jumps ahead makes files old.
    #[arg(long, value_name = "FILES", default_value_t = 2, requires = "keep_days")]
    keep_at_least: u32,
    /// Say there as well how it fares, as TO/seal.prom says it: for node_exporter's textfile collector, by a name that ends in .prom.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// How much of the sandbox must hold, as `security.sandbox` of the daemons.
    #[arg(long, value_enum, default_value_t = Sandbox::Strict)]
    sandbox: Sandbox,
    /// Become this user, UID:GID or a name, if root starts it. FROM must be readable to it, TO its own.
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
        keep_days,
        keep_at_least,
        metrics: _,
        sandbox,
        run_as,
    } = options;
    let keep = Keep {
        age: keep_days.map(|days| DAY.saturating_mul(days)),
        at_least: usize::try_from(*keep_at_least).unwrap_or(usize::MAX),
    };
    let run_as = run_as.as_deref().map(RunAs::resolve).transpose()?;
    // What reads the worker's files is locked in like the worker itself, and can't write these.
    let mode = match sandbox {
        Sandbox::Strict => Mode::Strict,
        Sandbox::Permissive => Mode::Permissive,
        Sandbox::Off => Mode::Off,
    };
    // Before anything is opened with root's rights.
    if mode == Mode::Strict && run_as.is_none() && geteuid().is_root() {
        return Err(ToolError::Failed(
            "it runs as root: say with --run-as whom TO belongs to; or start it as that user".to_owned(),
        ));
    }
    let setup = Setup::begin()?;
    setup.keep_only(&[])?;
    // The folder is its own, and root follows nobody's links.
    let opened = || Keeper::open(options, keep);
    let mut keeper = match run_as {
        Some(user) => user.acting(opened)?,
        None => opened(),
    }?;
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
    if !follow {
        let (Look { records, packed: _ }, retired) = keeper.look(true)?;
        tell(retired, &mut output)?;
        output.line(format_args!("{records} records sealed; {}", head(&keeper.sealer)))?;
        return output.flush();
    }
    output.line(format_args!(
        "sealing {} into {}; {}",
        from.display(),
        to.display(),
        head(&keeper.sealer)
    ))?;
    output.flush()?;
    keeper.follow(Duration::from_millis(u64::from(*every_ms)), &mut output)
}

/// Seals, and says how it fares.
struct Keeper {
    sealer: Sealer,
    status: Status,
    files: Files,
    noted: Option<Instant>,
}

impl Keeper {
    fn open(options: &Options, keep: Keep) -> Result<Self, ToolError> {
        let Options {
            from, to, metrics, ..
        } = options;
        // First, since it makes the folder.
        let sealer = Sealer::open(from, to);
        let own = to.join(status::NAME);
        let paths: Vec<&Path> = [own.as_path()].into_iter().chain(metrics.as_deref()).collect();
        let files = Files::open(&paths);
        let sealer = sealer.inspect_err(|error| {
            if let Ok((files, status)) = &files {
                files.write(&status.failing(&error.to_string(), error.is_incident()));
            }
        })?;
        let (files, status) = files.map_err(|error| ToolError::Failed(error.to_string()))?;
        Ok(Self {
            sealer: sealer.keeping(keep),
            status,
            files,
            noted: None,
        })
    }

    /// Seals what there is, removes what is past its time if `is_due`, and says how it went.
    fn look(&mut self, is_due: bool) -> Result<(Look, Retired), SealError> {
        let done = self.sealer.look().and_then(|look| {
            let retired = if is_due {
                self.sealer.retire()?
            } else {
                Retired::default()
            };
            Ok((look, retired))
        });
        match &done {
            Ok(_) if self.noted.is_some_and(|noted| noted.elapsed() < NOTED) => {}
            Ok(_) => {
                self.noted = Some(Instant::now());
                let head = self.sealer.head();
                self.status = Status::well(head.map_or(0, |head| head.sequence));
                self.files.write(&self.status);
            }
            Err(error) => {
                self.noted = None;
                self.status = self.status.failing(&error.to_string(), error.is_incident());
                self.files.write(&self.status);
            }
        }
        done
    }

    /// Until somebody ends it, or the journal does not go on from what is sealed.
    fn follow(&mut self, every: Duration, output: &mut Output) -> Result<(), ToolError> {
        let mut told = (Instant::now(), self.sealer.head());
        let mut failed: Option<Instant> = None;
        let mut retired: Option<Instant> = None;
        loop {
            let is_due = retired.is_none_or(|at| at.elapsed() >= RETIRED);
            match self.look(is_due) {
                Ok((Look { records: _, packed }, gone)) => {
                    if failed.take().is_some() {
                        output::say(format_args!("sealing again; {}", head(&self.sealer)));
                    }
                    for file in packed {
                        output.line(format_args!(
                            "{} has ended and is sealed; {}",
                            file.display(),
                            head(&self.sealer)
                        ))?;
                    }
                    if is_due {
                        retired = Some(Instant::now());
                        tell(gone, output)?;
                    }
                }
                Err(error) if error.may_pass() => {
                    if failed.is_none_or(|at| at.elapsed() >= TOLD) {
                        failed = Some(Instant::now());
                        output::say(format_args!("error: nothing is sealed: {error}; trying on"));
                    }
                    std::thread::sleep(AGAIN.max(every));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            // Where the log goes, neither daemon can write: `dbal audit verify --head` asks for these.
            if told.0.elapsed() >= TOLD && told.1 != self.sealer.head() {
                told = (Instant::now(), self.sealer.head());
                output.line(format_args!("{}", head(&self.sealer)))?;
            }
            output.flush()?;
            std::thread::sleep(every);
        }
    }
}

fn tell(retired: Retired, output: &mut Output) -> Result<(), ToolError> {
    let Retired { removed, held } = retired;
    for file in removed {
        output.line(format_args!("{} is past --keep-days and removed", file.display()))?;
    }
    if held > 0 {
        output::say(format_args!(
            "{held} sealed files are past --keep-days and stay: no record says that they were removed from the journal \
             (`audit.keep_days` of the worker)"
        ));
    }
    Ok(())
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
