//! For which callers something is to be proven: what is sure of their roles, and what is possible.

use dbal_shared::value::Value;

use crate::expression::Claim;
use crate::prove::formula::{Sort, Variable};
use crate::roles::{PUBLIC, RoleId, Roles};

/// All callers who hold some roles for sure, and others perhaps.
#[derive(Clone, Debug)]
pub struct Callers {
    certain: Vec<String>,
    possible: Vec<String>,
    /// What `$user.role` may be.
    highest: Vec<Value>,
    /// What `$user.level` may be.
    levels: Vec<Value>,
}

impl Callers {
    /// Callers who hold `certain` with all that it inherits, and whatever they like of `possible`.
    pub fn new(roles: &Roles, certain: &[RoleId], possible: &[RoleId]) -> Self {
        let certain: Vec<RoleId> = certain
            .iter()
            .flat_map(|role| roles.includes(*role))
            .copied()
            .chain(roles.by_name(PUBLIC))
            .collect();
        let least = certain.iter().map(|role| roles.level(*role)).max().unwrap_or(0);
        let candidates: Vec<RoleId> = possible.iter().chain(&certain).copied().collect();
        let highest = candidates.iter().filter(|role| roles.level(**role) >= least);
        let name = |role: &RoleId| roles.name(*role).to_owned();
        Self {
            certain: certain.iter().map(name).collect(),
            possible: candidates.iter().map(name).collect(),
            highest: highest.clone().map(|role| Value::Text(name(role))).collect(),
            levels: highest
                .map(|role| Value::Int(i64::from(roles.level(*role))))
                .collect(),
        }
    }

    /// Whether a caller may have, or lack, this role.
    pub(crate) fn may(&self, role: &str, has: bool) -> bool {
        let among = |names: &[String]| names.iter().any(|name| name == role);
        if has {
            among(&self.possible)
        } else {
            !among(&self.certain)
        }
    }

    /// All values that this may be, where they are known.
    pub(crate) fn domain(&self, variable: &Variable) -> Option<&[Value]> {
        match variable {
            Variable::Claim(Claim::Role, Sort::Text) => Some(&self.highest),
            Variable::Claim(Claim::Level, Sort::Number | Sort::Integer | Sort::Bigint) => Some(&self.levels),
            Variable::Claim(..) | Variable::Column(_) | Variable::Before(_) => None,
        }
    }
}
