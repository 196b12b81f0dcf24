//! Every action and every error, on each real database: `cases!` runs all of it on one.

pub(super) mod relations;
pub(super) mod numbers;
pub(super) mod pages;
pub(super) mod races;
pub(super) mod crowds;
pub(super) mod floods;
pub(super) mod shares;
pub(super) mod as_read;
pub(super) mod referred;

use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::Reply;
use dbal_shared::plan::{Action, Direction, Page, SortKey, Total};
use dbal_shared::predicate::{Case, Predicate, TextPosition};
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::agreement::Folding;
use super::trouble::Trouble;
use crate::fixture::{ALICE, BOB, Fixture, json, text, uuid};

const NOTE: [&str; 9] = [
    "id",
    "ownerId",
    "slug",
    "state",
    "rank",
    "price",
    "remark",
    "createdAt",
    "updatedAt",
];

/// All cases, on one database.
macro_rules! cases {
    ($bench:ty) => {
        $crate::database::cases::cases!(@each $bench:
            a_new_row_is_complete_and_comes_back_as_its_maker_may_read_it,
            a_row_that_the_create_terms_do_not_allow_is_not_made,
            a_row_out_of_reach_is_as_good_as_none,
            a_row_can_not_be_moved_out_of_what_its_writer_may_write,
            the_before_of_one_rule_does_not_go_with_the_after_of_another,
            a_conflict_with_a_hidden_row_can_not_be_told_from_a_refusal,
            a_taken_value_names_its_fields,
            a_reference_to_nothing_and_a_row_still_referred_to_are_told_apart,
            deleting_cascades_where_the_entity_says_so,
            a_masked_column_is_left_out_where_its_rule_does_not_hold,
            pages_follow_one_another_without_gap_or_overlap,
            text_is_matched_literally_and_by_its_case,
            decimals_are_sorted_and_compared_by_value,
            finding_and_counting_see_only_what_the_caller_sees,
            many_rows_are_made_or_none,
            many_rows_are_changed_or_none,
            one_row_that_may_not_be_changed_so_stops_the_whole_update,
            more_rows_than_one_call_may_change_are_refused_as_a_whole,
            an_upsert_updates_what_is_there_and_creates_what_is_not,
            an_upsert_on_a_hidden_row_is_answered_like_a_create_on_it,
            an_answer_beyond_the_bound_is_refused,
            lengths_count_characters_whatever_they_take,
        );
        $crate::database::cases::cases!(@each $bench, crowds:
            of_very_many_rows_the_first_that_is_wrong_is_told,
        );
        $crate::database::cases::cases!(@each $bench, relations:
            rows_are_found_by_linked_rows_that_the_caller_sees,
            a_cell_that_is_hidden_in_a_linked_row_finds_nothing,
            unknown_conditions_hold_for_no_row_and_fail_every,
            included_rows_are_filtered_sorted_limited_selected_and_nested,
            what_rows_bring_along_is_bounded_in_bytes,
            where_a_row_hides_what_leads_on_nothing_is_brought_along_from_it_or_to_it,
        );
        $crate::database::cases::cases!(@each $bench, numbers:
            rows_are_counted_summed_and_grouped,
            sums_are_exact_in_any_order_and_an_error_beyond_64_bits,
            sums_of_decimals_are_exact_in_any_order,
            a_sum_of_floats_that_is_infinite_is_the_same_error,
            rows_are_grouped_by_values_of_every_type_with_null_first,
        );
        $crate::database::cases::cases!(@each $bench, pages:
            pages_by_cursor_are_the_whole_list_whatever_the_order_and_its_nulls,
            pages_by_cursor_are_the_whole_list_where_long_texts_begin_alike,
            rows_that_come_or_go_between_two_pages_neither_repeat_nor_hide_others,
            rows_with_linked_ones_go_on_too,
            a_cursor_is_good_for_its_list_order_filter_and_callers_rights_only,
            a_key_that_the_caller_may_not_read_parts_pages_but_is_not_in_the_cursor,
        );
    };
    (@each $bench:ty, $module:ident: $($name:ident,)*) => {
        $(#[test]
        fn $name() {
            $crate::database::cases::$module::$name::<$bench>();
        })*
    };
    (@each $bench:ty: $($name:ident,)*) => {
        $(#[test]
        fn $name() {
            $crate::database::cases::$name::<$bench>();
        })*
    };
}
pub(super) use cases;

