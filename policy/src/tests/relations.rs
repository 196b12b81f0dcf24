//! Conditions on linked rows: whoever may not see a row, or a column in it, learns nothing of it through a relation.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Direction, Include, Page, SortKey, Total};
use dbal_shared::predicate::{Case, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::terms::Mask;
use dbal_shared::value::Value;

use super::world::{ME, World, docs, text, uuid};
use crate::{Denied, Grant, Reason};

fn docs_of_team(world: &World) -> Link {
    Link {
        column: world.column("Team", "id"),
        entity: world.entity("Doc"),
        foreign: world.column("Doc", "teamId"),
    }
}

fn team_of_doc(world: &World) -> Link {
    Link {
        column: world.column("Doc", "teamId"),
        entity: world.entity("Team"),
        foreign: world.column("Team", "id"),
    }
}

fn related(link: Link, quantifier: Quantifier, within: Predicate, predicate: Predicate) -> Predicate {
    Predicate::Related {
        link,
        quantifier,
        within: Box::new(within),
        predicate: Box::new(predicate),
    }
}

fn teams(world: &World, quantifier: Quantifier, predicate: Predicate) -> Result<Grant, Denied> {
    let filter = related(docs_of_team(world), quantifier, Predicate::True, predicate);
    world.decide(&["user"], world.list("Team", filter, &["id"]))
}

fn filter_of(grant: &Grant) -> Predicate {
    let Action::List { filter, .. } = &grant.terms().plan.action else {
        panic!("no list")
    };
    filter.clone()
}

const TEAMS: &str = "rules:\n  - {id: teams, entity: Team, roles: [user], operations: [read]}\n";

#[test]
fn linked_rows_count_only_if_the_caller_may_list_them() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}}\n\
         restrict:\n  - {{id: wall, entity: Doc, rows: \"state = 'published'\"}}\n"
    ));
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let within = own.and(world.eq("Doc", "state", text("published")));
    for quantifier in [Quantifier::Some, Quantifier::Every, Quantifier::None] {
        let title = world.eq("Doc", "title", text("x"));
        let grant = teams(&world, quantifier, title.clone()).unwrap();
        let expected = related(docs_of_team(&world), quantifier, within.clone(), title);
        assert_eq!(filter_of(&grant), expected);
        assert_eq!(grant.rules().collect::<Vec<_>>(), ["teams", "own"]);
    }
}

#[test]
fn a_caller_without_the_claim_of_a_restriction_sees_no_linked_row() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: all, entity: Doc, roles: [user], operations: [list]}}\n\
         restrict:\n  - {{id: wall, entity: Doc, rows: \"tenant = $user.tenantId\"}}\n"
    ));
    let title = || world.eq("Doc", "title", text("x"));
    for (quantifier, expected) in [
        (Quantifier::Some, Predicate::False),
        (Quantifier::Every, Predicate::True),
        (Quantifier::None, Predicate::True),
    ] {
        assert_eq!(filter_of(&teams(&world, quantifier, title()).unwrap()), expected);
    }
}

#[test]
fn a_masked_cell_cannot_be_probed_through_a_relation() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: titles, entity: Doc, roles: [user], operations: [list], fields: {{read: [id, teamId, title]}}}}\n  \
         - {{id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}}\n"
    ));
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let secret = world.eq("Doc", "secret", text("x"));
    for (predicate, within) in [
        (world.eq("Doc", "title", text("x")), Predicate::True),
        (secret.clone(), own.clone()),
        (Predicate::Not(Box::new(secret.clone())), own.clone()),
        (
            Predicate::Or(vec![world.eq("Doc", "title", text("x")), secret]),
            own,
        ),
    ] {
        let grant = teams(&world, Quantifier::Some, predicate.clone()).unwrap();
        let expected = related(docs_of_team(&world), Quantifier::Some, within, predicate);
        assert_eq!(filter_of(&grant), expected);
    }
}

#[test]
fn a_link_that_only_some_rows_show_is_followed_from_those_only() {
    let world = docs(
        "rules:\n  - {id: teams, entity: Team, roles: [user], operations: [list]}\n  \
         - {id: titles, entity: Doc, roles: [user], operations: [list], fields: {read: [id, title]}}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}\n",
    );
    let own = world.eq("Doc", "ownerId", uuid(ME));
    // To the team: documents that show their team.
    let filter = related(
        team_of_doc(&world),
        Quantifier::Some,
        Predicate::True,
        Predicate::True,
    );
    let grant = world
        .decide(&["user"], world.list("Doc", filter, &["title"]))
        .unwrap();
    assert_eq!(grant.terms().read.rows, own);
    // And back.
    let grant = teams(&world, Quantifier::None, Predicate::True).unwrap();
    let expected = related(docs_of_team(&world), Quantifier::None, own, Predicate::True);
    assert_eq!(filter_of(&grant), expected);
}

