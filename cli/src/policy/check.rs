//! `dbal policy check`: what is wrong with a policy before a daemon has to say so.

use dbal_review::lint::lint;

use super::inputs::{Examined, Inputs};
use crate::diagnostics::{self, Count, Format};
use crate::error::ToolError;
use crate::output;

/// Load entities and rules as the daemons do, and tell what is wrong or odd.
///
/// Exit 0: nothing that counts. 1: errors, or warnings with --strict. 2: it could not be checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    inputs: Inputs,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Let warnings fail the check, too.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        inputs,
        format,
        strict,
    } = options;
    let Examined { policy, mut findings } = inputs.examine()?;
    findings.extend(policy.iter().flat_map(lint));
    findings.sort_by(|left, right| left.at.cmp(&right.at));
    output::print_painted(diagnostics::render(&findings, format))?;
    let count = Count::of(&findings);
    if count.errors > 0 || (strict && count.warnings > 0) {
        return Err(ToolError::Failed(format!("not sound: {count}")));
    }
    if let (Format::Text, Some(policy)) = (format, policy) {
        let entities = policy.schema().entities().len();
        output::line(format_args!(
            "sound: {entities} entities, policy {}; {count}",
            policy.hash()
        ))?;
    }
    Ok(())
}
