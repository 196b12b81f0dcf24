//! Who may do what: each role on each entity in each operation, with the rows and the fields, as an auditor reads it.

use dbal_policy::roles::RoleId;
use dbal_policy::rule::{Preset, PresetValue, Restriction, Rule};
use dbal_policy::{Policy, is_open};
use dbal_schema::json_text::push_plain;
use dbal_schema::{Column, ColumnSet, Entity, Location};
use dbal_shared::plan::Operation;

use crate::rights::{Rights, rights};
use crate::who_can::{condition, inherited, one_line};

/// The whole table.
#[derive(Debug)]
pub struct Matrix {
    /// The policy's hash.
    pub hash: String,
    /// Every role, in the policy's order.
    pub roles: Vec<String>,
    /// Every entity, by name.
    pub entities: Vec<EntityRights>,
}

/// Who may do what with one entity.
#[derive(Debug)]
pub struct EntityRights {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// One for each role, in the order of [`Matrix::roles`].
    pub roles: Vec<RoleRights>,
}

/// What one role may do with one entity.
#[derive(Debug)]
pub struct RoleRights {
    /// The role.
    pub role: String,
    /// Its operations; those that it has not are left out.
    pub operations: Vec<OperationRights>,
}

/// One cell.
#[derive(Debug)]
pub struct OperationRights {
    /// The operation.
    pub operation: Operation,
    /// Rules by which it may; any of them is enough.
    pub ways: Vec<Way>,
    /// Restrictions that narrow all of them.
    pub walls: Vec<Wall>,
}

/// One rule's part of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The rule's id.
    pub rule: String,
    /// Where it stands.
    pub at: Location,
    /// The role that it names, where this one inherits it.
    pub through: Option<String>,
    /// Its condition; nothing where it reaches every row.
    pub rows: Option<String>,
    /// Its fields in words; nothing where the operation has none.
    pub fields: Option<String>,
    /// Forced values, as `field: value`.
    pub forced: Vec<String>,
}

/// One restriction's part of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// The restriction's id.
    pub id: String,
    /// Where it stands.
    pub at: Location,
    /// Its condition.
    pub rows: String,
}

/// How much of an entity's rows a role reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// None.
    Nothing,
    /// Those that satisfy a condition.
    Some,
    /// Every row.
    All,
}

impl Matrix {
    /// Works out all cells.
    pub fn new(policy: &Policy) -> Self {
        let roles: Vec<RoleId> = policy.roles().ids().collect();
        let entities = policy.schema().entities().iter().map(|entity| EntityRights {
            name: entity.name.clone(),
            description: entity.description.clone(),
            roles: roles
                .iter()
                .map(|role| RoleRights {
                    role: policy.roles().name(*role).to_owned(),
                    operations: Operation::ALL
                        .into_iter()
                        .filter_map(|operation| cell(policy, *role, entity, operation))
                        .collect(),
                })
                .collect(),
        });
        Self {
            hash: policy.hash().to_string(),
            roles: roles
                .iter()
                .map(|role| policy.roles().name(*role).to_owned())
                .collect(),
            entities: entities.collect(),
        }
    }
}

impl RoleRights {
    /// How far the role reaches in one operation.
    pub fn extent(&self, operation: Operation) -> Extent {
        match self.operations.iter().find(|cell| cell.operation == operation) {
            None => Extent::Nothing,
            Some(cell) if cell.walls.is_empty() && cell.ways.iter().any(|way| way.rows.is_none()) => {
                Extent::All
            }
            Some(_) => Extent::Some,
        }
    }

    /// Cells of which all but the operation is the same, together. The fields are those of the first.
    pub fn merged(&self) -> Vec<(Vec<Operation>, &OperationRights)> {
        let mut merged: Vec<(Vec<Operation>, &OperationRights)> = Vec::new();
        for cell in &self.operations {
            let same = merged
                .iter_mut()
                .find(|(_, other)| is_same(&other.ways, &cell.ways) && other.walls == cell.walls);
            match same {
                Some((operations, _)) => operations.push(cell.operation),
                None => merged.push((vec![cell.operation], cell)),
            }
        }
        merged
    }
}

/// Every field that there is to grant.
const ALL: &str = "all";

/// Rows are deleted whole, so a delete goes with what reaches the same rows and all their fields.
fn is_same(ways: &[Way], others: &[Way]) -> bool {
    let is_alike = |(way, other): (&Way, &Way)| {
        let fields = match (&way.fields, &other.fields) {
            (Some(left), Some(right)) => left == right && way.forced == other.forced,
            (None, None) => true,
            // Forced values are about what is written.
            (Some(fields), None) | (None, Some(fields)) => fields == ALL,
        };
        fields && way.rule == other.rule && way.rows == other.rows && way.through == other.through
    };
    ways.len() == others.len() && ways.iter().zip(others).all(is_alike)
}

