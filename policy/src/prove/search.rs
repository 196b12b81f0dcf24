//! Searches all cases of a formula for one that does not contradict itself.

use dbal_schema::Schema;
use dbal_shared::predicate::Link;

use crate::prove::callers::Callers;
use crate::prove::formula::{Formula, Literal, Moment, Term, Variable};
use crate::prove::order::{contradict, excludes};
use crate::prove::reading::{Aim, Reading};
use crate::slots::Slots;
use crate::template::Template;

/// Cases of one proof. Real ones take fewer than 20.
const CASES: u32 = 4_096;
/// Choices within choices. Each is a call deeper.
const DEPTH: u32 = 128;

/// What came of a proof.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It holds for every row and every caller.
    Proven,
    /// It may not hold: nothing contradicts this case.
    Open(Vec<Literal>),
    /// There are too many cases to tell.
    TooHard,
}

/// How much work proofs may still be, in comparisons of two statements: so that loading a policy ends, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct Effort(u64);

impl Effort {
    /// For all proofs of one policy: some seconds.
    pub const OF_A_POLICY: Effort = Effort(400_000_000);

    /// Whether there was so much left.
    fn spend(&mut self, statements: usize) -> bool {
        let wide = u64::try_from(statements).unwrap_or(u64::MAX);
        match self.0.checked_sub(wide.saturating_mul(wide)) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

/// Proves things about the callers and conditions of one policy.
#[derive(Debug)]
pub struct Prover<'a> {
    schema: &'a Schema,
    slots: &'a Slots,
    callers: &'a Callers,
    effort: &'a mut Effort,
    cases: u32,
}

impl<'a> Prover<'a> {
    /// For these callers.
    pub fn new(schema: &'a Schema, slots: &'a Slots, callers: &'a Callers, effort: &'a mut Effort) -> Self {
        Self {
            schema,
            slots,
            callers,
            effort,
            cases: CASES,
        }
    }

    /// Whether `conclusion` is true wherever `premise` is: of any row of one entity, for any caller.
    pub fn implies(&mut self, premise: &Template, conclusion: &Template) -> Verdict {
        let reading = Reading::now(self.schema, self.slots);
        self.never(Formula::All(vec![
            reading.template(premise, Aim::True),
            reading.template(conclusion, Aim::NotTrue),
        ]))
    }

    /// Whether this is never the case.
    pub fn never(&mut self, formula: Formula) -> Verdict {
        self.cases = CASES;
        self.explore(Vec::new(), vec![formula], Vec::new(), 0)
    }

    /// `literals` are the case, and `open`, and of each of `choices` at least one.
    fn explore(
        &mut self,
        mut literals: Vec<Literal>,
        mut open: Vec<Formula>,
        mut choices: Vec<Vec<Formula>>,
        depth: u32,
    ) -> Verdict {
        match self.cases.checked_sub(1).filter(|_| depth <= DEPTH) {
            Some(left) => self.cases = left,
            None => return Verdict::TooHard,
        }
        loop {
            while let Some(formula) = open.pop() {
                match formula {
                    Formula::All(parts) => open.extend(parts),
                    Formula::Any(parts) if parts.is_empty() => return Verdict::Proven,
                    Formula::Any(parts) => choices.push(parts),
                    Formula::Is(literal) => {
                        if !literals.contains(&literal) {
                            literals.push(literal);
                        }
                    }
                }
            }
            let width = choices
                .iter()
                .map(Vec::len)
                .fold(literals.len(), usize::saturating_add);
            if !self.effort.spend(width) {
                return Verdict::TooHard;
            }
            if contradict(&literals, self.callers) {
                return Verdict::Proven;
            }
            choices.retain_mut(|ways| {
                let is_settled = ways.iter().any(|way| is_known(way, &literals));
                ways.retain(|way| !is_excluded(way, &literals));
                let is_choice = ways.len() > 1;
                if !is_settled && !is_choice {
                    // The only way that is left; or none, which ends the case.
                    open.push(Formula::Any(Vec::new()));
                    if let Some(only) = ways.pop() {
                        open.pop();
                        open.push(only);
                    }
                }
                !is_settled && is_choice
            });
            if open.is_empty() {
                break;
            }
        }
        let narrowest = choices.iter().enumerate().min_by_key(|(_, ways)| ways.len());
        let Some((narrowest, _)) = narrowest else {
            return self.linked_contradict(literals);
        };
        for way in choices.swap_remove(narrowest) {
            match self.explore(
                literals.clone(),
                vec![way],
                choices.clone(),
                depth.saturating_add(1),
            ) {
                Verdict::Proven => {}
                open @ (Verdict::Open(_) | Verdict::TooHard) => return open,
            }
        }
        Verdict::Proven
    }

