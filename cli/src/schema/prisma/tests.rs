//! The importer on a schema as people write them, on everything that it must tell, and on noise.

use dbal_schema::{ColumnType, Entity, Generator, OnDelete, Schema, Source};
use proptest::prelude::*;

use super::*;

const SHOP: &str = include_str!("../../../tests/shop.prisma");

fn imported(text: &str) -> (Vec<EntityFile>, Vec<String>, Vec<String>) {
    let mut told = Told::new("s.prisma");
    let entities = import(text, &mut told);
    let texts = |all: Vec<dbal_schema::Warning>| all.iter().map(ToString::to_string).collect();
    (entities, texts(told.problems), texts(told.warnings))
}

fn loaded(entities: &[EntityFile]) -> Schema {
    parsed(entities).unwrap().unwrap()
}

/// None: there are comments only.
fn parsed(entities: &[EntityFile]) -> Option<Result<Schema, String>> {
    if !entities.iter().any(EntityFile::is_entity) {
        return None;
    }
    let source = |(nth, entity): (usize, &EntityFile)| Source {
        name: format!("{nth}.yaml"),
        text: entity.text(),
    };
    let sources: Vec<Source> = entities.iter().enumerate().map(source).collect();
    let loaded = Schema::parse(&sources).map_err(|error| format!("{error}\n{sources:?}"));
    Some(loaded.map(|loaded| loaded.schema))
}

fn indexes(entity: &Entity) -> Vec<String> {
    let name = |id: &_| entity.column(*id).unwrap().name.clone();
    let one = |index: &dbal_schema::entity::Index| {
        let fields: Vec<String> = index.columns.iter().map(name).collect();
        format!("{} [{}] {}", index.name, fields.join(", "), index.is_unique)
    };
    entity.indexes.iter().map(one).collect()
}

