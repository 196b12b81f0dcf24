//! What is odd about a policy that loads: each finding with a stable code. Nothing is guessed: what a finding claims is proven, by
//! the prover that invariants are proven with, or can be read off the rules.

mod applying;
mod roles;
mod exposure;
mod walls;
mod references;
mod expiring;
mod accepting;

use std::cell::Cell;

use dbal_policy::prove::{Callers, Effort, Prover, Verdict};
use dbal_policy::roles::RoleId;
use dbal_policy::rule::{Restriction, Rule};
use dbal_policy::template::Template;
use dbal_policy::{Policy, is_open};
use dbal_schema::{Entity, Location};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;

use crate::finding::{Code, Finding};

/// Everything that is odd and that the author has not accepted, in the order of the files.
pub fn lint(policy: &Policy) -> Vec<Finding> {
    let bench = Bench::new(policy);
    let mut raised = Vec::new();
    applying::lint(&bench, &mut raised);
    roles::lint(&bench, &mut raised);
    exposure::lint(&bench, &mut raised);
    walls::lint(&bench, &mut raised);
    references::lint(&bench, &mut raised);
    expiring::lint(&bench, &mut raised);
    let mut findings = accepting::settle(policy, raised);
    findings.sort_by(|left, right| (&left.at, left.code).cmp(&(&right.at, right.code)));
    findings
}

/// A finding, and by which name its author may accept it.
#[derive(Debug)]
struct Raised {
    about: String,
    finding: Finding,
}

impl Raised {
    fn new(code: Code, about: &str, at: &Location, text: String, advice: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            finding: Finding {
                code,
                at: at.clone(),
                text,
                advice: Some(advice.into()),
            },
        }
    }
}

/// What all lints look at.
struct Bench<'a> {
    policy: &'a Policy,
    /// Rules as their author wrote them: one for several entities is one family.
    families: Vec<Family<&'a Rule>>,
    /// Restrictions likewise.
    walls: Vec<Family<&'a Restriction>>,
    /// Proofs share this much work; beyond it nothing is proven, so less is found.
    effort: Cell<Effort>,
}

/// What was compiled of one rule or restriction, for each of its entities.
struct Family<T> {
    id: String,
    at: Location,
    members: Vec<T>,
}

impl<'a> Bench<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            families: families(policy.rules().iter().map(|rule| (&*rule.id, &rule.at, rule))),
            walls: families(
                policy
                    .restrictions()
                    .iter()
                    .map(|wall| (&*wall.id, &wall.at, wall)),
            ),
            effort: Cell::new(Effort::OF_A_POLICY),
        }
    }

    fn entity(&self, entity: EntityId) -> Option<&'a Entity> {
        self.policy.schema().entity(entity)
    }

    /// `A`, `B` and 3 more.
    fn names(&self, entities: impl IntoIterator<Item = EntityId>) -> String {
        listed(
            entities
                .into_iter()
                .filter_map(|id| self.entity(id))
                .map(|it| &*it.name),
        )
    }

    fn role_names(&self, roles: &[RoleId]) -> String {
        listed(roles.iter().map(|role| self.policy.roles().name(*role)))
    }

    /// Whether `conclusion` holds wherever `premise` does, for every row and every caller.
    fn implies(&self, premise: &Template, conclusion: &Template) -> bool {
        self.implies_for(&[], premise, conclusion)
    }

    /// The same for every caller who has these roles, and whatever others.
    fn implies_for(&self, certain: &[RoleId], premise: &Template, conclusion: &Template) -> bool {
        if premise == conclusion || *conclusion == Template::Fixed(Predicate::True) {
            return true;
        }
        let (roles, schema, slots) = (self.policy.roles(), self.policy.schema(), self.policy.slots());
        let callers = Callers::new(roles, certain, &roles.ids().collect::<Vec<_>>());
        let mut effort = self.effort.get();
        let verdict = Prover::new(schema, slots, &callers, &mut effort).implies(premise, conclusion);
        self.effort.set(effort);
        verdict == Verdict::Proven
    }

    /// Whether no row and no caller ever satisfies it.
    fn never_holds(&self, template: &Template) -> bool {
        self.implies(template, &Template::Fixed(Predicate::False))
    }

    /// The same for whoever has any of the rule's roles.
    fn never_applies(&self, rule: &Rule, template: &Template) -> bool {
        let never = Template::Fixed(Predicate::False);
        rule.roles
            .iter()
            .all(|role| self.implies_for(&[*role], template, &never))
    }

    /// Whether the rule reaches every row.
    fn reaches_all(&self, rule: &Rule) -> bool {
        self.implies(&Template::Fixed(Predicate::True), &rule.rows)
    }

    /// What the rule grants that the entity file does not keep to the daemon.
    fn granted(&self, rule: &Rule) -> Vec<Operation> {
        Operation::ALL
            .into_iter()
            .filter(|operation| rule.operations.contains(*operation))
            .filter(|operation| {
                self.entity(rule.entity)
                    .is_some_and(|entity| is_open(entity, *operation))
            })
            .collect()
    }
}

fn families<'a, T>(items: impl Iterator<Item = (&'a str, &'a Location, T)>) -> Vec<Family<T>> {
    let mut families: Vec<Family<T>> = Vec::new();
    for (id, at, item) in items {
        // One rule's parts stand together.
        match families.last_mut() {
            Some(family) if family.id == id => family.members.push(item),
            _ => families.push(Family {
                id: id.to_owned(),
                at: at.clone(),
                members: vec![item],
            }),
        }
    }
    families
}

/// The first few, and how many there are beside them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some(_) if names.len() > SHOWN => {
            let shown: Vec<_> = names.iter().take(SHOWN).cloned().collect();
            format!(
                "{} and {} more",
                shown.join(", "),
                names.len().saturating_sub(SHOWN)
            )
        }
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests;
