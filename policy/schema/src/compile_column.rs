//! A declared field → a column: contradictions between flags, rules that don't fit the type, defaults that break rules.

use dbal_shared::ids::ColumnId;
use dbal_shared::value::Value;
use regex::RegexBuilder;

use crate::column::{Bound, Column, ColumnType, Generator, Pattern, Rules};
use crate::declared::{DeclaredField, UuidVersion};
use crate::identifier::Identifier;
use crate::mapping::At;
use crate::report::Report;
use crate::rules::is_ordered;
use crate::source::Location;
use crate::yaml::{Content, Exact, Node};

/// Largest compiled pattern, in bytes: `[a-z]{1,200}` needs 40 KiB; `\w{1000}` is refused, which would need megabytes.
const PATTERN_BYTES: usize = 512 * 1024;
/// Largest cache of a pattern at run time, in bytes, for each thread that uses it.
const PATTERN_CACHE_BYTES: usize = 512 * 1024;
/// Words of a name that say that a value is secret.
const SECRET_WORDS: [&str; 4] = ["password", "passwd", "secret", "privatekey"];

/// The column, but for what it refers to, which is linked once all entities are known.
pub(crate) fn column(
    id: ColumnId,
    field: &DeclaredField,
    is_key: bool,
    is_never_exposed: bool,
    report: &mut Report,
) -> Option<Column> {
    let name = &field.name;
    if !is_name(&name.value) {
        report.problem(
            &name.at,
            format!(
                "`{}` is no name for a field: letters, digits and `_`, no digit first",
                name.value
            ),
        );
    }
    let sql = field.column.as_ref().unwrap_or(name);
    let sql = match Identifier::parse(&sql.value) {
        Ok(identifier) => Some(identifier),
        Err(error) => {
            report.problem(&sql.at, error.to_string());
            None
        }
    };
    let generated = generator(field, is_key, report);
    let presence = presence(field, is_key, generated.is_some(), report);
    let is_auto_update = field.auto_update.as_ref().is_some_and(|flag| flag.value);
    if let Some(immutable) = field
        .immutable
        .as_ref()
        .filter(|flag| flag.value && is_auto_update)
    {
        report.problem(
            &immutable.at,
            "a field can't be both `immutable` and `auto_update`",
        );
    }
    if (is_key || field.unique) && !can_be_key(field.kind) {
        report.problem(
            &name.at,
            format!(
                "the type {} can't be `unique` or a primary key",
                field.kind.name()
            ),
        );
    }
    if !is_never_exposed && !field.sensitive && looks_secret(&name.value) {
        report.warning(
            &name.at,
            format!(
                "`{}` looks like a secret; say `never_expose: true`, or `sensitive: true` if it may be read",
                name.value
            ),
        );
    }
    let mut column = Column {
        id,
        name: name.value.clone(),
        sql: sql?,
        kind: field.kind,
        is_required: presence.is_required,
        is_nullable: presence.is_nullable,
        is_unique: field.unique,
        is_indexed: field.indexed,
        generated,
        is_auto_update,
        is_immutable: is_key || field.immutable.as_ref().is_some_and(|flag| flag.value),
        default: None,
        rules: Rules::default(),
        is_sensitive: field.sensitive || is_never_exposed,
        is_never_exposed,
        references: None,
        description: field.description.clone(),
    };
    column.rules = rules(field, &column, report);
    column.default = default(field, &column, report);
    Some(column)
}

/// Whether an entity or a field can be called so: what can stand in an expression without quotes.
pub fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn can_be_key(kind: ColumnType) -> bool {
    match kind {
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Integer
        | ColumnType::Bigint
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Bytes => true,
        // Equality of floats depends on rounding, that of JSON on the database.
        ColumnType::Float | ColumnType::Json => false,
    }
}

fn looks_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| plain.contains(word))
}

