//! What may stand in the types of one entity: all that the file lets stand, or what a role's rules grant of it.

use dbal_policy::Policy;
use dbal_policy::roles::RoleId;
use dbal_policy::rule::Rule;
use dbal_schema::{Column, ColumnSet, Entity};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::Operation;

/// Whose types.
pub(super) struct Role<'a> {
    policy: &'a Policy,
    name: String,
    /// With all that it inherits, and `public`.
    held: Vec<RoleId>,
}

impl<'a> Role<'a> {
    /// Somebody who holds all of these, or which one there is not.
    pub(super) fn new(policy: &'a Policy, names: &[String]) -> Result<Self, String> {
        let roles = policy.roles();
        let mut held = Vec::new();
        for name in names.iter().map(String::as_str).chain(["public"]) {
            let Some(id) = roles.by_name(name) else {
                let known: Vec<&str> = roles.names().collect();
                return Err(format!(
                    "the policy has no role `{name}`; there are {}",
                    known.join(", ")
                ));
            };
            held.extend_from_slice(roles.includes(id));
        }
        Ok(Self {
            policy,
            name: names.join(" and "),
            held,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rules that may apply to them, whatever claims they come with.
    fn rules(&self, entity: &Entity, operations: &[Operation]) -> Vec<&'a Rule> {
        let applies = |rule: &&Rule| {
            rule.entity == entity.id
                && rule.roles.iter().any(|role| self.held.contains(role))
                && operations.iter().any(|operation| {
                    rule.operations.contains(*operation) && !entity.system_only.contains(operation)
                })
        };
        self.policy.rules().iter().filter(applies).collect()
    }
}

/// Which columns may stand where.
pub(super) struct Rights {
    pub(super) read: ColumnSet,
    /// Readable ones that every row shows.
    certain: ColumnSet,
    pub(super) create: ColumnSet,
    pub(super) update: ColumnSet,
    /// Filled in by some rule for creates.
    pub(super) filled_in: ColumnSet,
    pub(super) may_create: bool,
    pub(super) may_update: bool,
}

impl Rights {
    /// Those of one entity; none where the role may do nothing with it, so that it looks like an unknown one.
    pub(super) fn of(entity: &Entity, role: Option<&Role<'_>>) -> Option<Self> {
        match role {
            Some(role) => Self::granted(entity, role),
            None => Some(Self::declared(entity)),
        }
    }

    /// What the file lets stand, before any policy.
    fn declared(entity: &Entity) -> Self {
        let those = |wanted: fn(&Column) -> bool| -> ColumnSet {
            let columns = entity.columns.iter().filter(|column| wanted(column));
            columns.map(|column| column.id).collect()
        };
        let read = those(|column| !column.is_never_exposed);
        let written =
            those(|column| !column.is_never_exposed && column.generated.is_none() && !column.is_auto_update);
        let is_open = |operation: Operation| !entity.is_read_only && !entity.system_only.contains(&operation);
        Self {
            read,
            certain: read,
            create: written,
            update: written,
            filled_in: ColumnSet::new(),
            may_create: is_open(Operation::Create),
            may_update: is_open(Operation::Update),
        }
    }

    fn granted(entity: &Entity, role: &Role<'_>) -> Option<Self> {
        let reading = role.rules(entity, &[Operation::Read, Operation::List]);
        let creating = role.rules(entity, &[Operation::Create]);
        let updating = role.rules(entity, &[Operation::Update]);
        let deleting = role.rules(entity, &[Operation::Delete]);
        let is_open = !entity.is_read_only;
        if reading.is_empty() && creating.is_empty() && updating.is_empty() && deleting.is_empty() {
            return None;
        }
        let all = |rules: &[&Rule], of: fn(&Rule) -> ColumnSet| {
            rules
                .iter()
                .fold(ColumnSet::new(), |columns, rule| columns.union(&of(rule)))
        };
        let read = all(&reading, |rule| rule.read);
        // A rule for every row and every caller shows its fields always. Others may hide what not all of them show.
        let always = |rule: &&&Rule| rule.written.rows.is_none() && rule.needs.is_empty();
        let everywhere = reading
            .iter()
            .filter(always)
            .fold(ColumnSet::new(), |columns, rule| columns.union(&rule.read));
        let common = reading
            .iter()
            .fold(read, |columns, rule| columns.intersection(&rule.read));
        Some(Self {
            read,
            certain: common.union(&everywhere),
            create: all(&creating, |rule| rule.write),
            update: all(&updating, |rule| rule.write),
            filled_in: all(&creating, Rule::preset_columns),
            may_create: is_open && !creating.is_empty(),
            may_update: is_open && !updating.is_empty(),
        })
    }

    /// Columns that are read, in the file's order.
    pub(super) fn readable<'a>(&self, entity: &'a Entity) -> impl Iterator<Item = &'a Column> {
        let read = self.read;
        entity
            .columns
            .iter()
            .filter(move |column| read.contains(column.id))
    }

    /// Whether every row that is answered has it.
    pub(super) fn is_certain(&self, column: ColumnId) -> bool {
        self.certain.contains(column)
    }
}
