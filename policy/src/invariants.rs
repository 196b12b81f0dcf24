//! Invariants: what must hold of every rule there is. Proven over the compiled rules when a policy loads, and forgotten then:
//! they decide nothing, they keep a policy that breaks them from being in force.

mod cascade;
mod demands;
mod keeping;

use dbal_schema::report::Report;
use dbal_schema::{Location, Schema};

use crate::compile::Compiled;
use crate::invariants::demands::{Invariant, compile};
use crate::invariants_file::InvariantsFile;
use crate::prove::Effort;

/// Proves the invariants of the rules, or reports each rule that breaks one, or that is not proven to keep it.
pub(crate) fn uphold(file: &InvariantsFile, compiled: &Compiled, schema: &Schema, report: &mut Report) {
    let (invariants, slots) = compile(file, compiled, schema, report);
    if !report.problems.is_empty() {
        return;
    }
    let mut effort = Effort::OF_A_POLICY;
    let mut breaches = Vec::new();
    for invariant in &invariants {
        let Invariant { bounds, .. } = invariant;
        for bound in bounds {
            keeping::breaches(
                invariant,
                bound,
                compiled,
                (schema, &slots),
                &mut effort,
                &mut breaches,
            );
            cascade::breaches(invariant, bound, compiled, schema, &mut breaches);
        }
    }
    for Breach { at, text } in breaches {
        report.problem(&at, text);
    }
}

/// A rule that breaks an invariant.
#[derive(Debug, PartialEq)]
struct Breach {
    /// The rule's place: that is what has to change.
    at: Location,
    text: String,
}