#[test]
fn a_schema_as_people_write_them_becomes_entities_that_load() {
    let (entities, problems, warnings) = imported(SHOP);
    let schema = loaded(&entities);
    let names: Vec<&str> = schema
        .entities()
        .iter()
        .map(|entity| entity.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "AuditEntry",
            "Category",
            "Order",
            "OrderItem",
            "Product",
            "Profile",
            "SalesByDay",
            "User"
        ]
    );

    let user = schema.by_name("User").unwrap();
    assert_eq!(user.table.as_str(), "users");
    assert_eq!(
        user.description.as_deref(),
        Some("A person with an account. Signs in by e-mail.")
    );
    let column = |entity: &'static str, name: &str| {
        let column = schema.by_name(entity).unwrap().column_by_name(name);
        column.unwrap_or_else(|| panic!("{entity}.{name}")).clone()
    };
    let id = column("User", "id");
    assert_eq!((id.kind, id.generated), (ColumnType::Uuid, Some(Generator::Uuid)));
    assert!(column("User", "email").is_unique && column("User", "email").is_required);
    assert_eq!(column("User", "email").rules.max_length, Some(255));
    assert_eq!(column("User", "name").sql.as_str(), "full_name");
    assert!(column("User", "name").is_nullable);
    let role = column("User", "role");
    assert_eq!(role.rules.values, ["customer", "SUPPORT", "ADMIN"]);
    assert_eq!(format!("{:?}", role.default), r#"Some(Text("customer"))"#);
    assert_eq!(column("User", "createdAt").generated, Some(Generator::Now));
    assert!(column("User", "updatedAt").is_auto_update);
    assert!(user.column_by_name("orders").is_none() && user.column_by_name("tags").is_none());

    // A key that is a reference too has the type of what it refers to.
    let profile = schema.by_name("Profile").unwrap();
    let key = profile.column(profile.key).unwrap();
    assert_eq!((key.name.as_str(), key.kind), ("userId", ColumnType::Uuid));
    assert_eq!(key.references.unwrap().on_delete, OnDelete::Cascade);

    let parent = column("Category", "parentId");
    assert_eq!(
        (parent.kind, parent.references.unwrap().on_delete),
        (ColumnType::Cuid, OnDelete::SetNull)
    );
    assert_eq!(
        column("Order", "userId").references.unwrap().on_delete,
        OnDelete::Restrict
    );
    assert_eq!(column("Product", "price").kind, ColumnType::Decimal);
    assert_eq!(
        format!("{:?}", column("Product", "price").default),
        r#"Some(Decimal("9.9"))"#
    );
    assert_eq!(column("Product", "stock").rules.max.unwrap().text, "32767");
    assert_eq!(column("Product", "released").kind, ColumnType::Date);
    assert_eq!(
        format!("{:?}", column("Product", "details").default),
        r#"Some(Json("{\"colour\":\"red\"}"))"#
    );
    assert_eq!(
        indexes(schema.by_name("OrderItem").unwrap()),
        [
            "order_items_order_id_product_id_key [orderId, productId] true",
            "by_product [productId] false"
        ]
    );
    assert!(
        column("Product", "sku").is_unique,
        "@@unique of one field is the field's own"
    );
    assert!(schema.by_name("SalesByDay").unwrap().is_read_only);

    let told = problems.iter().chain(&warnings).map(|line| format!("{line}\n"));
    assert_eq!(
        told.collect::<String>(),
        include_str!("../../../tests/shop.told.txt")
    );
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_the_rest_is_imported() {
    let good = "\nmodel A {\n  id Int @id\n}\n";
    for (text, said) in [
        (
            "modle B {\n}",
            "s.prisma:1:1: `modle` is nothing that a Prisma schema declares",
        ),
        ("42", "s.prisma:1:1: here should begin a `model` or an `enum`"),
        (
            "model B",
            "s.prisma:1:1: after `model` should come a name and `{`",
        ),
        (
            "model B {\n  id Int @id\n  x\n}",
            "s.prisma:3:3: after `x` should come its type",
        ),
        (
            "model B {\n  id Int @id =\n}",
            "s.prisma:2:14: here should stand an attribute, or the end of the line",
        ),
        (
            "model B {\n  id Int @id\n  @x\n}",
            "s.prisma:3:3: here should begin a field or a `@@` attribute",
        ),
        ("enum E {\n}", "s.prisma:1:1: the enum `E` has no values"),
        (
            "type T {\n  a Int\n}",
            "s.prisma:1:1: `type T` lives inside documents, which no database of dbal's has; make it a model",
        ),
        (
            "datasource db {\n  provider = \"mongodb\"\n}",
            "s.prisma:2:14: `mongodb`: dbal serves SQLite, PostgreSQL and MySQL; native types are not known",
        ),
        (
            "model B {\n  a Int\n}",
            "s.prisma:1:1: `B` is left out: no single field identifies its rows; mark one with `@id`, or with `@unique`",
        ),
        (
            "model B {\n  a Float @id\n}",
            "s.prisma:2:3: `B` is left out: a field of the type `Float` can't be the key of an entity",
        ),
    ] {
        let (entities, problems, _) = imported(&format!("{text}{good}"));
        assert_eq!(problems, [said], "{text}");
        assert!(entities.iter().any(|entity| entity.name == "A"), "{text}");
        loaded(&entities);
    }
}

#[test]
fn what_is_changed_or_lost_of_a_field_is_told_with_its_place() {
    for (line, said) in [
        (
            "x String[]",
            "9:3: `A.x` is left out: a list is served from PostgreSQL alone: say `type: json` there, or keep it in a model of its own",
        ),
        (
            "x Unsupported(\"point\")",
            "9:3: `A.x` is left out: there is no type for `Unsupported`; the column takes no row without it, so nothing can be created through the daemon",
        ),
        (
            "x Unsupported(\"point\")?",
            "9:3: `A.x` is left out: there is no type for `Unsupported`",
        ),
        (
            "x String? @ignore",
            "9:13: `A.x` is left out: its `@ignore` says that nobody uses it",
        ),
        (
            "x Int @default(autoincrement())",
            "9:9: `A.x`: the daemon names every column of a new row, so the database's counter is not asked; clients must send the value. A uuid key needs no counter",
        ),
        (
            "x String @default(nanoid())",
            "9:12: `A.x`: `nanoid()` is nothing that the daemon can make, and it does not leave columns to the database; clients must send the value",
        ),
        (
            "x String @default(dbgenerated(\"gen_random_uuid()\")) @db.Uuid",
            "9:12: `A.x`: the daemon makes the uuid (version 7), not the database's function",
        ),
        (
            "x String @default([\"a\"])",
            "9:12: `A.x`: a default is one value; none is set, so clients must name it",
        ),
        (
            "x Int @default(\"1, primary: true\")",
            "9:18: `A.x`: the default is no integer; none is set, so clients must name it",
        ),
        (
            "x Float @default(1.2.3)",
            "9:20: `A.x`: the default is no float; none is set, so clients must name it",
        ),
        (
            "x Boolean @default(yes)",
            "9:22: `A.x`: the default is no boolean; none is set, so clients must name it",
        ),
        (
            "x Json @default(\"{\")",
            "9:10: `A.x`: the default is no JSON value; none is set, so clients must name it",
        ),
        (
            "x Float @unique",
            "9:3: `A.x`: the type float can't be `unique` in an entity",
        ),
        (
            "x String? @db.Citext",
            "9:3: `A.x` is left out: `@db.Citext`: texts that are different are equal there, so the worker does not serve it; make it `text`",
        ),
        (
            "x DateTime? @db.Time",
            "9:3: `A.x` is left out: `@db.Time`: there is no type for a time of day without a day",
        ),
        (
            "x DateTime @db.Timestamp(0)",
            "9:14: `A.x`: `@db.Timestamp`: the column keeps fewer digits than the milliseconds that a datetime has",
        ),
        (
            "x String? @db.Xml",
            "9:3: `A.x` is left out: `@db.Xml`: the worker serves no column of that type; choose another one for the column",
        ),
        (
            "x Decimal? @db.Money",
            "9:3: `A.x` is left out: `@db.Money`: the worker serves no column of that type; choose another one for the column",
        ),
        (
            "x Int? @db.Year",
            "9:3: `A.x` is left out: `@db.Year`: the worker serves no column of that type; choose another one for the column",
        ),
        (
            "x String @db.Geometry",
            "9:12: `A.x`: `@db.Geometry`: not known here; check that the field's type fits what the column holds",
        ),
        (
            "x String @shadow",
            "9:12: `A.x`: `@shadow` has no counterpart in an entity file and is not in it",
        ),
        (
            "@@fulltext([id])",
            "9:3: `A`: `@@fulltext` has no counterpart in an entity file and is not in it",
        ),
        (
            "@@schema(\"s\")",
            "9:3: `A`: entity files name no schema; the connection's own is used",
        ),
        (
            "@@index([y])",
            "9:3: `A`: the index over `y` is left out: the entity has no such field",
        ),
        (
            "@@index([id(sort: Desc)])",
            "9:3: `A`: order, length and operator class of the index over `id` are not kept",
        ),
        (
            "@@index([id], type: Hash)",
            "9:3: `A`: an entity file does not say the `type` of an index",
        ),
        (
            "b B @relation(fields: [p, q], references: [p, q])",
            "9:7: `A.b`: a reference of several fields has no counterpart; the fields are there, without `foreign_key`",
        ),
        (
            "b B @relation(fields: [p], references: [nothing])",
            "9:7: `A.b`: `fields` and `references` don't name a field each; there is no `foreign_key`",
        ),
        (
            "b B @relation(fields: [p], references: [p])",
            "9:7: `A.p`: `B` is left out, so there is no `foreign_key` to it",
        ),
        (
            "c C @relation(fields: [p], references: [id], onDelete: SetDefault)",
            "9:58: `A.p`: this `onDelete` has no counterpart; it says `restrict` now, and `dbal schema check` will tell where the database does something else",
        ),
        (
            "c C[]",
            "9:3: `A.c`: the table between `A` and `C` is Prisma's own (`_AToB`) and not imported; declare a model for it to have it as an entity",
        ),
    ] {
        let text = format!(
            "model C {{\n id Int @id\n}}\nmodel A {{\n  id Int @id\n  p Int?\n  q Int?\n\n  {line}\n}}\n\
             model B {{\n  p Int\n  q Int\n  @@id([p, q])\n}}\n"
        );
        let text = if line.ends_with("C[]") {
            text.replace(" id Int @id\n}", " id Int @id\n  a A[]\n}")
                .replacen("\n\n", "\n", 1)
        } else {
            text
        };
        let (entities, problems, warnings) = imported(&text);
        assert!(
            warnings.contains(&format!("s.prisma:{said}")),
            "{line}: {warnings:#?}"
        );
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains(
                ": `B` is left out: its key is made of several fields (p, q), and an entity has a key of one."
            ),
            "{problems:?}"
        );
        loaded(&entities);
    }
}

