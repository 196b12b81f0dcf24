//! Runs a query for numbers over rows, and writes what it says of each group.

use dbal_schema::{Column, ColumnType, Entity, json_text};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::ANSWER_BYTES;
use dbal_shared::message::Reply;
use dbal_shared::plan::{Function, Measure, Total};
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;
use dbal_sql::steps::Aggregate;

use super::read::reply;
use super::session::{Look, Row, Session};
use super::trouble::Trouble;

/// Functions by their names in the answer, in its order.
const NAMES: [(&str, Function); 4] = [
    ("sum", Function::Sum),
    ("avg", Function::Average),
    ("min", Function::Min),
    ("max", Function::Max),
];

/// Without groups one object, else a list of them.
pub(super) async fn aggregate<S: Session>(
    session: &mut S,
    plan: &ValidPlan,
    aggregate: &Aggregate<'_>,
) -> Result<Reply, Trouble> {
    let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
    let writer = Writer::new(aggregate, entity)?;
    let mut json = String::with_capacity(256);
    let (mut left, mut written, mut has_more) = (aggregate.limit, 0_u64, false);
    let done = session
        .rows(&aggregate.statement, entity, &mut |row| {
            let Some(rest) = left.checked_sub(1) else {
                has_more = true;
                return Ok(Look::Enough);
            };
            left = rest;
            if written > 0 {
                json.push(',');
            }
            writer.group(row, &mut json)?;
            written = written.saturating_add(1);
            if json.len() > ANSWER_BYTES {
                return Err(Trouble::AnswerTooLarge);
            }
            Ok(Look::More)
        })
        .await;
    done.map_err(|trouble| {
        let has_floats = writer.numbers.iter().any(Number::is_of_floats);
        if has_floats && matches!(trouble, Trouble::Overflow { .. }) {
            writer.overflow()
        } else {
            trouble
        }
    })?;
    if !aggregate.groups.is_empty() {
        let limit = aggregate.limit;
        json = format!("{{\"data\":[{json}],\"limit\":{limit},\"hasMore\":{has_more}}}");
    }
    Ok(reply(json, written))
}

/// What stands in each row of the result.
struct Writer<'a> {
    entity: &'a Entity,
    groups: Vec<&'a Column>,
    count: Total,
    numbers: Vec<Number<'a>>,
}

/// A number of each group.
struct Number<'a> {
    function: Function,
    column: &'a Column,
    /// What the database answers for it: an exact sum is a decimal.
    answered: Column,
}

impl<'a> Writer<'a> {
    fn new(aggregate: &Aggregate<'_>, entity: &'a Entity) -> Result<Self, Trouble> {
        let column = |id| entity.column(id).ok_or(Trouble::NotInSchema);
        let groups = aggregate.groups.iter().map(|id| column(*id));
        let numbers = aggregate.measures.iter().map(|Measure { function, column: id }| {
            let column = column(*id)?;
            let kind = match function {
                Function::Sum | Function::Average if column.kind != ColumnType::Float => ColumnType::Decimal,
                Function::Sum | Function::Average | Function::Min | Function::Max => column.kind,
            };
            let answered = Column {
                kind,
                ..column.clone()
            };
            Ok(Number {
                function: *function,
                column,
                answered,
            })
        });
        Ok(Self {
            entity,
            groups: groups.collect::<Result<_, _>>()?,
            count: aggregate.count,
            numbers: numbers.collect::<Result<_, Trouble>>()?,
        })
    }

