//! Random rules, and how they are written: in a rules file, or within the entity.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::expression::{Expression, Operand};
use super::model::{Caller, Kind, World};
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Create,
    Read,
    List,
    Update,
    Delete,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) roles: Vec<&'static str>,
    pub(super) operations: BTreeSet<Operation>,
    pub(super) rows: Option<Expression>,
    pub(super) check: Option<Expression>,
    pub(super) read: BTreeSet<&'static str>,
    pub(super) write: BTreeSet<&'static str>,
    pub(super) set: Option<(&'static str, Operand)>,
    pub(super) allows_unfiltered: bool,
    /// Written as `self:` in an entity's `acl`.
    is_self: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Wall {
    pub(super) rows: Expression,
    pub(super) unless: Option<&'static str>,
}

fn some_of<T: Ord + Copy>(all: &[T], random: &mut Random) -> BTreeSet<T> {
    let chosen = all
        .iter()
        .copied()
        .filter(|_| random.below(3) > 0)
        .collect::<BTreeSet<T>>();
    if chosen.is_empty() {
        BTreeSet::from([all[random.below(all.len())]])
    } else {
        chosen
    }
}

fn perhaps(kind: Kind, random: &mut Random) -> Option<Expression> {
    (random.below(4) > 0).then(|| Expression::random(kind, 2, random))
}

impl Rule {
    /// The rules of one entity.
    pub(super) fn several(kind: Kind, is_inline: bool, random: &mut Random) -> Vec<Self> {
        if is_inline {
            return Self::inline(kind, random);
        }
        (0..2 + random.below(4))
            .map(|_| Self::random(kind, random))
            .collect()
    }

    fn random(kind: Kind, random: &mut Random) -> Self {
        let all = [
            Operation::Create,
            Operation::Read,
            Operation::List,
            Operation::Update,
            Operation::Delete,
        ];
        let mut read = some_of(kind.fields(), random);
        // Without its key a row can't be asked for; sometimes it is.
        if random.below(8) > 0 {
            read.insert("id");
        }
        let preset = [("owner", Operand::UserId), ("tenant", Operand::Tenant)];
        Self {
            roles: some_of(&["r1", "r2", "r3", "public"], random)
                .into_iter()
                .collect(),
            operations: some_of(&all, random),
            rows: perhaps(kind, random),
            check: perhaps(kind, random),
            read,
            write: some_of(kind.writable(), random),
            set: (random.below(3) == 0).then(|| preset[random.below(2)].clone()),
            allows_unfiltered: random.below(3) == 0,
            is_self: false,
        }
    }

    fn inline(kind: Kind, random: &mut Random) -> Vec<Self> {
        let all: BTreeSet<&str> = kind.fields().iter().copied().collect();
        let mut rules = Vec::new();
        for operation in [
            Operation::Create,
            Operation::Read,
            Operation::List,
            Operation::Update,
            Operation::Delete,
        ] {
            // `read` covers lists; `list:` beside it would add to it.
            let is_said = random.below(5) > 0 && (operation != Operation::List || random.below(3) == 0);
            if !is_said {
                continue;
            }
            let is_self = random.below(3) == 0;
            let write = if random.below(2) == 0 {
                kind.writable().iter().copied().collect()
            } else {
                some_of(kind.writable(), random)
            };
            let rule = |roles: Vec<&'static str>, rows: Option<Expression>, is_self| Self {
                roles,
                operations: BTreeSet::from([operation]),
                check: rows.clone(),
                rows,
                read: all.clone(),
                write: write.clone(),
                set: None,
                allows_unfiltered: false,
                is_self,
            };
            let roles: Vec<&str> = some_of(&["r1", "r2", "r3", "public"], random)
                .into_iter()
                .collect();
            if is_self {
                let mine = Expression::Compare("owner", "=", Operand::UserId);
                rules.push(rule(vec!["public"], Some(mine), true));
                // Beside `self`, other grants reach every row.
                if random.below(2) == 0 {
                    rules.push(rule(roles, None, false));
                }
            } else {
                rules.push(rule(roles, perhaps(kind, random), false));
            }
        }
        rules
    }

    /// Whether it says anything to this caller at all.
    pub(super) fn is_for(&self, caller: &Caller) -> bool {
        let asks = self
            .rows
            .iter()
            .chain(&self.check)
            .any(Expression::asks_for_tenant)
            || self
                .set
                .as_ref()
                .is_some_and(|(_, operand)| *operand == Operand::Tenant);
        self.roles.iter().any(|role| caller.has(role)) && (caller.tenant.is_some() || !asks)
    }

    pub(super) fn grants(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
            || (operation == Operation::List && self.operations.contains(&Operation::Read))
    }

    /// What a row must satisfy afterwards.
    pub(super) fn after(&self) -> Option<&Expression> {
        self.check.as_ref().or(self.rows.as_ref())
    }

    /// What it writes into the rows itself; nothing where the caller's own values or `rows` say the same already.
    pub(super) fn preset(&self) -> BTreeSet<&'static str> {
        self.set.iter().map(|(field, _)| *field).collect()
    }
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

