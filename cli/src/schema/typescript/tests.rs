//! What is written, held against what a TypeScript compiler is given in `clients/typescript/test`.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Schema, Source};

use super::rights::Role;
use super::script;

fn schema(text: &str) -> Schema {
    let source = Source {
        name: "entities.yaml".to_owned(),
        text: text.to_owned(),
    };
    Schema::parse(&[source]).unwrap().schema
}

fn of_role(entities: &str, rules: &str, role: &str) -> String {
    let source = Source {
        name: "acl.yaml".to_owned(),
        text: rules.to_owned(),
    };
    let policy = Policy::parse(&source, Arc::new(schema(entities))).unwrap().policy;
    script(
        policy.schema(),
        Some(&Role::new(&policy, &[role.to_owned()]).unwrap()),
    )
}

const EVERYTHING: &str = r#"
entity: Thing
description: "One of */ each\n  type."
fields:
  id:      {type: cuid, primary: true, generated: true}
  serial:  {type: bigint, required: true, unique: true, immutable: true}
  state:   {type: enum, values: ["it's", 'a "b"'], default: "it's"}
  price:   {type: decimal, optional: true}
  ratio:   {type: float, required: true, nullable: true}
  isOn:    {type: boolean, default: false}
  day:     {type: date, required: true}
  at:      {type: datetime, auto_update: true}
  more:    {type: json, nullable: true}
  picture: {type: bytes, optional: true}
  hidden:  {type: string, nullable: true, never_expose: true}
---
entity: Log
read_only: true
fields:
  id:      {type: uuid, primary: true}
  thingId: {type: cuid, references: Thing}
"#;

#[test]
fn every_type_flag_and_relation_has_its_words() {
    let expected = r#"// Types of the entities: made by `dbal schema typescript`, and not to be edited.

import type { Json } from "@dbal/client";

export interface Schema {
  Log: {
    row: {
      id: string;
      thingId: string | null;
    };
    create: never;
    update: never;
    kinds: {
      id: "uuid";
      thingId: "cuid";
    };
    key: "id";
    unique: "id";
    relations: {
      thing: { to: "Thing"; many: false };
    };
  };
  /** One of * / each type. */
  Thing: {
    row: {
      id: string;
      serial: number | string;
      state: "it's" | "a \"b\"";
      price: string | null;
      ratio: number | null;
      isOn: boolean;
      day: string;
      at: string;
      more: Json | null;
      picture: string | null;
    };
    create: {
      serial: bigint | number | string;
      state?: "it's" | "a \"b\"";
      price?: string | number | null;
      ratio: number | null;
      isOn?: boolean;
      day: string;
      more?: Json | null;
      picture?: Uint8Array | string | null;
    };
    update: {
      state?: "it's" | "a \"b\"";
      price?: string | number | null;
      ratio?: number | null;
      isOn?: boolean;
      day?: string;
      more?: Json | null;
      picture?: Uint8Array | string | null;
    };
    kinds: {
      id: "cuid";
      serial: "bigint";
      state: "enum";
      price: "decimal";
      ratio: "float";
      isOn: "boolean";
      day: "date";
      at: "datetime";
      more: "json";
      picture: "bytes";
    };
    key: "id";
    unique: "id" | "serial";
    relations: {
      logs: { to: "Log"; many: true };
    };
  };
}
"#;
    assert_eq!(script(&schema(EVERYTHING), None), expected);
    let (first, second) = EVERYTHING.split_once("---").unwrap();
    let turned = format!("{second}---{first}");
    assert_eq!(
        script(&schema(&turned), None),
        expected,
        "whatever the order of the files"
    );
}

#[test]
fn the_types_of_a_role_are_what_its_rules_grant() {
    let rules = r#"
version: 1
roles: {user: {}, clerk: {inherits: [user]}, guard: {inherits: [user]}, visitor: {}}
rules:
  - {id: names, entity: Thing, roles: [user], operations: [read], fields: {read: [id, state]}}
  - {id: own, entity: Thing, roles: [user], operations: [read, create, update], rows: "state = $user.kind",
     fields: {read: [id, serial, price], write: [serial, price, day]}, set: {day: '2024-01-01'}}
  - {id: logs, entity: Log, roles: [clerk], operations: [read]}
  - {id: log-ids, entity: Log, roles: [guard], operations: [read], fields: {read: [id]}}
  - {id: log-of-one, entity: Log, roles: [guard], operations: [read], rows: "id = $user.id"}
"#;
    let user = of_role(EVERYTHING, rules, "user");
    let thing = r#"  Thing: {
    row: {
      id: string;
      serial?: number | string;
      state: "it's" | "a \"b\"";
      price?: string | null;
    };
    create: {
      serial: bigint | number | string;
      price?: string | number | null;
      day?: string;
    };
    update: {
      price?: string | number | null;
      day?: string;
    };
"#;
    assert!(user.contains(thing), "{user}");
    assert!(user.contains("of user:") && !user.contains("Log"), "{user}");
    let clerk = of_role(EVERYTHING, rules, "clerk");
    assert!(
        clerk.contains(thing) && clerk.contains(r#"logs: { to: "Log"; many: true };"#),
        "{clerk}"
    );
    let guard = of_role(EVERYTHING, rules, "guard");
    let partly = r#"thing: { to: "Thing"; many: false; partly: true };"#;
    assert!(
        guard.contains("thingId?: string | null;") && guard.contains(partly),
        "{guard}"
    );
    let visitor = of_role(EVERYTHING, rules, "visitor");
    assert!(visitor.ends_with("export interface Schema {\n}\n"), "{visitor}");
}

#[test]
fn the_clients_tests_are_compiled_with_what_is_written_for_the_example() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let files =
        ["user", "note", "comment"].map(|name| read(&format!("policy/examples/entities/{name}.yaml")));
    let written = of_role(&files.join("\n---\n"), &read("policy/examples/acl.yaml"), "user");
    assert_eq!(
        written,
        read("clients/typescript/test/schema.ts"),
        "dbal schema typescript --entities policy/examples/entities --policy policy/examples/acl.yaml --role user \
         --output clients/typescript/test/schema.ts"
    );
}
