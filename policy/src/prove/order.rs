//! Whether statements can all be the case at once. "No" is certain; "yes" may be said of what can't.

use std::cmp::Ordering;
use std::collections::VecDeque;

use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use crate::evaluate::order;
use crate::operators::holds;
use crate::prove::callers::Callers;
use crate::prove::formula::{Aspect, Literal, Term, Variable};

/// Whether the statements contradict each other, or what is known of the callers.
pub(super) fn contradict(literals: &[Literal], callers: &Callers) -> bool {
    let alone = literals.iter().enumerate().any(|(nth, one)| {
        let before = literals.get(..nth).unwrap_or_default();
        before.iter().any(|other| excludes(one, other)) || !is_possible(one, callers)
    });
    alone || !has_domain_values(literals, callers) || Graph::of(literals).contradicts()
}

/// Whether two statements can't both be the case, as far as that is seen at once. Symmetric.
pub(super) fn excludes(one: &Literal, other: &Literal) -> bool {
    match (one, other) {
        (Literal::IsNull(variable), known) | (known, Literal::IsNull(variable)) => {
            implies_set(known, variable)
        }
        (Literal::HasRole(role, has), Literal::HasRole(same, other)) => role == same && has != other,
        (Literal::Compare(left, op, right), Literal::Compare(same, other_op, other_right))
            if left == same =>
        {
            match (right, other_right) {
                (Term::Value(value), Term::Value(other)) => are_apart(*op, value, *other_op, other),
                (Term::Value(_) | Term::Variable(_), Term::Value(_) | Term::Variable(_)) => {
                    right == other_right && !can_both(*op, *other_op)
                }
            }
        }
        (
            Literal::Linked {
                moment,
                link,
                inner,
                exists,
            },
            Literal::Linked {
                moment: at,
                link: over,
                inner: same,
                exists: other,
            },
        ) => exists != other && moment == at && link == over && inner == same,
        (
            Literal::Opaque {
                moment,
                what,
                aspect,
                holds,
            },
            Literal::Opaque {
                moment: at,
                what: same,
                aspect: side,
                holds: other,
            },
        ) => {
            // Nothing is both true and false; it may be neither.
            let is_split = if aspect == side {
                holds != other
            } else {
                *holds && *other
            };
            is_split && moment == at && what == same
        }
        (
            Literal::Compare(..)
            | Literal::IsSet(_)
            | Literal::HasRole(..)
            | Literal::Linked { .. }
            | Literal::Opaque { .. },
            _,
        ) => false,
    }
}

/// Whether the statement is never the case without a value there.
fn implies_set(literal: &Literal, variable: &Variable) -> bool {
    let is_it = |term: &Term| matches!(term, Term::Variable(one) if one == variable);
    match literal {
        Literal::Compare(left, _, right) => is_it(left) || is_it(right),
        Literal::IsSet(set) => set == variable,
        Literal::IsNull(_) | Literal::HasRole(..) | Literal::Linked { .. } | Literal::Opaque { .. } => false,
    }
}

fn is_possible(literal: &Literal, callers: &Callers) -> bool {
    match literal {
        Literal::HasRole(role, has) => callers.may(role, *has),
        Literal::Compare(Term::Value(left), op, Term::Value(right)) => {
            order(left, right).is_none_or(|order| holds(*op, order))
        }
        Literal::Compare(..)
        | Literal::IsNull(_)
        | Literal::IsSet(_)
        | Literal::Linked { .. }
        | Literal::Opaque {
            aspect: Aspect::True | Aspect::False,
            ..
        } => true,
    }
}

/// Whether no value compares both ways.
fn are_apart(op: Comparison, value: &Value, other_op: Comparison, other: &Value) -> bool {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Ne};
    let Some(order) = order(value, other) else {
        return false;
    };
    match (op, other_op) {
        (Eq, _) => !holds(other_op, order),
        (_, Eq) => !holds(op, order.reverse()),
        // Below `value` and above `other`.
        (Lt, Gt | Gte) | (Lte, Gt) => order != Ordering::Greater,
        (Lte, Gte) => order == Ordering::Less,
        (Gt, Lt | Lte) | (Gte, Lt) => order != Ordering::Less,
        (Gte, Lte) => order == Ordering::Greater,
        (Ne, _) | (_, Ne) | (Lt | Lte, Lt | Lte) | (Gt | Gte, Gt | Gte) => false,
    }
}

/// Whether one pair of values can compare both ways.
fn can_both(op: Comparison, other: Comparison) -> bool {
    [Ordering::Less, Ordering::Equal, Ordering::Greater]
        .into_iter()
        .any(|order| holds(op, order) && holds(other, order))
}