/// A database with the fixture's tables, and Alice and Bob in it.
pub(super) trait Bench {
    /// How it takes the case away.
    const FOLDING: Folding = Folding::Full;

    /// A new one.
    fn new(fixture: &Fixture) -> Self;

    /// Runs a plan as the adapter's threads do.
    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble>;

    /// Runs a statement behind the daemon's back. Names stand in `"` there.
    fn execute(&self, sql: &str);
}

pub(super) struct Ground<B> {
    pub(super) fixture: Fixture,
    pub(super) bench: B,
}

/// What a client would be told.
pub(super) type Told = Result<serde_json::Value, (Code, Vec<(ColumnId, Fault)>)>;

impl<B: Bench> Ground<B> {
    pub(super) fn new() -> Self {
        Self::of(Fixture::new())
    }

    pub(super) fn of(fixture: Fixture) -> Self {
        let bench = B::new(&fixture);
        Self { fixture, bench }
    }

    pub(super) fn run(&self, caller: (&str, &str), entity: &str, action: Action) -> Told {
        let plan = self.fixture.plan(caller, entity, action);
        let outcome = self.bench.run(&plan);
        outcome.map(|reply| json(&reply)).map_err(|trouble| {
            let failure = trouble.into_refusal().failure;
            (failure.code, failure.fields)
        })
    }

    pub(super) fn note(&self, owner: &str, values: &[(&str, Value)]) -> String {
        let mut all = vec![("ownerId", uuid(owner))];
        all.extend_from_slice(values);
        let action = Action::Create {
            values: self.fixture.values("Note", &all),
            projection: self.fixture.projection("Note", &["id"]),
        };
        self.run((ALICE, "admin"), "Note", action).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn read(&self, caller: (&str, &str), id: &str, names: &[&str]) -> Told {
        let action = Action::Read {
            target: self.fixture.target("Note", "id", uuid(id)),
            projection: self.fixture.projection("Note", names),
            includes: Vec::new(),
        };
        self.run(caller, "Note", action)
    }

    fn update(&self, caller: (&str, &str), id: &str, values: &[(&str, Value)], names: &[&str]) -> Told {
        let action = Action::Update {
            target: self.fixture.target("Note", "id", uuid(id)),
            values: self.fixture.values("Note", values),
            projection: self.fixture.projection("Note", names),
        };
        self.run(caller, "Note", action)
    }

    fn delete(&self, caller: (&str, &str), id: &str) -> Told {
        let target = self.fixture.target("Note", "id", uuid(id));
        self.run(caller, "Note", Action::Delete { target })
    }

    pub(super) fn fault(&self, entity: &str, column: &str, fault: Fault) -> Vec<(ColumnId, Fault)> {
        vec![(self.fixture.column(entity, column), fault)]
    }
}

fn code(told: Told) -> Code {
    told.unwrap_err().0
}

pub(super) fn a_new_row_is_complete_and_comes_back_as_its_maker_may_read_it<B: Bench>() {
    let ground = Ground::<B>::new();
    let action = Action::Create {
        values: ground.fixture.values(
            "Note",
            &[
                ("ownerId", uuid(ALICE)),
                ("slug", text("first \"quoted\" 'note' ü")),
                ("price", Value::Decimal("12.5".to_owned())),
            ],
        ),
        projection: ground.fixture.projection("Note", &NOTE),
    };
    let row = ground.run((ALICE, "user"), "Note", action).unwrap();
    assert_eq!(row["slug"], "first \"quoted\" 'note' ü");
    assert_eq!((&row["state"], &row["price"]), (&"draft".into(), &"12.5".into()));
    assert_eq!(row["createdAt"], "2024-01-15T10:30:00.000Z");
    assert_eq!(row["updatedAt"], "2024-01-15T10:30:00.000Z");
    assert!(row["rank"].is_null());
    let id = row["id"].as_str().unwrap();
    assert_eq!(&id[14..15], "7", "a uuid of version 7: {id}");
    assert_eq!(ground.read((ALICE, "user"), id, &NOTE).unwrap(), row);
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), NOTE.len());
}