/// `auto_update` fills a new row too: its last change is its creation.
fn generator(field: &DeclaredField, is_key: bool, report: &mut Report) -> Option<Generator> {
    let is_set = |flag: &Option<At<bool>>| {
        flag.as_ref()
            .filter(|flag| flag.value)
            .map(|flag| flag.at.clone())
    };
    let generated = is_set(&field.generated);
    let auto_update = is_set(&field.auto_update);
    let at = auto_update.clone().or(generated)?;
    let generator = match field.kind {
        ColumnType::Uuid => Some(match field.uuid_version {
            Some(UuidVersion::V4) => Generator::Uuid4,
            Some(UuidVersion::V7) | None => Generator::Uuid,
        }),
        ColumnType::Cuid => Some(Generator::Cuid),
        ColumnType::Date | ColumnType::Datetime => Some(Generator::Now),
        // A bigint holds Unix ms; as a key it would be a counter, which only the database can keep.
        ColumnType::Bigint if !is_key => Some(Generator::Now),
        ColumnType::Bigint
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Integer
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Json
        | ColumnType::Bytes => None,
    };
    match generator {
        None => report.problem(
            &at,
            format!(
                "{} type {} can't be generated; uuid, cuid, date, datetime and bigint (Unix ms, no key) can",
                if is_key { "a key of" } else { "the" },
                field.kind.name()
            ),
        ),
        Some(_) if field.uuid_version.is_some() && field.kind != ColumnType::Uuid => {
            report.problem(
                &at,
                "`generated: v4` and `v7` are for uuids; write `generated: true`",
            );
        }
        Some(Generator::Uuid | Generator::Uuid4 | Generator::Cuid) if auto_update.is_some() => {
            report.problem(&at, "`auto_update` is for times");
        }
        Some(_) if declared_default(field).is_some() => {
            report.problem(&at, "a generated field has no `default`");
        }
        Some(_) => {}
    }
    generator
}

struct Presence {
    is_required: bool,
    is_nullable: bool,
}

/// A field without any flag may be left out and is then NULL; one with a default or a generator never is, unless it is
/// declared nullable.
fn presence(field: &DeclaredField, is_key: bool, is_generated: bool, report: &mut Report) -> Presence {
    let said = |flag: &Option<At<bool>>| flag.as_ref().map(|flag| flag.value);
    let (required, optional, nullable) = (
        said(&field.required),
        said(&field.optional),
        said(&field.nullable),
    );
    if let Some(flag) = &field.optional
        && optional.is_some()
        && optional == required
    {
        report.problem(&flag.at, "`optional` and `required` contradict each other");
    }
    let has_value = is_generated || declared_default(field).is_some();
    let is_required = is_key
        || required == Some(true)
        || optional == Some(false)
        || (nullable == Some(false) && !has_value);
    let may_be_absent = optional == Some(true) || required == Some(false);
    if let Some(flag) = field.nullable.as_ref().filter(|flag| !flag.value)
        && may_be_absent
        && !has_value
    {
        report.problem(
            &flag.at,
            "a field that may be left out and has no default must be nullable",
        );
    }
    if is_key && (nullable == Some(true) || (may_be_absent && !has_value)) {
        report.problem(&field.name.at, "a primary key is always required");
    }
    let is_nullable = !is_key && nullable.unwrap_or(!is_required && !has_value);
    Presence {
        is_required,
        is_nullable,
    }
}

fn rules(field: &DeclaredField, column: &Column, report: &mut Report) -> Rules {
    let kind = field.kind;
    let is_text = matches!(
        kind,
        ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Cuid | ColumnType::Enum
    );
    let misfit = |at: &Location, key: &str, report: &mut Report| {
        report.problem(at, format!("`{key}` doesn't fit the type {}", kind.name()));
    };
    for (key, length) in [
        ("min_length", &field.min_length),
        ("max_length", &field.max_length),
    ] {
        if let Some(length) = length.as_ref().filter(|_| !is_text && kind != ColumnType::Bytes) {
            misfit(&length.at, key, report);
        }
    }
    let rules = Rules {
        min_length: field.min_length.as_ref().map(|length| length.value),
        max_length: field.max_length.as_ref().map(|length| length.value),
        min: field
            .min
            .as_ref()
            .and_then(|node| bound("min", node, column, report)),
        max: field
            .max
            .as_ref()
            .and_then(|node| bound("max", node, column, report)),
        pattern: field.pattern.as_ref().and_then(|text| {
            if !is_text {
                misfit(&text.at, "pattern", report);
            }
            pattern(text, report)
        }),
        values: values(field, is_text, report),
    };
    if let (Some(min), Some(max)) = (rules.min_length, rules.max_length)
        && min > max
    {
        report.problem(
            &field.name.at,
            format!("`min_length` {min} is greater than `max_length` {max}"),
        );
    }
    if let (Some(min), Some(max)) = (&rules.min, &rules.max)
        && !is_ordered(&min.value, &max.value)
    {
        report.problem(
            &field.name.at,
            format!("`min` {} is greater than `max` {}", min.text, max.text),
        );
    }
    rules
}

