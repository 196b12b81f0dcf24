//! Which files load, what the others are told, and that no text does more than be refused.

use std::path::Path;
use std::time::Instant;

use dbal_shared::ids::Digest;
use dbal_shared::plan::Operation;
use dbal_shared::value::Value;
use proptest::prelude::*;

use crate::fixture::{column, entity, one_field, parse, parse_named, refusal};
use crate::{Generator, OnDelete, Reference, Schema, Source, Who};

#[test]
fn a_generated_uuid_is_of_the_version_that_the_file_names() {
    let of = |generated: &str| {
        let text = format!("entity: T\nfields:\n  id: {{type: uuid, generated: {generated}}}\n");
        let source = Source {
            name: "t.yaml".to_owned(),
            text,
        };
        let schema = Schema::parse(&[source]).unwrap().schema;
        let generated = schema.by_name("T").unwrap().columns[0].generated;
        (generated, schema.hash())
    };
    let (usual, v7, v4) = (of("true"), of("v7"), of("v4"));
    assert_eq!((usual.0, v4.0), (Some(Generator::Uuid), Some(Generator::Uuid4)));
    assert_eq!(usual, v7);
    // Both daemons have to mean the same.
    assert_ne!(usual.1, v4.1);
}

#[test]
fn the_example_entities_load_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/entities");
    let loaded = Schema::load(&folder).unwrap();
    assert_eq!(loaded.warnings, []);
    let schema = loaded.schema;
    let names: Vec<_> = schema
        .entities()
        .iter()
        .map(|entity| entity.name.as_str())
        .collect();
    assert_eq!(names, ["Comment", "Note", "User"]);

    let user = schema.by_name("User").unwrap();
    let hash = user.column_by_name("passwordHash").unwrap();
    assert!(hash.is_never_exposed && hash.is_sensitive && hash.is_nullable);
    assert!(user.is_unique(user.column_by_name("email").unwrap().id) && user.is_unique(user.key));
    assert_eq!(
        user.column_by_name("role").unwrap().default,
        Some(Value::Text("user".to_owned()))
    );
    let updated = user.column_by_name("updatedAt").unwrap();
    assert!(updated.is_auto_update && updated.generated == Some(Generator::Now));

    let note = schema.by_name("Note").unwrap();
    let cascade = Reference {
        entity: user.id,
        column: user.key,
        on_delete: OnDelete::Cascade,
    };
    assert_eq!(note.column_by_name("ownerId").unwrap().references, Some(cascade));

    let comment = schema.by_name("Comment").unwrap();
    let who: Vec<_> = comment
        .acl
        .rules
        .iter()
        .flat_map(|rule| &rule.grants)
        .map(|grant| &grant.who)
        .collect();
    assert_eq!(
        who,
        [
            &Who::Role("user".to_owned()),
            &Who::Role("user".to_owned()),
            &Who::SelfRow,
            &Who::SelfRow
        ]
    );
    assert!(schema.by_name("comment").is_none(), "names have one spelling");
}

#[test]
fn the_files_in_the_documentation_load() {
    let text = include_str!("../../../../docs/entities.md");
    let blocks: Vec<_> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [entities, expiring, ops] = blocks.as_slice() else {
        panic!("{} blocks", blocks.len())
    };
    let files = [
        ("docs.yaml", *entities),
        ("expiring.yaml", expiring),
        ("docs.ops.yaml", ops),
    ];
    let loaded = parse_named(&files).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(
        loaded.schema.by_name("User").unwrap().system_only,
        [Operation::Delete]
    );
}