pub(super) fn a_row_that_the_create_terms_do_not_allow_is_not_made<B: Bench>() {
    let ground = Ground::<B>::new();
    for (owner, state) in [(BOB, "draft"), (ALICE, "locked")] {
        let action = Action::Create {
            values: ground.fixture.values(
                "Note",
                &[
                    ("ownerId", uuid(owner)),
                    ("slug", text("s")),
                    ("state", text(state)),
                ],
            ),
            projection: ground.fixture.projection("Note", &["id"]),
        };
        assert_eq!(code(ground.run((ALICE, "user"), "Note", action)), Code::Forbidden);
    }
    let count = Action::Count {
        filter: Predicate::True,
    };
    assert_eq!(ground.run((ALICE, "admin"), "Note", count), Ok(0.into()));
}

pub(super) fn a_row_out_of_reach_is_as_good_as_none<B: Bench>() {
    let ground = Ground::<B>::new();
    let bobs = ground.note(BOB, &[("slug", text("b"))]);
    let none = "0199a000-0000-7000-8000-0000000000ff";
    for id in [bobs.as_str(), none] {
        assert_eq!(
            ground.read((ALICE, "user"), id, &["id"]),
            Err((Code::NotFound, vec![]))
        );
        let update = ground.update((ALICE, "user"), id, &[("slug", text("x"))], &["id"]);
        assert_eq!(update, Err((Code::NotFound, vec![])));
        assert_eq!(ground.delete((ALICE, "user"), id), Ok(false.into()));
    }
    assert_eq!(ground.delete((BOB, "user"), &bobs), Ok(true.into()));
    assert_eq!(ground.delete((BOB, "user"), &bobs), Ok(false.into()));
}

pub(super) fn a_row_can_not_be_moved_out_of_what_its_writer_may_write<B: Bench>() {
    let ground = Ground::<B>::new();
    let id = ground.note(ALICE, &[("slug", text("a"))]);
    for values in [("ownerId", uuid(BOB)), ("state", text("locked"))] {
        let told = ground.update((ALICE, "user"), &id, &[values], &["id"]);
        assert_eq!(told, Err((Code::Forbidden, vec![])));
    }
    let row = ground
        .update(
            (ALICE, "user"),
            &id,
            &[("state", text("published"))],
            &["state", "updatedAt"],
        )
        .unwrap();
    assert_eq!(row["state"], "published");
}

pub(super) fn the_before_of_one_rule_does_not_go_with_the_after_of_another<B: Bench>() {
    let ground = Ground::<B>::new();
    let id = ground.note(BOB, &[("slug", text("a"))]);
    let set = |state: &str| ground.update((ALICE, "editor"), &id, &[("state", text(state))], &[]);
    assert_eq!(
        code(set("locked")),
        Code::Forbidden,
        "draft to locked is two steps"
    );
    // Done, though the editor may not read it.
    assert_eq!(set("published"), Ok(serde_json::Value::Null));
    assert_eq!(code(set("draft")), Code::Forbidden);
    assert_eq!(set("locked"), Ok(serde_json::Value::Null));
    assert_eq!(
        code(set("locked")),
        Code::NotFound,
        "no rule reaches a locked note"
    );
}

pub(super) fn a_conflict_with_a_hidden_row_can_not_be_told_from_a_refusal<B: Bench>() {
    let ground = Ground::<B>::new();
    let mine = ground.note(ALICE, &[("slug", text("mine"))]);
    ground.note(BOB, &[("slug", text("secret"))]);
    for slug in ["secret", "free"] {
        let values = [("ownerId", uuid(BOB)), ("slug", text(slug))];
        assert_eq!(
            ground.update((ALICE, "user"), &mine, &values, &["id"]),
            Err((Code::Forbidden, vec![])),
            "{slug}"
        );
        let action = Action::Create {
            values: ground.fixture.values("Note", &values),
            projection: ground.fixture.projection("Note", &["id"]),
        };
        assert_eq!(
            ground.run((ALICE, "user"), "Note", action),
            Err((Code::Forbidden, vec![])),
            "{slug}"
        );
    }
}

pub(super) fn a_taken_value_names_its_fields<B: Bench>() {
    let ground = Ground::<B>::new();
    let create = |name: &str| {
        let action = Action::Create {
            values: ground.fixture.values("User", &[("username", text(name))]),
            projection: ground.fixture.projection("User", &["username"]),
        };
        ground.run((ALICE, "admin"), "User", action)
    };
    assert_eq!(
        create("alice"),
        Err((Code::Conflict, ground.fault("User", "username", Fault::Taken)))
    );
    assert!(create("carol").is_ok());
    ground.note(ALICE, &[("slug", text("one"))]);
    let second = ground.note(ALICE, &[("slug", text("two"))]);
    let (code, fields) = ground
        .update((ALICE, "user"), &second, &[("slug", text("one"))], &["id"])
        .unwrap_err();
    assert_eq!(code, Code::Conflict);
    let columns: Vec<ColumnId> = fields.iter().map(|(column, _)| *column).collect();
    assert_eq!(columns, ground.fixture.projection("Note", &["ownerId", "slug"]));
}

