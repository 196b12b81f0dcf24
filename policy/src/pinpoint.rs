//! Where in a file a mistake in an expression stands.

use dbal_schema::{Location, Scalar};

use crate::expression::Mistake;

/// The mistake's place in the file, and what to say there. Where the file does not hold the expression itself (an alias, or what
/// `self` implies), the message quotes it from there on.
pub(crate) fn pinpoint(scalar: &Scalar, mistake: &Mistake) -> (Location, String) {
    let Mistake { at, text } = mistake;
    scalar.place(*at).map_or_else(
        || {
            let rest = scalar.text.get(*at..).unwrap_or_default();
            (scalar.at.clone(), format!("{text} (at `{rest}`)"))
        },
        |place| (place, text.clone()),
    )
}
