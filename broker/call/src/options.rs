//! The `options` of `read`, `list` and `count`: which there are, and what each means. Every fault is told at once.

use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::limits::{CURSOR_BYTES, DEFAULT_ROWS, OFFSET_ROWS, ROWS_PER_ANSWER, SORT_KEYS};
use dbal_shared::plan::{Direction, Include, Page, Projection, SortKey, Total};
use dbal_shared::predicate::Predicate;

use super::arguments::{Arguments, shown};
use super::scope::Scope;
use super::{Meta, filter, include};
use crate::refusal::{FieldFault, INVALID_CURSOR, Refusal};

/// Options of `list`.
pub(super) const OF_LIST: &[&str] = &[
    "filter", "sort", "page", "limit", "cursor", "select", "include", "total", "meta",
];
/// Options of `read` and `findByField`.
pub(super) const OF_READ: &[&str] = &["select", "include", "meta"];
/// Options of `findFirst`; the filter is a parameter of its own.
pub(super) const OF_FIND_FIRST: &[&str] = &["sort", "select", "include", "meta"];
/// Options of `count`.
pub(super) const OF_COUNT: &[&str] = &["filter", "meta"];

/// Options, understood; defaults where nothing was said.
pub(super) struct Options {
    pub(super) filter: Predicate,
    pub(super) order: Vec<SortKey>,
    pub(super) page: Page,
    pub(super) total: Total,
    pub(super) projection: Projection,
    pub(super) includes: Vec<Include>,
    pub(super) cursor: Option<Vec<u8>>,
    pub(super) meta: Meta,
}

impl Options {
    /// Reads the parameter `options`; `allowed` are those that the method has.
    pub(super) fn parse(
        arguments: &Arguments<'_>,
        scope: &Scope<'_>,
        allowed: &[&str],
    ) -> Result<Self, Refusal> {
        let members = match arguments.optional("options") {
            None => &[],
            Some(Json::Object(members)) => members.as_slice(),
            Some(_) => return Err(arguments.fault("`options` must be an object")),
        };
        let mut faults = Vec::new();
        let mut options = Self {
            filter: Predicate::True,
            order: Vec::new(),
            page: Page {
                number: 1,
                limit: scope.entity.default_rows.unwrap_or(DEFAULT_ROWS),
            },
            total: Total::Counted,
            projection: scope.projection(),
            includes: Vec::new(),
            cursor: None,
            meta: Meta::default(),
        };
        for (name, value) in members {
            if !allowed.contains(&name.as_str()) {
                faults.push(FieldFault::unknown_option(shown(name), allowed));
            } else if *value != Json::Null {
                options.set(name, value, scope, &mut faults)?;
            }
        }
        if options.cursor.is_some() && options.page.number != 1 {
            faults.push(FieldFault::text("page", "can't be beside `cursor`"));
        }
        if options.page.offset() > u64::from(OFFSET_ROWS) {
            faults.push(FieldFault::text(
                "page",
                format!("reaches beyond row {OFFSET_ROWS}; narrow the filter instead"),
            ));
        }
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        options.filter = filter::bounded(options.filter)?;
        Ok(options)
    }

    fn set(
        &mut self,
        name: &str,
        value: &Json,
        scope: &Scope<'_>,
        faults: &mut Vec<FieldFault>,
    ) -> Result<(), Refusal> {
        match name {
            "filter" => self.filter = filter::parse(Some(value), scope, "filter", faults),
            "sort" => self.order = sort(value, scope, "sort", faults),
            "select" => self.projection = select(value, scope, "select", faults),
            "page" => self.page.number = count_from_one("page", value, faults),
            "limit" => self.page.limit = limit("limit", value, faults),
            "total" if *value == Json::Bool(true) => self.total = Total::Counted,
            "total" if *value == Json::Bool(false) => self.total = Total::Skipped,
            "total" => faults.push(FieldFault::text("total", "must be true or false")),
            "meta" => self.meta = Meta::parse(Some(value), "options.meta")?,
            "cursor" => match value.as_text().filter(|text| text.len() <= CURSOR_BYTES) {
                // Its words are the worker's.
                Some(text) => self.cursor = Some(text.as_bytes().to_vec()),
                None => faults.push(FieldFault::text("cursor", INVALID_CURSOR)),
            },
            "include" => self.includes = include::parse(value, scope, "include", faults),
            _ => faults.push(FieldFault::unknown_option(shown(name), OF_LIST)),
        }
        Ok(())
    }
}

pub(super) fn sort(json: &Json, scope: &Scope<'_>, path: &str, faults: &mut Vec<FieldFault>) -> Vec<SortKey> {
    let Json::Object(members) = json else {
        faults.push(FieldFault::text(
            path,
            "must be an object of fields, each `asc` or `desc`",
        ));
        return Vec::new();
    };
    if members.len() > SORT_KEYS {
        faults.push(FieldFault::text(
            path,
            format!("must name at most {SORT_KEYS} fields"),
        ));
        return Vec::new();
    }
    let mut order = Vec::with_capacity(members.len());
    for (name, direction) in members {
        let field = format!("{path}.{}", shown(name));
        let Some(column) = scope.readable(name) else {
            faults.push(FieldFault::new(field, &Fault::Unknown));
            continue;
        };
        if !column.kind.is_sortable() {
            faults.push(FieldFault::text(field, "this field's values have no order"));
            continue;
        }
        let direction = match direction.as_text() {
            Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            _ => {
                faults.push(FieldFault::text(field, "must be `asc` or `desc`"));
                continue;
            }
        };
        order.push(SortKey {
            column: column.id,
            direction,
        });
    }
    order
}

/// `["a","b"]`, or `{"a":true}` as some clients write it.
pub(super) fn select(json: &Json, scope: &Scope<'_>, path: &str, faults: &mut Vec<FieldFault>) -> Projection {
    let names: Option<Vec<&str>> = if let Json::List(items) = json {
        items.iter().map(Json::as_text).collect()
    } else if let Json::Object(members) = json {
        members
            .iter()
            .map(|(name, value)| (*value == Json::Bool(true)).then_some(name.as_str()))
            .collect()
    } else {
        None
    };
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        faults.push(FieldFault::text(path, "must be an array of field names"));
        return Vec::new();
    };
    let mut projection = Vec::with_capacity(names.len().min(scope.entity.columns.len()));
    for name in names {
        match scope.readable(name) {
            Some(column) if projection.contains(&column.id) => {}
            Some(column) => projection.push(column.id),
            None => faults.push(FieldFault::new(
                format!("{path}.{}", shown(name)),
                &Fault::Unknown,
            )),
        }
    }
    projection
}

/// How many rows, or groups, at most: who asks for more than any answer has gets as many as there can be, and pages of that size.
pub(super) fn limit(name: &str, json: &Json, faults: &mut Vec<FieldFault>) -> u32 {
    count_from_one(name, json, faults).min(ROWS_PER_ANSWER)
}

fn count_from_one(name: &str, json: &Json, faults: &mut Vec<FieldFault>) -> u32 {
    let number = if let Json::Int(number) = json { *number } else { 0 };
    let number = (number >= 1).then(|| u32::try_from(number).unwrap_or(u32::MAX));
    number.unwrap_or_else(|| {
        faults.push(FieldFault::text(name, "must be an integer of 1 or more"));
        1
    })
}