pub(super) fn a_reference_to_nothing_and_a_row_still_referred_to_are_told_apart<B: Bench>() {
    let ground = Ground::<B>::new();
    let comment = |note: &str| Action::Create {
        values: ground
            .fixture
            .values("Comment", &[("noteId", uuid(note)), ("text", text("hi"))]),
        projection: ground.fixture.projection("Comment", &["id", "noteId"]),
    };
    let missing = ground.run((ALICE, "user"), "Comment", comment(BOB));
    assert_eq!(
        missing,
        Err((
            Code::Invalid,
            ground.fault("Comment", "noteId", Fault::NoSuchReference)
        ))
    );
    let note = ground.note(ALICE, &[("slug", text("a"))]);
    let row = ground.run((ALICE, "user"), "Comment", comment(&note)).unwrap();
    assert_eq!(row["id"].as_str().unwrap().len(), 24);
    let kept = ground.delete((ALICE, "user"), &note);
    assert_eq!(
        kept,
        Err((Code::Invalid, ground.fault("Note", "id", Fault::StillReferenced)))
    );
}

pub(super) fn deleting_cascades_where_the_entity_says_so<B: Bench>() {
    let ground = Ground::<B>::new();
    let note = ground.note(BOB, &[("slug", text("a"))]);
    let target = ground.fixture.target("User", "id", uuid(BOB));
    assert_eq!(
        ground.run((ALICE, "admin"), "User", Action::Delete { target }),
        Ok(true.into())
    );
    assert_eq!(
        code(ground.read((ALICE, "admin"), &note, &["id"])),
        Code::NotFound
    );
}

pub(super) fn a_masked_column_is_left_out_where_its_rule_does_not_hold<B: Bench>() {
    let ground = Ground::<B>::new();
    for (owner, slug) in [(ALICE, "a"), (BOB, "b")] {
        ground.note(
            owner,
            &[
                ("slug", text(slug)),
                ("state", text("published")),
                ("remark", text("hush")),
            ],
        );
    }
    let action = ground
        .fixture
        .list("Note", Predicate::True, &["slug", "remark", "state"]);
    let list = ground.run((ALICE, "user"), "Note", action).unwrap();
    assert_eq!(
        list["data"],
        serde_json::json!([
            {"slug": "a", "remark": "hush", "state": "published"},
            {"slug": "b", "state": "published"},
        ])
    );
    // By filtering on it, nothing is learned either.
    let filter = ground.fixture.eq("Note", "remark", text("hush"));
    let list = ground
        .run(
            (ALICE, "user"),
            "Note",
            ground.fixture.list("Note", filter, &["slug"]),
        )
        .unwrap();
    assert_eq!(list["data"], serde_json::json!([{"slug": "a"}]));
}

pub(super) fn pages_follow_one_another_without_gap_or_overlap<B: Bench>() {
    let ground = Ground::<B>::new();
    for nth in 0..7 {
        let rank = if nth == 3 {
            Value::Null
        } else {
            Value::Int(nth % 2)
        };
        ground.note(ALICE, &[("slug", text(&format!("n{nth}"))), ("rank", rank)]);
    }
    for (total, direction) in [
        (Total::Counted, Direction::Ascending),
        (Total::Skipped, Direction::Ascending),
        (Total::Counted, Direction::Descending),
    ] {
        let mut seen = Vec::new();
        for number in 1..=3 {
            let action = Action::List {
                filter: Predicate::True,
                order: vec![SortKey {
                    column: ground.fixture.column("Note", "rank"),
                    direction,
                }],
                page: Page { number, limit: 3 },
                total,
                projection: ground.fixture.projection("Note", &["slug", "rank"]),
                includes: Vec::new(),
                cursor: None,
            };
            let page = ground.run((ALICE, "user"), "Note", action).unwrap();
            assert_eq!(page["hasMore"], number < 3, "{page}");
            assert_eq!((&page["page"], &page["limit"]), (&number.into(), &3.into()));
            assert_eq!(page.get("total"), (total == Total::Counted).then_some(&7.into()));
            seen.extend(page["data"].as_array().unwrap().clone());
        }
        let mut slugs: Vec<&str> = seen.iter().map(|row| row["slug"].as_str().unwrap()).collect();
        let null_at = seen.iter().position(|row| row["rank"].is_null()).unwrap();
        assert_eq!(
            null_at,
            if direction == Direction::Ascending { 0 } else { 6 },
            "NULL is the smallest"
        );
        slugs.sort_unstable();
        assert_eq!(slugs, ["n0", "n1", "n2", "n3", "n4", "n5", "n6"]);
    }
}

