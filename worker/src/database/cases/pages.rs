//! Pages that follow one another by cursors.

use std::sync::Arc;

use dbal_shared::fault::Code;
use dbal_shared::plan::{Action, Direction, Include, Page, Plan, SortKey, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::{Invalid, Places, ValidPlan};
use serde_json::Value as Json;

use super::{Bench, Ground};
use crate::cursor::Cursors;
use crate::fixture::{ALICE, BOB, Fixture, json, text};
use crate::generate::Fresh;

pub(in crate::database) struct Pages<B> {
    pub(in crate::database) ground: Ground<B>,
    cursors: Arc<dyn Places>,
}

/// A list's part that a cursor is bound to, and its caller.
#[derive(Clone)]
pub(in crate::database) struct Wanted {
    caller: (&'static str, &'static str),
    filter: Predicate,
    order: Vec<SortKey>,
    limit: u32,
    total: Total,
    includes: Vec<Include>,
}

impl Wanted {
    pub(in crate::database) fn of(&self, limit: u32) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }
}

impl<B: Bench> Pages<B> {
    pub(in crate::database) fn new() -> Self {
        Self {
            ground: Ground::<B>::of(Fixture::indexed()),
            cursors: Arc::new(Cursors::new().unwrap()),
        }
    }

    fn order(&self, keys: &[(&str, Direction)]) -> Vec<SortKey> {
        let key = |(name, direction): &(&str, Direction)| SortKey {
            column: self.ground.fixture.column("Note", name),
            direction: *direction,
        };
        keys.iter().map(key).collect()
    }

    /// That the pages by cursor, of one row and of three, are together the whole list, in orders of each kind. For a database that
    /// keeps its columns finer or in other types than ours would be.
    pub(in crate::database) fn are_the_whole_list(&self) {
        for keys in [
            &[("createdAt", Ascending)][..],
            &[("createdAt", Descending)],
            &[("updatedAt", Ascending), ("slug", Descending)],
            &[("updatedAt", Descending), ("createdAt", Ascending)],
            &[("state", Descending), ("price", Ascending)],
            &[("rank", Descending), ("state", Ascending)],
            &[("slug", Descending)],
        ] {
            let wanted = self.wanted(keys);
            let expected = self.all(&wanted.of(100), |_| {});
            assert_eq!(expected.len(), 10);
            for limit in [1, 3] {
                assert_eq!(
                    self.all(&wanted.of(limit), |_| {}),
                    expected,
                    "{keys:?} by {limit}"
                );
            }
        }
    }

    pub(in crate::database) fn wanted(&self, keys: &[(&str, Direction)]) -> Wanted {
        Wanted {
            caller: (ALICE, "user"),
            filter: Predicate::True,
            order: self.order(keys),
            limit: 3,
            total: Total::Skipped,
            includes: Vec::new(),
        }
    }

    fn plan(&self, entity: &str, wanted: &Wanted, cursor: Option<&str>) -> Result<ValidPlan, Invalid> {
        let fixture = &self.ground.fixture;
        let name = if entity == "Note" { "slug" } else { "username" };
        let action = Action::List {
            filter: wanted.filter.clone(),
            order: wanted.order.clone(),
            page: Page {
                number: 1,
                limit: wanted.limit,
            },
            total: wanted.total,
            projection: fixture.projection(entity, &[name]),
            includes: wanted.includes.clone(),
            cursor: cursor.map(|cursor| cursor.as_bytes().to_vec()),
        };
        let plan = Plan {
            entity: fixture.entity(entity).id,
            action,
        };
        let subject = fixture.subject(wanted.caller.0, wanted.caller.1);
        let grant = fixture.policy.decide(&subject, plan).unwrap();
        ValidPlan::of_grant(grant, fixture.policy.schema(), &mut Fresh::at(0))
            .unwrap()
            .with_places(&self.cursors)
    }

    fn page(&self, entity: &str, wanted: &Wanted, cursor: Option<&str>) -> Json {
        let plan = self.plan(entity, wanted, cursor).unwrap();
        json(&self.ground.bench.run(&plan).unwrap())
    }

    /// What asks for the page behind so many rows.
    pub(in crate::database) fn behind(&self, rows: u32, wanted: &Wanted) -> ValidPlan {
        let first = self.page("Note", &wanted.of(rows), None);
        let cursor = first["nextCursor"].as_str().unwrap();
        self.plan("Note", wanted, Some(cursor)).unwrap()
    }

