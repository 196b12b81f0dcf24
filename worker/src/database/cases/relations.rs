//! Linked rows: as conditions and in answers.

use dbal_shared::fault::Code;
use dbal_shared::plan::{Action, Direction, Include, SortKey, Total};
use dbal_shared::predicate::{Link, Predicate, Quantifier};
use dbal_shared::value::Value;

use serde_json::json;

use super::{Bench, Ground, Told, code};
use crate::fixture::{ALICE, BOB, Fixture, text, uuid};

pub(in crate::database) fn related(link: Link, quantifier: Quantifier, predicate: Predicate) -> Predicate {
    Predicate::Related {
        link,
        quantifier,
        within: Box::new(Predicate::True),
        predicate: Box::new(predicate),
    }
}

pub(in crate::database) fn comments(fixture: &Fixture) -> Link {
    fixture.entity("Note").relation_by_name("comments").unwrap().link
}

pub(in crate::database) fn note(fixture: &Fixture) -> Link {
    fixture.entity("Comment").relation_by_name("note").unwrap().link
}

impl<B: Bench> Ground<B> {
    pub(in crate::database) fn comment(&self, note: &str, words: &str) {
        // Nobody may make a hidden comment; this one is hidden afterwards.
        let first = words.replace("hidden", "shown");
        let action = Action::Create {
            values: self
                .fixture
                .values("Comment", &[("noteId", uuid(note)), ("text", text(&first))]),
            projection: Vec::new(),
        };
        self.run((ALICE, "user"), "Comment", action).unwrap();
        if words == "hidden" {
            self.bench
                .execute("UPDATE \"Comment\" SET text = 'hidden' WHERE text = 'shown'");
        }
    }