#[test]
fn the_spellings_of_existing_files_mean_the_same() {
    let old = "name: T\nfields:\n  id: {type: string, primaryKey: true, maxLength: 9, minLength: 1}\n  \
               up: {type: string, references: {entity: T, field: id, onDelete: SET NULL}, neverExpose: true}\n  \
               at: {type: bigint, autoUpdate: true}\n";
    let new = "entity: T\nfields:\n  id: {type: string, primary: true, max_length: 9, min_length: 1}\n  \
               up: {type: string, foreign_key: {entity: T, on_delete: set_null}}\n  \
               at: {type: bigint, auto_update: true}\nsecurity: {never_expose: [up]}\n";
    assert_eq!(
        parse(old).unwrap().schema.hash(),
        parse(new).unwrap().schema.hash()
    );
    let short = new.replace(
        "foreign_key: {entity: T, on_delete: set_null}",
        "references: T.id",
    );
    let reference = entity(&short).column_by_name("up").unwrap().references.unwrap();
    assert_eq!(reference.on_delete, OnDelete::Restrict);
}

#[test]
fn existing_tables_keep_their_names_and_keys() {
    let credential = entity(
        "entity: Credential\ntable: cred-2\nfields:\n  username: {type: string, primary: true, column: \"user name\"}\n  \
         expires: {type: bigint}\nttl: {field: expires}\nread_only: true\n",
    );
    assert_eq!(credential.table.as_str(), "cred-2");
    let key = credential.column(credential.key).unwrap();
    assert_eq!((key.name.as_str(), key.sql.as_str()), ("username", "user name"));
    assert!(key.is_required && !key.is_nullable && key.is_immutable);
    assert!(credential.is_read_only && !credential.ttl.unwrap().is_auto_deleted);
}

#[test]
fn what_is_never_exposed_is_sensitive_too() {
    let hidden = column("type: string, never_expose: true");
    assert!(hidden.is_never_exposed && hidden.is_sensitive);
    let personal = column("type: string, sensitive: true");
    assert!(personal.is_sensitive && !personal.is_never_exposed);
}

#[test]
fn a_field_is_nullable_only_when_nothing_fills_it() {
    for (field, is_required, is_nullable) in [
        ("type: string", false, true),
        ("type: string, optional: true", false, true),
        ("type: string, required: false", false, true),
        ("type: string, required: true", true, false),
        ("type: string, optional: false", true, false),
        ("type: string, nullable: false", true, false),
        ("type: string, required: true, nullable: true", true, true),
        ("type: string, default: x", false, false),
        ("type: string, default: x, nullable: true", false, true),
        ("type: string, default: null", false, true),
        ("type: datetime, generated: true", false, false),
    ] {
        let column = column(field);
        assert_eq!(
            (column.is_required, column.is_nullable),
            (is_required, is_nullable),
            "{field}"
        );
    }
}

#[test]
fn a_row_level_beside_self_is_about_self_and_otherwise_about_all() {
    let fields =
        "entity: T\nfields: {id: {type: uuid, generated: true}, a: {type: string}}\nacl:\n  update: ";
    let levels = |acl: &str| {
        let entity = entity(&format!("{fields}{acl}"));
        let grants = entity.acl.rules[0].grants.clone();
        grants
            .into_iter()
            .map(|grant| {
                (
                    grant.who,
                    grant.row_level.is_some(),
                    grant.writable_fields.map(|list| list.len()),
                )
            })
            .collect::<Vec<_>>()
    };
    let role = |name: &str| Who::Role(name.to_owned());
    assert_eq!(
        levels("{self: true, row_level: 'a = $user.id', moderator: true, public: false}"),
        [(Who::SelfRow, true, None), (role("moderator"), false, None)]
    );
    assert_eq!(
        levels("{role: [user, editor], row_level: 'x', writable_fields: [a]}"),
        [(role("user"), true, Some(1)), (role("editor"), true, Some(1))]
    );
    let text = format!("{fields}{{self: true, row_level: 'a = $user.id', user: true}}");
    let warning = parse(&text).unwrap().warnings[0].to_string();
    assert!(
        warning.starts_with("e.yaml:4:51: `row_level` beside `self`"),
        "{warning}"
    );
}

