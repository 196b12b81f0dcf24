//! Rows with what they bring along. Each relation is one statement over the keys of all rows above it, and the objects are
//! put together here: no row costs a statement of its own.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use dbal_schema::{Arity, Entity, json_text};
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::{ANSWER_BYTES, INCLUDED_ROWS};
use dbal_shared::value::Value;
use dbal_sql::steps::Select;
use dbal_sql::{Branch, Cell};

use super::rows::Rows;
use super::session::{Look, Row, Session};
use super::trouble::Trouble;

/// A row whose object is still open: what it brings along will be written before the closing bracket.
pub(super) struct Open {
    json: String,
    /// Values that lead to linked rows; none where the caller may not see the value.
    links: Vec<Option<Value>>,
}

/// Rows up to a bound.
pub(super) struct Fetched {
    pub(super) rows: Vec<Open>,
    pub(super) has_more: bool,
    /// What tells the place of the last of as many rows as were wanted.
    pub(super) place: Option<Vec<Value>>,
}

/// What one answer has taken so far. The same row can be written under many others, so all that is written counts.
#[derive(Default)]
pub(super) struct Spent {
    bytes: usize,
    /// Rows read, however often they are written.
    pub(super) rows: u64,
}

impl Spent {
    fn take(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > ANSWER_BYTES {
            Err(Trouble::AnswerTooLarge)
        } else {
            Ok(())
        }
    }
}

/// Reads at most `most` rows.
pub(super) async fn fetch<S: Session>(
    session: &mut S,
    select: &Select,
    entity: &Entity,
    most: u64,
    spent: &mut Spent,
) -> Result<Fetched, Trouble> {
    let Select {
        statement,
        cells,
        links,
        marks: told,
    } = select;
    let mut fetched = Fetched {
        rows: Vec::new(),
        has_more: false,
        place: None,
    };
    let mut left = most;
    session
        .rows(statement, entity, &mut |row| {
            let Some(rest) = left.checked_sub(1) else {
                fetched.has_more = true;
                return Ok(Look::Enough);
            };
            left = rest;
            let mut json = Rows::new(entity);
            let next = json.open_object(row, 0, cells)?;
            let (links, next) = values(row, next, links, entity)?;
            let open = Open {
                json: json.finish(),
                links,
            };
            if left == 0 {
                fetched.place = marks(row, next, told, entity)?;
            }
            spent.take(open.json.len())?;
            spent.rows = spent.rows.saturating_add(1);
            fetched.rows.push(open);
            Ok(Look::More)
        })
        .await?;
    Ok(fetched)
}

fn values(
    row: &dyn Row,
    mut nth: usize,
    links: &[Cell],
    entity: &Entity,
) -> Result<(Vec<Option<Value>>, usize), Trouble> {
    let mut values = Vec::with_capacity(links.len());
    for Cell { column, is_masked } in links {
        let column = entity.column(*column).ok_or(Trouble::NotInSchema)?;
        let is_shown = if *is_masked {
            let is_shown = row.is_true(nth)?;
            nth = nth.saturating_add(1);
            is_shown
        } else {
            true
        };
        values.push(is_shown.then(|| row.value(nth, column)).transpose()?);
        nth = nth.saturating_add(1);
    }
    Ok((values, nth))
}

/// What tells a row's place; the caller never sees it. None where nothing does: NULL in a field that has none stands where the
/// database puts it.
pub(super) fn marks(
    row: &dyn Row,
    first: usize,
    marks: &[ColumnId],
    entity: &Entity,
) -> Result<Option<Vec<Value>>, Trouble> {
    let mut nth = first;
    let mut values = Vec::with_capacity(marks.len());
    for column in marks {
        let column = entity.column(*column).ok_or(Trouble::NotInSchema)?;
        let value = row.mark(nth, column)?;
        if value == Value::Null && !column.is_nullable {
            return Ok(None);
        }
        values.push(value);
        nth = nth.saturating_add(1);
    }
    Ok(Some(values))
}

/// Writes what the rows bring along into them. Their first `skip` links lead elsewhere.
pub(super) fn attach<'a, S: Session>(
    session: &'a mut S,
    branches: &'a [Branch<'a>],
    rows: &'a mut [Open],
    skip: usize,
    spent: &'a mut Spent,
) -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + 'a>> {
    // Boxed since it calls itself, as deep as a plan's includes may nest.
    Box::pin(async move {
        for (nth, branch) in branches.iter().enumerate() {
            let nth = nth.saturating_add(skip);
            let linked = linked(session, branch, rows, nth, spent).await?;
            for row in rows.iter_mut() {
                // Who may not see what leads there does not see what is there.
                let Some(value) = row.links.get(nth).and_then(Option::as_ref) else {
                    continue;
                };
                let found = key(value).and_then(|key| linked.get(&key));
                let before = row.json.len();
                member(branch, found.map_or("", String::as_str), &mut row.json);
                spent.take(row.json.len().saturating_sub(before))?;
            }
        }
        Ok(())
    })
}

/// Objects of the linked rows by the value that leads to them, with commas between them.
async fn linked<S: Session>(
    session: &mut S,
    branch: &Branch<'_>,
    rows: &[Open],
    nth: usize,
    spent: &mut Spent,
) -> Result<HashMap<String, String>, Trouble> {
    let values = rows.iter().filter_map(|row| row.links.get(nth)?.as_ref());
    let keys: BTreeMap<String, &Value> = values.filter_map(|value| Some((key(value)?, value))).collect();
    let mut objects: HashMap<String, String> = HashMap::with_capacity(keys.len());
    if keys.is_empty() {
        return Ok(objects);
    }
    let keys: Vec<Value> = keys.into_values().cloned().collect();
    let select = branch.of_keys(&keys)?;
    let most = u64::from(INCLUDED_ROWS);
    let Fetched {
        mut rows,
        has_more,
        place: _,
    } = fetch(session, &select, branch.entity(), most, spent).await?;
    if has_more {
        return Err(Trouble::AnswerTooLarge);
    }
    let branches = branch.branches()?;
    attach(session, &branches, &mut rows, 1, spent).await?;
    for Open { json, links } in rows {
        let Some(key) = links.first().and_then(Option::as_ref).and_then(key) else {
            continue;
        };
        let text = objects.entry(key).or_default();
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&json);
        text.push('}');
    }
    Ok(objects)
}

/// What equal values have in common, whichever of the two columns they stand in. NULL leads nowhere.
fn key(value: &Value) -> Option<String> {
    if *value == Value::Null {
        return None;
    }
    let mut text = String::new();
    json_text::push_plain(value, &mut text);
    Some(text)
}

fn member(branch: &Branch<'_>, objects: &str, json: &mut String) {
    if json.len() > "{".len() {
        json.push(',');
    }
    json_text::push_text(branch.name(), json);
    json.push(':');
    match (branch.arity(), objects) {
        (Arity::One, "") => json.push_str("null"),
        (Arity::One, object) => json.push_str(object),
        (Arity::Many, objects) => {
            json.push('[');
            json.push_str(objects);
            json.push(']');
        }
    }
}

impl Open {
    /// The whole object.
    pub(super) fn close(mut self) -> String {
        self.json.push('}');
        self.json
    }
}