pub(super) fn text_is_matched_literally_and_by_its_case<B: Bench>() {
    let ground = Ground::<B>::new();
    for slug in ["50%", "500", "ÄRGER", "ärger", "x_y", "xay"] {
        ground.note(ALICE, &[("slug", text(slug))]);
    }
    for (position, part, case, expected) in [
        (TextPosition::Contains, "0%", Case::Sensitive, vec!["50%"]),
        (TextPosition::StartsWith, "x_", Case::Sensitive, vec!["x_y"]),
        (TextPosition::EndsWith, "00", Case::Sensitive, vec!["500"]),
        (TextPosition::EndsWith, "longer than any", Case::Sensitive, vec![]),
        (TextPosition::EndsWith, "?500", Case::Sensitive, vec![]),
        (TextPosition::Whole, "ÄRGER", Case::Sensitive, vec!["ÄRGER"]),
        (
            TextPosition::Whole,
            "Ärger",
            Case::Insensitive,
            vec!["ÄRGER", "ärger"],
        ),
        (
            TextPosition::StartsWith,
            "är",
            Case::Insensitive,
            vec!["ÄRGER", "ärger"],
        ),
        (
            TextPosition::Contains,
            "",
            Case::Sensitive,
            vec!["500", "50%", "xay", "x_y", "ÄRGER", "ärger"],
        ),
        (
            TextPosition::EndsWith,
            "",
            Case::Sensitive,
            vec!["500", "50%", "xay", "x_y", "ÄRGER", "ärger"],
        ),
    ] {
        let filter = Predicate::Matches {
            column: ground.fixture.column("Note", "slug"),
            position,
            text: part.to_owned(),
            case,
        };
        let list = ground
            .run(
                (ALICE, "user"),
                "Note",
                ground.fixture.list("Note", filter, &["slug"]),
            )
            .unwrap();
        let mut found: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["slug"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected, "{position:?} {part} {case:?}");
    }
}

pub(super) fn decimals_are_sorted_and_compared_by_value<B: Bench>() {
    let ground = Ground::<B>::new();
    for price in ["9", "10", "-2", "9.5"] {
        ground.note(
            ALICE,
            &[("slug", text(price)), ("price", Value::Decimal(price.to_owned()))],
        );
    }
    let action = Action::List {
        filter: Predicate::Between {
            column: ground.fixture.column("Note", "price"),
            low: Value::Decimal("-3".to_owned()),
            high: Value::Decimal("9.75".to_owned()),
        },
        order: vec![SortKey {
            column: ground.fixture.column("Note", "price"),
            direction: Direction::Ascending,
        }],
        page: Page { number: 1, limit: 10 },
        total: Total::Counted,
        projection: ground.fixture.projection("Note", &["price"]),
        includes: Vec::new(),
        cursor: None,
    };
    let list = ground.run((ALICE, "user"), "Note", action).unwrap();
    assert_eq!(
        list["data"],
        serde_json::json!([{"price": "-2"}, {"price": "9"}, {"price": "9.5"}])
    );
}

