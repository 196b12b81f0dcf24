//! Many new rows as few statements, where the database takes it and nobody can tell the difference.
//!
//! A statement sees nothing of what it does itself. One by one a row may refer to an earlier one, but not to a later one, and what
//! a rule says of other rows is true of those before it. So rows go together only where none of that can be: the entity does
//! not refer to itself, and its rules speak of the row alone. A statement that fails does not tell by which row; whoever runs it
//! undoes it and asks one by one.

use dbal_schema::{Entity, Schema};
use dbal_shared::plan::{Action, Assignment};
use dbal_shared::predicate::Predicate;

use crate::dialect::{Dialect, Returning};
use crate::sql::{SqlError, Statement};
use crate::steps::{Part, Together, Write};
use crate::valid::ValidPlan;
use crate::write;

/// Rows of one statement, the most first. Few sizes, since each is a statement that has to be prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// Some of the rows of a `createMany`.
#[derive(Debug)]
pub struct Several {
    /// How many.
    pub rows: usize,
    /// The first of them alone.
    pub first: Statement,
    /// Writes those that may be written, and answers for each that it wrote whether it may be so. None: there is only the first.
    pub all: Option<All>,
}

/// A statement for several rows.
#[derive(Debug)]
pub struct All {
    /// The statement.
    pub statement: Statement,
    /// So many of its parameters are the first row's, and so many are each other row's, of the same types. They are those of the
    /// first row alone; what follows behind the last row's follows there, too.
    pub of_one: usize,
}

impl Several {
    /// Renders the rows of a plan, in order; none where they are to be written one by one.
    pub fn of_plan(plan: &ValidPlan, dialect: &'static Dialect) -> Result<Option<Vec<Self>>, SqlError> {
        let (Action::CreateMany { rows }, Returning::Clause) = (plan.action(), dialect.returning) else {
            return Ok(None);
        };
        let entity = plan.entity().ok_or(SqlError::NotInSchema)?;
        if refers_to_itself(entity, plan.schema()) || !is_about_one_row(&plan.terms().create) {
            return Ok(None);
        }
        let part = Part {
            plan,
            entity,
            dialect,
            read: &plan.terms().read,
        };
        let mut several = Vec::new();
        for alike in rows.chunk_by(|one, next| have_equal_columns(one, next)) {
            let mut rest = alike;
            for size in SIZES {
                while let Some((rows, others)) = rest.split_at_checked(size)
                    && let Some(first) = rows.first()
                {
                    several.push(Self {
                        rows: size,
                        first: write::insert(part, first, &[])?.statement,
                        all: if size > 1 {
                            let (statement, of_one) = write::insert_several(part, rows)?;
                            Some(All { statement, of_one })
                        } else {
                            None
                        },
                    });
                    rest = others;
                }
            }
        }
        Ok(Some(several))
    }
}

/// Some of the rows of a `createMany`, of equal columns, where a write can't answer its rows.
#[derive(Debug)]
pub struct Batch<'p> {
    part: Part<'p>,
    /// What is written, row by row.
    pub rows: &'p [Vec<Assignment>],
    /// How one statement makes all of them. None for a single row, and where that needs more parameters than there may be.
    pub together: Option<Together<'p>>,
}

impl<'p> Batch<'p> {
    /// Renders rows, in order; none where they are to be written one by one. A row may refer to another one of them: those who need
    /// batches look at what a row refers to row by row.
    pub(crate) fn of_part(
        part: Part<'p>,
        rows: &'p [Vec<Assignment>],
    ) -> Result<Option<Vec<Self>>, SqlError> {
        if !is_about_one_row(&part.plan.terms().create) {
            return Ok(None);
        }
        let mut batches = Vec::new();
        for alike in rows.chunk_by(|one, next| have_equal_columns(one, next)) {
            let mut rest = alike;
            for size in SIZES {
                while let Some((rows, others)) = rest.split_at_checked(size)
                    && !rows.is_empty()
                {
                    let together = match rows {
                        [_] => None,
                        _ => match write::insert_together(part, rows) {
                            Ok(together) => Some(together),
                            Err(SqlError::TooManyParameters { .. }) => None,
                            Err(error) => return Err(error),
                        },
                    };
                    batches.push(Self { part, rows, together });
                    rest = others;
                }
            }
        }
        Ok(Some(batches))
    }

