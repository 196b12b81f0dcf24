//! `*.ops.yaml`: limits of single operations, beside the entity files. What would loosen or silently drop a protection
//! doesn't load.

use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::plan::Operation;

use crate::mapping::{At, Mapping};
use crate::report::Report;
use crate::source::Location;
use crate::yaml::Node;

/// What such a file says of one entity.
pub(crate) struct DeclaredOps {
    pub(crate) at: Location,
    pub(crate) entity: At<String>,
    pub(crate) max_rows: Option<u32>,
    pub(crate) default_rows: Option<u32>,
    pub(crate) system_only: Vec<Operation>,
}

/// One document: `{entity: User, operations: {list: {max_limit: 100}, delete: {system_only: true}}}`. The keys of an
/// operation may also stand at the top; then they are meant for all.
pub(crate) fn read(node: &Node, report: &mut Report) -> Option<DeclaredOps> {
    let mut map = Mapping::of(node, "an operations file", report)?;
    let entity = map.text(&["entity", "name"], report);
    let operations = map.take(&["operations"], report);
    map.take(&["version"], report);
    map.take(&["description"], report);
    let all = read_limits(&mut map, report);
    let at = map.at.clone();
    map.finish("an operations file", report);
    if entity.is_none() {
        report.problem(&at, "the file names no `entity`");
    }
    let mut ops = DeclaredOps {
        at,
        entity: entity?,
        max_rows: all.max_rows,
        default_rows: all.default_rows,
        system_only: if all.is_system_only {
            Operation::ALL.to_vec()
        } else {
            Vec::new()
        },
    };
    if let Some(mut map) = operations.and_then(|node| Mapping::of(node, "`operations`", report)) {
        for operation in Operation::ALL {
            if let Some(node) = map.take(&[operation.name()], report) {
                read_operation(operation, node, &mut ops, report);
            }
        }
        map.finish("`operations`", report);
    }
    if let (Some(default), Some(max)) = (ops.default_rows, ops.max_rows)
        && default > max
    {
        report.problem(
            &ops.at,
            format!("`default_limit` {default} is greater than `max_limit` {max}"),
        );
    }
    Some(ops)
}

fn read_operation(operation: Operation, node: &Node, ops: &mut DeclaredOps, report: &mut Report) {
    let what = format!("the operation `{}`", operation.name());
    let Some(mut map) = Mapping::of(node, &what, report) else {
        return;
    };
    let limits = read_limits(&mut map, report);
    map.finish(&what, report);
    if limits.is_system_only && !ops.system_only.contains(&operation) {
        ops.system_only.push(operation);
    }
    if operation == Operation::List {
        ops.max_rows = limits.max_rows.or(ops.max_rows);
        ops.default_rows = limits.default_rows.or(ops.default_rows);
    } else if limits.max_rows.is_some() || limits.default_rows.is_some() {
        report.problem(&node.at, format!("{what} has no limit of rows; only `list` does"));
    }
}

struct Limits {
    max_rows: Option<u32>,
    default_rows: Option<u32>,
    is_system_only: bool,
}

fn read_limits(map: &mut Mapping<'_>, report: &mut Report) -> Limits {
    let max_rows = map
        .count(&["max_limit", "maxLimit"], report)
        .and_then(|count| rows(&count, report));
    let default_rows = map
        .count(&["default_limit", "defaultLimit"], report)
        .and_then(|count| rows(&count, report));
    let system_only = map.flag(&["system_only", "systemOnly"], report);
    if let Some(check) = map.flag(&["row_level_check", "rowLevelCheck"], report)
        && !check.value
    {
        report.problem(
            &check.at,
            "row rules can't be switched off; write a policy rule without `rows` instead",
        );
    }
    if let Some(flag) = map.flag(&["no_role_escalation", "noRoleEscalation"], report)
        && flag.value
    {
        report.problem(
            &flag.at,
            "`no_role_escalation` is not enforced: remove it, and leave the role's column out of `fields.write` in the policy",
        );
    }
    if let Some(node) = map.take(&["rate_limit", "rateLimit"], report) {
        report.warning(
            &node.at,
            "`rate_limit` is not used here; rates stand in the policy's `limits`",
        );
    }
    Limits {
        max_rows,
        default_rows,
        is_system_only: system_only.is_some_and(|flag| flag.value),
    }
}

fn rows(count: &At<u64>, report: &mut Report) -> Option<u32> {
    let rows = u32::try_from(count.value)
        .ok()
        .filter(|rows| (1..=ROWS_PER_ANSWER).contains(rows));
    if rows.is_none() {
        report.problem(
            &count.at,
            format!(
                "a limit of rows lies between 1 and {ROWS_PER_ANSWER}, not {}",
                count.value
            ),
        );
    }
    rows
}