pub(super) fn finding_and_counting_see_only_what_the_caller_sees<B: Bench>() {
    let ground = Ground::<B>::new();
    ground.note(ALICE, &[("slug", text("a"))]);
    ground.note(BOB, &[("slug", text("b"))]);
    let count = Action::Count {
        filter: Predicate::True,
    };
    assert_eq!(ground.run((ALICE, "user"), "Note", count.clone()), Ok(1.into()));
    assert_eq!(ground.run((ALICE, "admin"), "Note", count), Ok(2.into()));
    let find = |slug: &str| Action::FindFirst {
        filter: ground.fixture.eq("Note", "slug", text(slug)),
        order: Vec::new(),
        projection: ground.fixture.projection("Note", &["slug"]),
        includes: Vec::new(),
    };
    assert_eq!(
        ground.run((ALICE, "user"), "Note", find("b")),
        Ok(serde_json::Value::Null)
    );
    assert_eq!(
        ground.run((ALICE, "user"), "Note", find("a")),
        Ok(serde_json::json!({"slug": "a"}))
    );
    let empty = Predicate::In {
        column: ground.fixture.column("Note", "slug"),
        values: Vec::new(),
    };
    assert_eq!(
        ground.run((ALICE, "user"), "Note", Action::Count { filter: empty }),
        Ok(0.into())
    );
}

pub(super) fn many_rows_are_made_or_none<B: Bench>() {
    let ground = Ground::<B>::new();
    let rows = |slugs: &[&str]| Action::CreateMany {
        rows: slugs
            .iter()
            .map(|slug| {
                ground
                    .fixture
                    .values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(slug))])
            })
            .collect(),
    };
    assert_eq!(
        ground.run((ALICE, "user"), "Note", rows(&["a", "b", "c"])),
        Ok(3.into())
    );
    assert_eq!(
        code(ground.run((ALICE, "user"), "Note", rows(&["d", "a"]))),
        Code::Conflict
    );
    let count = Action::Count {
        filter: Predicate::True,
    };
    assert_eq!(ground.run((ALICE, "user"), "Note", count), Ok(3.into()));
}

pub(super) fn many_rows_are_changed_or_none<B: Bench>() {
    let ground = Ground::<B>::new();
    for (owner, slug, state) in [
        (ALICE, "a", "draft"),
        (ALICE, "b", "published"),
        (BOB, "c", "draft"),
    ] {
        ground.note(owner, &[("slug", text(slug)), ("state", text(state))]);
    }
    let set = |caller, filter, values: &[(&str, Value)]| {
        let values = ground.fixture.values("Note", values);
        ground.run(caller, "Note", Action::UpdateMany { filter, values })
    };
    let drafts = || ground.fixture.eq("Note", "state", text("draft"));
    assert_eq!(
        set((ALICE, "user"), drafts(), &[("rank", Value::Int(5))]),
        Ok(1.into()),
        "Bob's is out of reach"
    );
    let everything = Predicate::Or(vec![
        drafts(),
        ground.fixture.eq("Note", "state", text("published")),
    ]);
    assert_eq!(
        code(set(
            (ALICE, "admin"),
            everything.clone(),
            &[("slug", text("same"))]
        )),
        Code::Conflict
    );
    assert_eq!(
        set((ALICE, "admin"), everything, &[("rank", Value::Int(1))]),
        Ok(3.into())
    );
    let removed = Action::DeleteMany { filter: drafts() };
    assert_eq!(ground.run((ALICE, "user"), "Note", removed), Ok(1.into()));
    assert_eq!(
        ground.run(
            (ALICE, "admin"),
            "Note",
            Action::DeleteMany {
                filter: Predicate::True
            }
        ),
        Ok(2.into())
    );
}

pub(super) fn one_row_that_may_not_be_changed_so_stops_the_whole_update<B: Bench>() {
    let ground = Ground::<B>::new();
    for (slug, state) in [("a", "draft"), ("b", "published")] {
        ground.note(ALICE, &[("slug", text(slug)), ("state", text(state))]);
    }
    let action = Action::UpdateMany {
        filter: ground.fixture.eq("Note", "ownerId", uuid(ALICE)),
        values: ground.fixture.values("Note", &[("state", text("locked"))]),
    };
    assert_eq!(code(ground.run((ALICE, "user"), "Note", action)), Code::Forbidden);
    let locked = Action::Count {
        filter: ground.fixture.eq("Note", "state", text("locked")),
    };
    assert_eq!(ground.run((ALICE, "admin"), "Note", locked), Ok(0.into()));
}

