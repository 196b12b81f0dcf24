//! A file of policy tests, typed against the schema.

use dbal_call::{Method, Params};
use dbal_schema::mapping::{At, Mapping, texts_of};
use dbal_schema::report::Report;
use dbal_schema::yaml::{self, Content, Key, Node};
use dbal_schema::{Location, Schema, Source, suggestion};
use dbal_shared::fault::Code;
use dbal_shared::json::Json;
use dbal_shared::principal::{ClaimValue, Principal};
use dbal_shared::value::Value;

use super::expect::Expect;
use super::memory::Memory;

/// The cases of one file.
#[derive(Default)]
pub(super) struct File {
    pub(super) cases: Vec<Declared>,
}

/// One case.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) at: Location,
    pub(super) rows: Memory,
    pub(super) principal: Principal,
    pub(super) method: Method,
    pub(super) params: Params,
    pub(super) expect: Expect,
}

/// Reads the file; what is wrong with it is in the report.
pub(super) fn read(source: &Source, schema: &Schema, report: &mut Report) -> File {
    let documents = match yaml::parse(source) {
        Ok(documents) => documents,
        Err(problem) => {
            report.problems.push(problem);
            return File::default();
        }
    };
    let [document] = documents.as_slice() else {
        let at = Location {
            file: source.name.as_str().into(),
            line: 0,
            column: 0,
        };
        report.problem(
            &at,
            "a file of policy tests has one document, with `version: 1` and `cases`",
        );
        return File::default();
    };
    let Some(mut map) = Mapping::of(document, "a file of policy tests", report) else {
        return File::default();
    };
    if map
        .count(&["version"], report)
        .is_none_or(|version| version.value != 1)
    {
        report.problem(&document.at, "`version: 1` is missing");
    }
    map.take(&["description"], report);
    let rows = map.take(&["rows"], report);
    let people = map.take(&["people"], report);
    let cases = map.take(&["cases"], report);
    map.finish("a file of policy tests", report);
    let mut reading = Reading {
        schema,
        people: Vec::new(),
        report,
    };
    let common = reading.rows(rows, Memory::of(schema));
    for (name, node) in members(people, "`people`", reading.report) {
        let person = reading.principal(node);
        reading.people.push((name.name.clone(), person));
    }
    let Some(Node {
        content: Content::List(items),
        ..
    }) = cases
    else {
        reading
            .report
            .problem(&document.at, "`cases` is missing: a list of cases");
        return File::default();
    };
    File {
        cases: items
            .iter()
            .filter_map(|node| reading.case(node, &common))
            .collect(),
    }
}

struct Reading<'a> {
    schema: &'a Schema,
    people: Vec<(String, Principal)>,
    report: &'a mut Report,
}

