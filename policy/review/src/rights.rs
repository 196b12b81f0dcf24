//! What one role has on one entity in one operation: the rules that grant it, and the walls that narrow them.

use dbal_policy::roles::{RoleId, RoleSet};
use dbal_policy::rule::{Restriction, Rule};
use dbal_policy::{Policy, is_open};
use dbal_schema::{ColumnSet, Entity};
use dbal_shared::plan::Operation;
use dbal_shared::principal::Principal;

/// Rules and walls, in the policy's order.
#[derive(Debug)]
pub struct Rights<'a> {
    /// Rules that grant the operation; any of them is enough. Empty: it is refused.
    pub rules: Vec<&'a Rule>,
    /// Restrictions that narrow all of them.
    pub walls: Vec<&'a Restriction>,
}

/// The rights of somebody who has this role and no other, but what it inherits and `public`.
pub fn rights<'a>(policy: &'a Policy, role: RoleId, entity: &Entity, operation: Operation) -> Rights<'a> {
    rights_of(policy, &held(policy, role), entity, operation)
}

/// The rights of somebody who holds these roles and no other.
pub fn rights_of<'a>(
    policy: &'a Policy,
    held: &RoleSet,
    entity: &Entity,
    operation: Operation,
) -> Rights<'a> {
    let rules = if is_open(entity, operation) {
        policy
            .rules()
            .iter()
            .filter(|rule| rule.entity == entity.id && rule.operations.contains(operation))
            .filter(|rule| held.holds_any(&rule.roles))
            .collect()
    } else {
        Vec::new()
    };
    Rights {
        rules,
        walls: policy
            .restrictions()
            .iter()
            .filter(|wall| wall.entity == entity.id && !held.holds_any(&wall.unless))
            .collect(),
    }
}

/// All that somebody with this role alone holds.
pub fn held(policy: &Policy, role: RoleId) -> RoleSet {
    let roles = policy.roles();
    roles.held(&Principal {
        roles: vec![roles.name(role).to_owned()],
        ..Principal::default()
    })
}

/// The columns that a rule opens in this operation: those that it shows, or those that it writes, forced ones included.
pub fn fields(rule: &Rule, operation: Operation) -> ColumnSet {
    match operation {
        Operation::Read | Operation::List => rule.read,
        Operation::Create | Operation::Update => rule.write.union(&rule.preset_columns()),
        Operation::Delete => ColumnSet::new(),
    }
}
