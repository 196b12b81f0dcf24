//! A small world in memory: rows of two linked entities, and what the policy's own evaluation says of them.

use std::cmp::Ordering;
use std::sync::LazyLock;

use dbal_policy::evaluate;
use dbal_schema::{ColumnType, json_text};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Direction, Include, SortKey};
use dbal_shared::predicate::{Link, Predicate, Quantifier};
use dbal_shared::value::Value;
use serde_json::{Value as Json, json};

use super::ADMIN;
use crate::database::cases::Bench;
use crate::database::sqlite::functions;
use crate::fixture::{Fixture, text};

/// One of the two entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Sample,
    Leaf,
}

pub(super) use Of::{Leaf, Sample};

/// Column of `Leaf` that leads to `Sample`.
const SAMPLE_ID: ColumnId = ColumnId(1);

impl Of {
    pub(super) fn name(self) -> &'static str {
        match self {
            Sample => "Sample",
            Leaf => "Leaf",
        }
    }

    /// Types of the columns, the key first. JSON, which can't be compared, is left out.
    pub(super) fn columns(self) -> &'static [ColumnType] {
        match self {
            Sample => &[
                ColumnType::Integer,
                ColumnType::Bigint,
                ColumnType::Float,
                ColumnType::Decimal,
                ColumnType::Boolean,
                ColumnType::Text,
                ColumnType::Date,
                ColumnType::Datetime,
                ColumnType::Uuid,
                ColumnType::Bytes,
            ],
            Leaf => &[
                ColumnType::Integer,
                ColumnType::Integer,
                ColumnType::Bigint,
                ColumnType::Text,
            ],
        }
    }

    pub(super) fn ids(self) -> impl Iterator<Item = ColumnId> {
        (0..self.columns().len()).map(|nth| ColumnId(u16::try_from(nth).unwrap()))
    }

    pub(super) fn kind(self, column: ColumnId) -> ColumnType {
        self.columns()[usize::from(column.0)]
    }

    pub(super) fn other(self) -> Self {
        match self {
            Sample => Leaf,
            Leaf => Sample,
        }
    }

    /// From its rows to the other's.
    pub(super) fn link(self) -> Link {
        // The strategies ask often, and a fixture is a policy and a folder.
        static LINKS: LazyLock<[Link; 2]> = LazyLock::new(|| {
            let fixture = Fixture::new();
            [("Sample", "leaves"), ("Leaf", "sample")]
                .map(|(entity, name)| fixture.entity(entity).relation_by_name(name).unwrap().link)
        });
        let [leaves, sample] = *LINKS;
        match self {
            Sample => leaves,
            Leaf => sample,
        }
    }
}

pub(super) type Row = Vec<Value>;

/// All rows there are.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) samples: Vec<Row>,
    pub(super) leaves: Vec<Row>,
}

impl World {
    /// From rows without their keys, which are their numbers. A leaf's `sampleId` leads to one of the samples, or nowhere.
    pub(super) fn new(samples: Vec<Row>, leaves: Vec<Row>) -> Self {
        let most = i64::try_from(samples.len()).unwrap();
        let numbered = |(nth, mut row): (usize, Row)| {
            row.insert(0, Value::Int(i64::try_from(nth).unwrap()));
            row
        };
        let leaf = |mut row: Row| {
            let column = usize::from(SAMPLE_ID.0);
            if !matches!(row[column], Value::Int(id) if (0..most).contains(&id)) {
                row[column] = Value::Null;
            }
            row
        };
        Self {
            samples: samples.into_iter().enumerate().map(numbered).collect(),
            leaves: leaves.into_iter().enumerate().map(numbered).map(leaf).collect(),
        }
    }

    fn all(&self, of: Of) -> &[Row] {
        match of {
            Sample => &self.samples,
            Leaf => &self.leaves,
        }
    }

    /// Puts it into the database.
    pub(super) fn fill(&self, fixture: &Fixture, bench: &impl Bench) {
        bench.execute("DELETE FROM \"Leaf\"; DELETE FROM \"Sample\"");
        for of in [Sample, Leaf] {
            let assigned = |(column, value): (ColumnId, &Value)| Assignment {
                column,
                value: value.clone(),
            };
            let given = |row: &Row| {
                let cells = of.ids().zip(row).filter(|(_, value)| **value != Value::Null);
                cells.map(assigned).collect()
            };
            let rows = self.all(of).iter().map(given).collect();
            let action = Action::CreateMany { rows };
            bench.run(&fixture.plan(ADMIN, of.name(), action)).unwrap();
        }
    }

