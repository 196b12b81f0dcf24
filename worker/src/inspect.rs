//! `dbal-worker --schema …`: what `dbal schema` asks, which holds no driver. Locked in like the daemon; says one JSON
//! document and ends. Neither policy nor keys are read: `introspect` is for those who have none yet.

use clap::ValueEnum;
use dbal_config::WorkerConfig;
use dbal_sandbox::{Profile, Rules, Setup};
use dbal_schema::{ColumnType, OnDelete, Schema};
use serde_json::{Value, json};

use crate::database::catalog::{
    self, Catalog, Column, Extent, Fill, Fit, Index, Reference, Table, TableKind,
};
use crate::database::compare::{Finding, compare};
use crate::database::inspection::{Access, Inspection};
use crate::database::{self, Needs, OpenError};
use crate::startup::{StartError, mode, opened_by, run_as};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// What is in the database.
    Introspect,
    /// What differs from the entities.
    Check,
    /// Make what is missing, then the same.
    Apply,
}

/// Does it, and prints what came of it.
pub fn run(task: Task, setup: Setup, config: &WorkerConfig) -> Result<(), StartError> {
    let run_as = run_as(&config.security)?;
    let entities = match task {
        Task::Introspect => None,
        Task::Check | Task::Apply => Some(Schema::load(&config.entities).map_err(StartError::Schema)?),
    };
    let access = match task {
        Task::Introspect | Task::Check => Access::Read,
        Task::Apply => Access::Make,
    };
    let inspection = opened_by(&config.database, run_as, || {
        Inspection::open(&config.database, access)
    })??;
    let Needs { write, connect_ports } = database::needs(&config.database);
    let network = !connect_ports.is_empty();
    let rules = Rules {
        profile: Profile::Worker { network },
        read: Vec::new(),
        write,
        connect_ports,
        leave_network: !network,
        run_as,
    };
    let locked = setup.lock(mode(&config.security), &rules)?;
    dbal_daemon::log::sandbox(&locked);
    let answer = match entities {
        None => introspected(&inspection)?,
        Some(loaded) => {
            let mut answer = compared(task, &inspection, &loaded.schema)?;
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            if let Some(members) = answer.as_object_mut() {
                members.insert("warnings".to_owned(), json!(warnings));
            }
            answer
        }
    };
    println!("{answer}");
    Ok(())
}

fn introspected(inspection: &Inspection) -> Result<Value, OpenError> {
    let catalog = inspection.catalog()?;
    let tables = catalog.tables.iter().map(|table| shown(table, &catalog));
    Ok(json!({ "adapter": inspection.adapter(), "tables": tables.collect::<Vec<_>>() }))
}

fn compared(task: Task, inspection: &Inspection, schema: &Schema) -> Result<Value, OpenError> {
    let mut findings = compare(schema, &inspection.catalog()?);
    let mut made = Vec::new();
    if task == Task::Apply && findings.iter().any(|finding| finding.repair.is_some()) {
        made = inspection.make(schema, &findings)?;
        findings = compare(schema, &inspection.catalog()?);
    }
    let findings: Vec<Value> = findings.iter().map(finding).collect();
    Ok(json!({
        "adapter": inspection.adapter(),
        "entities": schema.entities().len(),
        "made": made,
        "findings": findings,
    }))
}

fn finding(finding: &Finding) -> Value {
    let Finding {
        weight,
        entity,
        table,
        field,
        column,
        what,
        advice,
        repair,
    } = finding;
    json!({
        "weight": weight.name(),
        "entity": entity,
        "table": table,
        "field": field,
        "column": column,
        "what": what,
        "advice": advice,
        "can_be_made": repair.is_some(),
    })
}

fn shown(table: &Table, catalog: &Catalog) -> Value {
    let Table {
        name,
        kind,
        columns,
        key,
        indexes,
        references,
        is_ours: _,
        is_transactional: _,
        is_strict: _,
        ties: _,
        forbidden: _,
        notes,
    } = table;
    let indexes = indexes.iter().map(|index| {
        let Index {
            name,
            columns,
            is_unique,
            extent,
        } = index;
        json!({ "name": name, "columns": columns, "unique": is_unique, "whole": *extent == Extent::Whole })
    });
    let references = references.iter().map(|reference| {
        let Reference {
            columns,
            table,
            to,
            on_delete,
            follows_updates: _,
        } = reference;
        json!({
            "columns": columns,
            "table": table,
            "to": to,
            "on_delete": on_delete.map(OnDelete::name),
        })
    });
    json!({
        "name": name,
        "is_view": *kind == TableKind::View,
        "columns": columns.iter().map(|one| column(one, &catalog.types)).collect::<Vec<_>>(),
        "key": key,
        "indexes": indexes.collect::<Vec<_>>(),
        "references": references.collect::<Vec<_>>(),
        "notes": notes,
    })
}

fn column(column: &Column, types: &catalog::Types) -> Value {
    let Column {
        name,
        declared,
        storage: _,
        collation: _,
        is_nullable,
        is_readable: _,
        max_length,
        range,
        values,
        fill,
    } = column;
    let kind = (types.suggest)(column);
    let doubt = match kind {
        Some(kind) => match (types.fit)(column, kind) {
            Fit::Whole | Fit::Not => None,
            Fit::Partly(which) | Fit::Wrong(which) => Some(which),
        },
        // Why it would be no text either, into which one can often put anything.
        None => match (types.fit)(column, ColumnType::Text) {
            Fit::Wrong(why) => Some(why),
            Fit::Whole | Fit::Partly(_) | Fit::Not => None,
        },
    };
    let (fill, value) = match fill {
        Fill::Nothing => ("nothing", None),
        Fill::Literal(text) => ("literal", Some(text)),
        Fill::Expression(text) => ("expression", Some(text)),
        Fill::Counter => ("counter", None),
        Fill::OnlyCounter => ("only_counter", None),
        Fill::Computed => ("computed", None),
    };
    json!({
        "name": name,
        "declared": declared,
        "type": kind.map(ColumnType::name),
        "doubt": doubt,
        "nullable": is_nullable,
        "max_length": max_length,
        "range": range,
        "values": values,
        "fill": fill,
        "value": value,
    })
}