#[test]
fn each_step_of_a_nested_condition_is_narrowed_by_its_own_entity() {
    let world = docs(
        "rules:\n  - {id: led, entity: Team, roles: [user], operations: [list], rows: \"leadId = $user.id\"}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}\n",
    );
    let (own, led) = (
        world.eq("Doc", "ownerId", uuid(ME)),
        world.eq("Team", "leadId", uuid(ME)),
    );
    let closed = world.eq("Team", "closed", Value::Bool(true));
    let nested = |own: Predicate, led: Predicate| {
        let inner = related(team_of_doc(&world), Quantifier::Every, led, closed.clone());
        related(docs_of_team(&world), Quantifier::None, own, inner)
    };
    let plan = world.list("Team", nested(Predicate::True, Predicate::True), &["id"]);
    let grant = world.decide(&["user"], plan).unwrap();
    assert_eq!(filter_of(&grant), nested(own, led.clone()));
    assert_eq!(grant.terms().read.rows, led);
}

#[test]
fn what_may_not_be_listed_or_read_is_a_relation_that_does_not_exist() {
    for rules in [
        // Nothing of the entity, one row of it only, without the link, without the column.
        "",
        "  - {id: r, entity: Doc, roles: [user], operations: [create, delete]}\n",
        "  - {id: r, entity: Doc, roles: [user], operations: [list], fields: {read: [id, title]}}\n",
        "  - {id: r, entity: Doc, roles: [user], operations: [list], fields: {read: [id, teamId]}}\n",
    ] {
        let world = docs(&format!("{TEAMS}{rules}"));
        for predicate in [
            world.eq("Doc", "title", text("x")),
            world.eq("Doc", "title", Value::Int(1)),
            world.eq("Doc", "hash", text("x")),
        ] {
            let denied = teams(&world, Quantifier::None, predicate).unwrap_err();
            assert_eq!(denied.client(), (Code::Invalid, "Validation failed".to_owned()));
            assert_eq!(
                denied.fields(),
                [(world.column("Team", "id"), Fault::Unknown)],
                "{rules}"
            );
        }
    }
}

#[test]
fn only_foreign_keys_are_followed_and_only_so_far() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: all, entity: Doc, roles: [user], operations: [list]}}\n"
    ));
    let list = |filter| world.decide(&["user"], world.list("Team", filter, &["id"]));
    for link in [
        Link {
            foreign: world.column("Doc", "ownerId"),
            ..docs_of_team(&world)
        },
        Link {
            column: world.column("Team", "leadId"),
            ..docs_of_team(&world)
        },
        Link {
            column: ColumnId(99),
            ..docs_of_team(&world)
        },
    ] {
        let denied = list(related(link, Quantifier::Some, Predicate::True, Predicate::True)).unwrap_err();
        assert_eq!(denied.fields(), [(link.column, Fault::Unknown)]);
    }
    // Whoever could say which rows count could say that all do.
    let forged = related(
        docs_of_team(&world),
        Quantifier::Some,
        Predicate::False,
        Predicate::True,
    );
    assert!(matches!(list(forged).unwrap_err().reason(), Reason::Malformed(_)));

    let mut deep = Predicate::True;
    for step in 0..4 {
        let link = if step % 2 == 1 {
            docs_of_team(&world)
        } else {
            team_of_doc(&world)
        };
        deep = related(link, Quantifier::Some, Predicate::True, deep);
        let is_from_team = step % 2 == 1;
        if is_from_team {
            let is_allowed = list(deep.clone()).is_ok();
            assert_eq!(is_allowed, step < 3, "{step}");
        }
    }
    let one = related(
        docs_of_team(&world),
        Quantifier::Some,
        Predicate::True,
        Predicate::True,
    );
    assert!(list(Predicate::And(vec![one.clone(); 16])).is_ok());
    assert!(matches!(
        list(Predicate::And(vec![one; 17])).unwrap_err().reason(),
        Reason::TooLarge(_)
    ));
}

