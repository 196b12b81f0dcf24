//! Whether each rule keeps an invariant: of the rows that it reaches, and of those that a write leaves.

use std::sync::Arc;

use dbal_schema::{ColumnSet, Entity, Schema};
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;

use super::Breach;
use super::demands::{Bound, Demand, Invariant, Whom};
use crate::access::is_open;
use crate::compile::Compiled;
use crate::expression::Claim;
use crate::prove::{Aim, Callers, Effort, Formula, Prover, Reading, Verdict, words};
use crate::roles::RoleId;
use crate::rule::{PresetValue, Restriction, Rule};
use crate::slots::{SlotId, Slots};
use crate::template::Template;

/// Adds each rule that breaks the bound, or is not proven to keep it.
pub(super) fn breaches(
    invariant: &Invariant,
    bound: &Bound,
    compiled: &Compiled,
    (schema, slots): (&Schema, &Slots),
    effort: &mut Effort,
    breaches: &mut Vec<Breach>,
) {
    let Some(entity) = schema.entity(bound.entity) else {
        return;
    };
    let keeping = Keeping {
        invariant,
        bound,
        entity,
        compiled,
        schema,
        slots,
    };
    let Some(walls) = keeping.walls() else {
        // Behind a wall that asks for a proof, who has none reaches nothing.
        return;
    };
    for rule in &compiled.rules {
        if rule.entity == entity.id && keeping.applies(rule) {
            keeping.rule(rule, &walls, effort, breaches);
        }
    }
}

struct Keeping<'a> {
    invariant: &'a Invariant,
    bound: &'a Bound,
    entity: &'a Entity,
    compiled: &'a Compiled,
    schema: &'a Schema,
    slots: &'a Slots,
}

/// What a rule makes possible.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Read,
    Create,
    Update,
    Delete,
}

impl Deed {
    const ALL: [Deed; 4] = [Deed::Read, Deed::Create, Deed::Update, Deed::Delete];

    fn operations(self) -> &'static [Operation] {
        match self {
            // Which rows and fields it shows is one question for both.
            Deed::Read => &[Operation::Read, Operation::List],
            Deed::Create => &[Operation::Create],
            Deed::Update => &[Operation::Update],
            Deed::Delete => &[Operation::Delete],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Deed::Read => "read",
            Deed::Create => "create",
            Deed::Update => "update",
            Deed::Delete => "delete",
        }
    }
}