#[test]
fn self_without_a_claim_of_the_caller_would_mean_everybody() {
    let acl = |row_level: &str| {
        parse(&format!(
            "entity: T\nfields: {{id: {{type: uuid, generated: true}}, a: {{type: string}}}}\n\
             acl: {{update: {{self: true, row_level: \"{row_level}\"}}}}\n"
        ))
    };
    for text in [
        "a = 'draft'",
        "$user.level >= 0",
        "$user.role = 'x' OR a = 'y'",
        "$context.tenantId = a",
        "",
    ] {
        let error = acl(text).unwrap_err().to_string();
        assert!(
            error.contains("e.yaml:3:39: `row_level` beside `self` must compare"),
            "{text}: {error}"
        );
    }
    for text in ["a = $user.id", "$user.level > 2 AND $user.email = a"] {
        assert!(acl(text).is_ok(), "{text}");
    }
}

#[test]
fn limits_of_operations_come_from_files_beside() {
    let files = [
        (
            "t.yaml",
            "entity: T\nfields: {id: {type: uuid, generated: true}}\n",
        ),
        (
            "t.ops.yaml",
            "entity: T\noperations:\n  list: {max_limit: 50, default_limit: 10, row_level_check: true}\n  \
             delete: {system_only: true}\n",
        ),
        ("strict.ops.yml", "entity: T\nmax_limit: 30\n"),
    ];
    let loaded = parse_named(&files).unwrap();
    let entity = &loaded.schema.entities()[0];
    assert_eq!((entity.max_rows, entity.default_rows), (Some(30), Some(10)));
    assert_eq!(entity.system_only, [Operation::Delete]);
    for (ops, wanted) in [
        (
            "entity: T\nlist: {}\n",
            "t.ops.yaml:2:1: unknown key `list` in an operations file",
        ),
        ("entity: U\n", "unknown entity `U`"),
        (
            "entity: T\noperations: {list: {row_level_check: false}}",
            "row rules can't be switched off",
        ),
        (
            "entity: T\noperations: {update: {no_role_escalation: true}}",
            "`no_role_escalation` is not enforced",
        ),
        (
            "entity: T\nmax_limit: 5000",
            "a limit of rows lies between 1 and 1000",
        ),
        (
            "entity: T\nmax_limit: 5\ndefault_limit: 6",
            "`default_limit` 6 is greater than `max_limit` 5",
        ),
        (
            "entity: T\noperations: {create: {max_limit: 5}}",
            "has no limit of rows",
        ),
    ] {
        let error = parse_named(&[files[0], ("t.ops.yaml", ops)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{ops}\n{error}");
    }
}

#[test]
fn a_broken_field_is_refused_with_its_place_and_what_to_do() {
    for (field, wanted) in [
        (
            "type: string, requierd: true",
            "e.yaml:4:21: unknown key `requierd` in the field `f`; did you mean `required`?",
        ),
        (
            "type: strin",
            "e.yaml:4:13: unknown type `strin`; did you mean `string`?",
        ),
        ("type: int", "unknown type `int`; did you mean `integer`?"),
        ("required: true", "the field `f` has no `type`"),
        (
            "type: string, required: yes",
            "`required` must be true or false, not text",
        ),
        (
            "type: string, required: ",
            "`required` must be true or false, not nothing",
        ),
        (
            "type: string, required: true, optional: true",
            "contradict each other",
        ),
        (
            "type: string, nullable: false, optional: true",
            "must be nullable",
        ),
        (
            "type: string, max_length: -1",
            "`max_length` must be a whole number from 0",
        ),
        (
            "type: string, maxLength: 1, max_length: 2",
            "`max_length` says the same as `maxLength` above",
        ),
        (
            "type: string, min_length: 3, max_length: 2",
            "`min_length` 3 is greater than `max_length` 2",
        ),
        (
            "type: string, min: 3",
            "`min` doesn't fit the type string; did you mean `min_length`?",
        ),
        (
            "type: integer, min_length: 3",
            "`min_length` doesn't fit the type integer",
        ),
        ("type: integer, min: 1.5", "`min` must be an integer"),
        ("type: integer, min: 3, max: 2", "`min` 3 is greater than `max` 2"),
        (
            "type: integer, pattern: '^1$'",
            "`pattern` doesn't fit the type integer",
        ),
        ("type: integer, default: 3, max: 2", "`default` must be at most 2"),
        (
            "type: enum, values: [a, b], default: c",
            "`default` must be one of a, b",
        ),
        ("type: enum", "an enum needs `values`"),
        ("type: enum, values: []", "`values` is empty"),
        ("type: enum, values: [a, a]", "`a` stands twice"),
        (
            "type: enum, values: [1]",
            "each item of `values` must be text, not a number (put it in quotes)",
        ),
        (
            "type: integer, values: [a]",
            "`values` doesn't fit the type integer",
        ),
        (
            "type: string, pattern: '('",
            "the pattern is not understood: unclosed group",
        ),
        (
            "type: string, pattern: '\\w{60}'",
            "the pattern is not understood: Compiled regex exceeds size limit",
        ),
        (
            "type: cuid, generated: v4",
            "`generated: v4` and `v7` are for uuids",
        ),
        ("type: uuid, generated: v5", "of a uuid its version: v4 or v7"),
        (
            "type: string, generated: true",
            "the type string can't be generated",
        ),
        ("type: uuid, auto_update: true", "`auto_update` is for times"),
        (
            "type: datetime, auto_update: true, immutable: true",
            "both `immutable` and `auto_update`",
        ),
        (
            "type: datetime, default: now()",
            "for the time of creation write `generated: true`",
        ),
        (
            "type: datetime, generated: true, default: 2024-01-01T00:00:00Z",
            "a generated field has no `default`",
        ),
        (
            "type: uuid, primary: true, nullable: true",
            "a primary key is always required",
        ),
        (
            "type: uuid, primary: true, optional: true",
            "a primary key is always required",
        ),
        ("type: json, unique: true", "the type json can't be `unique`"),
        (
            "type: float, primary: true",
            "the type float can't be `unique` or a primary key",
        ),
        ("type: uuid, references: Userr", "unknown entity `Userr`"),
        (
            "type: uuid, references: T.idd",
            "`T` has no field `idd`; did you mean `id`?",
        ),
        (
            "type: integer, references: T",
            "`f` (integer) can't refer to `T.id` (uuid)",
        ),
        ("type: uuid, references: T.f", "`T.f` is not unique"),
        (
            "type: uuid, references: {field: id}",
            "`foreign_key` names no `entity`",
        ),
        (
            "type: uuid, references: {entity: T, on_delete: explode}",
            "it can be restrict, cascade or set_null",
        ),
        (
            "type: uuid, required: true, references: {entity: T, on_delete: set_null}",
            "to be nullable",
        ),
        (
            "type: string, column: ''",
            "a name in the database can't be empty",
        ),
        (
            "type: string, column: \"a\\u0007b\"",
            "can't hold control characters",
        ),
        ("type: string, column: \"a\\0b\"", "U+0000"),
        (
            "type: string, column: ID",
            "the column `ID` is already used at e.yaml:3:3",
        ),
    ] {
        let error = refusal(&one_field(field));
        assert!(error.contains(wanted), "{field}\n{error}");
    }
}

#[test]
fn a_broken_entity_is_refused_with_its_place_and_what_to_do() {
    let id = "id: {type: uuid, generated: true}";
    for (text, wanted) in [
        (String::new(), "no file declares an entity"),
        ("# nothing\n---\n---\n".to_owned(), "no file declares an entity"),
        (
            "just text".to_owned(),
            "e.yaml:1:1: an entity must be a mapping, not text",
        ),
        (format!("fields: {{{id}}}"), "the entity has no name"),
        ("entity: T".to_owned(), "the entity has no `fields`"),
        (
            "entity: T\nfields: {a: {type: string}}".to_owned(),
            "the entity has no primary key",
        ),
        (
            "entity: T\nfields: {a: {type: uuid, primary: true}, b: {type: uuid, primary: true}}".to_owned(),
            "several fields",
        ),
        (
            "entity: T\nfields: {id: {type: bigint, generated: true}}".to_owned(),
            "a key of type bigint can't be generated",
        ),
        (
            format!("entity: T\nfeilds: {{{id}}}"),
            "e.yaml:2:1: unknown key `feilds` in an entity; did you mean `fields`?",
        ),
        (
            format!("entity: T\nentity: T\nfields: {{{id}}}"),
            "e.yaml:2:1: duplicate mapping key: entity",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\n---\nentity: t\nfields: {{{id}}}"),
            "the entity `t` is already declared at e.yaml:1:9",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\n---\nentity: U\ntable: t\nfields: {{{id}}}"),
            "the table `t` is already declared",
        ),
        (
            format!("entity: 'a b'\nfields: {{{id}}}"),
            "`a b` is no name for an entity",
        ),
        (
            format!("entity: T\nfields: {{{id}, 'x;y': {{type: string}}}}"),
            "`x;y` is no name for a field",
        ),
        (
            format!("entity: T\ntable: pg_shadow\nfields: {{{id}}}"),
            "belong to the database itself",
        ),
        (
            format!("entity: T\ntable: SQLite_Master\nfields: {{{id}}}"),
            "belong to the database itself",
        ),
        (
            format!("entity: T\ntable: DBAL_1\nfields: {{{id}}}"),
            "or to dbal",
        ),
        (
            format!("entity: T\ntable: {}\nfields: {{{id}}}", "x".repeat(64)),
            "at most 63 bytes",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nindexes: [[id, id]]"),
            "none twice",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nindexes: [{{fields: [ix]}}]"),
            "`T` has no field `ix`",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nindexes: [[id], [id]]"),
            "have the name `T_id`",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nsecurity: {{never_exposed: [id]}}"),
            "did you mean `never_expose`?",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nsecurity: {{never_expose: [pasword]}}"),
            "`T` has no field `pasword`",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nsecurity:"),
            "`security` must be a mapping, not nothing",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nttl: {{field: id}}"),
            "`ttl` needs a datetime",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: true"),
            "`cache` must be a mapping, not true or false",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{}}"),
            "`cache` names no `ttl`",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{tll: 30s}}"),
            "did you mean `ttl`?",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{ttl: 30}}"),
            "`ttl` must be text",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{ttl: 0s}}"),
            "from 1s to 24h",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{ttl: 25h}}"),
            "from 1s to 24h",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\ncache: {{ttl: 30 seconds}}"),
            "from 1s to 24h",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{raed: {{user: true}}}}"),
            "unknown operation `raed` in `acl`; did you mean `read`?",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{read: {{user: yes}}}}"),
            "`user` must be true or false",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{read: {{user: true, row_level: }}}}"),
            "`row_level` must be text, not nothing",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{read: {{user: true, row_levle: 'x'}}}}"),
            "did you mean `row_level`?",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{update: {{user: true, writable_fields: [x]}}}}"),
            "`T` has no field `x`",
        ),
        (
            format!("entity: T\nfields: {{{id}}}\nacl: {{update: {{user: true, writable_fields: }}}}"),
            "must be text, not nothing",
        ),
        ("entity: T\nfields: [".to_owned(), "e.yaml:2:"),
    ] {
        let error = refusal(&text);
        assert!(error.contains(wanted), "{text}\n{error}");
    }
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let error = parse_named(&[
        (
            "a.yaml",
            "entity: A\nfields: {id: {type: uid}, x: {type: strin}}\nindexes: [[x]]",
        ),
        ("b.yaml", "entity: ["),
        ("c.yaml", "entity: C\ntabel: c\nfields: {id: {type: uuid}}"),
    ])
    .unwrap_err()
    .to_string();
    let places: Vec<_> = error
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(at, _)| at)
        .collect();
    // Nothing follows from the field that could not be read, such as that `A` has no primary key.
    assert_eq!(
        places,
        ["a.yaml:2:21", "a.yaml:2:37", "b.yaml:1:9", "c.yaml:2:1"],
        "{error}"
    );
}