    /// The same rows, each by itself.
    pub fn one_by_one(&self) -> Result<Vec<Write<'p>>, SqlError> {
        let Self {
            part,
            rows,
            together: _,
        } = self;
        rows.iter().map(|row| write::insert(*part, row, &[])).collect()
    }
}

fn have_equal_columns(one: &[Assignment], next: &[Assignment]) -> bool {
    one.iter()
        .map(|one| one.column)
        .eq(next.iter().map(|next| next.column))
}

/// Two entities may be of one table.
fn refers_to_itself(entity: &Entity, schema: &Schema) -> bool {
    let references = entity
        .columns
        .iter()
        .filter_map(|column| column.references.as_ref());
    let mut tables = references.filter_map(|reference| schema.entity(reference.entity));
    tables.any(|other| other.table == entity.table)
}

fn is_about_one_row(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Related { .. } => false,
        Predicate::And(all) | Predicate::Or(all) => all.iter().all(is_about_one_row),
        Predicate::Not(one) => is_about_one_row(one),
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbal_policy::Policy;
    use dbal_schema::Source;
    use dbal_shared::plan::Plan;
    use dbal_shared::principal::Principal;
    use dbal_shared::value::Value;

    use super::*;
    use crate::{Generate, MARIADB, POSTGRES, Steps, answering_new_rows};

    const ENTITIES: &str = r"
entity: Team
fields:
  id:   {type: integer, primary: true}
---
entity: Task
fields:
  id:     {type: integer, primary: true}
  teamId: {type: integer, required: true, foreign_key: {entity: Team, field: id}}
  title:  {type: string, nullable: true}
---
entity: Step
fields:
  id:     {type: integer, primary: true}
  teamId: {type: integer, required: true}
  before: {type: integer, nullable: true, foreign_key: {entity: Step, field: id}}
";

    struct Nothing;

    impl Generate for Nothing {
        fn uuid(&mut self) -> [u8; 16] {
            [0; 16]
        }
        fn uuid4(&mut self) -> [u8; 16] {
            [4; 16]
        }
        fn cuid(&mut self) -> String {
            String::new()
        }
        fn now_ms(&self) -> i64 {
            0
        }
    }

    /// A `createMany` of rows of these fields, under a rule for the rows.
    fn plan(entity: &str, rows: &str, new: &[&[&str]]) -> ValidPlan {
        let source = |text: &str| Source {
            name: "test.yaml".to_owned(),
            text: text.to_owned(),
        };
        let schema = Arc::new(dbal_schema::Schema::parse(&[source(ENTITIES)]).unwrap().schema);
        let rules = format!(
            "version: 1\nroles: {{user: {{}}}}\nrules:\n  - {{id: all, entity: {entity}, roles: [user], operations: [create], \
             rows: \"{rows}\", fields: {{read: [\"*\"], write: [\"*\", id]}}}}\n\
             limits: {{user: {{max_complexity: 100000, max_rows: 1000}}}}\n"
        );
        let policy = Policy::parse(&source(&rules), Arc::clone(&schema))
            .unwrap()
            .policy;
        let subject = policy.subject(&Principal {
            id: Some("1".to_owned()),
            roles: vec!["user".to_owned()],
            ..Principal::default()
        });
        let entity = schema.by_name(entity).unwrap();
        let row = |fields: &&[&str]| {
            let field = |name: &&str| Assignment {
                column: entity.column_by_name(name).unwrap().id,
                value: if *name == "title" {
                    Value::Null
                } else {
                    Value::Int(1)
                },
            };
            fields.iter().map(field).collect()
        };
        let action = Action::CreateMany {
            rows: new.iter().map(row).collect(),
        };
        let grant = policy
            .decide(
                &subject,
                Plan {
                    entity: entity.id,
                    action,
                },
            )
            .unwrap();
        ValidPlan::of_grant(grant, &schema, &mut Nothing).unwrap()
    }

    #[test]
    fn each_row_has_the_parameters_of_the_first_one() {
        let row: &[&str] = &["id", "teamId"];
        let plan = plan("Task", "teamId = $user.id", &vec![row; 85]);
        let several = Several::of_plan(&plan, &POSTGRES).unwrap().unwrap();
        let rows: Vec<usize> = several.iter().map(|one| one.rows).collect();
        assert_eq!(rows, [64, 16, 4, 1]);
        for Several { rows, first, all } in &several {
            let parameters = first.parameters();
            let Some(all) = all else {
                assert_eq!(*rows, 1);
                continue;
            };
            let All {
                statement: all,
                of_one,
            } = all;
            let (row, behind) = parameters.split_at(*of_one);
            let expected = std::iter::repeat_n(row, *rows).flatten().chain(&behind[..1]);
            assert!(all.parameters().iter().eq(expected), "{}", all.sql());
            assert_eq!(all.sql().matches(" UNION ALL SELECT ").count(), rows - 1);
        }
    }

    #[test]
    fn rows_of_other_columns_are_other_statements() {
        let (short, long): (&[&str], &[&str]) = (&["id", "teamId"], &["teamId", "id"]);
        let plan = plan("Task", "teamId = $user.id", &[short, short, short, short, long]);
        let several = Several::of_plan(&plan, &POSTGRES).unwrap().unwrap();
        assert_eq!(several.iter().map(|one| one.rows).sum::<usize>(), 5);
        for Several { rows: _, first, all } in &several {
            let columns = |sql: &str| sql.split(" SELECT ").next().unwrap_or_default().to_owned();
            let all = all.as_ref().map_or(first, |all| &all.statement);
            assert_eq!(columns(all.sql()), columns(first.sql()));
        }
    }

    #[test]
    fn rows_that_may_be_about_one_another_do_not_go_together() {
        let row: &[&str] = &["id", "teamId"];
        let rows = vec![row; 10];
        let own = plan("Step", "teamId = $user.id", &rows);
        let linked = plan("Task", "teamId IN (SELECT id FROM Team)", &rows);
        let plain = plan("Task", "teamId = $user.id OR NOT (id > 7)", &rows);
        assert!(Several::of_plan(&own, &POSTGRES).unwrap().is_none());
        assert!(Several::of_plan(&linked, &POSTGRES).unwrap().is_none());
        assert!(Several::of_plan(&plain, &MARIADB).unwrap().is_none());
        assert!(Several::of_plan(&plain, &POSTGRES).unwrap().is_some());
    }

    #[test]
    fn where_a_write_answers_no_rows_they_are_judged_before_and_looked_at_behind() {
        let row: &[&str] = &["id", "teamId"];
        let rows = vec![row; 87];
        let plan = plan("Task", "teamId = $user.id", &rows);
        let Steps::CreateBatches(batches) = Steps::of_plan(&plan, &MARIADB).unwrap() else {
            panic!("one by one");
        };
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.rows.len()).collect();
        assert_eq!(sizes, [64, 16, 4, 1, 1, 1]);
        for batch in &batches {
            let Some(together) = &batch.together else {
                assert_eq!(batch.one_by_one().unwrap().len(), 1);
                continue;
            };
            let judge = together.judge.as_ref().unwrap().sql();
            assert!(
                judge.starts_with("SELECT (") && judge.ends_with(") IS TRUE FROM DUAL"),
                "{judge}"
            );
            let write = together.write.sql();
            assert_eq!(write.matches("(?, ?, ?)").count(), batch.rows.len(), "{write}");
            assert!(!write.contains("RETURNING"), "{write}");
            let keys = vec![Value::Int(1); batch.rows.len()];
            let recheck = together.recheck.as_ref().unwrap().of(&keys).unwrap();
            assert!(recheck.sql().starts_with("SELECT COUNT(*) FROM `Task` WHERE "));
        }
        // Where it answers them it says itself whether they may be so.
        let answering = Box::leak(Box::new(answering_new_rows(&MARIADB, &[])));
        let Steps::CreateBatches(batches) = Steps::of_plan(&plan, answering).unwrap() else {
            panic!("one by one");
        };
        let together = batches.first().and_then(|batch| batch.together.as_ref()).unwrap();
        let write = together.write.sql();
        assert!(
            write.ends_with(" RETURNING (`Task`.`teamId` = ?) IS TRUE"),
            "{write}"
        );
        assert!(together.judge.is_some() && together.recheck.is_none());
    }

    #[test]
    fn what_may_be_about_one_another_is_no_batch_and_what_refers_to_another_may_be() {
        let row: &[&str] = &["id", "teamId"];
        let rows = vec![row; 10];
        let own = plan("Step", "teamId = $user.id", &rows);
        let linked = plan("Task", "teamId IN (SELECT id FROM Team)", &rows);
        let steps = |plan| Steps::of_plan(plan, &MARIADB).unwrap();
        assert!(matches!(steps(&own), Steps::CreateBatches(_)));
        assert!(matches!(steps(&linked), Steps::CreateMany(rows) if rows.len() == 10));
    }
}
