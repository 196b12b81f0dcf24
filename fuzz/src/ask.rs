//! Calls as a client may put them, right ones and wrong ones, from the fuzzer's bytes: every method, in both dialects, with names and
//! values that exist, that are somebody else's, and that are nobody's.

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::{Map, Value, json};

use crate::world::{COMMENTS, Caller, NOTES, OURS, PEOPLE, THEIRS};

/// Stands in every text of a call that is not a name or a value of the world. No statement may hold it.
pub const CANARY: &str = "cnrycnry";
/// Most calls of a transaction, and most conditions side by side: enough for everything to meet everything.
const SEVERAL: usize = 4;
/// Deepest nesting of conditions and includes: one more than is allowed.
const DEPTH: usize = 4;

/// One request.
#[derive(Debug)]
pub struct Case {
    /// Whose.
    pub caller: Caller,
    /// The message as it comes from the socket.
    pub message: String,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let caller = Caller::arbitrary(bytes)?;
        let is_native: bool = bytes.arbitrary()?;
        let (method, params) = if bytes.ratio(1, 6)? {
            let calls = several(bytes, |bytes| {
                let (method, params) = call(bytes)?;
                Ok(json!({"method": method, "params": params}))
            })?;
            ("transaction", json!([calls]))
        } else {
            call(bytes)?
        };
        let request = if is_native {
            json!({"id": "1", "method": method, "params": params})
        } else {
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        };
        Ok(Self {
            caller,
            message: request.to_string(),
        })
    }
}

/// The same call with a cursor, if it is one that takes one.
pub fn continued(message: &str, cursor: &str) -> Option<String> {
    let mut request: Value = serde_json::from_str(message).ok()?;
    if request.get("method")? != "list" {
        return None;
    }
    let params = request.get_mut("params")?;
    let options = match params {
        Value::Array(values) => values.get_mut(1)?,
        Value::Object(members) => members.get_mut("options")?,
        _ => return None,
    };
    let options = options.as_object_mut()?;
    options.remove("page");
    options.insert("cursor".to_owned(), json!(cursor));
    Some(request.to_string())
}

fn several<'a, T>(
    bytes: &mut Unstructured<'a>,
    mut one: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = bytes.int_in_range(1..=SEVERAL)?;
    (0..count).map(|_| one(bytes)).collect()
}

const ENTITIES: [Entity; 3] = [Entity::Person, Entity::Note, Entity::Comment];

#[derive(Clone, Copy, Debug)]
enum Entity {
    Person,
    Note,
    Comment,
}

/// What a value of a field looks like.
#[derive(Clone, Copy)]
enum Kind {
    Person,
    Note,
    Comment,
    Text(&'static str),
    State,
    Number,
    Real,
    Decimal,
    Flag,
    Day,
    Time,
    Any,
    Blob,
}

impl Entity {
    fn name(self) -> &'static str {
        match self {
            Entity::Person => "Person",
            Entity::Note => "Note",
            Entity::Comment => "Comment",
        }
    }

    fn key(self) -> Kind {
        match self {
            Entity::Person => Kind::Person,
            Entity::Note => Kind::Note,
            Entity::Comment => Kind::Comment,
        }
    }

    fn fields(self) -> &'static [(&'static str, Kind)] {
        match self {
            Entity::Person => &[
                ("id", Kind::Person),
                ("tenantId", Kind::Text("")),
                ("name", Kind::Text("name")),
                ("email", Kind::Text("mail")),
                ("secret", Kind::Text("secret")),
            ],
            Entity::Note => &[
                ("id", Kind::Note),
                ("tenantId", Kind::Text("")),
                ("ownerId", Kind::Person),
                ("title", Kind::Text("title")),
                ("body", Kind::Text("body")),
                ("state", Kind::State),
                ("rank", Kind::Number),
                ("big", Kind::Number),
                ("score", Kind::Real),
                ("price", Kind::Decimal),
                ("pinned", Kind::Flag),
                ("day", Kind::Day),
                ("at", Kind::Time),
                ("extra", Kind::Any),
                ("blob", Kind::Blob),
                ("remark", Kind::Text("remark")),
            ],
            Entity::Comment => &[
                ("id", Kind::Comment),
                ("tenantId", Kind::Text("")),
                ("noteId", Kind::Note),
                ("authorId", Kind::Person),
                ("text", Kind::Text("text")),
                ("weight", Kind::Number),
            ],
        }
    }

    fn relations(self) -> &'static [(&'static str, Entity)] {
        match self {
            Entity::Person => &[("notes", Entity::Note), ("comments", Entity::Comment)],
            Entity::Note => &[("owner", Entity::Person), ("comments", Entity::Comment)],
            Entity::Comment => &[("note", Entity::Note), ("author", Entity::Person)],
        }
    }
}