#[test]
fn what_is_odd_loads_with_a_warning() {
    for (field, wanted) in [
        ("type: string, pattern: 'a+'", "matches anywhere"),
        ("type: string, column: password_hash", ""),
    ] {
        let warnings = parse(&one_field(field)).unwrap().warnings;
        assert_eq!(
            warnings.iter().any(|warning| warning.text.contains(wanted)),
            !wanted.is_empty(),
            "{field}"
        );
    }
    let text = "entity: T\nfields: {id: {type: uuid}, passwordHash: {type: string}}";
    let warning = parse(text).unwrap().warnings[0].to_string();
    assert_eq!(
        warning,
        "e.yaml:2:28: `passwordHash` looks like a secret; say `never_expose: true`, or `sensitive: true` if it may be read"
    );
}

const A: &str = "entity: A\nfields:\n  id: {type: uuid, generated: true}\n  b: {type: uuid, references: B}\n";
const B: &str = "entity: B\nfields:\n  id: {type: uuid, generated: true}\n  n: {type: integer, default: 1}\n";

fn hash(files: &[(&str, &str)]) -> Digest {
    parse_named(files).unwrap().schema.hash()
}

#[test]
fn the_hash_is_about_meaning_not_about_files() {
    let wanted = hash(&[("a.yaml", A), ("b.yaml", B)]);
    assert_eq!(hash(&[("z.yaml", B), ("y.yaml", A)]), wanted);
    assert_eq!(
        hash(&[("one.yaml", &format!("# remark\n---\n{B}\n---\n{A}"))]),
        wanted
    );
    let flow = "{fields: {id: {generated: true, type: 'uuid'}, n: {default: 1, \"type\": integer, description: d}}, \
                version: 2, description: text, entity: B}";
    assert_eq!(hash(&[("a.yaml", A), ("b.yaml", flow)]), wanted);
}

