//! What a change of a policy widens and narrows: per role, entity, operation and fields, proven by implication both ways.

mod reach;
mod report;
mod translate;

use std::collections::BTreeSet;

use dbal_policy::prove::{Callers, Effort, Formula, Prover, Reading, Verdict, words};
use dbal_policy::slots::Slots;
use dbal_policy::{Policy, RoleLimits};
use dbal_schema::ColumnSet;
use dbal_shared::plan::Operation;
use dbal_shared::principal::Principal;

use reach::{Granted, Reach, reach};
pub use report::{json, markdown, terminal};

/// All that is different.
#[derive(Debug, Default)]
pub struct Diff {
    /// Of rows and fields, each for all roles of which it is so.
    pub changes: Vec<Change>,
    /// Of how much somebody may ask for.
    pub limits: Vec<LimitChange>,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Nothing was granted, and something is.
    Granted,
    /// All that was granted still is, and more.
    Widened,
    /// Neither contains the other, or it is not proven that one does.
    Changed,
    /// Nothing is granted that was not, and something less.
    Narrowed,
    /// Something was granted, and nothing is.
    Revoked,
}

impl Direction {
    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Granted => "granted",
            Direction::Widened => "widened",
            Direction::Changed => "changed",
            Direction::Narrowed => "narrowed",
            Direction::Revoked => "revoked",
        }
    }

    /// Whether somebody may do what could not be done: where that is not ruled out, it counts as so.
    pub fn widens(self) -> bool {
        match self {
            Direction::Granted | Direction::Widened | Direction::Changed => true,
            Direction::Narrowed | Direction::Revoked => false,
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who has it, in the policy's order.
    pub roles: Vec<String>,
    /// Of which entity.
    pub entity: String,
    /// In which operations.
    pub operations: Vec<Operation>,
    /// Which fields; nothing where whole rows are meant.
    pub fields: Vec<String>,
    /// Which way.
    pub direction: Direction,
    /// Rules that granted it, as they were.
    pub old: Vec<Grantor>,
    /// Rules that grant it.
    pub new: Vec<Grantor>,
    /// A row that can be reached and could not.
    pub example: Option<String>,
    /// What else, in words.
    pub note: Option<String>,
}

/// A rule that grants something, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantor {
    /// Its id.
    pub rule: String,
    /// File, line and column.
    pub at: String,
    /// Which rows, as its author wrote it; nothing: every row.
    pub rows: Option<String>,
}

/// A number that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// For whom.
    pub role: String,
    /// Which.
    pub limit: &'static str,
    /// What it was; [`u32::MAX`]: no bound.
    pub old: u32,
    /// What it is.
    pub new: u32,
}

impl Diff {
    /// Whether anybody may do more than before, as far as that is not ruled out.
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.direction.widens())
            || self.limits.iter().any(|limit| limit.new > limit.old)
    }

    /// Whether nothing is different in what it grants.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.limits.is_empty()
    }
}

/// Compares two policies, for somebody of each single role.
pub fn diff(old: &Policy, new: &Policy) -> Diff {
    let mut found = Diff::default();
    let mut effort = Effort::OF_A_POLICY;
    for role in roles(old, new) {
        let principal = Principal {
            roles: vec![role.clone()],
            ..Principal::default()
        };
        for entity in entities(old, new) {
            let mut of_entity = Vec::new();
            for operation in Operation::ALL {
                let pair = Pair::new(old, new, &principal, &entity, operation);
                of_entity.extend(pair.changes(&role, &entity, operation, &mut effort));
            }
            for change in joined(of_entity) {
                let known = found.changes.iter_mut().find(|known| is_same(known, &change));
                match known {
                    Some(known) => known.roles.extend(change.roles),
                    None => found.changes.push(change),
                }
            }
        }
        found.limits.extend(limits(old, new, &role, &principal));
    }
    found
        .changes
        .sort_by(|one, other| (one.direction, &one.entity).cmp(&(other.direction, &other.entity)));
    found
}

/// Names of both, those of the one that is to be in force first.
fn roles(old: &Policy, new: &Policy) -> Vec<String> {
    let mut names: Vec<String> = new.roles().names().map(str::to_owned).collect();
    for name in old.roles().names() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn entities(old: &Policy, new: &Policy) -> BTreeSet<String> {
    [old, new]
        .into_iter()
        .flat_map(|policy| policy.schema().entities())
        .map(|entity| entity.name.clone())
        .collect()
}

/// Two operations that change alike, as one.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        let alike = joined.iter_mut().find(|known| {
            let operations = known.operations.clone();
            is_same(
                &Change {
                    operations,
                    ..change.clone()
                },
                known,
            )
        });
        match alike {
            Some(known) => known.operations.extend(change.operations),
            None => joined.push(change),
        }
    }
    joined
}

/// Whether two changes differ in nothing but whose they are.
fn is_same(one: &Change, other: &Change) -> bool {
    let roles = one.roles.clone();
    *one == Change {
        roles,
        ..other.clone()
    }
}

fn limits(old: &Policy, new: &Policy, role: &str, principal: &Principal) -> Vec<LimitChange> {
    let RoleLimits {
        requests_per_minute,
        burst,
        max_complexity,
        max_rows,
        max_in_flight,
        complexity_per_request,
    } = new.limits(&new.subject(principal));
    let before = old.limits(&old.subject(principal));
    [
        (
            "requests_per_minute",
            before.requests_per_minute,
            requests_per_minute,
        ),
        ("burst", before.burst, burst),
        ("max_complexity", before.max_complexity, max_complexity),
        ("max_rows", before.max_rows, max_rows),
        ("max_in_flight", before.max_in_flight, max_in_flight),
        (
            "complexity_per_request",
            before.complexity_per_request.unwrap_or(u32::MAX),
            complexity_per_request.unwrap_or(u32::MAX),
        ),
    ]
    .into_iter()
    .filter(|(_, old, new)| old != new)
    .map(|(limit, old, new)| LimitChange {
        role: role.to_owned(),
        limit,
        old,
        new,
    })
    .collect()
}

