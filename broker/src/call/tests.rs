//! Every method's shapes, and what is said of those that are none of them.

mod rows;
mod together;

use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Action, Direction, Function, Include, Measure, Page, SortKey, Total};
use dbal_shared::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;

use super::{Call, Method, interpret};
use crate::fixture::{KEY, policy, principal, request};
use crate::respond::{self, Refusal};
use crate::rpc::{Dialect, Id};

const TITLE: ColumnId = ColumnId(2);
const SLUG: ColumnId = ColumnId(3);
const RANK: ColumnId = ColumnId(4);
const OPEN: ColumnId = ColumnId(5);

fn call_as(role: &str, method: &str, params: &str) -> Result<Call, Refusal> {
    let policy = policy();
    let subject = policy.subject(&principal("alice", role));
    let params = params.replace("KEY", &format!("\"{KEY}\""));
    let raw = request(&format!(r#"{{"id":"1","method":"{method}","params":{params}}}"#));
    interpret(Method::by_name(method).unwrap(), &raw.params, &policy, &subject)
}

fn action(method: &str, params: &str) -> Action {
    call_as("user", method, params).unwrap().wanted.plans()[0]
        .action
        .clone()
}

fn refused_as(role: &str, method: &str, params: &str) -> String {
    match call_as(role, method, params) {
        Ok(call) => panic!("{method} {params} was taken for {:?}", call.wanted),
        Err(refusal) => respond::error(Dialect::Native, &Id::null(), &refusal),
    }
}

fn refused(method: &str, params: &str) -> String {
    refused_as("user", method, params)
}

fn filter(json: &str) -> Predicate {
    match action("list", &format!(r#"["Note",{{"filter":{json}}}]"#)) {
        Action::List { filter, .. } => filter,
        other => panic!("{other:?}"),
    }
}

fn title(op: Comparison, text: &str) -> Predicate {
    Predicate::Compare {
        column: TITLE,
        op,
        value: Value::Text(text.to_owned()),
    }
}

#[test]
fn numbers_are_asked_for_by_function_and_field() {
    let options = r#"{"filter":{"rank":{"gt":1}},"groupBy":["open"],"sum":["rank"],"max":"title","limit":7}"#;
    let Action::Aggregate {
        filter: _,
        groups,
        count,
        measures,
        limit,
    } = action("aggregate", &format!(r#"["Note",{options}]"#))
    else {
        panic!()
    };
    let measure = |function, column| Measure { function, column };
    assert_eq!((groups, count, limit), (vec![OPEN], Total::Skipped, 7));
    assert_eq!(
        measures,
        [measure(Function::Sum, RANK), measure(Function::Max, TITLE)]
    );
    let Action::Aggregate { count, measures, .. } = action("aggregate", r#"["Note"]"#) else {
        panic!()
    };
    assert_eq!((count, measures), (Total::Counted, Vec::new()));
}

#[test]
fn conditions_on_linked_rows_nest() {
    let text = Predicate::Compare {
        column: ColumnId(2),
        op: Comparison::Eq,
        value: Value::Text("a".to_owned()),
    };
    let words = |quantifier, predicate| Predicate::Related {
        link: Link {
            column: ColumnId(0),
            entity: EntityId(2),
            foreign: ColumnId(1),
        },
        quantifier,
        within: Box::new(Predicate::True),
        predicate: Box::new(predicate),
    };
    assert_eq!(
        filter(r#"{"words":{"some":{"text":"a"},"none":{}}}"#),
        words(Quantifier::Some, text).and(words(Quantifier::None, Predicate::True))
    );
    let note = Link {
        column: ColumnId(1),
        entity: EntityId(0),
        foreign: ColumnId(0),
    };
    let nested = Predicate::Related {
        link: note,
        quantifier: Quantifier::Some,
        within: Box::new(Predicate::True),
        predicate: Box::new(title(Comparison::Eq, "b")),
    };
    assert_eq!(
        filter(r#"{"words":{"every":{"note":{"some":{"title":"b"}}}}}"#),
        words(Quantifier::Every, nested)
    );
}

#[test]
fn relations_are_included_with_the_options_of_a_small_list() {
    let words = Link {
        column: ColumnId(0),
        entity: EntityId(2),
        foreign: ColumnId(1),
    };
    let plain = Include {
        link: words,
        filter: Predicate::True,
        order: Vec::new(),
        limit: 20,
        projection: vec![ColumnId(0), ColumnId(1), ColumnId(2)],
        includes: Vec::new(),
    };
    let included = |method: &str, params: &str| match action(method, params) {
        Action::List { includes, .. }
        | Action::Read { includes, .. }
        | Action::FindFirst { includes, .. } => includes,
        other => panic!("{other:?}"),
    };
    for (method, params) in [
        ("list", r#"["Note",{"include":"words"}]"#),
        ("list", r#"["Note",{"include":["words"]}]"#),
        ("read", r#"["Note",KEY,{"include":{"words":true}}]"#),
        ("findFirst", r#"["Note",{"rank":1},{"include":{"words":{}}}]"#),
        (
            "findByField",
            r#"["Note","rank",1,{"include":{"words":true,"vaults":false}}]"#,
        ),
    ] {
        assert_eq!(included(method, params), std::slice::from_ref(&plain), "{method}");
    }
    let options =
        r#"{"filter":{"text":"a"},"sort":{"text":"desc"},"limit":3,"select":["text"],"include":"note"}"#;
    let params = format!(r#"["Note",{{"include":{{"words":{options}}}}}]"#);
    let [include] = included("list", &params).try_into().unwrap();
    assert_eq!(
        (include.limit, include.projection, include.order.len()),
        (3, vec![ColumnId(2)], 1)
    );
    assert_ne!(include.filter, Predicate::True);
    assert_eq!(include.includes.len(), 1);
}

#[test]
fn a_relation_that_may_not_be_followed_is_an_unknown_field() {
    let unknown = refused("list", r#"["Note",{"filter":{"nonsense":{"some":{}}}}]"#);
    for name in ["vaults", "owner", "Words", "word"] {
        let params = format!(r#"["Note",{{"filter":{{"{name}":{{"some":{{}}}}}}}}]"#);
        assert_eq!(
            refused("list", &params),
            unknown.replace("nonsense", name),
            "{name}"
        );
    }
    let readers = refused_as("reader", "list", r#"["Note",{"filter":{"words":{"some":{}}}}]"#);
    assert_eq!(readers, unknown.replace("nonsense", "words"));
    // A column of the linked entity that may not be read.
    let words = |field: &str| {
        refused(
            "list",
            &format!(r#"["Note",{{"filter":{{"words":{{"some":{{"{field}":1}}}}}}}}]"#),
        )
    };
    assert_eq!(words("weight"), words("nothing").replace("nothing", "weight"));
    for wrong in ["null", "{}", r#"{"is":{}}"#, r#"{"some":[]}"#] {
        let answer = refused("list", &format!(r#"["Note",{{"filter":{{"words":{wrong}}}}}]"#));
        assert!(answer.contains("\"code\":422"), "{answer}");
    }
}

#[test]
fn each_method_becomes_its_action_by_position_and_by_name() {
    for (method, by_position, by_name, expected) in [
        ("read", r#"["Note",KEY]"#, r#"{"entity":"Note","id":KEY}"#, "read"),
        ("list", r#"["Note"]"#, r#"{"entity":"Note"}"#, "list"),
        (
            "list",
            r#"["Note",null]"#,
            r#"{"entity":"Note","options":{"page":null}}"#,
            "list",
        ),
        (
            "findFirst",
            r#"["Note"]"#,
            r#"{"entity":"Note","filter":{"rank":1}}"#,
            "findFirst",
        ),
        (
            "findByField",
            r#"["Note","rank",1]"#,
            r#"{"entity":"Note","field":"rank","value":null}"#,
            "findFirst",
        ),
        (
            "count",
            r#"["Note",{"filter":{"rank":1}}]"#,
            r#"{"entity":"Note"}"#,
            "count",
        ),
        (
            "create",
            r#"["Note",{"title":"t"}]"#,
            r#"{"entity":"Note","data":{"title":"t"}}"#,
            "create",
        ),
        (
            "createMany",
            r#"["Note",[{"title":"t"}]]"#,
            r#"{"entity":"Note","rows":[]}"#,
            "createMany",
        ),
        (
            "update",
            r#"["Note",KEY,{"rank":1}]"#,
            r#"{"entity":"Note","id":KEY,"data":{"rank":1}}"#,
            "update",
        ),
        (
            "updateByField",
            r#"["Note","slug","s",{"rank":1}]"#,
            r#"{"entity":"Note","field":"id","value":KEY,"data":{}}"#,
            "update",
        ),
        (
            "updateMany",
            r#"["Note",{"rank":1},{"rank":2}]"#,
            r#"{"entity":"Note","filter":{},"data":{"rank":2}}"#,
            "updateMany",
        ),
        (
            "delete",
            r#"["Note",KEY]"#,
            r#"{"entity":"Note","id":KEY}"#,
            "delete",
        ),
        (
            "deleteByField",
            r#"["Note","slug","s"]"#,
            r#"{"entity":"Note","field":"slug","value":"s"}"#,
            "delete",
        ),
        (
            "deleteMany",
            r#"["Note"]"#,
            r#"{"entity":"Note","filter":{"rank":1}}"#,
            "deleteMany",
        ),
        (
            "upsert",
            r#"["Note",{"slug":"s"},{"title":"t"},{"rank":1}]"#,
            r#"{"entity":"Note","filter":{"slug":"s"},"createData":{"title":"t"},"updateData":{}}"#,
            "upsert",
        ),
        (
            "upsert",
            r#"["Note","slug","s",{"title":"t"},{"rank":1}]"#,
            r#"{"entity":"Note","uniqueField":"slug","uniqueValue":"s","createData":{"title":"t"},"updateData":{}}"#,
            "upsert",
        ),
    ] {
        assert_eq!(
            action(method, by_position).name(),
            expected,
            "{method} {by_position}"
        );
        assert_eq!(action(method, by_name).name(), expected, "{method} {by_name}");
    }
}

#[test]
fn a_list_without_options_is_the_first_page_of_what_may_be_read() {
    let Action::List {
        filter,
        order,
        page,
        total,
        projection,
        includes,
        cursor,
    } = action("list", r#"["Note"]"#)
    else {
        panic!()
    };
    assert_eq!(
        (filter, order, total, includes, cursor),
        (Predicate::True, Vec::new(), Total::Counted, Vec::new(), None)
    );
    assert_eq!(page, Page { number: 1, limit: 20 });
    // Neither `remark`, which the rule takes away, nor `secret`, which is never exposed.
    assert_eq!(projection, (0..7).map(ColumnId).collect::<Vec<_>>());
}

#[test]
fn the_options_of_a_list_mean_what_they_say() {
    let options = r#"["Note",{"filter":{"rank":{"gte":1}},"sort":{"rank":"desc","title":"asc"},"page":3,"limit":7,"total":false,"select":["title","id","title"]}]"#;
    let Action::List {
        order,
        page,
        total,
        projection,
        ..
    } = action("list", options)
    else {
        panic!()
    };
    let key = |column, direction| SortKey { column, direction };
    assert_eq!(
        order,
        [key(RANK, Direction::Descending), key(TITLE, Direction::Ascending)]
    );
    assert_eq!((page, total), (Page { number: 3, limit: 7 }, Total::Skipped));
    assert_eq!(projection, [TITLE, ColumnId(0)]);
}

#[test]
fn each_operator_becomes_its_predicate() {
    let compare = |op, value| Predicate::Compare {
        column: RANK,
        op,
        value: Value::Int(value),
    };
    let rank_in = |values: &[i64]| Predicate::In {
        column: RANK,
        values: values.iter().map(|value| Value::Int(*value)).collect(),
    };
    let null = Predicate::IsNull { column: SLUG };
    let matches = |position, case| Predicate::Matches {
        column: TITLE,
        position,
        text: "a%".to_owned(),
        case,
    };
    let not = |predicate| Predicate::Not(Box::new(predicate));
    for (json, expected) in [
        (r#"{"rank":5}"#, compare(Comparison::Eq, 5)),
        (r#"{"rank":"5"}"#, compare(Comparison::Eq, 5)),
        (r#"{"slug":null}"#, null.clone()),
        (r#"{"rank":{"eq":5}}"#, compare(Comparison::Eq, 5)),
        (r#"{"rank":{"ne":5}}"#, compare(Comparison::Ne, 5)),
        (r#"{"slug":{"ne":null}}"#, not(null.clone())),
        (r#"{"rank":{"gt":5}}"#, compare(Comparison::Gt, 5)),
        (
            r#"{"rank":{"gte":5,"lt":7}}"#,
            Predicate::And(vec![compare(Comparison::Gte, 5), compare(Comparison::Lt, 7)]),
        ),
        (r#"{"rank":{"lte":5}}"#, compare(Comparison::Lte, 5)),
        (r#"{"rank":{"in":[1,2]}}"#, rank_in(&[1, 2])),
        (r#"{"rank":{"notIn":[]}}"#, not(rank_in(&[]))),
        (
            r#"{"rank":{"between":[1,2]}}"#,
            Predicate::Between {
                column: RANK,
                low: Value::Int(1),
                high: Value::Int(2),
            },
        ),
        (r#"{"slug":{"isNull":true}}"#, null.clone()),
        (r#"{"slug":{"isNull":false}}"#, not(null)),
        (
            r#"{"title":{"contains":"a%"}}"#,
            matches(TextPosition::Contains, Case::Sensitive),
        ),
        (
            r#"{"title":{"startsWith":"a%","mode":"insensitive"}}"#,
            matches(TextPosition::StartsWith, Case::Insensitive),
        ),
        (
            r#"{"title":{"endsWith":"a%","mode":"default"}}"#,
            matches(TextPosition::EndsWith, Case::Sensitive),
        ),
        (
            r#"{"title":{"eq":"a%","mode":"insensitive"}}"#,
            matches(TextPosition::Whole, Case::Insensitive),
        ),
        (
            r#"{"open":true}"#,
            Predicate::Compare {
                column: OPEN,
                op: Comparison::Eq,
                value: Value::Bool(true),
            },
        ),
    ] {
        assert_eq!(filter(json), expected, "{json}");
    }
}

#[test]
fn connectives_keep_their_meaning_at_the_edges() {
    let (a, b) = (title(Comparison::Eq, "a"), title(Comparison::Eq, "b"));
    let or = Predicate::Or(vec![a.clone(), b.clone()]);
    for (json, expected) in [
        ("{}", Predicate::True),
        (r#"{"AND":[]}"#, Predicate::True),
        (r#"{"OR":[]}"#, Predicate::False),
        (r#"{"NOT":[]}"#, Predicate::True),
        (r#"{"NOT":{}}"#, Predicate::False),
        (r#"{"NOT":{"OR":[]}}"#, Predicate::True),
        (r#"{"AND":[{},{}]}"#, Predicate::True),
        (r#"{"AND":{"title":"a"}}"#, a.clone()),
        (r#"{"OR":[{"title":"a"},{"title":"b"}]}"#, or.clone()),
        (
            r#"{"NOT":[{"title":"a"},{"title":"b"}]}"#,
            Predicate::Not(Box::new(or)),
        ),
        (
            r#"{"NOT":{"title":"a"},"title":"b"}"#,
            Predicate::And(vec![Predicate::Not(Box::new(a)), b]),
        ),
    ] {
        assert_eq!(filter(json), expected, "{json}");
    }
}

#[test]
fn a_hidden_field_and_an_unknown_one_get_the_same_words_everywhere() {
    for (method, params) in [
        ("list", r#"["Note",{"filter":{"FIELD":1}}]"#),
        (
            "list",
            r#"["Note",{"filter":{"OR":[{"NOT":{"FIELD":{"contains":"x"}}}]}}]"#,
        ),
        ("list", r#"["Note",{"sort":{"FIELD":"asc"}}]"#),
        ("list", r#"["Note",{"select":["FIELD"]}]"#),
        ("read", r#"["Note",KEY,{"select":["FIELD"]}]"#),
        ("count", r#"["Note",{"filter":{"FIELD":null}}]"#),
        ("findFirst", r#"["Note",{"FIELD":{"bad":1}}]"#),
        ("findByField", r#"["Note","FIELD","x"]"#),
        ("create", r#"["Note",{"title":"t","FIELD":"x"}]"#),
        ("createMany", r#"["Note",[{"title":"t","FIELD":7}]]"#),
        ("update", r#"["Note",KEY,{"FIELD":"x"}]"#),
        ("updateByField", r#"["Note","FIELD","x",{"rank":1}]"#),
        ("updateMany", r#"["Note",{"FIELD":"x"},{"FIELD":"y"}]"#),
        ("deleteByField", r#"["Note","FIELD","x"]"#),
        ("deleteMany", r#"["Note",{"FIELD":"x"}]"#),
        ("upsert", r#"["Note","FIELD","x",{"title":"t"},{}]"#),
        (
            "upsert",
            r#"["Note","slug","x",{"title":"t","FIELD":1},{"FIELD":2}]"#,
        ),
    ] {
        let of = |field: &str| refused(method, &params.replace("FIELD", field)).replace(field, "FIELD");
        let unknown = of("nosuch");
        assert!(unknown.contains("unknown field"), "{unknown}");
        for hidden in ["remark", "secret"] {
            assert_eq!(of(hidden), unknown, "{method} {params}");
        }
    }
}

#[test]
fn an_entity_without_grants_looks_like_none_whatever_else_is_wrong() {
    for (method, rest) in [
        ("read", "KEY"),
        ("create", r#"{"x":1}"#),
        ("list", r#"{"x":1}"#),
        ("deleteMany", r#"{"x":1}"#),
    ] {
        let of = |entity: &str| refused(method, &format!(r#"["{entity}",{rest}]"#)).replace(entity, "ENTITY");
        assert_eq!(of("Vault"), of("Nosuch"));
        assert!(of("Vault").contains(r#""code":404"#));
    }
}

#[test]
fn who_may_not_do_it_hears_so_before_any_of_their_words_are_judged() {
    for (method, params) in [
        ("create", r#"["Note",{"nosuch":1}]"#),
        ("update", r#"["Note","no key",{"secret":1}]"#),
        ("delete", r#"["Note",7]"#),
        ("upsert", r#"["Note",{"nosuch":1},{},{}]"#),
        ("deleteMany", r#"["Note",{"nosuch":1}]"#),
    ] {
        let text = refused_as("reader", method, params);
        assert!(
            text.contains(r#""code":403,"message":"Access forbidden""#),
            "{text}"
        );
        assert!(
            text.contains("Insufficient permissions for operation '"),
            "{text}"
        );
    }
}

#[test]
fn all_faults_of_a_row_are_told_at_once() {
    let text = refused(
        "create",
        r#"["Note",{"title":"","rank":5000,"open":"yes","nosuch":1}]"#,
    );
    for field in ["title", "rank", "open", "nosuch"] {
        assert!(
            text.contains(&format!(r#"{{"field":"{field}","error":"#)),
            "{field}: {text}"
        );
    }
    let text = refused("create", r#"["Note",{"rank":"x"}]"#);
    assert!(
        text.contains(r#""field":"title","error":"is required""#),
        "{text}"
    );
    let text = refused(
        "createMany",
        r#"["Note",[{"title":"t"},{"rank":"x","title":"t"},{}]]"#,
    );
    assert!(text.contains(r#""field":"rows[1].rank""#), "{text}");
    let text = refused(
        "list",
        r#"["Note",{"filter":{"rank":{"foo":1}},"sort":{"x":"asc","rank":"up"},"page":0,"limit":-1,"total":1,"select":[],"nosuch":1}]"#,
    );
    for field in [
        "filter.rank.foo",
        "sort.x",
        "sort.rank",
        "page",
        "limit",
        "total",
        "select",
        "nosuch",
    ] {
        assert!(
            text.contains(&format!(r#"{{"field":"{field}","error":"#)),
            "{field}: {text}"
        );
    }
}

#[test]
fn wrong_shapes_are_told_with_the_right_ones() {
    for (method, params, part) in [
        (
            "read",
            r#"["Note"]"#,
            "`id` is missing; `read` takes entity, id, options",
        ),
        ("read", r"[7,KEY]", "`entity` must be a string, not an integer"),
        ("read", r#"["Note",KEY,{},1]"#, "too many: 4 were given"),
        ("read", r#"{"entity":"Note","ID":KEY}"#, "unknown parameter `ID`"),
        ("read", r#"["Note",KEY,[]]"#, "`options` must be an object"),
        (
            "create",
            r#"["Note",[]]"#,
            "`data` must be an object, not an array",
        ),
        (
            "createMany",
            r#"["Note",{}]"#,
            "`rows` must be an array of objects",
        ),
        (
            "createMany",
            r#"["Note",[1]]"#,
            "`rows` must be an array of objects",
        ),
        ("findByField", r#"["Note","rank"]"#, "`value` is missing"),
        ("updateMany", r#"["Note",null,{}]"#, "`filter` is missing"),
        ("getCapabilities", "[1]", "`getCapabilities` takes no parameters"),
        ("read", r#"["Note","x"]"#, "must be a UUID"),
        (
            "updateByField",
            r#"["Note","title","x",{}]"#,
            "must be a unique field",
        ),
        (
            "list",
            r#"["Note",{"filter":[]}]"#,
            "must be an object, not an array",
        ),
        ("list", r#"["Note",{"filter":{"rank":{}}}]"#, "names no operator"),
        (
            "list",
            r#"["Note",{"filter":{"rank":{"contains":"1"}}}]"#,
            "only text fields",
        ),
        ("list", r#"["Note",{"filter":{"extra":{"gt":1}}}]"#, "no order"),
        ("list", r#"["Note",{"filter":{"open":{"gt":true}}}]"#, "no order"),
        (
            "list",
            r#"["Note",{"filter":{"extra":{"a":1}}}]"#,
            "unknown operator",
        ),
        (
            "list",
            r#"["Note",{"filter":{"extra":{"in":[1]}}}]"#,
            "can't be compared",
        ),
        (
            "list",
            r#"["Note",{"filter":{"rank":{"between":[1]}}}]"#,
            "an array of two values",
        ),
        (
            "list",
            r#"["Note",{"filter":{"rank":{"in":5}}}]"#,
            "an array of values",
        ),
        (
            "list",
            r#"["Note",{"filter":{"rank":{"in":[null]}}}]"#,
            "filter.rank.in",
        ),
        (
            "list",
            r#"["Note",{"filter":{"rank":{"gt":1,"mode":"insensitive"}}}]"#,
            "goes with",
        ),
        (
            "list",
            r#"["Note",{"filter":{"title":{"eq":"a","mode":"x"}}}]"#,
            "`insensitive` or `default`",
        ),
        (
            "list",
            r#"["Note",{"filter":{"OR":5}}]"#,
            "must be an array of objects",
        ),
        (
            "list",
            r#"["Note",{"sort":["rank"]}]"#,
            "must be an object of fields",
        ),
        (
            "list",
            r#"["Note",{"page":1000000,"limit":100}]"#,
            "reaches beyond row",
        ),
        ("list", r#"["Note",{"cursor":5}]"#, "invalid cursor"),
        ("list", r#"["Note",{"cursor":"x","page":2}]"#, "beside `cursor`"),
        ("list", r#"["Note",{"include":5}]"#, "an array of their names"),
        ("list", r#"["Note",{"include":["vaults"]}]"#, "include.vaults"),
        (
            "list",
            r#"["Note",{"include":["words","words"]}]"#,
            "must be named once",
        ),
        (
            "list",
            r#"["Note",{"include":{"words":{"select":["weight"]}}}]"#,
            "include.words.select.weight",
        ),
        (
            "list",
            r#"["Note",{"include":{"words":{"filter":{"weight":1}}}}]"#,
            "include.words.filter.weight",
        ),
        (
            "list",
            r#"["Note",{"include":{"words":{"limit":0}}}]"#,
            "include.words.limit",
        ),
        (
            "list",
            r#"["Note",{"include":{"words":{"page":1}}}]"#,
            "unknown option; there are filter, sort, limit, select, include",
        ),
        (
            "list",
            r#"["Note",{"meta":{"idempotencyKey":"x"}}]"#,
            "goes with writes",
        ),
        (
            "list",
            r#"["Note",{"meta":{"timeoutMs":0}}]"#,
            "an integer of 1 or more",
        ),
        (
            "list",
            r#"["Note",{"meta":{"traceparent":"x"}}]"#,
            "a W3C trace context",
        ),
        ("aggregate", r#"["Note",{"sum":["title"]}]"#, "sum.title"),
        ("aggregate", r#"["Note",{"max":"remark"}]"#, "max.remark"),
        (
            "aggregate",
            r#"["Note",{"groupBy":["extra"]}]"#,
            "can't be compared",
        ),
        ("aggregate", r#"["Note",{"groupBy":[1]}]"#, "field names"),
        ("aggregate", r#"["Note",{"count":1}]"#, "true or false"),
        ("aggregate", r#"["Note",{"count":false}]"#, "ask for nothing"),
        (
            "aggregate",
            r#"["Note",{"sort":{}}]"#,
            "unknown option; there are filter, groupBy",
        ),
        ("transaction", "[[]]", "`calls` must not be empty"),
    ] {
        let text = refused(method, params);
        assert!(text.contains(part), "{method} {params}: {text}");
    }
}

#[test]
fn upsert_takes_its_two_forms_and_no_third() {
    for params in [
        r#"["Note",{"slug":"s"},{"title":"t"}]"#,
        r#"["Note","slug","s",{"title":"t"}]"#,
        r#"["Note",{"slug":"s"},{"title":"t"},{},{}]"#,
        r#"["Note",{"slug":"s","rank":1},{"title":"t"},{}]"#,
        r#"["Note",{},{"title":"t"},{}]"#,
        r#"["Note",7,"s",{"title":"t"},{}]"#,
        r#"{"entity":"Note","filter":{"slug":"s"},"uniqueField":"slug","uniqueValue":"s","createData":{},"updateData":{}}"#,
    ] {
        let text = refused("upsert", params);
        assert!(
            text.contains(r#""code":422"#) && text.contains("`upsert` takes"),
            "{text}"
        );
    }
    let text = refused("upsert", r#"["Note","slug","s",{"title":"t","slug":"other"},{}]"#);
    assert!(text.contains("createData.slug"), "{text}");
    let text = refused("upsert", r#"["Note","slug","s",{"title":""},{"rank":"x"}]"#);
    assert!(
        text.contains("createData.title") && text.contains("updateData.rank"),
        "{text}"
    );
    let Action::Upsert { target, create, .. } = action("upsert", r#"["Note","slug","s",{"title":"t"},{}]"#)
    else {
        panic!()
    };
    assert!(
        create
            .iter()
            .any(|given| given.column == target.column && given.value == target.value)
    );
}

#[test]
fn what_is_said_about_the_call_is_heard() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for params in [
        format!(r#"["Note",{{"meta":{{"timeoutMs":50,"traceparent":"{trace}"}}}}]"#),
        format!(
            r#"{{"entity":"Note","_meta":{{"timeoutMs":50}},"options":{{"meta":{{"traceparent":"{trace}","timeoutMs":null}}}}}}"#
        ),
    ] {
        let meta = call_as("user", "list", &params).unwrap().meta;
        assert_eq!(meta.patience, Some(std::time::Duration::from_millis(50)));
        assert_eq!(meta.trace, dbal_shared::trace::Trace::parse(trace));
        // A call that is refused belongs to its trace as well.
        assert!(call_as("nobody", "list", &params).is_err());
        let raw = request(&format!(r#"{{"id":"1","method":"list","params":{params}}}"#));
        assert_eq!(super::trace(Method::List, &raw.params), meta.trace);
    }
}

#[test]
fn filters_and_lists_of_values_are_bounded() {
    let values = vec!["1"; 1_001].join(",");
    assert!(
        refused(
            "list",
            &format!(r#"["Note",{{"filter":{{"rank":{{"in":[{values}]}}}}}}]"#)
        )
        .contains("at most 1000")
    );
    let many = vec![r#"{"rank":1}"#; 2_001].join(",");
    assert!(
        refused("list", &format!(r#"["Note",{{"filter":{{"OR":[{many}]}}}}]"#)).contains(r#""code":413"#)
    );
    let rows = vec![r#"{"title":"t"}"#; 1_001].join(",");
    assert!(refused("createMany", &format!(r#"["Note",[{rows}]]"#)).contains(r#""code":413"#));
    let long = "x".repeat(5_000);
    assert!(
        refused("list", &format!(r#"["Note",{{"{long}":1}}]"#)).len() < 300,
        "names are cut"
    );
}