    /// Notes of Alice and Bob with comments, some of which nobody sees.
    pub(in crate::database) fn commented() -> Self {
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
    pub(in crate::database) fn found(&self, entity: &str, filter: Predicate, field: &str) -> Vec<String> {
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

pub(in crate::database) fn rows_are_found_by_linked_rows_that_the_caller_sees<B: Bench>() {
    let ground = Ground::<B>::commented();
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

pub(in crate::database) fn a_cell_that_is_hidden_in_a_linked_row_finds_nothing<B: Bench>() {
    let ground = Ground::<B>::commented();
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

pub(in crate::database) fn unknown_conditions_hold_for_no_row_and_fail_every<B: Bench>() {
    let ground = Ground::<B>::commented();
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

pub(in crate::database) fn include(fixture: &Fixture, link: Link, entity: &str, names: &[&str]) -> Include {
    Include {
        link,
        filter: Predicate::True,
        order: Vec::new(),
        limit: 10,
        projection: fixture.projection(entity, names),
        includes: Vec::new(),
    }
}

fn by(fixture: &Fixture, entity: &str, name: &str, direction: Direction) -> Vec<SortKey> {
    vec![SortKey {
        column: fixture.column(entity, name),
        direction,
    }]
}

impl<B: Bench> Ground<B> {
    pub(in crate::database) fn including(
        &self,
        caller: (&str, &str),
        entity: &str,
        field: &str,
        all: Vec<Include>,
    ) -> Told {
        let Action::List {
            filter,
            page,
            projection,
            ..
        } = self.fixture.list(entity, Predicate::True, &[field])
        else {
            panic!("a list")
        };
        let action = Action::List {
            filter,
            order: by(&self.fixture, entity, field, Direction::Ascending),
            page,
            total: Total::Skipped,
            projection,
            includes: all,
            cursor: None,
        };
        self.run(caller, entity, action)
            .map(|mut list| list["data"].take())
    }
}

pub(in crate::database) fn included_rows_are_filtered_sorted_limited_selected_and_nested<B: Bench>() {
    let ground = Ground::<B>::commented();
    let fixture = &ground.fixture;
    let note = Include {
        filter: Predicate::Not(Box::new(fixture.eq("Note", "slug", text("n2")))),
        ..include(fixture, note(fixture), "Note", &["slug", "remark"])
    };
    let comments = Include {
        order: by(fixture, "Comment", "text", Direction::Descending),
        includes: vec![note],
        ..include(fixture, comments(fixture), "Comment", &["text"])
    };
    let own = json!({"slug": "n1", "remark": "x"});
    assert_eq!(
        ground
            .including((ALICE, "user"), "Note", "slug", vec![comments.clone()])
            .unwrap(),
        json!([
            {"slug": "n1", "comments": [{"text": "a", "note": own}]},
            {"slug": "n2", "comments": [{"text": "b", "note": null}, {"text": "a", "note": null}]},
            {"slug": "n3", "comments": []},
            {"slug": "n4", "comments": []},
            // Another's note does not show its remark, however one comes to it.
            {"slug": "n5", "comments": [{"text": "c", "note": {"slug": "n5"}}]},
        ])
    );
    let one_each = Include {
        limit: 1,
        includes: Vec::new(),
        filter: Predicate::Not(Box::new(fixture.eq("Comment", "text", text("c")))),
        ..comments
    };
    assert_eq!(
        ground
            .including((ALICE, "user"), "Note", "slug", vec![one_each.clone()])
            .unwrap(),
        json!([
            {"slug": "n1", "comments": [{"text": "a"}]},
            {"slug": "n2", "comments": [{"text": "b"}]},
            {"slug": "n3", "comments": []},
            {"slug": "n4", "comments": []},
            {"slug": "n5", "comments": []},
        ])
    );
    // The same for single rows, and for none.
    let find = |slug: &str| Action::FindFirst {
        filter: fixture.eq("Note", "slug", text(slug)),
        order: Vec::new(),
        projection: fixture.projection("Note", &["slug"]),
        includes: vec![one_each.clone()],
    };
    assert_eq!(
        ground.run((ALICE, "user"), "Note", find("n2")).unwrap(),
        json!({"slug": "n2", "comments": [{"text": "b"}]})
    );
    assert_eq!(
        ground.run((ALICE, "user"), "Note", find("none")).unwrap(),
        json!(null)
    );
}

pub(in crate::database) fn what_rows_bring_along_is_bounded_in_bytes<B: Bench>() {
    let ground = Ground::<B>::new();
    let long = "x".repeat(1024 * 1024);
    let note = ground.note(ALICE, &[("slug", text("a")), ("remark", text(&long))]);
    for nth in 0..9 {
        ground.comment(&note, &nth.to_string());
    }
    let fixture = &ground.fixture;
    // One row, which every other would repeat.
    let note = include(fixture, self::note(fixture), "Note", &["remark"]);
    let told = ground.including((ALICE, "user"), "Comment", "text", vec![note]);
    assert_eq!(code(told), Code::TooLarge);
}

pub(in crate::database) fn where_a_row_hides_what_leads_on_nothing_is_brought_along_from_it_or_to_it<
    B: Bench,
>() {
    let ground = Ground::<B>::new();
    for (slug, state) in [("a", "draft"), ("b", "published")] {
        ground.note(ALICE, &[("slug", text(slug)), ("state", text(state))]);
    }
    let guest = (BOB, "guest");
    let fixture = &ground.fixture;
    let owner = fixture.entity("Note").relation_by_name("owner").unwrap().link;
    let notes = fixture.entity("User").relation_by_name("notes").unwrap().link;
    let owners = vec![include(fixture, owner, "User", &["username"])];
    assert_eq!(
        ground.including(guest, "Note", "slug", owners).unwrap(),
        json!([{"slug": "a"}, {"slug": "b", "owner": {"username": "alice"}}])
    );
    let notes = vec![include(fixture, notes, "Note", &["slug"])];
    assert_eq!(
        ground.including(guest, "User", "username", notes).unwrap(),
        json!([
            {"username": "alice", "notes": [{"slug": "b"}]},
            {"username": "bob", "notes": []},
        ])
    );
    for (quantifier, found) in [
        (Quantifier::Some, json!([{"slug": "b"}])),
        (Quantifier::None, json!([])),
    ] {
        let filter = related(owner, quantifier, Predicate::True);
        let list = ground
            .run(guest, "Note", fixture.list("Note", filter, &["slug"]))
            .unwrap();
        assert_eq!(list["data"], found, "{quantifier:?}");
    }
}