    fn group(&self, row: &dyn Row, json: &mut String) -> Result<(), Trouble> {
        let mut nth: usize = 0;
        json.push('{');
        if !self.groups.is_empty() {
            json.push_str("\"group\":{");
            for column in &self.groups {
                member(column, &row.value(nth, column)?, json);
                nth = nth.saturating_add(1);
            }
            json.push('}');
        }
        if self.count == Total::Counted {
            separate(json);
            let count = row.number(nth)?;
            json.push_str("\"count\":");
            json.push_str(&count.to_string());
            nth = nth.saturating_add(1);
        }
        let mut values = Vec::with_capacity(self.numbers.len());
        for number in &self.numbers {
            values.push(self.read(number, row, nth)?);
            nth = nth.saturating_add(number.width());
        }
        for (name, function) in NAMES {
            let numbers = self.numbers.iter().zip(&values);
            let mut members = numbers
                .filter(|(number, _)| number.function == function)
                .peekable();
            if members.peek().is_none() {
                continue;
            }
            separate(json);
            json_text::push_text(name, json);
            json.push_str(":{");
            for (number, value) in members {
                // Told as what it is: of whole numbers the mean is a float.
                member(number.column, value, json);
            }
            json.push('}');
        }
        json.push('}');
        Ok(())
    }

    fn read(&self, number: &Number<'_>, row: &dyn Row, nth: usize) -> Result<Value, Trouble> {
        let value = match number.function {
            Function::Sum | Function::Average => row.sum(nth, &number.answered)?,
            Function::Min | Function::Max => row.value(nth, &number.answered)?,
        };
        match (number.function, value) {
            (Function::Sum, Value::Decimal(exact)) if number.column.kind == ColumnType::Decimal => {
                Ok(Value::Decimal(exact))
            }
            (Function::Sum, Value::Decimal(exact)) => match exact.parse() {
                Ok(sum) => Ok(Value::Int(sum)),
                Err(_) => Err(self.too_large(&[number.column.id])),
            },
            (Function::Average, Value::Decimal(exact)) => {
                let wrong = |_| Trouble::WrongType {
                    column: number.column.name.clone(),
                };
                let sum: f64 = exact.parse().map_err(wrong)?;
                // Decimals are larger than any float.
                if !sum.is_finite() {
                    return Err(self.too_large(&[number.column.id]));
                }
                mean(sum, row.number(nth.saturating_add(1))?).map_err(wrong)
            }
            (Function::Sum | Function::Average, Value::Float(sum)) if !sum.is_finite() => {
                Err(self.overflow())
            }
            (Function::Average, Value::Float(sum)) => {
                let count = row.number(nth.saturating_add(1))?;
                mean(sum, count).map_err(|_| self.overflow())
            }
            (Function::Sum | Function::Average | Function::Min | Function::Max, value) => Ok(value),
        }
    }

    /// A sum of floats is infinite. Where the database refuses to add on, it does not tell which one it was, so all are named.
    fn overflow(&self) -> Trouble {
        let floats = self.numbers.iter().filter(|number| number.is_of_floats());
        let mut columns: Vec<ColumnId> = floats.map(|number| number.column.id).collect();
        columns.sort_unstable();
        columns.dedup();
        self.too_large(&columns)
    }

    fn too_large(&self, columns: &[ColumnId]) -> Trouble {
        let faults = columns.iter().map(|column| (*column, Fault::SumTooLarge));
        Trouble::of_fields(self.entity, Code::Invalid, faults.collect())
    }
}

impl Number<'_> {
    /// Columns of the result.
    fn width(&self) -> usize {
        match self.function {
            Function::Average => 2,
            Function::Sum | Function::Min | Function::Max => 1,
        }
    }

    fn is_of_floats(&self) -> bool {
        match self.function {
            Function::Sum | Function::Average => self.column.kind == ColumnType::Float,
            Function::Min | Function::Max => false,
        }
    }
}

/// The same in every database: the sum, rounded to a float, by the number of values.
fn mean(sum: f64, count: u64) -> Result<Value, std::num::ParseFloatError> {
    // Through text, since std converts 64-bit integers only by `as`.
    let count: f64 = count.to_string().parse()?;
    Ok(Value::Float(sum / count))
}

fn member(column: &Column, value: &Value, json: &mut String) {
    separate(json);
    json_text::push_text(&column.name, json);
    json.push(':');
    json_text::push_value(column, value, json);
}

fn separate(json: &mut String) {
    if !json.ends_with('{') {
        json.push(',');
    }
}