/// Whether all that is said of `$user.role` and `$user.level` leaves them a value.
fn has_domain_values(literals: &[Literal], callers: &Callers) -> bool {
    let fits = |variable: &Variable, value: &Value| {
        literals.iter().all(|literal| match literal {
            Literal::Compare(Term::Variable(one), op, Term::Value(fixed)) if one == variable => {
                order(value, fixed).is_none_or(|order| holds(*op, order))
            }
            Literal::Compare(..)
            | Literal::IsNull(_)
            | Literal::IsSet(_)
            | Literal::HasRole(..)
            | Literal::Linked { .. }
            | Literal::Opaque { .. } => true,
        })
    };
    literals.iter().all(|literal| match literal {
        Literal::Compare(Term::Variable(variable), _, _) | Literal::IsSet(variable) => callers
            .domain(variable)
            .is_none_or(|values| values.iter().any(|value| fits(variable, value))),
        Literal::Compare(..)
        | Literal::IsNull(_)
        | Literal::HasRole(..)
        | Literal::Linked { .. }
        | Literal::Opaque { .. } => true,
    })
}

/// Who is at most whom. Values of one type have one order in every database (docs/semantics.md).
#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<&'a Term>,
    /// For each node those that are at least as great.
    above: Vec<Vec<usize>>,
    /// Pairs of which the first is less.
    less: Vec<(usize, usize)>,
    /// Pairs that differ.
    unequal: Vec<(usize, usize)>,
}

impl<'a> Graph<'a> {
    fn of(literals: &'a [Literal]) -> Self {
        let mut graph = Self::default();
        for literal in literals {
            if let Literal::Compare(left, op, right) = literal {
                let (left, right) = (graph.node(left), graph.node(right));
                match op {
                    Comparison::Eq => {
                        graph.at_most(left, right);
                        graph.at_most(right, left);
                    }
                    Comparison::Ne => graph.unequal.push((left, right)),
                    Comparison::Lt => graph.less_than(left, right),
                    Comparison::Lte => graph.at_most(left, right),
                    Comparison::Gt => graph.less_than(right, left),
                    Comparison::Gte => graph.at_most(right, left),
                }
            }
        }
        graph.order_values();
        graph
    }

    fn node(&mut self, term: &'a Term) -> usize {
        let is_same = |known: &Term| match (known, term) {
            (Term::Value(known), Term::Value(value)) => {
                order(known, value).map_or(known == value, Ordering::is_eq)
            }
            (Term::Variable(_) | Term::Value(_), _) => known == term,
        };
        self.nodes
            .iter()
            .position(|known| is_same(known))
            .unwrap_or_else(|| {
                self.nodes.push(term);
                self.above.push(Vec::new());
                self.nodes.len().saturating_sub(1)
            })
    }

    fn at_most(&mut self, lower: usize, upper: usize) {
        if let Some(above) = self.above.get_mut(lower) {
            above.push(upper);
        }
    }

    fn less_than(&mut self, lower: usize, upper: usize) {
        self.at_most(lower, upper);
        self.less.push((lower, upper));
    }

    /// Puts the fixed values of each type in a row.
    fn order_values(&mut self) {
        let mut types: Vec<Vec<(usize, &Value)>> = Vec::new();
        for (nth, term) in self.nodes.iter().enumerate() {
            let Term::Value(value) = term else { continue };
            let is_alike = |of_type: &&mut Vec<(usize, &Value)>| {
                of_type
                    .first()
                    .is_some_and(|(_, first)| order(first, value).is_some())
            };
            match types.iter_mut().find(is_alike) {
                Some(of_type) => of_type.push((nth, value)),
                None => types.push(vec![(nth, value)]),
            }
        }
        for mut values in types {
            values.sort_by(|(_, left), (_, right)| order(left, right).unwrap_or(Ordering::Equal));
            for pair in values.windows(2) {
                if let [(lower, _), (upper, _)] = pair {
                    self.less_than(*lower, *upper);
                }
            }
        }
    }

    /// Something would have to be less than itself, or differ from what it equals.
    fn contradicts(&self) -> bool {
        let is_circle = |(lower, upper): &(usize, usize)| self.reaches(*upper, *lower);
        let are_equal =
            |(one, other): &(usize, usize)| self.reaches(*one, *other) && self.reaches(*other, *one);
        self.less.iter().any(is_circle) || self.unequal.iter().any(are_equal)
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut left = VecDeque::from([from]);
        while let Some(next) = left.pop_front() {
            if next == to {
                return true;
            }
            match seen.get_mut(next) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => continue,
            }
            left.extend(self.above.get(next).into_iter().flatten());
        }
        false
    }
}