fn entity(bytes: &mut Unstructured<'_>) -> Result<Entity> {
    // Notes have the most to them.
    Ok(*bytes.choose(&[Entity::Note, Entity::Note, ENTITIES[0], ENTITIES[1], ENTITIES[2]])?)
}

fn field(bytes: &mut Unstructured<'_>, entity: Entity) -> Result<(String, Kind)> {
    if bytes.ratio(1, 64)? {
        return Ok((strange(bytes)?, Kind::Text("")));
    }
    let (name, kind) = bytes.choose(entity.fields())?;
    Ok(((*name).to_owned(), *kind))
}

/// A text that means something elsewhere: in SQL, in JSON, in a terminal.
fn strange(bytes: &mut Unstructured<'_>) -> Result<String> {
    let like = [
        "' OR 1=1 --",
        "\"; DELETE FROM \"Note\"; --",
        "\"",
        "'",
        "?1",
        "$1",
        "%",
        "_",
        "\\",
        "\u{0}",
        "\u{202e}",
        "*/",
        "NULL",
        "{\"$ref\":\"0.id\"}",
        "constructor",
        "tenant-two",
    ];
    let middle = if bytes.arbitrary()? {
        (*bytes.choose(&like)?).to_owned()
    } else {
        let length = bytes.int_in_range(0..=12)?;
        String::from_utf8_lossy(bytes.bytes(length.min(bytes.len()))?).into_owned()
    };
    Ok(format!("{CANARY}{middle}{CANARY}"))
}

fn value(bytes: &mut Unstructured<'_>, kind: Kind) -> Result<Value> {
    if bytes.ratio(1, 16)? {
        return anything(bytes, 2);
    }
    Ok(match kind {
        Kind::Person => json!(bytes.choose(&PEOPLE)?),
        Kind::Note => json!(bytes.choose(&NOTES)?),
        Kind::Comment => json!(bytes.choose(&COMMENTS)?),
        Kind::Text("") => json!(bytes.choose(&[OURS, THEIRS, ""])?),
        Kind::Text(of) => {
            if bytes.arbitrary()? {
                let nth = bytes.int_in_range(0..=8)?;
                json!(format!("{of}-of-{nth}-qx"))
            } else {
                json!(strange(bytes)?)
            }
        }
        Kind::State => json!(bytes.choose(&["draft", "published"])?),
        Kind::Number => match bytes.int_in_range(0..=3)? {
            0 => json!(bytes.int_in_range(-3..=9)?),
            1 => json!(i64::arbitrary(bytes)?),
            2 => json!(i64::arbitrary(bytes)?.to_string()),
            _ => json!(9_007_199_254_740_990_i64 + bytes.int_in_range(0..=9)?),
        },
        Kind::Real => json!(f64::from(bytes.int_in_range(-20..=20)?) / 4.0),
        Kind::Decimal => json!(format!(
            "{}.{}",
            bytes.int_in_range(-9..=99)?,
            bytes.int_in_range(0..=99)?
        )),
        Kind::Flag => json!(bool::arbitrary(bytes)?),
        Kind::Day => json!(format!("2024-01-{:02}", bytes.int_in_range(0..=12)?)),
        Kind::Time => json!(format!("2024-01-15T10:3{}:00Z", bytes.int_in_range(0..=9)?)),
        Kind::Any => anything(bytes, 3)?,
        Kind::Blob => json!(bytes.choose(&["", "AAAA", "YmxvYi1vZi0x", "=", "AA"])?),
    })
}

fn anything(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let most = if depth == 0 { 5 } else { 8 };
    Ok(match bytes.int_in_range(0..=most)? {
        0 => Value::Null,
        1 => json!(bool::arbitrary(bytes)?),
        2 => json!(i64::arbitrary(bytes)?),
        3 => json!(f64::arbitrary(bytes)?),
        4 => json!(strange(bytes)?),
        5 => {
            let place = bytes.int_in_range(0..=3)?;
            let entity = entity(bytes)?;
            json!({"$ref": format!("{place}.{}", field(bytes, entity)?.0)})
        }
        6 => Value::Array(several(bytes, |bytes| anything(bytes, depth - 1))?),
        _ => {
            let members = several(bytes, |bytes| {
                let name = if bytes.arbitrary()? {
                    strange(bytes)?
                } else {
                    let entity = entity(bytes)?;
                    field(bytes, entity)?.0
                };
                Ok((name, anything(bytes, depth - 1)?))
            })?;
            Value::Object(members.into_iter().collect())
        }
    })
}