impl World {
    fn told(&self, expression: &Expression) -> String {
        expression.to_string().replace("PARENT", &self.parent())
    }

    /// The rules of this world for a rules file.
    pub(super) fn write_rules(&self, into: &mut String) {
        if self.is_inline {
            return;
        }
        for (entity, rules) in [
            (self.parent(), &self.parent_rules),
            (self.child(), &self.child_rules),
        ] {
            for (number, rule) in rules.iter().enumerate() {
                let operations = rule.operations.iter().map(|operation| operation.name());
                let _ = write!(
                    into,
                    "  - {{id: {entity}-{number}, entity: {entity}, roles: [{}], operations: [{}], fields: {{read: [{}], write: [{}]}}",
                    list(rule.roles.iter().copied()),
                    list(operations),
                    list(rule.read.iter().copied()),
                    list(rule.write.iter().copied()),
                );
                for (key, expression) in [("rows", &rule.rows), ("check", &rule.check)] {
                    if let Some(expression) = expression {
                        let _ = write!(into, ", {key}: \"{}\"", self.told(expression));
                    }
                }
                if let Some((field, operand)) = &rule.set {
                    let _ = write!(into, ", set: {{{field}: {operand}}}");
                }
                if rule.allows_unfiltered {
                    into.push_str(", allow_unfiltered: true");
                }
                into.push_str("}\n");
            }
        }
    }

    /// The restrictions of this world for a rules file.
    pub(super) fn write_walls(&self, into: &mut String) {
        for (entity, wall) in [
            (self.parent(), &self.parent_wall),
            (self.child(), &self.child_wall),
        ] {
            if let Some(wall) = wall {
                let _ = writeln!(
                    into,
                    "  - {{id: {entity}-wall, entity: {entity}, rows: \"{}\", unless_roles: [admin{}]}}",
                    self.told(&wall.rows),
                    wall.unless.map_or_else(String::new, |role| format!(", {role}")),
                );
            }
        }
    }

    /// An entity's `acl`, for an entity file.
    pub(super) fn acl(&self, kind: Kind) -> String {
        let rules = match kind {
            Kind::Parent => &self.parent_rules,
            Kind::Child => &self.child_rules,
        };
        let mut text = String::new();
        if !self.is_inline || rules.is_empty() {
            return text;
        }
        text.push_str("acl:\n");
        for operation in rules.iter().map(|rule| &rule.operations).collect::<BTreeSet<_>>() {
            let parts: Vec<&Rule> = rules
                .iter()
                .filter(|rule| rule.operations == *operation)
                .collect();
            let mut members = Vec::new();
            for rule in &parts {
                if rule.is_self {
                    members.push("self: true".to_owned());
                } else {
                    members.extend(rule.roles.iter().map(|role| format!("{role}: true")));
                }
                if let Some(rows) = &rule.rows {
                    members.push(format!("row_level: \"{}\"", self.told(rows)));
                }
            }
            if let Some(rule) = parts.first()
                && operation
                    .iter()
                    .any(|it| matches!(it, Operation::Create | Operation::Update))
                && rule.write.len() < kind.writable().len()
            {
                members.push(format!("writable_fields: [{}]", list(rule.write.iter().copied())));
            }
            let name = operation
                .iter()
                .map(|operation| operation.name())
                .collect::<String>();
            let _ = writeln!(text, "  {name}: {{{}}}", members.join(", "));
        }
        text
    }
}
