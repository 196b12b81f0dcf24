//! `dbal audit search`: the records that say this.

use std::path::Path;

use super::row::{colour, row};
use super::wanted::{self, paths};
use crate::error::ToolError;
use crate::output::{self, Output};

/// Show the records that meet all that is named, oldest first; exit 1 if there is none.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    wanted: wanted::Filter,
    /// The records as they stand in the file.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options { wanted, json } = options;
    let (folders, wanted) = wanted.into_wanted();
    let folders = paths(&folders);
    let colour = colour();
    let mut output = Output::open();
    let mut found: u64 = 0;
    let searched = dbal_audit::each(&folders, &wanted, |record, value| {
        found = found.saturating_add(1);
        if json {
            output.line(&record.json)?;
        } else {
            output.painted(format_args!("{}\n", row(value, colour)))?;
        }
        if !record.is_sound {
            output.flush()?;
            warn_changed(&record);
        }
        Ok::<_, Stopped>(())
    });
    told(&folders, searched)?;
    output.flush()?;
    if found == 0 {
        return Err(ToolError::Failed("no such record".to_owned()));
    }
    Ok(())
}

/// Why a walk over the records ended early.
pub(super) enum Stopped {
    Reading(std::io::Error),
    Writing(ToolError),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Stopped::Reading(error)
    }
}

impl From<ToolError> for Stopped {
    fn from(error: ToolError) -> Self {
        Stopped::Writing(error)
    }
}

/// What can't be left unsaid of a walk over the records.
pub(super) fn told(folders: &[&Path], walk: Result<u64, Stopped>) -> Result<(), ToolError> {
    match walk {
        Ok(0) => Ok(()),
        Ok(lines) => {
            output::say(format_args!(
                "dbal: {lines} lines are no records and were left out; `dbal audit verify` tells more"
            ));
            Ok(())
        }
        Err(Stopped::Reading(error)) => Err(unreadable(folders, error)),
        Err(Stopped::Writing(error)) => Err(error),
    }
}

/// The folders that can't be read, as far as is known.
pub(super) fn unreadable(folders: &[&Path], error: std::io::Error) -> ToolError {
    let folder = folders.iter().find(|folder| folder.read_dir().is_err());
    let folder = folder.or(folders.last()).copied();
    ToolError::file(folder.unwrap_or(Path::new("")), error)
}

/// Says of a record that is shown nevertheless that it is not what was written.
pub(super) fn warn_changed(record: &dbal_audit::Found) {
    output::say(format_args!(
        "dbal: {}:{}: this record was changed: its hash is not that of its bytes",
        record.file.display(),
        record.line
    ));
}
