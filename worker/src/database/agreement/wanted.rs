//! Random rows, filters, orders and what is brought along.

use dbal_schema::ColumnType;
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::RELATIONS;
use dbal_shared::plan::{Direction, Include, SortKey};
use dbal_shared::predicate::{Case, Comparison, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::world::{Leaf, Of, Row, Sample, World};

/// How many letters of a text its lower-casing may change for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database) enum Folding {
    /// As many as Unicode says, also by what stands around them.
    Full,
    /// One for one.
    Simple,
}

/// Few values, so that filters hit.
pub(super) fn value(kind: ColumnType, folding: Folding) -> BoxedStrategy<Value> {
    match kind {
        ColumnType::Integer => prop_oneof![
            1 => select(vec![i32::MIN, i32::MAX]),
            9 => -2..9_i32
        ]
        .prop_map(|number| Value::Int(number.into()))
        .boxed(),
        ColumnType::Bigint => prop_oneof![
            1 => select(vec![i64::MIN, i64::MAX, i64::MAX.saturating_sub(1), -9_007_199_254_740_993]),
            3 => -2..3_i64
        ]
        .prop_map(Value::Int)
        .boxed(),
        ColumnType::Float => select(vec![
            -0.0,
            0.0,
            1.5,
            -1e300,
            1e300,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            0.1,
        ])
        .prop_map(Value::Float)
        .boxed(),
        ColumnType::Decimal => select(vec![
            "-10",
            "-9.5",
            "0",
            "0.5",
            "9",
            "10",
            "12345678901234567890.1",
            "12345678901234567890.2",
            "-0.000000000000000000000000000001",
        ])
        .prop_map(|text| Value::Decimal(text.to_owned()))
        .boxed(),
        ColumnType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        ColumnType::Text | ColumnType::String => words(folding).prop_map(Value::Text).boxed(),
        ColumnType::Enum => select(ENUM.to_vec())
            .prop_map(|word| Value::Text(word.to_owned()))
            .boxed(),
        ColumnType::Date => prop_oneof![
            // The first and the last day that there are.
            1 => select(vec![-719_162, 2_932_896]),
            3 => (-2..3_i32).prop_map(|day| day.saturating_mul(40_000))
        ]
        .prop_map(Value::Date)
        .boxed(),
        ColumnType::Datetime => prop_oneof![
            1 => select(vec![-62_135_596_800_000, 253_402_300_799_999, -1]),
            3 => (-2..3_i64).prop_map(|nth| nth.saturating_mul(1_234_567_890_123))
        ]
        .prop_map(Value::Timestamp)
        .boxed(),
        ColumnType::Uuid => (0..3_u8)
            .prop_map(|byte| Value::Uuid([byte.wrapping_mul(127); 16]))
            .boxed(),
        ColumnType::Bytes => prop::collection::vec(0..2_u8, 0..3)
            .prop_map(Value::Bytes)
            .boxed(),
        ColumnType::Cuid | ColumnType::Email | ColumnType::Json => {
            unreachable!("no column of any of the entities")
        }
    }
}

/// What enums of made-up entities may be, not in their order.
pub(super) const ENUM: [&str; 5] = ["b", "a", "B", "a b", "ä"];

/// Spaces, signs that some search gives a meaning, letters with case, the same letter composed and not, ligatures, signs
/// beyond 16 bits, joined ones, what counts for nothing elsewhere.
const WORDS: [&str; 30] = [
    "",
    " ",
    "a",
    "a ",
    " a",
    "A",
    "ab",
    "aB",
    "b%",
    "_",
    "%",
    "ä",
    "Äb",
    "a\u{308}",
    "'",
    "\"",
    "ß",
    "ss",
    "é?",
    "e\u{301}",
    "É",
    "\\",
    "\u{ffee}",
    "😀",
    "👩\u{200d}👧",
    "\u{200b}",
    "a\n",
    "ﬁ",
    "ǅ",
    "ａ",
];

