//! How many statements a plan with linked rows takes.

use dbal_schema::Entity;
use dbal_shared::message::Isolation;
use dbal_shared::plan::{Action, Include};
use dbal_shared::predicate::Predicate;
use dbal_sql::{Dialect, SQLITE, Statement};

use super::super::session::{Connected, at_once};
use super::File;
use crate::database::cases::Ground;
use crate::database::cases::relations::{comments as comments_of, include, note as note_of};
use crate::database::session::{Look, Row, Session};
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, text};

/// A session that counts what it is asked to run.
struct Counting<'a> {
    inner: Connected<'a>,
    statements: usize,
}

impl Session for Counting<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.inner.dialect()
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        self.statements = self.statements.saturating_add(1);
        self.inner.rows(statement, entity, look).await
    }

    async fn begin_snapshot(&mut self, isolation: Isolation) -> Result<(), Trouble> {
        self.inner.begin_snapshot(isolation).await
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        self.inner.end_snapshot().await
    }
}

#[test]
fn the_number_of_statements_does_not_depend_on_the_number_of_rows() {
    let ground = Ground::<File>::new();
    let fixture = &ground.fixture;
    for nth in 0..50 {
        let note = ground.note(ALICE, &[("slug", text(&format!("n{nth:02}")))]);
        for words in ["a", "b", "c"] {
            ground.comment(&note, words);
        }
        let comments = Include {
            includes: vec![include(fixture, note_of(fixture), "Note", &["slug"])],
            ..include(fixture, comments_of(fixture), "Comment", &["text"])
        };
        let Action::List {
            filter,
            order,
            page,
            total,
            projection,
            includes: _,
            cursor: _,
        } = fixture.list("Note", Predicate::True, &["slug"])
        else {
            panic!("a list")
        };
        let action = Action::List {
            filter,
            order,
            page,
            total,
            projection,
            includes: vec![comments],
            cursor: None,
        };
        let plan = fixture.plan((ALICE, "user"), "Note", action);
        let mut session = Counting {
            inner: Connected {
                connection: &ground.bench.0,
                dialect: &SQLITE,
            },
            statements: 0,
        };
        let reply = at_once(crate::database::read::run(&mut session, &plan)).unwrap();
        // The page, its total, comments, their notes.
        assert_eq!(session.statements, 4, "with {nth} notes more");
        let list = crate::fixture::json(&reply);
        let rows = list["data"].as_array().unwrap();
        assert_eq!(rows.len(), nth + 1);
        for row in rows {
            let comments = row["comments"].as_array().unwrap();
            assert_eq!(comments.len(), 3);
            assert!(comments.iter().all(|one| one["note"]["slug"] == row["slug"]));
        }
    }
}
