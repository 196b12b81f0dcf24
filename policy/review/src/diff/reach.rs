//! Which rows one role reaches in one operation, as formulas that hold for both policies.

use dbal_policy::prove::{Aim, Formula, Reading};
use dbal_policy::rule::{Preset, PresetValue, Restriction, Rule};
use dbal_policy::slots::{Filled, SlotId, Slots};
use dbal_policy::template::Template;
use dbal_policy::{Claim, Policy};
use dbal_schema::{ColumnSet, Entity, Schema};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;

use super::Grantor;
use super::translate::Translation;
use crate::rights::{Rights, fields, rights_of};
use crate::who_can::condition;

/// The rows that somebody reaches.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) rules: Vec<Granted>,
    walls: Vec<Wall>,
}

/// By one rule.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) grantor: Grantor,
    /// What it shows or lets be written; nothing where whole rows are meant.
    pub(super) fields: Option<Vec<String>>,
    /// Columns that an update by it may change.
    pub(super) changes: ColumnSet,
    allows_unfiltered: bool,
    /// Conditions; nothing where one can't be said in the terms of the other policy's entities.
    rows: Option<Template>,
    check: Option<Template>,
    presets: Vec<(ColumnId, PresetValue)>,
    needs: Needs,
}

#[derive(Debug, PartialEq)]
struct Wall {
    rows: Option<Template>,
    needs: Needs,
}

/// Claims without which something does not apply.
#[derive(Debug, Default, PartialEq)]
struct Needs {
    claims: Vec<SlotId>,
    /// There are more conditions, which can't be said in the terms of the other policy's entities.
    are_more: bool,
}

/// What somebody of these roles reaches under `policy`, in terms of `schema`.
pub(super) fn reach(
    policy: &Policy,
    schema: &Schema,
    slots: &mut Slots,
    principal: &Principal,
    entity: &str,
    operation: Operation,
) -> Reach {
    let (Some(own), Some(other)) = (policy.schema().by_name(entity), schema.by_name(entity)) else {
        // What was granted on an entity that is gone is told all the same.
        let rules = policy.schema().by_name(entity).map_or_else(Vec::new, |own| {
            let held = policy.roles().held(principal);
            let rules = rights_of(policy, &held, own, operation).rules.into_iter();
            rules.map(|rule| gone(rule, own, operation)).collect()
        });
        return Reach {
            rules,
            walls: Vec::new(),
        };
    };
    let held = policy.roles().held(principal);
    let filled = policy
        .slots()
        .fill(policy.schema(), policy.claims(), policy.roles(), &held, principal);
    let Rights { rules, walls } = rights_of(policy, &held, own, operation);
    let mut reaching = Reaching {
        policy,
        own,
        other,
        operation,
        translation: Translation::new(policy, schema, &filled, (own, other), slots),
        filled: &filled,
    };
    Reach {
        rules: rules.into_iter().filter_map(|rule| reaching.rule(rule)).collect(),
        walls: walls.into_iter().map(|wall| reaching.wall(wall)).collect(),
    }
}

/// A rule of an entity that the other policy's schema does not have.
fn gone(rule: &Rule, entity: &Entity, operation: Operation) -> Granted {
    Granted {
        grantor: grantor(rule, operation),
        fields: names(rule, entity, operation),
        changes: ColumnSet::new(),
        allows_unfiltered: rule.allows_unfiltered,
        rows: None,
        check: None,
        presets: Vec::new(),
        needs: Needs::default(),
    }
}

fn grantor(rule: &Rule, operation: Operation) -> Grantor {
    Grantor {
        rule: rule.id.to_string(),
        at: rule.at.to_string(),
        rows: condition(rule, operation).map(str::to_owned),
    }
}

fn names(rule: &Rule, entity: &Entity, operation: Operation) -> Option<Vec<String>> {
    let columns = fields(rule, operation);
    (operation != Operation::Delete).then(|| {
        let columns = columns.iter().filter_map(|column| entity.column(column));
        columns.map(|column| column.name.clone()).collect()
    })
}

struct Reaching<'a> {
    policy: &'a Policy,
    own: &'a Entity,
    other: &'a Entity,
    operation: Operation,
    translation: Translation<'a>,
    filled: &'a Filled,
}