/// Letters that are several in lower case, or not the same everywhere in a word.
const CONTEXT: [&str; 5] = ["İ", "ẞ", "ΑΣ", "ας", "σ"];

fn words(folding: Folding) -> BoxedStrategy<String> {
    let mut words = WORDS.to_vec();
    if folding == Folding::Full {
        words.extend(CONTEXT);
    }
    select(words).prop_map(str::to_owned).boxed()
}

fn row(of: Of, folding: Folding) -> impl Strategy<Value = Row> {
    // The key is the row's number.
    let kinds = of.columns()[1..].iter();
    let cells: Vec<_> = kinds
        .map(|kind| prop_oneof![1 => Just(Value::Null), 4 => value(*kind, folding)].boxed())
        .collect();
    cells
}

pub(super) fn worlds(folding: Folding) -> impl Strategy<Value = World> {
    let samples = prop::collection::vec(row(Sample, folding), 0..20);
    let leaves = prop::collection::vec(row(Leaf, folding), 0..20);
    (samples, leaves).prop_map(|(samples, leaves)| World::new(samples, leaves))
}

/// A condition on one column.
fn plain(kinds: Vec<ColumnType>, folding: Folding) -> BoxedStrategy<Predicate> {
    let columns = kinds.iter().enumerate();
    let columns: Vec<(ColumnId, ColumnType)> = columns
        .map(|(nth, kind)| (ColumnId(u16::try_from(nth).unwrap()), *kind))
        .collect();
    let texts: Vec<Option<ColumnId>> = columns
        .iter()
        .filter(|(_, kind)| kind.is_text())
        .map(|(id, _)| Some(*id))
        .collect();
    // Where there is no text, none is searched in.
    let texts = if texts.is_empty() { vec![None] } else { texts };
    select(columns)
        .prop_flat_map(move |(column, kind)| {
            let is_ordered = kind.is_ordered();
            let mut ops = vec![Comparison::Eq, Comparison::Ne];
            if is_ordered {
                ops.extend([Comparison::Lt, Comparison::Lte, Comparison::Gt, Comparison::Gte]);
            }
            let ops = select(ops);
            let positions = select(vec![
                TextPosition::Contains,
                TextPosition::StartsWith,
                TextPosition::EndsWith,
                TextPosition::Whole,
            ]);
            let case = select(vec![Case::Sensitive, Case::Insensitive]);
            let value = move || value(kind, folding);
            prop_oneof![
                (ops.clone(), value()).prop_map(move |(op, value)| Predicate::Compare { column, op, value }),
                prop::collection::vec(value(), 0..4).prop_map(move |values| Predicate::In { column, values }),
                Just(Predicate::IsNull { column }),
                (value(), value()).prop_map(move |(low, high)| {
                    if is_ordered {
                        Predicate::Between { column, low, high }
                    } else {
                        Predicate::IsNull { column }
                    }
                }),
                ops.prop_map(move |op| Predicate::CompareColumns {
                    left: column,
                    op,
                    right: column
                }),
                (select(texts.clone()), positions, words(folding), case).prop_map(
                    |(column, position, text, case)| match column {
                        Some(column) => Predicate::Matches {
                            column,
                            position,
                            text,
                            case,
                        },
                        None => Predicate::False,
                    }
                ),
                Just(Predicate::True),
                Just(Predicate::False),
            ]
        })
        .boxed()
}

/// Conditions on a row and, `depth` deep, on those that are linked to it.
fn conditions(of: Of, depth: u32, folding: Folding) -> BoxedStrategy<Predicate> {
    let plain = plain(of.columns().to_vec(), folding);
    let leaf = if depth == 0 {
        plain
    } else {
        let quantifiers = select(vec![Quantifier::Some, Quantifier::Every, Quantifier::None]);
        let related = (
            quantifiers,
            conditions(of.other(), depth.saturating_sub(1), folding),
        );
        let related = related.prop_map(move |(quantifier, predicate)| Predicate::Related {
            link: of.link(),
            quantifier,
            within: Box::new(Predicate::True),
            predicate: Box::new(predicate),
        });
        prop_oneof![3 => plain, 1 => related].boxed()
    };
    together(leaf)
}