#[test]
fn a_json_default_keeps_every_character() {
    let value = "{\"a\":[\"\u{85}\u{2028}\u{feff}\u{7f}'# :\",1.5,{\"b\":null}]}";
    let literal = value.replace('"', "\\\"");
    let (entities, problems, warnings) = imported(&format!(
        "model A {{\n  id Int @id\n  x Json @default(\"{literal}\")\n}}"
    ));
    assert!(
        problems.is_empty() && warnings.is_empty(),
        "{problems:?} {warnings:?}"
    );
    let schema = loaded(&entities);
    let column = schema.by_name("A").unwrap().column_by_name("x").unwrap();
    assert_eq!(format!("{:?}", column.default), format!("Some(Json({value:?}))"));
}

#[test]
fn nesting_is_counted_and_not_descended_into() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")"), ("[f(", ")]")] {
        let deep = format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        for text in [
            format!("model A {{\n id Int @id @default({deep})\n}}"),
            format!("model A {{\n id Int @id\n @@index({deep})\n}}"),
            format!("datasource a {{ {deep} }}"),
            format!("model A {{\n id Int @id @default({}\n}}", open.repeat(100_000)),
            deep.clone(),
        ] {
            imported(&text);
        }
    }
}

/// Pieces of schemas in any order: more of it parses than of random characters.
fn noise() -> impl Strategy<Value = String> {
    let words: Vec<&str> = SHOP.split_inclusive([' ', '(', '\n', '[', ',']).collect();
    let pieces = prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|one| one.to_string()),
        1 => prop::sample::select(vec!["@", "@@", "{", "}", "(", ")", "[", "]", "\"", "?", "\\", "/*", "///", "model "])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..200).prop_map(|pieces| pieces.concat())
}