impl Reaching<'_> {
    /// Nothing where the rule can't apply to somebody of this role, whatever else is known of him.
    fn rule(&mut self, rule: &Rule) -> Option<Granted> {
        let mut needs = self.needs(&rule.needs)?;
        let mut preset = |preset: &Preset| {
            let column = self.translation.column(preset.column)?;
            let value = match &preset.value {
                PresetValue::Fixed(value) => PresetValue::Fixed(value.clone()),
                PresetValue::Claim(slot) if self.is_of_role(*slot) => {
                    PresetValue::Fixed(self.filled.one(*slot)?.clone())
                }
                PresetValue::Claim(slot) => PresetValue::Claim(self.translation.slot(*slot)?),
            };
            Some((column, value))
        };
        let presets: Vec<_> = rule.presets.iter().filter_map(&mut preset).collect();
        needs.are_more |= presets.len() < rule.presets.len();
        let written = rule.write.union(&rule.preset_columns());
        let changes = written
            .iter()
            .filter_map(|column| self.translation.column(column))
            .filter(|column| self.other.column(*column).is_none_or(|found| !found.is_immutable))
            .collect();
        let mut fields = names(rule, self.own, self.operation);
        if self.operation == Operation::Update
            && let Some(fields) = &mut fields
        {
            fields.retain(|name| {
                self.own
                    .column_by_name(name)
                    .is_none_or(|column| !column.is_immutable)
            });
        }
        Some(Granted {
            grantor: grantor(rule, self.operation),
            fields,
            changes,
            allows_unfiltered: rule.allows_unfiltered,
            rows: self.translation.template(&rule.rows),
            check: self.translation.template(&rule.check),
            presets,
            needs,
        })
    }

    fn wall(&mut self, wall: &Restriction) -> Wall {
        match self.needs(&wall.needs) {
            Some(needs) => Wall {
                rows: self.translation.template(&wall.rows),
                needs,
            },
            None => Wall {
                rows: Some(Template::Fixed(Predicate::False)),
                needs: Needs::default(),
            },
        }
    }

    /// Claims that only a proof gives; nothing where one is missing that comes with the role.
    fn needs(&mut self, needs: &[SlotId]) -> Option<Needs> {
        let mut proofs = Needs::default();
        for slot in needs {
            if self.is_of_role(*slot) {
                self.filled.all(*slot)?;
            } else {
                match self.translation.slot(*slot) {
                    Some(slot) => proofs.claims.push(slot),
                    None => proofs.are_more = true,
                }
            }
        }
        Some(proofs)
    }

    fn is_of_role(&self, slot: SlotId) -> bool {
        self.policy
            .slots()
            .slot(slot)
            .is_some_and(|slot| match slot.claim {
                Claim::Role | Claim::Roles | Claim::Level => true,
                Claim::Id | Claim::Tenant | Claim::Named(_) => false,
            })
    }
}

impl Granted {
    fn says_the_same(&self, other: &Self) -> bool {
        let is_known = self.rows.is_some() && self.check.is_some() && !self.needs.are_more;
        is_known
            && self.rows == other.rows
            && self.check == other.check
            && self.presets == other.presets
            && self.needs == other.needs
    }

    /// What it grants: each field, or the row.
    pub(super) fn names(&self) -> Vec<Option<&String>> {
        match &self.fields {
            Some(fields) => fields.iter().map(Some).collect(),
            None => vec![None],
        }
    }
}

impl Needs {
    /// Each way in which they are not met.
    fn lacked(&self, reading: &Reading<'_>) -> Vec<Formula> {
        let lacked = self.claims.iter().map(|slot| reading.lacks(*slot));
        lacked.chain(self.are_more.then_some(Formula::TRUE)).collect()
    }
}

/// How columns are read: of the row now, and before a write.
type Readings<'a, 'b> = (&'b Reading<'a>, &'b Reading<'a>);

impl Reach {
    /// Rules that grant this field, or the row, by their place.
    pub(super) fn granting(&self, name: Option<&String>) -> Vec<usize> {
        let numbered = self.rules.iter().enumerate();
        numbered
            .filter(|(_, rule)| rule.names().contains(&name))
            .map(|(nth, _)| nth)
            .collect()
    }

    pub(super) fn pick(&self, places: &[usize]) -> Vec<&Granted> {
        places.iter().filter_map(|nth| self.rules.get(*nth)).collect()
    }

