//! Linked rows on a real SQLite file: as conditions and in answers.

use dbal_shared::plan::Action;
use dbal_shared::predicate::{Link, Predicate, Quantifier};
use dbal_shared::value::Value;

use super::Ground;
use crate::fixture::{ALICE, BOB, Fixture, text, uuid};

fn related(link: Link, quantifier: Quantifier, predicate: Predicate) -> Predicate {
    Predicate::Related {
        link,
        quantifier,
        within: Box::new(Predicate::True),
        predicate: Box::new(predicate),
    }
}

fn comments(fixture: &Fixture) -> Link {
    fixture.entity("Note").relation_by_name("comments").unwrap().link
}

fn note(fixture: &Fixture) -> Link {
    fixture.entity("Comment").relation_by_name("note").unwrap().link
}

impl Ground {
    fn comment(&self, note: &str, words: &str) {
        // Nobody may make a hidden comment; this one is hidden afterwards.
        let first = words.replace("hidden", "shown");
        let action = Action::Create {
            values: self
                .fixture
                .values("Comment", &[("noteId", uuid(note)), ("text", text(&first))]),
            projection: Vec::new(),
        };
        self.run((ALICE, "user"), "Comment", action).unwrap();
        self.file
            .0
            .execute("UPDATE \"Comment\" SET text = 'hidden' WHERE text = 'shown'", [])
            .unwrap();
    }

    /// Notes of Alice and Bob with comments, some of which nobody sees.
    fn commented() -> Self {
        let ground = Self::new();
        let published = ("state", text("published"));
        let remark = ("remark", text("x"));
        for (owner, slug, comments) in [
            (ALICE, "n1", &["a", "hidden"][..]),
            (ALICE, "n2", &["b", "a"]),
            (ALICE, "n3", &[]),
            (BOB, "n4", &["hidden"]),
            (BOB, "n5", &["c"]),
        ] {
            let note = ground.note(owner, &[("slug", text(slug)), published.clone(), remark.clone()]);
            for comment in comments {
                ground.comment(&note, comment);
            }
        }
        ground
    }

    /// The texts in `field` of the rows that a filter finds, sorted.
    fn found(&self, entity: &str, filter: Predicate, field: &str) -> Vec<String> {
        let action = self.fixture.list(entity, filter, &[field]);
        let list = self.run((ALICE, "user"), entity, action).unwrap();
        let rows = list["data"].as_array().unwrap();
        assert_eq!(list["total"], rows.len(), "the count counts the same rows");
        let mut found: Vec<String> = rows
            .iter()
            .map(|row| row[field].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        found
    }
}

#[test]
fn rows_are_found_by_linked_rows_that_the_caller_sees() {
    let ground = Ground::commented();
    let fixture = &ground.fixture;
    let words = |value: &str| fixture.eq("Comment", "text", text(value));
    for (quantifier, predicate, expected) in [
        (Quantifier::Some, Predicate::True, &["n1", "n2", "n5"][..]),
        (Quantifier::None, Predicate::True, &["n3", "n4"]),
        (Quantifier::Some, words("hidden"), &[]),
        (Quantifier::Some, words("a"), &["n1", "n2"]),
        (Quantifier::None, words("a"), &["n3", "n4", "n5"]),
        (Quantifier::Every, words("a"), &["n1", "n3", "n4"]),
        (
            Quantifier::Every,
            Predicate::Not(Box::new(words("hidden"))),
            &["n1", "n2", "n3", "n4", "n5"],
        ),
    ] {
        let filter = related(comments(fixture), quantifier, predicate);
        assert_eq!(
            ground.found("Note", filter.clone(), "slug"),
            expected,
            "{filter:?}"
        );
    }
    // Two conditions on one comment are not two comments.
    let both = Predicate::And(vec![words("a"), words("b")]);
    let one = related(comments(fixture), Quantifier::Some, both);
    assert_eq!(ground.found("Note", one, "slug"), [""; 0]);
}

#[test]
fn a_cell_that_is_hidden_in_a_linked_row_finds_nothing() {
    let ground = Ground::commented();
    let fixture = &ground.fixture;
    // Everybody sees published notes, but remarks only the owner.
    let remark = related(
        note(fixture),
        Quantifier::Some,
        fixture.eq("Note", "remark", text("x")),
    );
    assert_eq!(ground.found("Comment", remark.clone(), "text"), ["a", "a", "b"]);
    let others = Predicate::Not(Box::new(remark));
    assert_eq!(ground.found("Comment", others, "text"), ["c"]);
    let nested = related(
        comments(fixture),
        Quantifier::Some,
        related(
            note(fixture),
            Quantifier::Every,
            fixture.eq("Note", "slug", text("n5")),
        ),
    );
    assert_eq!(ground.found("Note", nested, "slug"), ["n5"]);
}

#[test]
fn unknown_conditions_hold_for_no_row_and_fail_every() {
    let ground = Ground::commented();
    let fixture = &ground.fixture;
    let rank = fixture.eq("Note", "rank", Value::Int(1));
    for (quantifier, expected) in [
        (Quantifier::Some, &[][..]),
        (Quantifier::None, &["a", "a", "b", "c"]),
        (Quantifier::Every, &[]),
    ] {
        let filter = related(note(fixture), quantifier, rank.clone());
        assert_eq!(
            ground.found("Comment", filter, "text"),
            expected,
            "{quantifier:?}"
        );
    }
}
