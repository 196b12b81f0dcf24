//! Each rule that could have granted a call, and what kept it from doing so. Made from the very steps of the decision, one
//! rule at a time; for operators and the audit, never for callers.

use std::sync::Arc;

use dbal_schema::{ColumnSet, Location};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::{Action, Assignment, Operation, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;

use super::writing::{Reach, Write};
use super::{Decision, Granting, reach};
use crate::access::{self, Kind};
use crate::hurdle::Hurdle;
use crate::policy::Policy;
use crate::rule::{Restriction, Rule, Written};
use crate::subject::Subject;
use crate::together::Before;
use crate::wellformed::inspect;

/// What was asked, as far as it was understood before it was refused.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of which entity.
    pub entity: EntityId,
    /// Which operation; an upsert asks for two.
    pub operation: Operation,
    /// The plan, if there was one already.
    pub plan: Option<&'a Plan>,
    /// Columns that were refused before there was a plan.
    pub refused: ColumnSet,
}

/// One rule or restriction about what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Its id.
    pub id: Arc<str>,
    /// Where it stands.
    pub at: Location,
    /// What it came to.
    pub effect: Effect,
    /// The same in words. They hold the values of claims.
    pub words: String,
    /// The same as the policy's author wrote it, without any value: for the audit.
    pub plain: String,
}

/// What a rule or restriction came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// The rule grants, for some rows at least.
    Grants,
    /// The rule does not, and why.
    Hindered(Hurdle),
    /// The restriction narrows every rule.
    Narrows,
    /// The restriction leaves no row.
    Bars,
    /// The restriction leaves this caller alone.
    Spares,
}

impl Effect {
    /// How far it was from letting the call pass: what came closest tells most.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Effect::Bars => 0,
            Effect::Grants => 1,
            Effect::Hindered(
                Hurdle::NotWritable(_)
                | Hurdle::Forced(_)
                | Hurdle::Unfiltered
                | Hurdle::Hides(_)
                | Hurdle::NoRow,
            ) => 2,
            Effect::Hindered(Hurdle::NoClaim(_)) => 3,
            Effect::Narrows => 4,
            Effect::Hindered(Hurdle::NoRole | Hurdle::Closed | Hurdle::OtherOperation) => 5,
            Effect::Spares => 6,
        }
    }
}

/// All rules and restrictions of the entity that are about the operation, in the policy's order, rules first.
pub(crate) fn trace(
    policy: &Policy,
    principal: &Principal,
    subject: &Subject,
    asked: &Asked<'_>,
) -> Vec<Tried> {
    let Some(entity) = policy.schema.entity(asked.entity) else {
        return Vec::new();
    };
    let Some(access) = subject
        .access
        .table(asked.entity)
        .filter(|_| policy.made(subject))
    else {
        return Vec::new();
    };
    let decision = Decision {
        policy,
        subject,
        entity,
        access,
    };
    let kind = Kind {
        roles: policy.roles().held(principal),
        presence: subject.filled.presence(),
    };
    let use_of = decision.use_of(asked);
    let mut tried = Vec::new();
    for rule in policy.rules_of(asked.entity) {
        let hurdle = access::hurdle(rule, entity, asked.operation, &kind);
        if hurdle == Some(Hurdle::OtherOperation) {
            continue;
        }
        let hurdle = hurdle
            .or_else(|| refusing(rule, asked.operation, &asked.refused))
            .or_else(|| decision.hurdle_of_use(rule, asked.operation, use_of.as_ref()));
        let (effect, words) = decision.told(rule, asked.operation, hurdle);
        let plain = match effect {
            Effect::Grants => format!("applies to {}", plain(rule, asked.operation)),
            Effect::Hindered(_) | Effect::Narrows | Effect::Bars | Effect::Spares => words.clone(),
        };
        tried.push(Tried {
            id: Arc::clone(&rule.id),
            at: rule.at.clone(),
            effect,
            words,
            plain,
        });
    }
    let walls = policy.restrictions().iter().enumerate();
    for (index, wall) in walls.filter(|(_, wall)| wall.entity == asked.entity) {
        let is_held = access.restrictions.contains(&index);
        let (effect, words) = decision.told_of_wall(wall, is_held, &kind);
        let plain = match effect {
            Effect::Narrows => format!("narrows every rule to rows: {}", wall.written.text),
            Effect::Grants | Effect::Hindered(_) | Effect::Bars | Effect::Spares => words.clone(),
        };
        tried.push(Tried {
            id: Arc::clone(&wall.id),
            at: wall.at.clone(),
            effect,
            words,
            plain,
        });
    }
    tried
}

/// The rows of a rule as they were written.
fn plain(rule: &Rule, operation: Operation) -> String {
    let Written { rows, check } = &rule.written;
    let (what, written) = match operation {
        Operation::Create => ("new rows", check.as_ref().or(rows.as_ref())),
        Operation::Read | Operation::List | Operation::Update | Operation::Delete => ("rows", rows.as_ref()),
    };
    match written {
        Some(written) => format!("{what}: {}", written.text),
        None => format!("all {what}"),
    }
}