    pub(super) fn allows_unfiltered(&self) -> bool {
        self.rules.iter().any(|rule| rule.allows_unfiltered)
    }

    /// Those of `rules` of which `other` has none that says the same, or all of them where the walls are others: what is
    /// granted in the same words needs no proof, however many rules there are.
    pub(super) fn beyond<'r>(
        &self,
        rules: &[&'r Granted],
        other: &Self,
        others: &[&Granted],
    ) -> Vec<&'r Granted> {
        let are_walls_same = self.walls == other.walls;
        let is_said = |rule: &&Granted| others.iter().any(|known| known.says_the_same(rule));
        rules
            .iter()
            .copied()
            .filter(|rule| !(are_walls_same && is_said(rule)))
            .collect()
    }

    /// A row is reached by one of these rules, and passes all walls.
    pub(super) fn reaches(
        &self,
        rules: &[&Granted],
        operation: Operation,
        readings: Readings<'_, '_>,
    ) -> Formula {
        let by_rule = rules.iter().map(|rule| {
            let mut all = conditions(rule, operation, readings, Aim::True);
            for (column, value) in forced(rule, operation) {
                all.push(match value {
                    PresetValue::Fixed(value) => readings.0.has_value(*column, value),
                    PresetValue::Claim(slot) => readings.0.has_claim(*column, *slot),
                });
            }
            all.extend(rule.needs.claims.iter().map(|slot| readings.0.has(*slot)));
            Formula::All(all)
        });
        let mut all = vec![Formula::Any(by_rule.collect())];
        for wall in &self.walls {
            all.extend(passing(wall, operation, readings, Aim::True));
            all.extend(wall.needs.claims.iter().map(|slot| readings.0.has(*slot)));
        }
        Formula::All(all)
    }

    /// It is not.
    pub(super) fn misses(
        &self,
        rules: &[&Granted],
        operation: Operation,
        readings: Readings<'_, '_>,
    ) -> Formula {
        let by_rule = rules.iter().map(|rule| {
            let mut any = conditions(rule, operation, readings, Aim::NotTrue);
            for (column, value) in forced(rule, operation) {
                any.push(match value {
                    PresetValue::Fixed(value) => readings.0.lacks_value(*column, value),
                    PresetValue::Claim(slot) => readings.0.lacks_claim(*column, *slot),
                });
            }
            any.extend(rule.needs.lacked(readings.0));
            Formula::Any(any)
        });
        let mut any = vec![Formula::All(by_rule.collect())];
        for wall in &self.walls {
            any.extend(passing(wall, operation, readings, Aim::NotTrue));
            any.extend(wall.needs.lacked(readings.0));
        }
        Formula::Any(any)
    }
}

/// What the rows that the rule reaches, and those that it leaves, must satisfy.
fn conditions(
    rule: &Granted,
    operation: Operation,
    (now, before): Readings<'_, '_>,
    aim: Aim,
) -> Vec<Formula> {
    let said = |condition: &Option<Template>, reading: &Reading<'_>| {
        // What can't be said may be so or not: then neither way is ruled out.
        condition
            .as_ref()
            .map_or(Formula::TRUE, |condition| reading.template(condition, aim))
    };
    match operation {
        Operation::Read | Operation::List | Operation::Delete => vec![said(&rule.rows, now)],
        Operation::Create => vec![said(&rule.check, now)],
        Operation::Update => vec![said(&rule.rows, before), said(&rule.check, now)],
    }
}

fn passing(wall: &Wall, operation: Operation, (now, before): Readings<'_, '_>, aim: Aim) -> Vec<Formula> {
    let said = |reading: &Reading<'_>| {
        wall.rows
            .as_ref()
            .map_or(Formula::TRUE, |condition| reading.template(condition, aim))
    };
    match operation {
        Operation::Read | Operation::List | Operation::Delete | Operation::Create => vec![said(now)],
        Operation::Update => vec![said(before), said(now)],
    }
}

fn forced(rule: &Granted, operation: Operation) -> &[(ColumnId, PresetValue)] {
    match operation {
        Operation::Create | Operation::Update => &rule.presets,
        Operation::Read | Operation::List | Operation::Delete => &[],
    }
}