pub(super) fn more_rows_than_one_call_may_change_are_refused_as_a_whole<B: Bench>() {
    let ground = Ground::<B>::new();
    for thousand in 0..11 {
        let row = |nth: i32| {
            let slug = format!("{thousand}-{nth}");
            let values = [("ownerId", uuid(ALICE)), ("slug", text(&slug))];
            ground.fixture.values("Note", &values)
        };
        let rows = if thousand == 10 { 1 } else { 1_000 };
        let action = Action::CreateMany {
            rows: (0..rows).map(row).collect(),
        };
        assert_eq!(ground.run((ALICE, "admin"), "Note", action), Ok(rows.into()));
    }
    let delete = || Action::DeleteMany {
        filter: Predicate::True,
    };
    assert_eq!(
        code(ground.run((ALICE, "admin"), "Note", delete())),
        Code::TooLarge
    );
    ground.bench.execute("DELETE FROM \"Note\" WHERE slug = '0-1'");
    assert_eq!(ground.run((ALICE, "admin"), "Note", delete()), Ok(10_000.into()));
}

pub(super) fn an_upsert_updates_what_is_there_and_creates_what_is_not<B: Bench>() {
    let ground = Ground::<B>::new();
    let upsert = |caller, id: &str, slug: &str| {
        let create = [("id", uuid(id)), ("ownerId", uuid(ALICE)), ("slug", text(slug))];
        let action = Action::Upsert {
            target: ground.fixture.target("Note", "id", uuid(id)),
            create: ground.fixture.values("Note", &create),
            update: ground.fixture.values("Note", &[("rank", Value::Int(7))]),
            projection: ground.fixture.projection("Note", &["slug", "rank"]),
        };
        ground.run(caller, "Note", action)
    };
    let id = "0199a000-0000-7000-8000-000000000001";
    let made = upsert((ALICE, "admin"), id, "a").unwrap();
    assert_eq!(made, serde_json::json!({"slug": "a", "rank": null}));
    let changed = upsert((ALICE, "admin"), id, "ignored").unwrap();
    assert_eq!(changed, serde_json::json!({"slug": "a", "rank": 7}));
}

pub(super) fn an_upsert_on_a_hidden_row_is_answered_like_a_create_on_it<B: Bench>() {
    let ground = Ground::<B>::new();
    let note = ground.note(ALICE, &[("slug", text("a"))]);
    let rows = format!("('chidden', '{note}', 'hidden'), ('copen', '{note}', 'open')");
    ground.bench.execute(&format!(
        "INSERT INTO \"Comment\" (id, \"noteId\", text) VALUES {rows}"
    ));
    let values = |id: &str| {
        ground.fixture.values(
            "Comment",
            &[("id", text(id)), ("noteId", uuid(&note)), ("text", text("new"))],
        )
    };
    let upsert = |id: &str| Action::Upsert {
        target: ground.fixture.target("Comment", "id", text(id)),
        create: values(id),
        update: ground.fixture.values("Comment", &[("text", text("changed"))]),
        projection: ground.fixture.projection("Comment", &["text"]),
    };
    let create = |id: &str| Action::Create {
        values: values(id),
        projection: ground.fixture.projection("Comment", &["text"]),
    };
    let run = |action| ground.run((ALICE, "user"), "Comment", action);
    assert_eq!(run(upsert("copen")), Ok(serde_json::json!({"text": "changed"})));
    assert_eq!(run(upsert("cnew")), Ok(serde_json::json!({"text": "new"})));
    let hidden = run(upsert("chidden"));
    assert_eq!(
        hidden,
        Err((Code::Conflict, ground.fault("Comment", "id", Fault::Taken)))
    );
    assert_eq!(hidden, run(create("chidden")));
}

pub(super) fn an_answer_beyond_the_bound_is_refused<B: Bench>() {
    let ground = Ground::<B>::new();
    let long = "x".repeat(3 * 1024 * 1024);
    for slug in ["a", "b", "c"] {
        ground.note(ALICE, &[("slug", text(slug)), ("remark", text(&long))]);
    }
    let action = ground.fixture.list("Note", Predicate::True, &["remark"]);
    assert_eq!(code(ground.run((ALICE, "admin"), "Note", action)), Code::TooLarge);
}

pub(super) fn lengths_count_characters_whatever_they_take<B: Bench>() {
    let ground = Ground::<B>::new();
    let longest = "👩".repeat(40);
    let id = ground.note(ALICE, &[("slug", text(&longest))]);
    let row = ground.read((ALICE, "user"), &id, &["slug"]).unwrap();
    assert_eq!(row["slug"], longest);
    let slug = ground.fixture.entity("Note").column_by_name("slug").unwrap();
    let too_long = text(&format!("{longest}e"));
    assert_eq!(slug.faults_of(&too_long), Some(Fault::TooLong { max: 40 }));
}
