//! Runs a query for numbers over rows, and writes what it says of each group.

use dbal_schema::{Column, ColumnType, Entity, json_text};
use dbal_shared::limits::ANSWER_BYTES;
use dbal_shared::message::Reply;
use dbal_shared::plan::{Function, Measure, Total};
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
    session
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
        .await?;
    if !aggregate.groups.is_empty() {
        let limit = aggregate.limit;
        json = format!("{{\"data\":[{json}],\"limit\":{limit},\"hasMore\":{has_more}}}");
    }
    Ok(reply(json, written))
}

/// What stands in each row of the result.
struct Writer<'a> {
    groups: Vec<&'a Column>,
    count: Total,
    /// Each measure's function, and a column of the type that its number has.
    measures: Vec<(Function, Column)>,
}

impl<'a> Writer<'a> {
    fn new(aggregate: &Aggregate<'_>, entity: &'a Entity) -> Result<Self, Trouble> {
        let column = |id| entity.column(id).ok_or(Trouble::NotInSchema);
        let groups = aggregate.groups.iter().map(|id| column(*id));
        let measures = aggregate.measures.iter().map(|Measure { function, column: id }| {
            let column = column(*id)?;
            let kind = match function {
                Function::Average => ColumnType::Float,
                Function::Sum if column.kind == ColumnType::Float => ColumnType::Float,
                Function::Sum => ColumnType::Bigint,
                Function::Min | Function::Max => column.kind,
            };
            let told = Column {
                kind,
                ..column.clone()
            };
            Ok((*function, told))
        });
        Ok(Self {
            groups: groups.collect::<Result<_, _>>()?,
            count: aggregate.count,
            measures: measures.collect::<Result<_, Trouble>>()?,
        })
    }

    fn group(&self, row: &dyn Row, json: &mut String) -> Result<(), Trouble> {
        let mut nth: usize = 0;
        json.push('{');
        if !self.groups.is_empty() {
            json.push_str("\"group\":{");
            for column in &self.groups {
                if nth > 0 {
                    json.push(',');
                }
                member(column, row, nth, json)?;
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
        for (name, function) in NAMES {
            let of_function = |(_, (its, _)): &(usize, &(Function, Column))| *its == function;
            let mut members = self.measures.iter().enumerate().filter(of_function).peekable();
            if members.peek().is_none() {
                continue;
            }
            separate(json);
            json_text::push_text(name, json);
            json.push_str(":{");
            for (place, (offset, (_, column))) in members.enumerate() {
                if place > 0 {
                    json.push(',');
                }
                member(column, row, nth.saturating_add(offset), json)?;
            }
            json.push('}');
        }
        json.push('}');
        Ok(())
    }
}

fn member(column: &Column, row: &dyn Row, nth: usize, json: &mut String) -> Result<(), Trouble> {
    json_text::push_text(&column.name, json);
    json.push(':');
    json_text::push_value(column, &row.value(nth, column)?, json);
    Ok(())
}

fn separate(json: &mut String) {
    if !json.ends_with('{') {
        json.push(',');
    }
}