#[test]
fn a_relation_condition_that_excludes_nothing_is_no_filter() {
    let world = docs(
        "rules:\n  - {id: teams, entity: Team, roles: [user], operations: [read, delete]}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}\n",
    );
    let delete = |quantifier, predicate| {
        let filter = related(docs_of_team(&world), quantifier, Predicate::True, predicate);
        world.decide(&["user"], world.plan("Team", Action::DeleteMany { filter }))
    };
    for (quantifier, predicate) in [
        (Quantifier::Every, Predicate::True),
        (Quantifier::None, Predicate::False),
        (
            Quantifier::None,
            Predicate::In {
                column: world.column("Doc", "title"),
                values: Vec::new(),
            },
        ),
    ] {
        let denied = delete(quantifier, predicate).unwrap_err();
        assert_eq!(*denied.reason(), Reason::Unfiltered);
    }
    let grant = delete(Quantifier::None, Predicate::True).unwrap();
    let Action::DeleteMany { filter } = &grant.terms().plan.action else {
        panic!("no deleteMany")
    };
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let expected = related(docs_of_team(&world), Quantifier::None, own, Predicate::True);
    assert_eq!(*filter, expected, "writes are found by visible rows only, too");
}

fn include(world: &World, link: Link, entity: &str, names: &[&str]) -> Include {
    Include {
        link,
        filter: Predicate::True,
        order: Vec::new(),
        limit: 5,
        projection: world.columns(entity, names),
        includes: Vec::new(),
    }
}

fn including(world: &World, entity: &str, includes: Vec<Include>) -> Result<Grant, Denied> {
    let action = Action::List {
        filter: Predicate::True,
        order: Vec::new(),
        page: Page { number: 1, limit: 20 },
        total: Total::Skipped,
        projection: world.columns(entity, &["id"]),
        includes,
        cursor: None,
    };
    world.decide(&["user"], world.plan(entity, action))
}

fn includes_of(grant: &Grant) -> Vec<Include> {
    let Action::List { includes, .. } = &grant.terms().plan.action else {
        panic!("no list")
    };
    includes.clone()
}

#[test]
fn included_rows_and_their_cells_are_those_that_a_list_of_their_own_would_show() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: titles, entity: Doc, roles: [user], operations: [list], rows: \"state = 'published'\", fields: {{read: [id, teamId, title]}}}}\n  \
         - {{id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\", fields: {{read: ['*', '-tenant']}}}}\n\
         restrict:\n  - {{id: wall, entity: Doc, rows: \"slug IS NOT NULL\"}}\n"
    ));
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let published = world.eq("Doc", "state", text("published"));
    let wall = Predicate::Not(Box::new(Predicate::IsNull {
        column: world.column("Doc", "slug"),
    }));
    let docs = include(
        &world,
        docs_of_team(&world),
        "Doc",
        &["title", "secret", "tenant", "hash"],
    );
    let grant = including(&world, "Team", vec![docs.clone()]).unwrap();
    let [read] = grant.terms().read.includes.as_slice() else {
        panic!("terms for each include")
    };
    assert_eq!(read.rows, published.or(own.clone()).and(wall.clone()));
    let secret = Mask {
        column: world.column("Doc", "secret"),
        shown_when: own.clone(),
    };
    assert_eq!(read.masks, [secret]);
    let shown = includes_of(&grant).remove(0).projection;
    assert_eq!(shown, world.columns("Doc", &["title", "secret"]), "cut");

    // Whoever filters or sorts them by a cell sees only those that show it.
    for (filter, order) in [
        (world.eq("Doc", "secret", text("x")), Vec::new()),
        (
            Predicate::True,
            vec![SortKey {
                column: world.column("Doc", "secret"),
                direction: Direction::Ascending,
            }],
        ),
    ] {
        let docs = Include {
            filter,
            order,
            ..docs.clone()
        };
        let grant = including(&world, "Team", vec![docs]).unwrap();
        assert_eq!(grant.terms().read.includes[0].rows, own.clone().and(wall.clone()));
    }
}

#[test]
fn where_the_column_that_leads_to_them_is_hidden_included_rows_are_too() {
    let world = docs(
        "rules:\n  - {id: teams, entity: Team, roles: [user], operations: [list]}\n  \
         - {id: titles, entity: Doc, roles: [user], operations: [list], fields: {read: [id, title]}}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\"}\n",
    );
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let team = include(&world, team_of_doc(&world), "Team", &["id"]);
    let grant = including(&world, "Doc", vec![team.clone()]).unwrap();
    let masked = Mask {
        column: world.column("Doc", "teamId"),
        shown_when: own.clone(),
    };
    assert_eq!(
        grant.terms().read.rows,
        Predicate::True,
        "no row is left out for it"
    );
    assert_eq!(grant.terms().read.masks, [masked]);
    // Rows that hide which team they are of are not found under it; and the same one step further.
    let docs = Include {
        includes: vec![team],
        ..include(&world, docs_of_team(&world), "Doc", &["title"])
    };
    let grant = including(&world, "Team", vec![docs]).unwrap();
    assert_eq!(grant.terms().read.includes[0].rows, own);
}

