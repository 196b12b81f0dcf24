//! `ttl:` of an entity: by which of its fields a row expires, and whether the daemon then removes it. What is removed is gone, so
//! whatever would remove more than its author meant is refused.

use dbal_shared::ids::ColumnId;

use crate::column::ColumnType;
use crate::compile::{field, field_id};
use crate::declared::{DeclaredEntity, DeclaredTtl};
use crate::entity::Ttl;
use crate::report::Report;

/// None, with or without a problem, where rows don't expire.
pub(crate) fn ttl(declared: &DeclaredEntity, key: Option<ColumnId>, report: &mut Report) -> Option<Ttl> {
    let DeclaredTtl {
        field: name,
        auto_delete,
    } = declared.ttl.as_ref()?;
    let column = field_id(declared, name, report)?;
    let of_time = field(declared, column)?;
    if !matches!(of_time.kind, ColumnType::Datetime | ColumnType::Bigint) {
        report.problem(&name.at, "`ttl` needs a datetime, or a bigint of Unix ms");
    }
    let Some(auto_delete) = auto_delete.as_ref().filter(|flag| flag.value) else {
        // Whoever wrote it counts on rows that go: nobody shall learn from a leak that they stay.
        report.warning(
            &name.at,
            "`ttl` without `auto_delete: true` removes nothing: rows stay, and are shown, after their time; say `auto_delete: true`, or \
             leave them to a view (`table`) and a job of the database",
        );
        return Some(Ttl {
            column,
            is_auto_deleted: false,
        });
    };
    if declared.is_read_only {
        report.problem(
            &auto_delete.at,
            "`auto_delete: true` and `read_only: true` contradict each other: leave one out; whom the policy grants no writes writes \
             nothing either way",
        );
    }
    if key == Some(column) {
        report.problem(
            &name.at,
            "`auto_delete` by the primary key would remove rows by their names",
        );
    }
    let fills = [
        (&of_time.generated, "generated"),
        (&of_time.auto_update, "auto_update"),
    ];
    for (flag, word) in fills {
        if flag.as_ref().is_some_and(|flag| flag.value) {
            report.problem(
                &name.at,
                format!(
                    "`{}` is `{word}`, so a row would expire the moment that it is written: name a field that holds when it ends",
                    of_time.name.value
                ),
            );
        }
    }
    Some(Ttl {
        column,
        is_auto_deleted: true,
    })
}

#[cfg(test)]
mod tests {
    use crate::source::Source;
    use crate::{Loaded, Schema, SchemaError};

    /// With this field `at`.
    fn parse(field: &str, rest: &str) -> Result<Loaded, SchemaError> {
        let text = format!("entity: T\nfields: {{id: {{type: bigint}}, at: {{{field}}}}}\n{rest}\n");
        Schema::parse(&[Source {
            name: "e.yaml".to_owned(),
            text,
        }])
    }

    #[test]
    fn what_would_remove_more_than_was_meant_does_not_load() {
        const BY: &str = "ttl: {field: at, auto_delete: true}";
        let read_only = format!("read_only: true\n{BY}");
        for (field, rest, expected) in [
            (
                "type: datetime",
                read_only.as_str(),
                "e.yaml:4:31: `auto_delete: true` and `read_only: true` contradict",
            ),
            (
                "type: datetime, generated: true",
                BY,
                "e.yaml:3:14: `at` is `generated`, so a row would expire the moment that it is written",
            ),
            (
                "type: bigint, auto_update: true",
                BY,
                "`at` is `auto_update`, so a row would expire",
            ),
            (
                "type: bigint",
                "ttl: {field: id, auto_delete: true}",
                "e.yaml:3:14: `auto_delete` by the primary key",
            ),
            ("type: date", BY, "`ttl` needs a datetime"),
            (
                "type: bigint",
                "ttl: {field: att, auto_delete: true}",
                "`T` has no field `att`",
            ),
        ] {
            let told = parse(field, rest).unwrap_err().to_string();
            assert!(told.contains(expected), "{field}: {told}");
        }
    }

    #[test]
    fn rows_expire_by_the_field_that_is_named_and_only_where_the_file_says_so() {
        let loaded = parse("type: datetime", "ttl: {field: at}").unwrap();
        let warning = loaded.warnings[0].to_string();
        assert!(
            warning.starts_with("e.yaml:3:14: `ttl` without `auto_delete: true` removes nothing"),
            "{warning}"
        );
        assert!(loaded.schema.entities()[0].expires_by().is_none());
        let loaded = parse(
            "type: bigint",
            "ttl: {field: at, auto_delete: true}\ncache: {ttl: 30s}",
        )
        .unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.schema.entities()[0].expires_by().unwrap().name, "at");
    }
}