impl Keeping<'_> {
    /// Restrictions that hold for all callers of whom the invariant speaks; none where nobody passes them.
    fn walls(&self) -> Option<Vec<&Restriction>> {
        let Whom { roles, is_anonymous } = &self.invariant.callers;
        let around = self
            .compiled
            .restrictions
            .iter()
            .filter(|wall| wall.entity == self.entity.id);
        let mut holding = around.filter(|wall| !wall.unless.iter().any(|role| roles.contains(role)));
        if *is_anonymous && holding.clone().any(|wall| self.needs_proof(&wall.needs)) {
            return None;
        }
        Some(holding.by_ref().collect())
    }

    /// Whether some of the callers have the rule at all.
    fn applies(&self, rule: &Rule) -> bool {
        let Whom { roles, is_anonymous } = &self.invariant.callers;
        let is_theirs = rule.roles.iter().any(|role| roles.contains(role));
        is_theirs && !(*is_anonymous && self.needs_proof(&rule.needs))
    }

    fn needs_proof(&self, needs: &[SlotId]) -> bool {
        needs.iter().any(|slot| {
            self.slots.slot(*slot).is_some_and(|slot| match slot.claim {
                Claim::Id | Claim::Tenant | Claim::Named(_) => true,
                // Known of everybody, by way of `public`.
                Claim::Role | Claim::Roles | Claim::Level => false,
            })
        })
    }

    fn rule(&self, rule: &Rule, walls: &[&Restriction], effort: &mut Effort, breaches: &mut Vec<Breach>) {
        for deed in Deed::ALL {
            let is_granted = |operation: &&Operation| {
                self.bound.operations.contains(**operation)
                    && rule.operations.contains(**operation)
                    && is_open(self.entity, **operation)
            };
            let touched = self.touched(rule, deed);
            if !deed.operations().iter().any(|it| is_granted(&it))
                || touched.as_ref().is_some_and(ColumnSet::is_empty)
            {
                continue;
            }
            let mut broken: Vec<RoleId> = Vec::new();
            let mut example = None;
            for role in &rule.roles {
                if !self.invariant.callers.roles.contains(role) || broken.contains(role) {
                    continue;
                }
                match self.proven(rule, walls, deed, *role, effort) {
                    Verdict::Proven => {}
                    open @ (Verdict::Open(_) | Verdict::TooHard) => {
                        broken.push(*role);
                        example.get_or_insert(open);
                    }
                }
            }
            if let Some(verdict) = example {
                breaches.push(Breach {
                    at: rule.at.clone(),
                    text: self.text(rule, deed, &broken, touched, &verdict),
                });
            }
        }
    }

    /// The fields of which the bound speaks, and that the rule shows or lets the caller write; nothing where it speaks of rows.
    fn touched(&self, rule: &Rule, deed: Deed) -> Option<ColumnSet> {
        let fields = self.bound.fields?;
        Some(match deed {
            Deed::Read => fields.intersection(&rule.read),
            Deed::Create => fields.intersection(&rule.write),
            Deed::Update => fields.intersection(&rule.write).difference(&self.immutable()),
            Deed::Delete => ColumnSet::new(),
        })
    }

    fn immutable(&self) -> ColumnSet {
        let fixed = self.entity.columns.iter().filter(|column| column.is_immutable);
        fixed.map(|column| column.id).collect()
    }

    /// Whether no caller of this role, and of others of whom the invariant speaks, gets by the rule what it forbids.
    fn proven(
        &self,
        rule: &Rule,
        walls: &[&Restriction],
        deed: Deed,
        holder: RoleId,
        effort: &mut Effort,
    ) -> Verdict {
        let Self {
            compiled,
            schema,
            slots,
            ..
        } = self;
        let callers = Callers::new(&compiled.roles, &[holder], &self.invariant.callers.roles);
        let now = Reading::now(schema, slots);
        let passes = |reading: &Reading<'_>, condition: &Template| {
            let walls = walls.iter().map(|wall| reading.template(&wall.rows, Aim::True));
            Formula::All(walls.chain([reading.template(condition, Aim::True)]).collect())
        };
        let mut needs: Vec<SlotId> = rule.needs.clone();
        needs.extend(walls.iter().flat_map(|wall| &wall.needs));
        let mut facts: Vec<Formula> = needs.into_iter().map(|slot| now.has(slot)).collect();
        let mut contrary = vec![self.contrary(&now)];
        match deed {
            Deed::Read | Deed::Delete => facts.push(passes(&now, &rule.rows)),
            Deed::Create => {
                facts.push(passes(&now, &rule.check));
                facts.push(forced(rule, &now));
            }
            Deed::Update => {
                let before = now.before(self.changing(rule));
                facts.push(passes(&before, &rule.rows));
                facts.push(passes(&now, &rule.check));
                facts.push(forced(rule, &now));
                contrary.push(self.contrary(&before));
            }
        }
        for contrary in contrary {
            let mut all = facts.clone();
            all.push(contrary);
            match Prover::new(schema, slots, &callers, effort).never(Formula::All(all)) {
                Verdict::Proven => {}
                open @ (Verdict::Open(_) | Verdict::TooHard) => return open,
            }
        }
        Verdict::Proven
    }

    fn contrary(&self, reading: &Reading<'_>) -> Formula {
        match &self.bound.demand {
            Demand::Never(rows) => reading.template(rows, Aim::True),
            Demand::Within(rows) => reading.template(rows, Aim::NotTrue),
        }
    }

    /// Columns that an update by this rule may change.
    fn changing(&self, rule: &Rule) -> ColumnSet {
        let ours = self.entity.columns.iter().filter(|column| column.is_auto_update);
        let ours: ColumnSet = ours.map(|column| column.id).collect();
        rule.write
            .union(&rule.preset_columns())
            .difference(&self.immutable())
            .union(&ours)
    }

    fn text(
        &self,
        rule: &Rule,
        deed: Deed,
        roles: &[RoleId],
        touched: Option<ColumnSet>,
        verdict: &Verdict,
    ) -> String {
        let Invariant { id, at, .. } = self.invariant;
        let Rule { id: by, .. } = rule;
        let entity = &self.entity.name;
        let who = self.named(roles);
        let what = match touched {
            None => entity.clone(),
            Some(columns) => {
                let names = columns.iter().filter_map(|column| self.entity.column(column));
                let names: Vec<String> = names.map(|column| format!("{entity}.{}", column.name)).collect();
                names.join(", ")
            }
        };
        let deed = deed.name();
        let example = match verdict {
            Verdict::Open(literals) => words(literals, self.entity, self.schema),
            Verdict::Proven | Verdict::TooHard => String::new(),
        };
        let lifted = self.lifted();
        if *verdict == Verdict::TooHard {
            return format!(
                "invariant `{id}` ({at}) is not proven: rule `{by}` lets {who} {deed} {what}, in too many cases to \
                 look through; restate rule `{by}` or the invariant"
            );
        }
        let is_plain = matches!(
            &self.bound.demand,
            Demand::Never(Template::Fixed(Predicate::True))
        );
        if is_plain {
            return format!(
                "invariant `{id}` ({at}) is broken: rule `{by}` lets {who} {deed} {what}{lifted}"
            );
        }
        let such = if example.is_empty() {
            "any row".to_owned()
        } else {
            format!("such a row: {example}")
        };
        format!(
            "invariant `{id}` ({at}) is not proven: rule `{by}` lets {who} {deed} {what}, perhaps {such}{lifted}; \
             restate rule `{by}` or the invariant"
        )
    }

    fn named(&self, roles: &[RoleId]) -> String {
        let names: Vec<String> = roles
            .iter()
            .map(|role| format!("`{}`", self.compiled.roles.name(*role)))
            .collect();
        names.join(" or ")
    }

    /// Walls that would help, and of which some caller is free.
    fn lifted(&self) -> String {
        let held = &self.invariant.callers.roles;
        let mut told: Vec<(Arc<str>, String)> = Vec::new();
        for wall in &self.compiled.restrictions {
            let free: Vec<RoleId> = wall
                .unless
                .iter()
                .copied()
                .filter(|role| held.contains(role))
                .collect();
            let is_told = told.iter().any(|(id, _)| *id == wall.id);
            if wall.entity == self.entity.id && !free.is_empty() && !is_told {
                told.push((Arc::clone(&wall.id), self.named(&free)));
            }
        }
        told.iter().fold(String::new(), |text, (id, who)| {
            format!("{text}; restriction `{id}` does not hold for {who}")
        })
    }
}

/// What is forced on rows that are written by the rule.
fn forced(rule: &Rule, reading: &Reading<'_>) -> Formula {
    let forced = rule.presets.iter().map(|preset| match &preset.value {
        PresetValue::Fixed(value) => reading.has_value(preset.column, value),
        PresetValue::Claim(slot) => reading.has_claim(preset.column, *slot),
    });
    Formula::All(forced.collect())
}