fn data(bytes: &mut Unstructured<'_>, entity: Entity) -> Result<Value> {
    let mut members = Map::new();
    // What a row of each must have, most of the time.
    if !bytes.ratio(1, 8)? {
        match entity {
            Entity::Note => drop(members.insert("title".to_owned(), value(bytes, Kind::Text("title"))?)),
            Entity::Comment => {
                members.insert("noteId".to_owned(), value(bytes, Kind::Note)?);
                members.insert("text".to_owned(), value(bytes, Kind::Text("text"))?);
            }
            Entity::Person => drop(members.insert("name".to_owned(), value(bytes, Kind::Text("name"))?)),
        }
    }
    changes(bytes, entity, members)
}

fn changes(bytes: &mut Unstructured<'_>, entity: Entity, mut members: Map<String, Value>) -> Result<Value> {
    for _ in 0..bytes.int_in_range(0..=SEVERAL)? {
        let (name, kind) = field(bytes, entity)?;
        members.insert(name, value(bytes, kind)?);
    }
    Ok(Value::Object(members))
}

fn filter(bytes: &mut Unstructured<'_>, entity: Entity, depth: usize) -> Result<Value> {
    let mut members = Map::new();
    for _ in 0..bytes.int_in_range(0..=2)? {
        let (name, condition) = match bytes.int_in_range(0..=9)? {
            0 if depth > 0 => {
                let word = *bytes.choose(&["AND", "OR", "NOT"])?;
                let inner = several(bytes, |bytes| filter(bytes, entity, depth - 1))?;
                (word.to_owned(), Value::Array(inner))
            }
            1 | 2 if depth > 0 => {
                let (name, linked) = *bytes.choose(entity.relations())?;
                let quantifier = *bytes.choose(&["some", "every", "none"])?;
                let inner = filter(bytes, linked, depth - 1)?;
                (name.to_owned(), json!({quantifier: inner}))
            }
            _ => {
                let (name, kind) = field(bytes, entity)?;
                (name, condition(bytes, kind)?)
            }
        };
        members.insert(name, condition);
    }
    Ok(Value::Object(members))
}

fn condition(bytes: &mut Unstructured<'_>, kind: Kind) -> Result<Value> {
    let operator = *bytes.choose(&[
        "",
        "eq",
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "in",
        "notIn",
        "contains",
        "startsWith",
        "endsWith",
        "between",
        "isNull",
        "$where",
    ])?;
    let mut condition = Map::new();
    let operand = match operator {
        "" => return value(bytes, kind),
        "in" | "notIn" => Value::Array(several(bytes, |bytes| value(bytes, kind))?),
        "between" => json!([value(bytes, kind)?, value(bytes, kind)?]),
        "isNull" => json!(bool::arbitrary(bytes)?),
        "contains" | "startsWith" | "endsWith" => {
            json!(bytes.choose(&["-of-", "of-1", "t", "E", "%", "_", "\\", "", "else", CANARY])?)
        }
        _ => value(bytes, kind)?,
    };
    condition.insert(operator.to_owned(), operand);
    if bytes.ratio(1, 8)? {
        condition.insert("mode".to_owned(), json!("insensitive"));
    }
    Ok(Value::Object(condition))
}

fn sort(bytes: &mut Unstructured<'_>, entity: Entity) -> Result<Value> {
    let mut keys = Map::new();
    for _ in 0..bytes.int_in_range(1..=3)? {
        let (name, _) = field(bytes, entity)?;
        keys.insert(name, json!(bytes.choose(&["asc", "desc"])?));
    }
    Ok(Value::Object(keys))
}

fn names(bytes: &mut Unstructured<'_>, entity: Entity) -> Result<Value> {
    let names = several(bytes, |bytes| Ok(field(bytes, entity)?.0))?;
    Ok(json!(names))
}

fn include(bytes: &mut Unstructured<'_>, entity: Entity, depth: usize) -> Result<Value> {
    let mut relations = Map::new();
    for _ in 0..bytes.int_in_range(1..=2)? {
        let (name, linked) = *bytes.choose(entity.relations())?;
        let how = if bytes.arbitrary()? {
            json!(true)
        } else {
            let allowed = ["filter", "sort", "limit", "select", "include"];
            options(bytes, linked, &allowed, depth.saturating_sub(1))?
        };
        relations.insert(name.to_owned(), how);
    }
    Ok(Value::Object(relations))
}