impl Reading<'_> {
    fn case(&mut self, node: &Node, common: &Memory) -> Option<Declared> {
        let mut map = Mapping::of(node, "a case", self.report)?;
        let name = map.text(&["name"], self.report);
        let rows = map.take(&["rows"], self.report);
        let who = map.take(&["as"], self.report);
        let call = map.take(&["do"], self.report);
        let expect = map.take(&["expect"], self.report);
        map.finish("a case", self.report);
        for (key, is_missing) in [
            ("name", name.is_none()),
            ("as", who.is_none()),
            ("do", call.is_none()),
            ("expect", expect.is_none()),
        ] {
            if is_missing {
                self.report.problem(&node.at, format!("this case has no `{key}`"));
            }
        }
        let rows = self.rows(rows, common.clone());
        let principal = self.who(who?);
        let (method, params) = self.call(call?)?;
        Some(Declared {
            name: name?.value,
            at: node.at.clone(),
            rows,
            principal,
            method,
            params,
            expect: self.expect(expect?)?,
        })
    }

    /// Adds rows of each entity.
    fn rows(&mut self, node: Option<&Node>, mut memory: Memory) -> Memory {
        for (name, node) in members(node, "`rows`", self.report) {
            let Some(entity) = self.schema.by_name(&name.name) else {
                let names = self.schema.entities().iter().map(|entity| entity.name.as_str());
                let hint = suggestion::hint(&name.name, names);
                self.report
                    .problem(&name.at, format!("unknown entity `{}`{hint}", name.name));
                continue;
            };
            let Content::List(items) = &node.content else {
                self.report.problem(&node.at, "rows are a list of mappings");
                continue;
            };
            for item in items {
                let mut row = Memory::blank(entity);
                for (field, value) in members(Some(item), "a row", self.report) {
                    let Some(column) = entity.column_by_name(&field.name) else {
                        let names = entity.columns.iter().map(|column| column.name.as_str());
                        let hint = suggestion::hint(&field.name, names);
                        let text = format!("`{}` has no field `{}`{hint}", entity.name, field.name);
                        self.report.problem(&field.at, text);
                        continue;
                    };
                    let json = value.json();
                    let typed = if json == Json::Null {
                        Ok(Value::Null)
                    } else {
                        column.operand_from_json(&json)
                    };
                    match typed {
                        Ok(typed) => {
                            if let Some(place) = row.get_mut(usize::from(column.id.0)) {
                                *place = typed;
                            }
                        }
                        Err(fault) => self
                            .report
                            .problem(&value.at, format!("`{}` {fault}", field.name)),
                    }
                }
                memory.add(entity.id, row);
            }
        }
        memory
    }

    /// A name of `people`, or somebody described here; `anonymous` is who proves nothing.
    fn who(&mut self, node: &Node) -> Principal {
        let Content::Text(name) = &node.content else {
            return self.principal(node);
        };
        if name == "anonymous" {
            return Principal::anonymous();
        }
        let known = self.people.iter().find(|(known, _)| known == name);
        known.map_or_else(
            || {
                let hint = suggestion::hint(name, self.people.iter().map(|(name, _)| name.as_str()));
                let text = format!("`people` knows no `{name}`{hint}");
                self.report.problem(&node.at, text);
                Principal::anonymous()
            },
            |(_, person)| person.clone(),
        )
    }

    fn principal(&mut self, node: &Node) -> Principal {
        let Some(mut map) = Mapping::of(node, "a person", self.report) else {
            return Principal::anonymous();
        };
        let text = |found: Option<At<String>>| found.map(|found| found.value);
        let id = text(map.text(&["id"], self.report));
        let mut roles: Vec<String> = map
            .texts(&["roles"], self.report)
            .unwrap_or_default()
            .into_iter()
            .map(|role| role.value)
            .collect();
        roles.sort_unstable();
        roles.dedup();
        let tenant = text(map.text(&["tenant"], self.report));
        let claims = map.take(&["claims"], self.report);
        map.finish("a person", self.report);
        let mut typed = Vec::new();
        for (name, node) in members(claims, "`claims`", self.report) {
            let value = match &node.content {
                Content::Text(text) => ClaimValue::Text(text.clone()),
                Content::Int(number) => ClaimValue::Int(*number),
                Content::Bool(flag) => ClaimValue::Bool(*flag),
                Content::List(_) => {
                    let texts = texts_of(node, "a claim", self.report).into_iter();
                    ClaimValue::Texts(texts.map(|text| text.value).collect())
                }
                Content::Null | Content::Float { .. } | Content::Map(_) => {
                    let text = "a claim is a text, a whole number, true, false, or a list of texts";
                    self.report.problem(&node.at, text);
                    continue;
                }
            };
            typed.push((name.name.clone(), value));
        }
        typed.sort_by(|(one, _), (other, _)| one.cmp(other));
        Principal {
            id,
            roles,
            tenant,
            claims: typed,
        }
    }

    /// The method and its parameters by name, as a client would send them.
    fn call(&mut self, node: &Node) -> Option<(Method, Params)> {
        let all = members(Some(node), "`do`", self.report);
        let Some((_, named)) = all.iter().find(|(key, _)| key.name == "method") else {
            self.report.problem(
                &node.at,
                "`do` names a `method`, its `entity` and what else it takes",
            );
            return None;
        };
        let name = named.json().as_text().unwrap_or_default().to_owned();
        let method = Method::by_name(&name).filter(|method| method.parameters().first() == Some(&"entity"));
        let Some(method) = method else {
            self.report.problem(
                &named.at,
                format!("`{name}` is no method that is about one entity"),
            );
            return None;
        };
        let mut params = Vec::new();
        for (key, value) in all.iter().filter(|(key, _)| key.name != "method") {
            if !method.parameters().contains(&key.name.as_str()) {
                let hint = suggestion::hint(&key.name, method.parameters().iter().copied());
                self.report
                    .problem(&key.at, format!("`{name}` has no parameter `{}`{hint}", key.name));
            }
            params.push((key.name.clone(), value.json()));
        }
        Some((method, Params::Named(params)))
    }

    fn expect(&mut self, node: &Node) -> Option<Expect> {
        let mut expect = Expect::default();
        match &node.content {
            Content::Text(word) if word == "allowed" => expect.is_allowed = Some(true),
            Content::Text(word) if word == "denied" => expect.is_allowed = Some(false),
            Content::Int(number) => {
                let known = Code::ALL
                    .into_iter()
                    .find(|code| i64::from(code.number()) == *number);
                if known.is_none() {
                    self.report
                        .problem(&node.at, format!("there is no error {number}"));
                }
                expect.code = known.map(Code::number);
            }
            Content::Map(_) => {
                let mut map = Mapping::of(node, "`expect`", self.report)?;
                expect.rows = map.take(&["rows"], self.report).and_then(|node| self.list(node));
                expect.fields = map.texts(&["fields"], self.report).map(|names| {
                    let mut names: Vec<String> = names.into_iter().map(|name| name.value).collect();
                    names.sort_unstable();
                    names
                });
                expect.count = map.count(&["count"], self.report).map(|count| count.value);
                map.finish("`expect`", self.report);
                if expect == Expect::default() {
                    self.report.problem(&node.at, "this expects nothing");
                }
            }
            Content::Text(_)
            | Content::Null
            | Content::Bool(_)
            | Content::Float { .. }
            | Content::List(_) => {
                let text =
                    "`expect` is `allowed`, `denied`, an error's number, or `rows`, `fields` and `count`";
                self.report.problem(&node.at, text);
                return None;
            }
        }
        Some(expect)
    }

    fn list(&mut self, node: &Node) -> Option<Vec<Json>> {
        let Json::List(items) = node.json() else {
            self.report
                .problem(&node.at, "`rows` lists keys, or mappings of some fields");
            return None;
        };
        Some(items)
    }
}

fn members<'n>(node: Option<&'n Node>, what: &str, report: &mut Report) -> &'n [(Key, Node)] {
    match node {
        None => &[],
        Some(Node {
            content: Content::Map(members),
            ..
        }) => members,
        Some(node) => {
            report.problem(&node.at, format!("{what} must be a mapping, not {}", node.kind()));
            &[]
        }
    }
}
