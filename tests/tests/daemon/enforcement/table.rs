//! What really stands in the database, read past the daemon.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use super::model::{Kind, State, World};

pub(super) type Row = BTreeMap<&'static str, Value>;

pub(super) struct Database(rusqlite::Connection);

impl Database {
    pub(super) fn open(file: &Path) -> Self {
        Self(rusqlite::Connection::open(file).expect("the database"))
    }

    pub(super) fn read(&self, world: &World) -> State {
        State {
            parents: self.rows(&world.parent(), Kind::Parent),
            children: self.rows(&world.child(), Kind::Child),
        }
    }

    fn rows(&self, table: &str, kind: Kind) -> Vec<Row> {
        let columns = kind.fields().join(", ");
        let mut statement = self
            .0
            .prepare_cached(&format!("SELECT {columns} FROM {table} ORDER BY id"))
            .expect("a statement");
        let rows = statement.query_map([], |row| {
            let cell = |index| {
                row.get_ref(index).map(|value| match value {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => json!(number),
                    ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                    other => panic!("{other:?} in {table}"),
                })
            };
            let fields = kind.fields().iter().enumerate();
            fields.map(|(index, field)| Ok((*field, cell(index)?))).collect()
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    }
}