    /// The case itself is open; whether what it says of linked rows contradicts itself.
    fn linked_contradict(&mut self, literals: Vec<Literal>) -> Verdict {
        let mut found: Vec<(Moment, Link, Vec<&Template>)> = Vec::new();
        for literal in &literals {
            let Literal::Linked {
                moment,
                link,
                inner,
                exists: true,
            } = literal
            else {
                continue;
            };
            // Conditions on the one row that a key refers to are about the same row; others may be about several.
            let is_one_row = self
                .schema
                .entity(link.entity)
                .is_some_and(|entity| entity.is_unique(link.foreign));
            let known = found
                .iter_mut()
                .find(|(at, over, _)| is_one_row && at == moment && over == link);
            match known {
                Some((_, _, conditions)) => conditions.push(inner),
                None => found.push((*moment, *link, vec![inner])),
            }
        }
        let about_caller: Vec<Formula> = literals
            .iter()
            .filter(|literal| literal.is_about_caller())
            .map(|literal| Formula::Is(literal.clone()))
            .collect();
        let reading = Reading::now(self.schema, self.slots);
        for (moment, link, conditions) in found {
            let column = match moment {
                Moment::Now => Variable::Column(link.column),
                Moment::Before => Variable::Before(link.column),
            };
            // What leads nowhere has no linked row.
            if literals.contains(&Literal::IsNull(column)) {
                return Verdict::Proven;
            }
            let mut facts = about_caller.clone();
            facts.extend(conditions.iter().map(|one| reading.template(one, Aim::True)));
            let denied = literals.iter().filter_map(|literal| match literal {
                Literal::Linked {
                    moment: at,
                    link: over,
                    inner,
                    exists: false,
                } if *at == moment && *over == link => Some(reading.template(inner, Aim::NotTrue)),
                Literal::Linked { .. }
                | Literal::Compare(..)
                | Literal::IsNull(_)
                | Literal::IsSet(_)
                | Literal::HasRole(..)
                | Literal::Opaque { .. } => None,
            });
            // The row that exists is none of those that don't.
            facts.extend(denied);
            // Conditions on linked rows say nothing of rows that are linked to them, so this goes no deeper.
            match self.explore(Vec::new(), facts, Vec::new(), 0) {
                Verdict::Open(_) => {}
                closed @ (Verdict::Proven | Verdict::TooHard) => return closed,
            }
        }
        Verdict::Open(literals)
    }
}

/// Whether a way is the case already.
fn is_known(way: &Formula, literals: &[Literal]) -> bool {
    match way {
        Formula::Is(literal) => literals.contains(literal),
        Formula::All(parts) => parts.iter().all(|part| is_known(part, literals)),
        Formula::Any(parts) => parts.iter().any(|part| is_known(part, literals)),
    }
}

/// Whether a way is closed at first sight.
fn is_excluded(way: &Formula, literals: &[Literal]) -> bool {
    match way {
        Formula::Is(literal) => literals.iter().any(|known| excludes(literal, known)),
        Formula::All(parts) => parts.iter().any(|part| is_excluded(part, literals)),
        Formula::Any(parts) => parts.iter().all(|part| is_excluded(part, literals)),
    }
}

impl Term {
    /// The variable, if it is one.
    pub fn variable(&self) -> Option<&Variable> {
        match self {
            Term::Variable(variable) => Some(variable),
            Term::Value(_) => None,
        }
    }
}