#[test]
fn any_change_of_meaning_changes_the_hash() {
    let base = "entity: T\ntable: t\nfields:\n  id: {type: uuid, generated: true}\n  \
                s: {type: string, optional: true, min_length: 1, max_length: 9, pattern: '^a$'}\n  \
                e: {type: enum, values: [a, b], default: a}\n  i: {type: bigint, min: 1, max: 5, index: true}\n  \
                r: {type: uuid, references: {entity: T, on_delete: cascade}}\n\
                indexes: [{fields: [s, e], name: x}]\nacl: {read: {user: true, row_level: 'r = 1'}}\n\
                security: {audit_all_access: false}\n";
    let wanted = hash(&[("t.yaml", base)]);
    for (from, to) in [
        ("entity: T\n", "entity: V\n"),
        ("table: t", "table: u"),
        ("  i: {", "  i2: {"),
        ("type: string, optional", "type: text, optional"),
        ("optional: true", "required: true"),
        ("optional: true", "optional: true, unique: true"),
        ("optional: true", "optional: true, immutable: true"),
        ("optional: true", "optional: true, sensitive: true"),
        ("optional: true", "optional: true, never_expose: true"),
        ("optional: true", "optional: true, column: c"),
        ("min_length: 1", "min_length: 2"),
        ("max_length: 9", "max_length: 8"),
        ("'^a$'", "'^b$'"),
        ("[a, b]", "[b, a]"),
        ("default: a", "default: b"),
        ("min: 1,", "min: 2,"),
        ("max: 5", "max: 6"),
        ("index: true", "index: false"),
        ("index: true", "auto_update: true"),
        ("on_delete: cascade", "on_delete: restrict"),
        ("fields: [s, e]", "fields: [e, s]"),
        ("name: x", "name: x, unique: true"),
        ("name: x", "name: y"),
        ("user: true", "admin: true"),
        ("user: true", "public: true"),
        ("r = 1", "r = 2"),
        ("'r = 1'", "'r = 1', writable_fields: []"),
        ("read: {", "list: {"),
        ("audit_all_access: false", "audit_all_access: true"),
        ("acl:", "read_only: true\nacl:"),
        ("acl:", "ttl: {field: i}\nacl:"),
        ("acl:", "ttl: {field: i, auto_delete: true}\nacl:"),
        ("acl:", "cache: {ttl: 30s}\nacl:"),
    ] {
        let changed = base.replacen(from, to, 1);
        let changed = if from == "entity: T\n" {
            changed.replace("{entity: T", "{entity: V")
        } else {
            changed
        };
        assert_ne!(changed, base, "{from}");
        assert_ne!(hash(&[("t.yaml", &changed)]), wanted, "{from} → {to}");
    }
    assert_ne!(
        hash(&[("t.yaml", base), ("t.ops.yaml", "entity: T\nmax_limit: 5")]),
        wanted
    );
    assert_ne!(
        hash(&[("t.yaml", base), ("t.ops.yaml", "entity: T\nsystem_only: true")]),
        wanted
    );
}