fn cell(policy: &Policy, role: RoleId, entity: &Entity, operation: Operation) -> Option<OperationRights> {
    let Rights { rules, walls } = rights(policy, role, entity, operation);
    if rules.is_empty() || !is_open(entity, operation) {
        return None;
    }
    let way = |rule: &&Rule| Way {
        rule: rule.id.to_string(),
        at: rule.at.clone(),
        through: inherited(policy, role, rule).map(str::to_owned),
        rows: condition(rule, operation).map(one_line),
        // Forced ones are told beside them, with their values.
        fields: match operation {
            Operation::Read | Operation::List => Some(named(entity, &rule.read, operation)),
            Operation::Create | Operation::Update => Some(named(entity, &rule.write, operation)),
            Operation::Delete => None,
        },
        forced: forced(policy, entity, rule, operation),
    };
    let wall = |wall: &&Restriction| Wall {
        id: wall.id.to_string(),
        at: wall.at.clone(),
        rows: one_line(&wall.written.text),
    };
    Some(OperationRights {
        operation,
        ways: rules.iter().map(way).collect(),
        walls: walls.iter().map(wall).collect(),
    })
}

/// `all`, `all but a, b`, or the names, whichever is shorter.
fn named(entity: &Entity, set: &ColumnSet, operation: Operation) -> String {
    let is_offered = |column: &&Column| match operation {
        Operation::Read | Operation::List => !column.is_never_exposed,
        Operation::Create => true,
        Operation::Update => !column.is_immutable,
        Operation::Delete => false,
    };
    let (given, missing): (Vec<_>, Vec<_>) = entity
        .columns
        .iter()
        .filter(is_offered)
        .partition(|column| set.contains(column.id));
    let names = |columns: &[&Column]| {
        columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (given.len(), missing.len()) {
        (0, _) => "none".to_owned(),
        (_, 0) => ALL.to_owned(),
        (given_count, missing_count) if missing_count < given_count => {
            format!("all but {}", names(&missing))
        }
        _ => names(&given),
    }
}

fn forced(policy: &Policy, entity: &Entity, rule: &Rule, operation: Operation) -> Vec<String> {
    if !matches!(operation, Operation::Create | Operation::Update) {
        return Vec::new();
    }
    let told = |preset: &Preset| {
        let column = entity.column(preset.column)?;
        let value = match &preset.value {
            PresetValue::Fixed(value) => {
                let mut text = String::new();
                push_plain(value, &mut text);
                text
            }
            PresetValue::Claim(slot) => policy.slots().slot(*slot)?.claim.to_string(),
        };
        Some(format!("{}: {value}", column.name))
    };
    rule.presets.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::policy;

    #[test]
    fn a_cell_tells_rows_fields_forced_values_and_walls() {
        let entities = "{entity: Note, fields: {id: {type: uuid, generated: true}, ownerId: {type: uuid}, text: {type: text}, \
                        hash: {type: text, never_expose: true}}}\n";
        let rules = "\
version: 1
roles: {user: {}, admin: {inherits: [user]}}
rules:
  - {id: own, entity: Note, roles: [user], operations: [create, read], rows: \"ownerId = $user.id\", set: {ownerId: $user.id}, fields: {read: [\"*\", -ownerId], write: [text]}}
  - {id: all, entity: Note, roles: [admin], operations: [read]}
restrict:
  - {id: wall, entity: Note, rows: \"text <> 'x'\", unless_roles: [admin]}
";
        let matrix = Matrix::new(&policy(entities, rules));
        assert_eq!(matrix.roles, ["public", "user", "admin"]);
        let [public, user, admin] = matrix.entities[0].roles.as_slice() else {
            panic!()
        };
        assert!(public.operations.is_empty());
        let create = &user.operations[0];
        assert_eq!(create.ways[0].rows.as_deref(), Some("ownerId = $user.id"));
        assert_eq!(create.ways[0].fields.as_deref(), Some("text"));
        assert_eq!(create.ways[0].forced, ["ownerId: $user.id"]);
        assert_eq!(create.walls[0].rows, "text <> 'x'");
        assert_eq!(user.extent(Operation::Create), Extent::Some);
        assert_eq!(user.extent(Operation::Delete), Extent::Nothing);
        assert_eq!(admin.extent(Operation::Read), Extent::All);
        assert_eq!(admin.operations[1].ways[0].through.as_deref(), Some("user"));
        assert_eq!(
            admin.operations[1].ways[0].fields.as_deref(),
            Some("all but ownerId")
        );
        assert_eq!(admin.operations[1].ways[1].fields.as_deref(), Some("all"));
        // Reading and listing are one.
        assert_eq!(admin.merged()[1].0, [Operation::Read, Operation::List]);
    }
}
