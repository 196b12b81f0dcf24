//! Filters without constants inside, so that "every row" in disguise is seen for what it is.

use dbal_shared::predicate::{Predicate, Quantifier};

/// The same condition. Its depth is bounded by `wellformed`.
pub(super) fn simplified(filter: Predicate) -> Predicate {
    match filter {
        Predicate::And(parts) => parts
            .into_iter()
            .map(simplified)
            .fold(Predicate::True, Predicate::and),
        Predicate::Or(parts) => parts
            .into_iter()
            .map(simplified)
            .fold(Predicate::False, Predicate::or),
        Predicate::Not(inner) => {
            let inner = simplified(*inner);
            if inner == Predicate::True {
                Predicate::False
            } else if inner == Predicate::False {
                Predicate::True
            } else {
                Predicate::Not(Box::new(inner))
            }
        }
        Predicate::Related {
            link,
            quantifier,
            within,
            predicate,
        } => {
            let predicate = simplified(*predicate);
            let is_empty = *within == Predicate::False;
            match quantifier {
                Quantifier::Some if is_empty || predicate == Predicate::False => Predicate::False,
                Quantifier::None if is_empty || predicate == Predicate::False => Predicate::True,
                Quantifier::Every if is_empty || predicate == Predicate::True => Predicate::True,
                Quantifier::Some | Quantifier::None | Quantifier::Every => Predicate::Related {
                    link,
                    quantifier,
                    within,
                    predicate: Box::new(predicate),
                },
            }
        }
        // Nothing is in an empty list, and everything is outside of it.
        Predicate::In { values, .. } if values.is_empty() => Predicate::False,
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. } => filter,
    }
}
