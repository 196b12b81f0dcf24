//! What findings say is missing → the statements that make it, in an order in which they can run. The adapters run them, all
//! or none. Nothing that is there is ever changed.

use dbal_schema::Schema;
use dbal_sql::ddl::{Table, create_index, tables_in_order};
use dbal_sql::{Answers, Dialect, SqlError, Statement};

use super::compare::{Finding, Repair};

/// Something that is made.
#[derive(Debug)]
pub struct Step {
    /// What it is, for people; none where it completes what an earlier step made.
    pub made: Option<String>,
    /// What it puts right, for people.
    pub finding: String,
    /// How.
    pub statements: Vec<Statement>,
}

/// Everything that the findings ask for.
pub fn steps(
    schema: &Schema,
    findings: &[Finding],
    dialect: &'static Dialect,
) -> Result<Vec<Step>, SqlError> {
    let wanted = |table: &Table| {
        let mut findings = findings.iter();
        findings.find(|finding| finding.repair == Some(Repair::Table(table.entity)))
    };
    let (mut steps, mut later) = (Vec::new(), Vec::new());
    for table in tables_in_order(schema, dialect)? {
        let Some(finding) = wanted(&table) else {
            continue;
        };
        let Table {
            entity,
            create,
            references,
            indexes,
        } = table;
        let entity = schema.entity(entity).ok_or(SqlError::NotInSchema)?;
        steps.push(Step {
            made: Some(format!("the table `{}` of `{}`", entity.table, entity.name)),
            finding: finding.to_string(),
            statements: vec![create],
        });
        later.push(Step {
            made: None,
            finding: finding.to_string(),
            statements: [references, indexes].concat(),
        });
    }
    steps.append(&mut later);
    for finding in findings {
        let (made, statements) = match &finding.repair {
            None | Some(Repair::Table(_)) => continue,
            Some(Repair::Own) => {
                let own = Answers::table()?;
                let made = format!("the worker's own table `{}`", own.entity.table);
                (made, own.create(dialect)?)
            }
            Some(Repair::Index(id, wanted)) => {
                let entity = schema.entity(*id).ok_or(SqlError::NotInSchema)?;
                let columns: Vec<&str> = wanted
                    .columns
                    .iter()
                    .filter_map(|column| entity.column(*column))
                    .map(|column| column.sql.as_str())
                    .collect();
                let kind = if wanted.is_unique {
                    "a unique index"
                } else {
                    "an index"
                };
                let made = format!(
                    "{kind} over {} of the table `{}`",
                    columns.join(", "),
                    entity.table
                );
                (made, vec![create_index(entity, wanted, dialect)?])
            }
        };
        steps.push(Step {
            made: Some(made),
            finding: finding.to_string(),
            statements,
        });
    }
    Ok(steps)
}