/// What one role has on one entity in one operation, before and after.
struct Pair<'a> {
    policy: &'a Policy,
    slots: Slots,
    old: Reach,
    new: Reach,
}

/// Fields that the same rules granted and grant, and which; rules by their place.
#[derive(Default)]
struct Group {
    fields: Vec<String>,
    old: Vec<usize>,
    new: Vec<usize>,
}

impl<'a> Pair<'a> {
    fn new(
        old: &'a Policy,
        new: &'a Policy,
        principal: &Principal,
        entity: &str,
        operation: Operation,
    ) -> Self {
        let mut slots = new.slots().clone();
        let was = reach(old, new.schema(), &mut slots, principal, entity, operation);
        let is = reach(new, new.schema(), &mut slots, principal, entity, operation);
        Self {
            policy: new,
            slots,
            old: was,
            new: is,
        }
    }

    fn changes(&self, role: &str, entity: &str, operation: Operation, effort: &mut Effort) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        let change = |direction| Change {
            roles: vec![role.to_owned()],
            entity: entity.to_owned(),
            operations: vec![operation],
            fields: Vec::new(),
            direction,
            old: Vec::new(),
            new: Vec::new(),
            example: None,
            note: None,
        };
        for group in self.groups() {
            let (old, new) = (self.old.pick(&group.old), self.new.pick(&group.new));
            if let Some((direction, example)) = self.compare(&old, &new, entity, operation, effort) {
                changes.push(Change {
                    fields: group.fields,
                    old: grantors(&old),
                    new: grantors(&new),
                    example,
                    ..change(direction)
                });
            }
        }
        let (was, is) = (self.old.allows_unfiltered(), self.new.allows_unfiltered());
        if was != is {
            let direction = if is {
                Direction::Granted
            } else {
                Direction::Revoked
            };
            changes.push(Change {
                note: Some("all rows at once, without a filter (`allow_unfiltered`)".to_owned()),
                ..change(direction)
            });
        }
        changes
    }

    fn groups(&self) -> Vec<Group> {
        let rules = self.old.rules.iter().chain(&self.new.rules);
        let names: BTreeSet<Option<&String>> = rules.flat_map(Granted::names).collect();
        let mut groups: Vec<Group> = Vec::new();
        for name in names {
            let (old, new) = (self.old.granting(name), self.new.granting(name));
            let fields = name.cloned().into_iter();
            match groups
                .iter_mut()
                .find(|group| group.old == old && group.new == new)
            {
                Some(group) => group.fields.extend(fields),
                None => groups.push(Group {
                    fields: fields.collect(),
                    old,
                    new,
                }),
            }
        }
        groups
    }

    /// What became of the rows; nothing where they are the same.
    fn compare(
        &self,
        old: &[&Granted],
        new: &[&Granted],
        entity: &str,
        operation: Operation,
        effort: &mut Effort,
    ) -> Option<(Direction, Option<String>)> {
        let schema = self.policy.schema();
        let Some(entity) = schema.by_name(entity) else {
            // Of an entity that is gone there is nothing to reach.
            return (!old.is_empty()).then_some((Direction::Revoked, None));
        };
        let now = Reading::now(schema, &self.slots);
        let changing: ColumnSet = old
            .iter()
            .chain(new)
            .fold(ColumnSet::new(), |all, rule| all.union(&rule.changes));
        let ours = entity.columns.iter().filter(|column| column.is_auto_update);
        let changing = changing.union(&ours.map(|column| column.id).collect());
        let before = now.before(changing);
        let reading = (&now, &before);
        // Nobody has a role that decides anything here: what roles say is put in already.
        let callers = Callers::new(self.policy.roles(), &[], &[]);
        let mut never = |reached: Formula, not_reached: Formula| {
            Prover::new(schema, &self.slots, &callers, effort).never(Formula::All(vec![reached, not_reached]))
        };
        let more = never(
            self.new
                .reaches(&self.new.beyond(new, &self.old, old), operation, reading),
            self.old.misses(old, operation, reading),
        );
        let less = never(
            self.old
                .reaches(&self.old.beyond(old, &self.new, new), operation, reading),
            self.new.misses(new, operation, reading),
        );
        if more == Verdict::Proven && less == Verdict::Proven {
            return None;
        }
        let (is_void, was_void) = (
            never(self.new.reaches(new, operation, reading), Formula::TRUE) == Verdict::Proven,
            never(self.old.reaches(old, operation, reading), Formula::TRUE) == Verdict::Proven,
        );
        let example = match &more {
            Verdict::Open(literals) => Some(words(literals, entity, schema)).filter(|text| !text.is_empty()),
            Verdict::Proven | Verdict::TooHard => None,
        };
        match (more == Verdict::Proven, less == Verdict::Proven) {
            (true, true) => None,
            (true, false) if is_void => Some((Direction::Revoked, None)),
            (true, false) => Some((Direction::Narrowed, None)),
            (false, true) if was_void => Some((Direction::Granted, example)),
            (false, true) => Some((Direction::Widened, example)),
            (false, false) => Some((Direction::Changed, example)),
        }
    }
}

fn grantors(rules: &[&Granted]) -> Vec<Grantor> {
    rules.iter().map(|rule| rule.grantor.clone()).collect()
}

#[cfg(test)]
mod law;
#[cfg(test)]
mod tests;
