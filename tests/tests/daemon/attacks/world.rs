//! Who there is and which rows: filled through the daemon itself, looked at by the operator.

use std::collections::BTreeMap;
use std::path::Path;

use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::Daemon;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const ENTITIES: [&str; 8] = [
    "Organisation",
    "User",
    "Project",
    "Document",
    "Comment",
    "Invoice",
    "Setting",
    "Vault",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    people: BTreeMap<String, Person>,
    rows: Vec<Map<String, Value>>,
}

/// Somebody who holds a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    roles: Vec<String>,
    tenant: Option<String>,
    #[serde(default)]
    pub(super) sees_amounts: bool,
}

pub(super) struct World {
    pub(super) people: BTreeMap<String, Person>,
    /// Entity, values; the id among them.
    rows: Vec<(String, Map<String, Value>)>,
    ids: BTreeMap<String, String>,
}

impl World {
    /// Reads the file and creates its rows.
    pub(super) async fn fill(daemon: &Daemon, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("the world's rows");
        let File { people, rows } = serde_saphyr::from_str(&text).expect("the world's rows");
        let mut ids = BTreeMap::new();
        let names = rows.iter().filter_map(|row| row.values().next()?.as_str());
        for name in names.chain(people.keys().map(String::as_str)).chain(["nobody"]) {
            let next = ids.len() + 1;
            ids.entry(name.to_owned())
                .or_insert_with(|| format!("0199b000-0000-7000-8000-{next:012x}"));
        }
        let mut world = Self {
            people,
            rows: Vec::new(),
            ids,
        };
        for row in rows {
            let mut members = row.into_iter();
            let (entity, name) = members.next().expect("an entity");
            let mut values: Map<String, Value> = members
                .map(|(field, value)| (field, world.named(&value)))
                .collect();
            values.insert("id".to_owned(), json!(world.id(name.as_str().expect("a name"))));
            world.rows.push((entity, values));
        }
        let mut operator = world.connect(daemon, "operator").await;
        for (entity, values) in &world.rows {
            operator
                .call("create", json!([entity, values]))
                .await
                .unwrap_or_else(|refusal| panic!("{entity} {values:?}: {refusal:?}"));
        }
        operator.close().await;
        world
    }

    /// The id of the row, or the person, of that name.
    pub(super) fn id(&self, name: &str) -> &str {
        self.ids
            .get(name)
            .unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// The value with `@name` replaced by ids, wherever it stands.
    pub(super) fn named(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('@') {
                Some(name) if self.ids.contains_key(name) => json!(self.id(name)),
                _ => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.named(item)).collect(),
            Value::Object(members) => {
                let named = members
                    .iter()
                    .map(|(key, value)| (key.clone(), self.named(value)));
                Value::Object(named.collect())
            }
            other => other.clone(),
        }
    }

    /// A text in which `"@name"` stands for ids.
    pub(super) fn named_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, id) in &self.ids {
            text = text.replace(&format!("\"@{name}\""), &format!("\"{id}\""));
        }
        text
    }

    /// Claims that every good token has, with these in place of some; null leaves one out.
    pub(super) fn claims(&self, daemon: &Daemon, change: &BTreeMap<String, Value>) -> Value {
        let mut claims = daemon.claims_of(daemon.user("alice"));
        let members = claims.as_object_mut().expect("claims");
        for (name, value) in change {
            match self.named(value) {
                Value::Null => members.remove(name),
                value => members.insert(name.clone(), value),
            };
        }
        claims
    }

    /// Somebody's token.
    pub(super) fn token(&self, daemon: &Daemon, name: &str) -> Option<String> {
        if name == "nobody" {
            return None;
        }
        let person = self
            .people
            .get(name)
            .unwrap_or_else(|| panic!("nobody is called {name}"));
        let tenant = person.tenant.clone().map_or(Value::Null, Value::String);
        let change = BTreeMap::from([
            ("sub".to_owned(), json!(format!("@{name}"))),
            ("roles".to_owned(), json!(person.roles)),
            ("tenant_id".to_owned(), tenant),
        ]);
        Some(daemon.sign(&self.claims(daemon, &change)))
    }

    pub(super) async fn connect(&self, daemon: &Daemon, name: &str) -> Client {
        let token = self.token(daemon, name);
        let login = token.as_deref().map_or(Login::Nobody, Login::Header);
        Client::try_connect(daemon, login)
            .await
            .expect("the upgrade succeeds")
    }

    /// All rows that the operator sees, by entity and id, and what nobody sees.
    pub(super) async fn snapshot(
        &self,
        daemon: &Daemon,
        unseen: &dyn Fn() -> String,
    ) -> BTreeMap<String, Value> {
        let mut operator = self.connect(daemon, "operator").await;
        let mut all = BTreeMap::from([("what nobody sees".to_owned(), json!(unseen()))]);
        for entity in ENTITIES {
            let limit = if entity == "Setting" { 5 } else { 1000 };
            let list = operator
                .call("list", json!([entity, {"limit": limit}]))
                .await
                .expect("the operator lists");
            for row in list["data"].as_array().expect("rows") {
                all.insert(format!("{entity} {}", row["id"]), row.clone());
            }
        }
        operator.close().await;
        all
    }

    /// After an attack that changed something: its new rows go, so that those that follow are judged for themselves.
    pub(super) async fn restore(
        &self,
        daemon: &Daemon,
        before: &BTreeMap<String, Value>,
        unseen: &dyn Fn() -> String,
    ) {
        let mut operator = self.connect(daemon, "operator").await;
        for (key, row) in self.snapshot(daemon, unseen).await {
            let entity = key.split(' ').next().expect("an entity");
            if !before.contains_key(&key) {
                operator
                    .call("delete", json!([entity, row["id"]]))
                    .await
                    .expect("the operator deletes");
            }
        }
        operator.close().await;
    }
}