    /// The slugs of all pages; `between` happens after each.
    pub(in crate::database) fn all(&self, wanted: &Wanted, mut between: impl FnMut(&Self)) -> Vec<String> {
        let mut slugs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page("Note", wanted, cursor.as_deref());
            let rows = page["data"].as_array().unwrap();
            slugs.extend(rows.iter().map(|row| row["slug"].as_str().unwrap().to_owned()));
            assert_eq!(
                page["page"].is_null(),
                cursor.is_some(),
                "a cursor has no page's number"
            );
            assert_eq!(page["hasMore"], page["nextCursor"].is_string());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return slugs,
            }
            between(self);
        }
    }

    pub(in crate::database) fn note(&self, slug: &str, rank: Value, price: &str) {
        let price = match price {
            "" => Value::Null,
            price => Value::Decimal(price.to_owned()),
        };
        let values = [("slug", text(slug)), ("rank", rank), ("price", price)];
        self.ground.note(ALICE, &values);
    }

    pub(in crate::database) fn filled() -> Self {
        let pages = Self::new();
        for (nth, (rank, price)) in [
            (Value::Int(1), "10"),
            (Value::Null, "9"),
            (Value::Int(1), ""),
            (Value::Int(0), "10"),
            (Value::Null, ""),
            (Value::Int(2), "9.5"),
            (Value::Null, "9"),
            (Value::Int(1), "-3"),
            (Value::Int(2), ""),
            (Value::Int(0), "10"),
        ]
        .into_iter()
        .enumerate()
        {
            pages.note(&format!("n{nth}"), rank, price);
        }
        pages
    }
}

use Direction::{Ascending, Descending};

pub(in crate::database) fn pages_by_cursor_are_the_whole_list_whatever_the_order_and_its_nulls<B: Bench>() {
    let pages = Pages::<B>::filled();
    for keys in [
        &[][..],
        &[("rank", Ascending)],
        &[("rank", Descending)],
        &[("price", Ascending), ("rank", Descending)],
        &[("price", Descending), ("rank", Ascending)],
        &[("rank", Descending), ("price", Descending), ("slug", Descending)],
        &[("state", Ascending), ("createdAt", Descending)],
        &[("id", Descending)],
    ] {
        let wanted = pages.wanted(keys);
        let whole = Wanted {
            limit: 100,
            ..wanted.clone()
        };
        let expected = pages.all(&whole, |_| {});
        assert_eq!(expected.len(), 10);
        assert_eq!(pages.all(&wanted, |_| {}), expected, "{keys:?}");
        let counted = Wanted {
            total: Total::Counted,
            ..wanted
        };
        assert_eq!(pages.all(&counted, |_| {}), expected, "{keys:?}, counted");
        let first = pages.page("Note", &counted, None);
        let second = pages.page("Note", &counted, first["nextCursor"].as_str());
        assert_eq!(second["total"], 10, "the whole list's");
    }
}

/// Some databases look at the beginnings of texts alone where they sort them, unless they are told otherwise.
pub(in crate::database) fn pages_by_cursor_are_the_whole_list_where_long_texts_begin_alike<B: Bench>() {
    let pages = Pages::<B>::new();
    for nth in 0..12 {
        let letter = ["b", "c", "a"][nth % 3];
        let (slug, remark) = (
            text(&format!("{letter}{nth}")),
            text(&format!("{}{letter}", "x".repeat(5_900))),
        );
        pages.ground.note(ALICE, &[("slug", slug), ("remark", remark)]);
    }
    let wanted = pages.wanted(&[("remark", Direction::Descending)]);
    let whole = pages.all(&wanted.of(100), |_| {});
    let letters: Vec<&str> = whole.iter().map(|slug| &slug[..1]).collect();
    assert_eq!(letters.concat(), "ccccbbbbaaaa");
    assert_eq!(pages.all(&wanted.of(3), |_| {}), whole);
}

pub(in crate::database) fn rows_that_come_or_go_between_two_pages_neither_repeat_nor_hide_others<B: Bench>() {
    let pages = Pages::<B>::filled();
    let wanted = pages.wanted(&[("rank", Ascending)]);
    let before = pages.all(
        &Wanted {
            limit: 100,
            ..wanted.clone()
        },
        |_| {},
    );
    let mut made = 0;
    let seen = pages.all(&wanted, |pages| {
        made = u32::saturating_add(made, 1);
        // Before everything that was seen, and the very row where the page ended goes away.
        pages.note(&format!("new{made}"), Value::Null, "");
        let bench = &pages.ground.bench;
        bench.execute("UPDATE \"Note\" SET \"rank\" = -5 WHERE slug = 'n3'");
    });
    let old: Vec<&String> = seen
        .iter()
        .filter(|slug| slug.starts_with('n') && slug.len() == 2)
        .collect();
    let expected: Vec<&String> = before.iter().filter(|slug| *slug != "n3").collect();
    assert_eq!(
        old.into_iter().filter(|slug| *slug != "n3").collect::<Vec<_>>(),
        expected
    );
}