#[test]
fn hostile_files_are_refused_soon() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, level) in (0..19).zip(1..20) {
        laughs.push_str(
            &format!("a{level}: &a{level} [a, *B, *B, *B, *B, *B, *B, *B]\n")
                .replace('B', &format!("a{before}")),
        );
    }
    for text in [
        laughs,
        "[".repeat(500_000),
        "- ".repeat(500_000),
        "{a: ".repeat(200_000),
        "&a ".repeat(100_000),
        format!("x: \"{}", "\\".repeat(900_000)),
        "---\n".repeat(200_000),
        "a: &a {b: *a}".to_owned(),
        "? ".repeat(300_000),
        " ".repeat(2 * 1024 * 1024),
        format!(
            "entity: T\nfields:\n{}",
            (0..600).fold(String::new(), |all, nth| all
                + &format!("  f{nth}: {{type: uuid}}\n"))
        ),
        format!("{}: x", "e".repeat(900_000)),
    ] {
        let start = Instant::now();
        assert!(parse(&text).is_err(), "{}", &text[..40]);
        assert!(
            start.elapsed().as_secs() < 10,
            "{} took {:?}",
            &text[..40],
            start.elapsed()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_yaml_makes_parsing_panic(words in prop::collection::vec(
        prop::sample::select(vec![
            "entity: ", "T", "\n", "fields: ", "  ", "{", "}", "[", "]", ", ", "id: ", "type: ", "uuid", "integer", "~",
            "default: ", "min: ", "max: ", "1", "-9223372036854775808", "1e999", ".nan", "0.1", "pattern: ", "'('", "\"",
            "values: ", "references: ", "T.id", "acl: ", "read: ", "self: ", "true", "&a ", "*a", "<<: ", "!!binary ",
            "!x ", "---\n", "? ", "- ", "| ", ">\n", "# ", "indexes: ", "ttl: ", "security: ", "\u{0}", "é", "\t",
        ]),
        0..60,
    )) {
        let _ = parse(&words.concat());
    }

    #[test]
    fn no_damage_to_a_good_file_makes_parsing_panic(
        at in 0_usize..2_000, length in 0_usize..40, with in "\\PC{0,12}|[{}\\[\\]:,&*!\\n -]{0,6}",
    ) {
        let mut text: Vec<char> = include_str!("../../../examples/entities/comment.yaml").chars().collect();
        let start = at.min(text.len());
        let end = start.saturating_add(length).min(text.len());
        text.splice(start..end, with.chars());
        let _ = parse(&text.into_iter().collect::<String>());
    }
}