/// Two models of any fields: each part is a Prisma schema's, together they often are none.
fn models() -> impl Strategy<Value = String> {
    let types = [
        "String", "Int", "BigInt", "Float", "Decimal", "Boolean", "DateTime", "Json", "Bytes", "E", "a",
    ];
    let attributes = [
        "@unique",
        "@updatedAt",
        "@default(now())",
        "@default(uuid())",
        "@default(-1.5)",
        "@default(99999999999)",
        "@default(\"x\")",
        "@default(true)",
        "@default(Y)",
        "@db.VarChar(0)",
        "@db.SmallInt",
        "@db.Uuid",
        "@db.Date",
        "@db.Text",
        "@map(\"\")",
        "@map(\"X\")",
        "@map(\"e\\n\u{85}\")",
        "@relation(fields: [x], references: [id])",
        "@relation(fields: [x], references: [y], onDelete: SetNull)",
    ];
    let attributes = prop::collection::vec(prop::sample::select(attributes.to_vec()), 0..3);
    let field = (
        prop::sample::select(vec!["x", "X", "y", "z"]),
        prop::sample::select(types.to_vec()),
        prop::sample::select(vec!["", "?"]),
        attributes,
    )
        .prop_map(|(name, kind, arity, attributes)| {
            format!("  {name} {kind}{arity} {}\n", attributes.join(" "))
        });
    let of_block = prop::sample::select(vec![
        "",
        "@@map(\"pg_x\")",
        "@@map(\"A\")",
        "@@unique([x, x])",
        "@@index([x, y], map: \"i\")",
    ]);
    let block = move |name: &'static str| {
        (prop::collection::vec(field.clone(), 0..5), of_block.clone()).prop_map(move |(fields, of_block)| {
            format!(
                "model {name} {{\n  id Int @id\n{}{of_block}\n}}\n",
                fields.concat()
            )
        })
    };
    (block("A"), block("a"))
        .prop_map(|(one, other)| format!("{one}{other}enum E {{\n  X\n  Y @map(\"X\")\n}}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_read_to_its_end(text in noise()) {
        let (entities, _, _) = imported(&text);
        if let Some(Err(error)) = parsed(&entities) {
            prop_assert!(false, "{error}");
        }
    }

    #[test]
    fn whatever_becomes_of_models_loads(text in models()) {
        let (entities, problems, _) = imported(&text);
        prop_assert_eq!(problems.is_empty(), entities.iter().all(EntityFile::is_entity), "{:?}", problems);
        if let Some(Err(error)) = parsed(&entities) {
            prop_assert!(false, "{error}");
        }
    }

    #[test]
    fn a_schema_with_a_hole_is_read_to_its_end(at in 0..SHOP.len(), length in 0..200_usize, put in "[{}()@\"\\[\\]a-z ]{0,4}") {
        let mut bytes = SHOP.as_bytes().to_vec();
        let end = at.saturating_add(length).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        let (entities, _, _) = imported(&String::from_utf8_lossy(&bytes));
        if let Some(Err(error)) = parsed(&entities) {
            prop_assert!(false, "{error}");
        }
    }
}