pub(in crate::database) fn rows_with_linked_ones_go_on_too<B: Bench>() {
    let pages = Pages::<B>::filled();
    let link = pages
        .ground
        .fixture
        .entity("Note")
        .relation_by_name("comments")
        .unwrap()
        .link;
    let wanted = Wanted {
        includes: vec![Include {
            link,
            filter: Predicate::True,
            order: Vec::new(),
            limit: 1,
            projection: pages.ground.fixture.projection("Comment", &["text"]),
            includes: Vec::new(),
        }],
        ..pages.wanted(&[("rank", Descending)])
    };
    let plain = Wanted {
        includes: Vec::new(),
        ..wanted.clone()
    };
    assert_eq!(pages.all(&wanted, |_| {}), pages.all(&plain, |_| {}));
}

pub(in crate::database) fn a_cursor_is_good_for_its_list_order_filter_and_callers_rights_only<B: Bench>() {
    let pages = Pages::<B>::filled();
    let wanted = pages.wanted(&[("rank", Ascending)]);
    let page = pages.page("Note", &wanted, None);
    let cursor = page["nextCursor"].as_str().unwrap();
    assert!(pages.plan("Note", &wanted, Some(cursor)).is_ok());
    // How many, and what of them, may change.
    let more = Wanted {
        limit: 7,
        total: Total::Counted,
        ..wanted.clone()
    };
    assert!(pages.plan("Note", &more, Some(cursor)).is_ok());

    let refused = |entity: &str, wanted: &Wanted, cursor: &str| {
        let invalid = pages.plan(entity, wanted, Some(cursor)).unwrap_err();
        assert_eq!(invalid, Invalid::Cursor);
    };
    let fixture = &pages.ground.fixture;
    for other in [
        Wanted {
            order: pages.order(&[("rank", Descending)]),
            ..wanted.clone()
        },
        Wanted {
            filter: fixture.eq("Note", "slug", text("n1")),
            ..wanted.clone()
        },
        Wanted {
            caller: (BOB, "user"),
            ..wanted.clone()
        },
        Wanted {
            caller: (ALICE, "admin"),
            ..wanted.clone()
        },
    ] {
        refused("Note", &other, cursor);
    }
    let users = Wanted {
        order: Vec::new(),
        ..wanted.clone()
    };
    refused("User", &users, cursor);
    for forged in [
        "",
        "AAAA",
        "{}",
        &cursor[1..],
        &format!("{cursor}AAAA"),
        &cursor.to_lowercase(),
    ] {
        refused("Note", &wanted, forged);
    }
    // What nobody opened is not the first page.
    let subject = fixture.subject(ALICE, "user");
    let action = Action::List {
        filter: Predicate::True,
        order: Vec::new(),
        page: Page { number: 1, limit: 1 },
        total: Total::Skipped,
        projection: fixture.projection("Note", &["slug"]),
        includes: Vec::new(),
        cursor: Some(cursor.as_bytes().to_vec()),
    };
    let plan = Plan {
        entity: fixture.entity("Note").id,
        action,
    };
    let grant = fixture.policy.decide(&subject, plan).unwrap();
    let unplaced = ValidPlan::of_grant(grant, fixture.policy.schema(), &mut Fresh::at(0)).unwrap();
    let trouble = pages.ground.bench.run(&unplaced).unwrap_err();
    assert_eq!(trouble.into_refusal().failure.code, Code::Internal);
}

pub(in crate::database) fn a_key_that_the_caller_may_not_read_parts_pages_but_is_not_in_the_cursor<
    B: Bench,
>() {
    // The rule shows users' names only, so the id that decides between equals is hidden.
    let pages = Pages::<B>::new();
    let wanted = Wanted {
        limit: 1,
        ..pages.wanted(&[])
    };
    let first = pages.page("User", &wanted, None);
    assert_eq!(first["data"], serde_json::json!([{"username": "alice"}]));
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = pages.page("User", &wanted, Some(cursor));
    assert_eq!(second["data"], serde_json::json!([{"username": "bob"}]));
    assert_eq!(second["hasMore"], false);
}