#[test]
fn what_may_not_be_listed_or_read_can_not_be_included() {
    for (rules, names) in [
        ("", &["id"][..]),
        (
            "  - {id: r, entity: Doc, roles: [user], operations: [create, delete]}\n",
            &["id"],
        ),
        (
            "  - {id: r, entity: Doc, roles: [user], operations: [list], fields: {read: [id, title]}}\n",
            &["id"],
        ),
        (
            "  - {id: r, entity: Doc, roles: [user], operations: [list]}\n",
            &["hash"],
        ),
    ] {
        let world = docs(&format!("{TEAMS}{rules}"));
        let denied = including(
            &world,
            "Team",
            vec![include(&world, docs_of_team(&world), "Doc", names)],
        );
        assert_eq!(
            denied.unwrap_err().fields(),
            [(world.column("Team", "id"), Fault::Unknown)],
            "{rules}"
        );
    }
    // The column that leads there is hidden in every row.
    let world = docs(&format!(
        "{TEAMS}  - {{id: r, entity: Doc, roles: [user], operations: [list], fields: {{read: [id, title]}}}}\n"
    ));
    let denied = including(
        &world,
        "Doc",
        vec![include(&world, team_of_doc(&world), "Team", &["id"])],
    );
    assert_eq!(
        denied.unwrap_err().fields(),
        [(world.column("Doc", "teamId"), Fault::Unknown)]
    );
}

#[test]
fn includes_are_bounded_in_number_depth_rows_and_cost() {
    let world = docs(&format!(
        "{TEAMS}  - {{id: all, entity: Doc, roles: [user], operations: [list]}}\n\
         limits: {{user: {{max_rows: 7, max_complexity: 1000}}}}\n"
    ));
    let docs = include(&world, docs_of_team(&world), "Doc", &["id"]);
    let team = include(&world, team_of_doc(&world), "Team", &["id"]);
    let many = Include {
        limit: 50,
        ..docs.clone()
    };
    let grant = including(&world, "Team", vec![many.clone()]).unwrap();
    assert_eq!(
        includes_of(&grant)[0].limit,
        7,
        "no more than a list of its own may have"
    );
    // 1, the filters' two nodes, the relation, 20 rows, and 50 for each of them.
    assert_eq!(grant.complexity(), 1 + 2 + 10 + 2 + 100);

    let cost = |filter, by: &str| {
        let order = vec![SortKey {
            column: world.column("Doc", by),
            direction: Direction::Ascending,
        }];
        let one = Include {
            filter,
            order,
            ..many.clone()
        };
        let grant = including(&world, "Team", vec![one]).unwrap();
        grant.complexity().saturating_sub(1 + 2 + 10 + 2 + 100)
    };
    let search = || Predicate::Matches {
        column: world.column("Doc", "title"),
        position: TextPosition::Contains,
        text: "x".to_owned(),
        case: Case::Sensitive,
    };
    assert_eq!(cost(Predicate::True, "slug"), 1, "a key that an index serves");
    assert_eq!(cost(Predicate::True, "title"), 1 + 20, "one that none serves");
    assert_eq!(
        cost(world.eq("Doc", "title", text("x")), "slug"),
        1 + 20,
        "a filter, too"
    );
    assert_eq!(
        cost(world.eq("Doc", "slug", text("x")), "title"),
        1,
        "one row has an order"
    );
    assert_eq!(cost(search(), "title"), 1 + 20 + 20 + 5, "and a search");

    let twice = including(&world, "Team", vec![docs.clone(), docs.clone()]);
    assert!(matches!(twice.unwrap_err().reason(), Reason::Malformed(_)));
    let nested = |depth: usize, limit: u32| {
        let mut inner = Vec::new();
        for step in (0..depth).rev() {
            let one = if step % 2 == 0 { docs.clone() } else { team.clone() };
            inner = vec![Include {
                includes: inner,
                limit,
                ..one
            }];
        }
        inner
    };
    assert!(including(&world, "Team", nested(3, 1)).is_ok());
    assert!(matches!(
        including(&world, "Team", nested(4, 1)).unwrap_err().reason(),
        Reason::TooLarge(_)
    ));
    assert!(matches!(
        including(&world, "Team", nested(3, 1000)).unwrap_err().reason(),
        Reason::TooComplex { .. }
    ));
}
