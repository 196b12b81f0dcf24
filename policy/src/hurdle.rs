//! What keeps a rule from granting something. `decide` only asks whether there is anything; a trace tells what.

use dbal_schema::ColumnSet;
use dbal_shared::ids::ColumnId;

use crate::policy::Policy;
use crate::rule::Rule;
use crate::slots::SlotId;

/// The first thing that keeps a rule from granting one call. Small and without allocation: decisions make them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hurdle {
    /// The rule is about other operations.
    OtherOperation,
    /// The schema keeps the operation closed, whatever a rule says.
    Closed,
    /// The caller has none of its roles.
    NoRole,
    /// The caller lacks a claim that it asks for, or has it in another type.
    NoClaim(SlotId),
    /// It does not let these columns be written.
    NotWritable(ColumnSet),
    /// It forces another value on this column than the caller wants.
    Forced(ColumnId),
    /// All rows were to be changed, and it does not allow that.
    Unfiltered,
    /// It does not show these columns, by which rows are found.
    Hides(ColumnSet),
    /// Its condition is false whatever the row, for this caller.
    NoRow,
}

impl Hurdle {
    /// In words, for operators.
    pub(crate) fn words(self, policy: &Policy, rule: &Rule) -> String {
        let columns = |set: &ColumnSet| {
            let entity = policy.schema.entity(rule.entity);
            let names = set
                .iter()
                .filter_map(|column| Some(entity?.column(column)?.name.as_str()));
            names.collect::<Vec<_>>().join(", ")
        };
        match self {
            Hurdle::OtherOperation => "is about other operations".to_owned(),
            Hurdle::Closed => "the schema keeps this closed: read_only or system_only".to_owned(),
            Hurdle::NoRole => match rule.roles.as_slice() {
                [] => "is for nobody".to_owned(),
                [only] => format!("needs the role {}", policy.roles().name(*only)),
                roles => {
                    let names: Vec<&str> = roles.iter().map(|role| policy.roles().name(*role)).collect();
                    format!("needs one of the roles {}", names.join(", "))
                }
            },
            Hurdle::NoClaim(slot) => match policy.slots().slot(slot) {
                Some(slot) => format!(
                    "needs the claim {}, which the caller lacks or has in another type",
                    slot.claim
                ),
                None => "needs a claim".to_owned(),
            },
            Hurdle::NotWritable(set) => format!("does not let {} be written", columns(&set)),
            Hurdle::Forced(column) => {
                let mut set = ColumnSet::new();
                set.insert(column);
                format!("forces another value on {}", columns(&set))
            }
            Hurdle::Unfiltered => "does not allow all rows at once (allow_unfiltered)".to_owned(),
            Hurdle::Hides(set) => format!("does not show {}", columns(&set)),
            Hurdle::NoRow => {
                "its condition holds for no row: what it asks of the caller is not so".to_owned()
            }
        }
    }
}