#[test]
fn what_is_declared_twice_is_told_where_it_stands_and_kept_once() {
    let (entities, problems, _) = imported(
        "model A {\n  id Int @id\n  n Int\n  n String\n}\nenum E {\n  X\n  X\n}\nenum E {\n  Y\n}\nmodel A {\n  id Int @id\n}\n",
    );
    assert_eq!(
        problems,
        [
            "s.prisma:4:3: `A` has two fields `n`",
            "s.prisma:8:3: the value `X` stands there twice",
            "s.prisma:10:1: `E` is declared twice",
            "s.prisma:13:1: `A` is declared twice",
        ]
    );
    let schema = loaded(&entities);
    assert_eq!(schema.entities().len(), 1);
}

#[test]
fn a_name_that_dbal_has_not_is_told_where_it_stands() {
    let (entities, problems, _) =
        imported("model A {\n  id Int @id\n  n-1 Int\n}\nmodel B-C {\n  id Int @id\n}\n");
    let places: Vec<&str> = problems
        .iter()
        .map(|told| told.split(": dbal has").next().unwrap())
        .collect();
    assert_eq!(places, ["s.prisma:3:3: `A.n-1`", "s.prisma:5:1: `B-C`"]);
    assert_eq!(loaded(&entities).entities().len(), 1);
}