    /// What the rule for leaves hides.
    fn is_shown(of: Of, row: &Row) -> bool {
        match of {
            Sample => true,
            Leaf => row[3] != text("a"),
        }
    }

    /// Rows that a filter selects, in order.
    pub(super) fn found(&self, of: Of, filter: &Predicate, order: &[SortKey]) -> Vec<&Row> {
        let is_found = |row: &&Row| Self::is_shown(of, row) && self.holds(of, row, filter);
        let mut found: Vec<&Row> = self.all(of).iter().filter(is_found).collect();
        found.sort_by(|left, right| {
            let by_keys = order.iter().map(|SortKey { column, direction }| {
                directed(*direction, compare(cell(left, *column), cell(right, *column)))
            });
            by_keys
                .fold(Ordering::Equal, Ordering::then)
                .then(compare(&left[0], &right[0]))
        });
        found
    }

    fn holds(&self, of: Of, row: &Row, predicate: &Predicate) -> bool {
        let settled = self.settled(of, row, predicate);
        evaluate(&settled, &|column| row.get(usize::from(column.0))) == Some(true)
    }

    /// The predicate with its verdicts on linked rows in place of what asks for them.
    fn settled(&self, of: Of, row: &Row, predicate: &Predicate) -> Predicate {
        let each = |all: &[Predicate]| all.iter().map(|one| self.settled(of, row, one)).collect();
        match predicate {
            Predicate::And(all) => Predicate::And(each(all)),
            Predicate::Or(any) => Predicate::Or(each(any)),
            Predicate::Not(inner) => Predicate::Not(Box::new(self.settled(of, row, inner))),
            Predicate::Related {
                link,
                quantifier,
                within: _,
                predicate,
            } => {
                let mut linked = self.linked(of, row, *link);
                let holds = |row: &Row| self.holds(of.other(), row, predicate);
                let is_so = match quantifier {
                    Quantifier::Some => linked.any(holds),
                    Quantifier::None => !linked.any(holds),
                    Quantifier::Every => linked.all(holds),
                };
                if is_so { Predicate::True } else { Predicate::False }
            }
            plain @ (Predicate::True
            | Predicate::False
            | Predicate::Compare { .. }
            | Predicate::CompareColumns { .. }
            | Predicate::In { .. }
            | Predicate::Matches { .. }
            | Predicate::IsNull { .. }
            | Predicate::Between { .. }) => plain.clone(),
        }
    }

    fn linked<'a>(&'a self, of: Of, row: &'a Row, link: Link) -> impl Iterator<Item = &'a Row> {
        let from = cell(row, link.column);
        let is_linked = move |other: &&Row| *from != Value::Null && *cell(other, link.foreign) == *from;
        let rows = self.all(of.other()).iter().filter(is_linked);
        rows.filter(move |other| Self::is_shown(of.other(), other))
    }

    /// A row's key with what it brings along.
    pub(super) fn object(&self, fixture: &Fixture, of: Of, row: &Row, includes: &[Include]) -> Json {
        let mut object = json!({"id": plain(&row[0])});
        for include in includes {
            let linked: Vec<&Row> = self.linked(of, row, include.link).collect();
            let found = self.found(of.other(), &include.filter, &include.order);
            let mut brought = found
                .into_iter()
                .filter(|row| linked.iter().any(|other| other[0] == row[0]))
                .map(|row| self.object(fixture, of.other(), row, &include.includes));
            let entity = fixture.entity(of.name());
            let name = &entity.relation(include.link).unwrap().name;
            object[name.as_str()] = match of {
                Sample => brought.take(usize::try_from(include.limit).unwrap()).collect(),
                Leaf => brought.next().unwrap_or_default(),
            };
        }
        object
    }
}

pub(super) fn directed(direction: Direction, ordering: Ordering) -> Ordering {
    match direction {
        Direction::Ascending => ordering,
        Direction::Descending => ordering.reverse(),
    }
}

pub(super) fn cell(row: &Row, column: ColumnId) -> &Value {
    &row[usize::from(column.0)]
}

/// As the protocol writes it.
pub(super) fn plain(value: &Value) -> Json {
    let mut written = String::new();
    json_text::push_plain(value, &mut written);
    serde_json::from_str(&written).unwrap()
}

/// NULL first, then as the type orders.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(left), Value::Int(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => {
            left.cmp(right)
        }
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap(),
        (Value::Decimal(left), Value::Decimal(right)) => functions::compare_decimals(left, right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::Uuid(left), Value::Uuid(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (left, right) => panic!("{left:?} {right:?}"),
    }
}
