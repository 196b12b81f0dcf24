//! What databases hold that SQLite doesn't, as the worker would tell it.

use dbal_schema::{ColumnType, Schema, Source};
use serde_json::{Value, json};

use super::*;

fn column(name: &str, more: Value) -> Value {
    let mut column = json!({
        "name": name, "declared": "x", "type": "text", "doubt": null, "nullable": false, "max_length": null, "range": null, "values": [],
        "fill": "nothing", "value": null,
    });
    for (key, value) in more.as_object().unwrap() {
        column[key] = value.clone();
    }
    column
}

fn table(name: &str, columns: Vec<Value>, more: Value) -> Value {
    let mut table = json!({
        "name": name, "is_view": false, "columns": columns, "key": ["id"], "indexes": [], "references": [], "notes": [],
    });
    for (key, value) in more.as_object().unwrap() {
        table[key] = value.clone();
    }
    table
}

fn made(tables: Vec<Value>) -> (Schema, String) {
    let answer = json!({ "adapter": "other", "tables": tables }).to_string();
    let entities = entities(&parsed::<Answer>(&answer).unwrap());
    let text: Vec<String> = entities.iter().map(EntityFile::text).collect();
    let sources = text.iter().zip(1..).map(|(text, nth)| Source {
        name: format!("{nth}.yaml"),
        text: text.clone(),
    });
    let sources: Vec<Source> = sources.collect();
    let loaded = Schema::parse(&sources).unwrap_or_else(|error| panic!("{error}\n{text:#?}"));
    (loaded.schema, text.concat())
}

#[test]
fn names_that_no_entity_can_have_are_changed_and_never_twice_to_the_same() {
    let columns = || {
        vec![
            column("id", json!({})),
            column("ID ", json!({})),
            column("Id_", json!({})),
        ]
    };
    let (schema, text) = made(vec![
        table("order items", columns(), json!({})),
        table("order-items", columns(), json!({})),
        table("Order_Items", columns(), json!({})),
        table("2 fast", columns(), json!({})),
        table("pg_secrets", columns(), json!({})),
    ]);
    let names: Vec<(&str, &str)> = schema
        .entities()
        .iter()
        .map(|entity| (entity.name.as_str(), entity.table.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("Order_Items_3", "Order_Items"),
            ("_2_fast", "2 fast"),
            ("order_items", "order items"),
            ("order_items_2", "order-items"),
        ],
        "{text}"
    );
    let entity = schema.by_name("order_items").unwrap();
    let fields: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(fields, ["id", "ID_", "Id__2"]);
}

#[test]
fn a_column_that_no_field_can_name_is_left_out_and_the_others_stay() {
    let long = "ü".repeat(32);
    let columns = vec![
        column("ID", json!({"nullable": true})),
        column("id", json!({})),
        column("Name", json!({})),
        column("name", json!({})),
        column(&long, json!({})),
    ];
    let (schema, text) = made(vec![table("things", columns, json!({}))]);
    let entity = schema.by_name("things").unwrap();
    let columns: Vec<&str> = entity.columns.iter().map(|column| column.sql.as_str()).collect();
    assert_eq!(columns, ["id", "Name"], "{text}");
    assert!(text.contains("# the column `ID` is left out: another one differs from it by case alone"));
    assert!(text.contains(&format!(
        "# the column `{long}` is left out: its name has 64 bytes"
    )));
}

#[test]
fn lists_of_values_lengths_and_index_names_of_one_table_are_kept() {
    let index = json!([{"name": "by_a", "columns": ["a", "id"], "unique": false, "whole": true}]);
    let columns = || {
        vec![
            column("id", json!({"type": "uuid"})),
            column(
                "a",
                json!({"type": "enum", "values": ["x", "on"], "fill": "literal", "value": "on"}),
            ),
            column("b", json!({"type": "string", "max_length": 9, "nullable": true})),
        ]
    };
    let (schema, text) = made(vec![
        table("one", columns(), json!({"indexes": index})),
        table("two", columns(), json!({"indexes": index})),
    ]);
    let two = schema.by_name("two").unwrap();
    assert_eq!(two.indexes[0].name.as_str(), "two_by_a", "{text}");
    assert_eq!(two.column_by_name("a").unwrap().rules.values, ["x", "on"]);
    assert_eq!(two.column_by_name("b").unwrap().rules.max_length, Some(9));
}

#[test]
fn a_reference_is_of_the_type_that_it_refers_to_and_left_out_where_it_can_t_be() {
    let to = |table: &str, to: &str| json!([{"columns": ["r"], "table": table, "to": [to], "on_delete": "set_null"}]);
    let (schema, text) = made(vec![
        table(
            "a",
            vec![
                column("id", json!({"type": "uuid"})),
                column("n", json!({"type": "float"})),
            ],
            json!({}),
        ),
        table(
            "b",
            vec![column("id", json!({})), column("r", json!({"nullable": true}))],
            json!({"references": to("A", "ID")}),
        ),
        table(
            "c",
            vec![column("id", json!({})), column("r", json!({}))],
            json!({"references": to("b", "r")}),
        ),
        table(
            "d",
            vec![column("id", json!({})), column("r", json!({}))],
            json!({"references": to("a", "id")}),
        ),
    ]);
    let field = |entity: &str| schema.by_name(entity).unwrap().column_by_name("r").unwrap();
    assert_eq!(field("b").kind, ColumnType::Uuid);
    assert!(field("b").references.is_some());
    assert!(field("c").references.is_none(), "b.r is not unique: {text}");
    assert!(text.contains("# the foreign key to `b.r` is left out"), "{text}");
    assert!(
        text.contains("# what the foreign key to `a.id` does on delete has no counterpart"),
        "{text}"
    );
    assert!(field("d").references.is_some());
}

#[test]
fn a_table_that_the_daemons_would_refuse_is_a_comment_and_the_others_load() {
    let long = "t".repeat(64);
    let one = |name: &str, of: Value| table(name, vec![column("id", json!({})), column("x", of)], json!({}));
    let (schema, text) = made(vec![
        one("sound", json!({"type": "integer"})),
        one("no_values", json!({"type": "enum"})),
        one("twice", json!({"type": "enum", "values": ["a", "a"]})),
        one(
            "too_long",
            json!({"type": "string", "max_length": 2, "fill": "literal", "value": "abc"}),
        ),
        one(
            "beyond",
            json!({"type": "integer", "range": [0, 9], "fill": "literal", "value": "10"}),
        ),
        one(
            "none_of_them",
            json!({"type": "enum", "values": ["a"], "fill": "literal", "value": "b"}),
        ),
        one(&long, json!({})),
        table(
            "refers",
            vec![column("id", json!({})), column("r", json!({}))],
            json!({"references": [{"columns": ["r"], "table": "twice", "to": ["id"], "on_delete": "restrict"}]}),
        ),
    ]);
    let left: Vec<&str> = schema
        .entities()
        .iter()
        .map(|entity| entity.name.as_str())
        .collect();
    assert_eq!(left, ["refers", "sound"], "{text}");
    for said in [
        "# entity: beyond\n",
        "#   # the daemons refuse this: an enum needs `values`\n",
        "#   # the daemons refuse this: `a` stands twice in `values`\n",
        "  # the foreign key to `twice.id` is left out: `twice` is no entity as it stands\n",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}