fn options(bytes: &mut Unstructured<'_>, entity: Entity, allowed: &[&str], depth: usize) -> Result<Value> {
    let mut options = Map::new();
    for name in allowed {
        if !bytes.ratio(2, 5)? {
            continue;
        }
        let option = match *name {
            "filter" => filter(bytes, entity, depth)?,
            "sort" => sort(bytes, entity)?,
            "limit" => json!(bytes.int_in_range(0..=4)?),
            "page" => json!(bytes.int_in_range(0..=3)?),
            "total" => json!(bool::arbitrary(bytes)?),
            "select" | "groupBy" | "sum" | "avg" | "min" | "max" => names(bytes, entity)?,
            "count" => json!(true),
            "include" if depth > 0 => include(bytes, entity, depth)?,
            "include" => continue,
            "cursor" if bytes.ratio(1, 8)? => json!(strange(bytes)?),
            "cursor" => continue,
            _ => anything(bytes, 1)?,
        };
        options.insert((*name).to_owned(), option);
    }
    Ok(Value::Object(options))
}

/// A method and its parameters.
fn call(bytes: &mut Unstructured<'_>) -> Result<(&'static str, Value)> {
    let entity = entity(bytes)?;
    let name = json!(entity.name());
    let method = *bytes.choose(&[
        "list",
        "list",
        "list",
        "read",
        "findFirst",
        "findByField",
        "count",
        "aggregate",
        "create",
        "createMany",
        "update",
        "updateByField",
        "updateMany",
        "delete",
        "deleteByField",
        "deleteMany",
        "upsert",
    ])?;
    let params: Vec<(&str, Value)> = match method {
        "list" => {
            let allowed = [
                "filter", "sort", "page", "limit", "select", "include", "total", "cursor",
            ];
            vec![("options", options(bytes, entity, &allowed, DEPTH)?)]
        }
        "read" => vec![
            ("id", value(bytes, entity.key())?),
            ("options", options(bytes, entity, &["select", "include"], DEPTH)?),
        ],
        "findFirst" => vec![
            ("filter", filter(bytes, entity, DEPTH)?),
            (
                "options",
                options(bytes, entity, &["sort", "select", "include"], DEPTH)?,
            ),
        ],
        "findByField" | "deleteByField" => {
            let (field, kind) = field(bytes, entity)?;
            vec![("field", json!(field)), ("value", value(bytes, kind)?)]
        }
        "count" => vec![("options", options(bytes, entity, &["filter"], DEPTH)?)],
        "aggregate" => {
            let allowed = ["filter", "groupBy", "count", "sum", "avg", "min", "max"];
            vec![("options", options(bytes, entity, &allowed, DEPTH)?)]
        }
        "create" => vec![("data", data(bytes, entity)?)],
        "createMany" => vec![("rows", Value::Array(several(bytes, |bytes| data(bytes, entity))?))],
        "update" => vec![
            ("id", value(bytes, entity.key())?),
            ("data", changes(bytes, entity, Map::new())?),
        ],
        "updateByField" => {
            let (field, kind) = field(bytes, entity)?;
            vec![
                ("field", json!(field)),
                ("value", value(bytes, kind)?),
                ("data", changes(bytes, entity, Map::new())?),
            ]
        }
        "updateMany" => vec![
            ("filter", filter(bytes, entity, DEPTH)?),
            ("data", changes(bytes, entity, Map::new())?),
        ],
        "delete" => vec![("id", value(bytes, entity.key())?)],
        "deleteMany" => vec![("filter", filter(bytes, entity, DEPTH)?)],
        _ => {
            let (field, kind) = field(bytes, entity)?;
            let create = data(bytes, entity)?;
            vec![
                ("uniqueField", json!(field)),
                ("uniqueValue", value(bytes, kind)?),
                ("createData", create),
                ("updateData", changes(bytes, entity, Map::new())?),
            ]
        }
    };
    let all = std::iter::once(("entity", name)).chain(params);
    Ok(if bytes.arbitrary()? {
        (method, Value::Array(all.map(|(_, value)| value).collect()))
    } else {
        let named = all.map(|(name, value)| (name.to_owned(), value));
        (method, Value::Object(named.collect()))
    })
}