/// Conditions on columns of these types, the first of which has the number 0.
pub(super) fn conditions_over(kinds: Vec<ColumnType>, folding: Folding) -> BoxedStrategy<Predicate> {
    together(plain(kinds, folding))
}

/// Several of them, and what they are not.
fn together(leaf: BoxedStrategy<Predicate>) -> BoxedStrategy<Predicate> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::Or),
            inner.prop_map(|predicate| Predicate::Not(Box::new(predicate))),
        ]
    })
    .boxed()
}

pub(super) fn filters(of: Of, folding: Folding) -> BoxedStrategy<Predicate> {
    bounded(of, 2, RELATIONS, folding)
}

fn bounded(of: Of, depth: u32, most: usize, folding: Folding) -> BoxedStrategy<Predicate> {
    let pruned = move |filter| {
        let mut left = most;
        pruned(filter, &mut left)
    };
    conditions(of, depth, folding).prop_map(pruned).boxed()
}

/// Without the relations that are too many.
fn pruned(filter: Predicate, left: &mut usize) -> Predicate {
    let mut each = |all: Vec<Predicate>| all.into_iter().map(|one| pruned(one, left)).collect();
    match filter {
        Predicate::And(all) => Predicate::And(each(all)),
        Predicate::Or(any) => Predicate::Or(each(any)),
        Predicate::Not(inner) => Predicate::Not(Box::new(pruned(*inner, left))),
        Predicate::Related {
            link,
            quantifier,
            within,
            predicate,
        } => match left.checked_sub(1) {
            None => Predicate::True,
            Some(fewer) => {
                *left = fewer;
                Predicate::Related {
                    link,
                    quantifier,
                    within,
                    predicate: Box::new(pruned(*predicate, left)),
                }
            }
        },
        plain @ (Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. }) => plain,
    }
}

pub(super) fn orders(of: Of) -> impl Strategy<Value = Vec<SortKey>> {
    orders_over(of.ids().filter(|id| of.kind(*id).is_sortable()).collect())
}

pub(super) fn orders_over(sortable: Vec<ColumnId>) -> impl Strategy<Value = Vec<SortKey>> {
    let most = sortable.len().min(3);
    subsequence(sortable, 0..=most)
        .prop_shuffle()
        .prop_flat_map(|columns| {
            let directions = select(vec![Direction::Ascending, Direction::Descending]);
            let directions = prop::collection::vec(directions, columns.len());
            directions.prop_map(move |directions| {
                let keys = columns.iter().zip(directions);
                keys.map(|(column, direction)| SortKey {
                    column: *column,
                    direction,
                })
                .collect()
            })
        })
}

/// What rows of an entity bring along, `depth` deep together with the filters of it.
pub(super) fn includes(of: Of, depth: u32, folding: Folding) -> BoxedStrategy<Vec<Include>> {
    let link = of.link();
    let below = depth.saturating_sub(1);
    let further = match below {
        0 => Just(Vec::new()).boxed(),
        below => prop_oneof![Just(Vec::new()), includes(of.other(), below, folding)].boxed(),
    };
    let filter = prop_oneof![
        Just(Predicate::True),
        bounded(of.other(), below, RELATIONS / 8, folding)
    ];
    (filter, orders(of.other()), 1..5_u32, further)
        .prop_map(move |(filter, order, limit, includes)| {
            vec![Include {
                link,
                filter,
                order,
                limit,
                projection: vec![ColumnId(0)],
                includes,
            }]
        })
        .boxed()
}