/// What keeps a rule from letting these columns be used, of which nothing else is known.
fn refusing(rule: &Rule, operation: Operation, refused: &ColumnSet) -> Option<Hurdle> {
    let (allowed, hurdle): (ColumnSet, fn(ColumnSet) -> Hurdle) = match operation {
        Operation::Read | Operation::List | Operation::Delete => (rule.read, Hurdle::Hides),
        Operation::Create | Operation::Update => {
            (rule.write.union(&rule.preset_columns()), Hurdle::NotWritable)
        }
    };
    let beyond = refused.difference(&allowed);
    (!beyond.is_empty()).then(|| hurdle(beyond))
}

/// What a plan does with an entity, as rules judge it.
struct Use<'a> {
    rows: Vec<&'a [Assignment]>,
    reach: Reach,
    probed: ColumnSet,
}

impl Decision<'_> {
    fn use_of<'p>(&self, asked: &Asked<'p>) -> Option<Use<'p>> {
        let action = &asked.plan?.action;
        let probed = inspect(
            action,
            self.entity,
            &self.policy.schema,
            Before::new(&self.policy.schema, &[]),
        )
        .map(|inspected| inspected.probed)
        .unwrap_or_default();
        let reach_of = |filter: &Predicate| reach(&self.filter(filter.clone(), &mut Granting::new()));
        let (rows, reach): (Vec<&[Assignment]>, Reach) = match action {
            Action::Create { values, .. } | Action::Update { values, .. } => (vec![values], Reach::Some),
            Action::CreateMany { rows } => (rows.iter().map(Vec::as_slice).collect(), Reach::Some),
            Action::UpdateMany { filter, values } => (vec![values], reach_of(filter)),
            Action::DeleteMany { filter } => (Vec::new(), reach_of(filter)),
            Action::Upsert { create, update, .. } => {
                let values = if asked.operation == Operation::Create {
                    create
                } else {
                    update
                };
                (vec![values], Reach::Some)
            }
            Action::Read { .. }
            | Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. }
            | Action::Delete { .. } => (Vec::new(), Reach::Some),
        };
        Some(Use { rows, reach, probed })
    }

    fn told(&self, rule: &Rule, operation: Operation, hurdle: Option<Hurdle>) -> (Effect, String) {
        let Self { policy, subject, .. } = self;
        let rows = rule.rows.fill(&subject.filled);
        let check = rule.check.fill(&subject.filled);
        let condition = match operation {
            Operation::Create => &check,
            Operation::Read | Operation::List | Operation::Update | Operation::Delete => &rows,
        };
        let is_empty = *condition == Predicate::False;
        if let Some(hurdle) = hurdle.or(is_empty.then_some(Hurdle::NoRow)) {
            return (Effect::Hindered(hurdle), hurdle.words(policy, rule));
        }
        let words = |condition| policy.words(rule.entity, condition);
        let words = match operation {
            Operation::Create => format!("grants new rows: {}", words(&check)),
            Operation::Update if check != rows => {
                format!("grants: {}; afterwards: {}", words(&rows), words(&check))
            }
            Operation::Read | Operation::List | Operation::Update | Operation::Delete => {
                format!("grants: {}", words(&rows))
            }
        };
        (Effect::Grants, words)
    }

    fn told_of_wall(&self, wall: &Restriction, is_held: bool, kind: &Kind) -> (Effect, String) {
        let Self { policy, subject, .. } = self;
        if !is_held {
            let names: Vec<&str> = wall
                .unless
                .iter()
                .map(|role| policy.roles().name(*role))
                .collect();
            let words = format!("does not hold for the roles {}", names.join(", "));
            return (Effect::Spares, words);
        }
        if let Some(slot) = access::missing(&wall.needs, kind) {
            let claim = policy.slots().slot(slot).map(|slot| slot.claim.to_string());
            let words = format!(
                "leaves no row: it needs the claim {}, which the caller lacks or has in another type",
                claim.unwrap_or_default()
            );
            return (Effect::Bars, words);
        }
        let rows = wall.rows.fill(&subject.filled);
        let effect = if rows == Predicate::False {
            Effect::Bars
        } else {
            Effect::Narrows
        };
        (
            effect,
            format!("narrows every rule to: {}", policy.words(wall.entity, &rows)),
        )
    }

    fn hurdle_of_use(&self, rule: &Rule, operation: Operation, use_of: Option<&Use<'_>>) -> Option<Hurdle> {
        let Use { rows, reach, probed } = use_of?;
        match operation {
            Operation::Read | Operation::List => {
                let hidden = probed.difference(&rule.read);
                (!hidden.is_empty()).then_some(Hurdle::Hides(hidden))
            }
            Operation::Create | Operation::Update | Operation::Delete => {
                let write = Write::new(operation, rows, *reach);
                self.fit(rule, &write).err()
            }
        }
    }
}