fn bound(key: &str, node: &Node, column: &Column, report: &mut Report) -> Option<Bound> {
    let has_order = matches!(
        column.kind,
        ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Date
            | ColumnType::Datetime
    );
    if !has_order {
        let hint = if matches!(
            column.kind,
            ColumnType::String | ColumnType::Text | ColumnType::Email
        ) {
            format!("; did you mean `{key}_length`?")
        } else {
            String::new()
        };
        report.problem(
            &node.at,
            format!("`{key}` doesn't fit the type {}{hint}", column.kind.name()),
        );
        return None;
    }
    match column.operand_from_json(&node.to_json(exact(column))) {
        Ok(value) => Some(Bound {
            value,
            text: written(node),
        }),
        Err(fault) => {
            report.problem(&node.at, format!("`{key}` {fault}"));
            None
        }
    }
}

fn pattern(text: &At<String>, report: &mut Report) -> Option<Pattern> {
    let built = RegexBuilder::new(&text.value)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_CACHE_BYTES)
        .build();
    match built {
        Ok(regex) => {
            if !(text.value.starts_with('^') && text.value.ends_with('$')) {
                report.warning(
                    &text.at,
                    "the pattern matches anywhere in the text; `^…$` would match the whole",
                );
            }
            Some(Pattern(regex))
        }
        Err(error) => {
            // The last line says what is wrong; those before it draw the pattern.
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            report.problem(&text.at, format!("the pattern is not understood: {reason}"));
            None
        }
    }
}

fn values(field: &DeclaredField, is_text: bool, report: &mut Report) -> Vec<String> {
    let Some(declared) = &field.values else {
        if field.kind == ColumnType::Enum {
            report.problem(&field.name.at, "an enum needs `values`");
        }
        return Vec::new();
    };
    if declared.is_empty() {
        report.problem(&field.name.at, "`values` is empty, so nothing could be stored");
    }
    let mut values: Vec<String> = Vec::with_capacity(declared.len());
    for At { at, value } in declared {
        if !is_text {
            report.problem(at, format!("`values` doesn't fit the type {}", field.kind.name()));
        }
        if values.contains(value) {
            report.problem(at, format!("`{value}` stands twice in `values`"));
        }
        values.push(value.clone());
    }
    values
}

fn default(field: &DeclaredField, column: &Column, report: &mut Report) -> Option<Value> {
    let node = declared_default(field)?;
    match column.value_from_json(&node.to_json(exact(column))) {
        Ok(value) => Some(value),
        Err(fault) => {
            let is_now =
                matches!(&node.content, Content::Text(text) if text.to_ascii_lowercase().starts_with("now"));
            let hint = if is_now {
                "; for the time of creation write `generated: true`"
            } else {
                ""
            };
            report.problem(&node.at, format!("`default` {fault}{hint}"));
            None
        }
    }
}

/// `default: null` is what a field without a default has anyway.
fn declared_default(field: &DeclaredField) -> Option<&Node> {
    field
        .default
        .as_ref()
        .filter(|node| !matches!(node.content, Content::Null))
}

fn exact(column: &Column) -> Exact {
    if column.kind == ColumnType::Decimal {
        Exact::Text
    } else {
        Exact::Nearest
    }
}

fn written(node: &Node) -> String {
    match &node.content {
        Content::Int(value) => value.to_string(),
        Content::Float { text, .. } | Content::Text(text) => text.clone(),
        Content::Null | Content::Bool(_) | Content::List(_) | Content::Map(_) => String::new(),
    }
}