#[test]
fn what_the_daemons_would_refuse_is_told_where_it_stands_and_the_rest_loads() {
    for (model, place, why) in [
        ("x DateTime @default(\"soon\")", "6:3: `A.x`", "`default`"),
        (
            "x DateTime @default(\"soon\") @db.Date",
            "6:3: `A.x`",
            "`default`",
        ),
        ("x Int @default(3000000000)", "6:3: `A.x`", "`default`"),
        ("x Int @default(1.5)", "6:3: `A.x`", "`default`"),
        ("x Int @default(40000) @db.SmallInt", "6:3: `A.x`", "`default`"),
        ("x Decimal @default(\"much\")", "6:3: `A.x`", "`default`"),
        ("x Bytes @default(\"?\")", "6:3: `A.x`", "`default`"),
        ("x String @default(\"x\") @db.Uuid", "6:3: `A.x`", "`default`"),
        (
            "x String @default(\"abc\") @db.VarChar(2)",
            "6:3: `A.x`",
            "`default`",
        ),
        (
            "x String @updatedAt",
            "6:3: `A.x`",
            "the type string can't be generated",
        ),
        (
            "x Int @db.SmallInt @db.Text",
            "6:3: `A.x`",
            "`min` doesn't fit the type text",
        ),
        ("x Twice", "6:3: `A.x`", "`V` stands twice in `values`"),
        (
            "x Int\n  y Int @map(\"X\")",
            "7:3: `A.y`",
            "the column `X` is already used at a.yaml:",
        ),
        (
            "x Int @map(\"\")",
            "6:3: `A.x`",
            "a name in the database can't be empty",
        ),
        ("@@map(\"pg_secret\")", "4:1: `A`", "tables that begin with `pg_`"),
        (
            "@@map(\"other\")",
            "1:1: `Other`",
            "the table `Other` is already declared at a.yaml:",
        ),
        (
            "x Int\n  @@index([x, x])",
            "4:1: `A`",
            "an index names at least one field and none twice",
        ),
        (
            "x Int\n  @@index([x], map: \"\")",
            "4:1: `A`",
            "a name in the database can't be empty",
        ),
        (
            "x Boolean\n  o Other @relation(fields: [x], references: [n])",
            "6:3: `A.x`",
            "`x` (boolean) can't refer to `Other.n`",
        ),
        (
            "x Int\n  o Other @relation(fields: [x], references: [n])",
            "6:3: `A.x`",
            "`Other.n` is not unique",
        ),
        (
            "x Int\n  o Other @relation(fields: [x], references: [id], onDelete: SetNull)",
            "6:3: `A.x`",
            "`on_delete: set_null` needs `x` to be nullable",
        ),
    ] {
        let text = format!(
            "model Other {{\n  id Int @id; n Int\n}}\nmodel A {{\n  id Int @id\n  {model}\n}}\n\
             enum Twice {{\n  V\n  W @map(\"V\")\n}}\nmodel B {{\n  id Int @id\n  a Int\n  \
             of A @relation(fields: [a], references: [id])\n}}\n"
        )
        .replace("id Int @id; n Int\n}\nmodel A", "id Int @id\n  n Int }\nmodel A");
        let (entities, problems, warnings) = imported(&text);
        let said = format!("s.prisma:{place}: the daemons refuse this: ");
        assert!(
            problems.iter().all(|told| told.starts_with(&said)),
            "{model}: {problems:?}"
        );
        assert!(
            problems.first().is_some_and(|told| told.contains(why)),
            "{model}: {problems:?}"
        );
        let schema = loaded(&entities);
        let left: Vec<&str> = schema
            .entities()
            .iter()
            .map(|entity| entity.name.as_str())
            .collect();
        if place.contains("Other") {
            assert_eq!(left, ["A", "B"]);
            continue;
        }
        assert_eq!(left, ["B", "Other"]);
        assert!(
            schema
                .by_name("B")
                .unwrap()
                .column_by_name("a")
                .unwrap()
                .references
                .is_none()
        );
        assert!(
            warnings
                .iter()
                .any(|told| told.ends_with("`B.a`: `A` is left out, so there is no `foreign_key` to it")),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_is_refused_stands_in_its_file_as_a_comment_that_can_be_mended() {
    let (entities, _, _) = imported("/// What\nmodel A {\n  id Int @id\n  x Int @default(3000000000)\n}\n");
    let text = entities[0].text();
    assert_eq!(
        text,
        "# Mend what is below, and take its first `#` from every line.\n\
         # entity: A\n\
         # description: What\n\
         # fields:\n\
         #   id: {type: integer, primary: true}\n\
         #   # the daemons refuse this: `default` must be an integer from -2147483648 to 2147483647\n\
         #   x: {type: integer, default: 3000000000}\n"
    );
    let mended: Vec<&str> = text.lines().skip(1).map(|line| &line[2..]).collect();
    let mended = mended.join("\n").replace("3000000000", "3");
    let source = Source {
        name: "a.yaml".to_owned(),
        text: mended,
    };
    assert_eq!(Schema::parse(&[source]).unwrap().schema.entities().len(), 1);
}

#[test]
fn a_long_list_of_mistakes_ends_and_what_is_sound_in_it_loads() {
    let model = |nth: usize| {
        let next = (nth + 1) % 300;
        format!(
            "model M{nth} {{\n  id Int @id\n  x Int @default(1.5)\n  s Int\n  \
             of M{next} @relation(fields: [s], references: [id])\n}}\n"
        )
    };
    let models: Vec<String> = (0..300).map(model).collect();
    let text = format!("model Sound {{\n  id Int @id\n}}\n{}", models.concat());
    let (entities, problems, _) = imported(&text);
    assert_eq!(problems.len(), 300);
    assert_eq!(loaded(&entities).entities().len(), 1);
}

#[test]
fn a_short_file_does_not_become_long_ones() {
    let values: Vec<String> = (0..20_000).map(|nth| format!("V{nth}\n")).collect();
    let values = values.concat();
    let fields: Vec<String> = (0..500).map(|nth| format!("f{nth} E\n")).collect();
    let fields = fields.concat();
    let text = format!("enum E {{\n{values}}}\nmodel A {{\nid Int @id\n{fields}}}\n");
    let (entities, problems, _) = imported(&text);
    assert!(entities.is_empty());
    assert_eq!(
        problems,
        ["s.prisma:1:1: the values of the enums, for each field that has one, are more than 16777216 bytes"]
    );
    let fields: Vec<String> = (0..20).map(|nth| format!("f{nth} E\n")).collect();
    let fields = fields.concat();
    let text =
        format!("enum E {{\n{values}}}\nmodel A {{\nid Int @id\n{fields}}}\nmodel B {{\nid Int @id\n}}\n");
    let (entities, problems, _) = imported(&text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("`A`") && entities[0].text().len() < 10_000,
        "{problems:?}"
    );
    assert_eq!(loaded(&entities).entities().len(), 1);
}
