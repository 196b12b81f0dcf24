//! What goes beyond a call's own parameters: references to earlier calls of a transaction, and names of writes.

use dbal_shared::message::Isolation;
use dbal_shared::value::Earlier;

use super::*;

fn transaction(calls: &str) -> Result<Vec<Action>, String> {
    match call_as("user", "transaction", &format!("[{calls}]")) {
        Ok(call) => Ok(call
            .wanted
            .plans()
            .iter()
            .map(|plan| plan.action.clone())
            .collect()),
        Err(refusal) => Err(respond::error(Dialect::Native, &Id::null(), &refusal)),
    }
}

fn earlier(call: u16, column: ColumnId) -> Value {
    Value::Earlier(Earlier { call, column })
}

#[test]
fn a_call_of_a_transaction_refers_to_earlier_ones_wherever_a_value_stands() {
    const FIRST: &str = r#"{"method":"create","params":["Note",{"title":"t"}]}"#;
    for (call, columns) in [
        (r#"{"method":"read","params":["Note",{"$ref":"0.id"}]}"#, vec![0]),
        (
            r#"{"method":"delete","params":{"entity":"Note","id":{"$ref":"0.id"}}}"#,
            vec![0],
        ),
        (
            r#"{"method":"update","params":["Note",{"$ref":"0.id"},{"slug":{"$ref":"0.title"},"rank":{"$ref":"0.rank"}}]}"#,
            vec![0, 2, 4],
        ),
        (
            r#"{"method":"list","params":["Note",{"filter":{"slug":{"$ref":"0.slug"},"rank":{"in":[1,{"$ref":"0.rank"}]},
               "OR":[{"title":{"gt":{"$ref":"0.title"}}},{"rank":{"between":[{"$ref":"0.rank"},{"$ref":"0.rank"}]}}]}}]}"#,
            vec![3, 4, 2, 4, 4],
        ),
        (
            r#"{"method":"upsert","params":["Note",{"slug":{"$ref":"0.slug"}},{"title":{"$ref":"0.title"}},{"rank":{"$ref":"0.rank"}}]}"#,
            vec![3, 2, 3, 4],
        ),
        (
            r#"{"method":"findByField","params":["Note","rank",{"$ref":"0.rank"}]}"#,
            vec![4],
        ),
        // A json field's value is itself.
        (
            r#"{"method":"create","params":["Note",{"title":"t","extra":{"$ref":"0.id"}}]}"#,
            vec![],
        ),
    ] {
        let actions = transaction(&format!("[{FIRST},{call}]")).unwrap();
        let found: Vec<u16> = actions[1].refers_to().iter().map(|it| it.column.0).collect();
        assert_eq!(found, columns, "{call}");
    }
    let two = format!(r#"[{FIRST},{FIRST},{{"method":"read","params":["Note",{{"$ref":"1.id"}}]}}]"#);
    let Action::Read { target, .. } = &transaction(&two).unwrap()[2] else {
        panic!()
    };
    assert_eq!(target.value, earlier(1, ColumnId(0)));
}

#[test]
fn a_reference_that_leads_nowhere_is_told_at_its_place_and_a_hidden_field_is_nowhere() {
    const FIRST: &str = r#"{"method":"create","params":["Note",{"title":"t"}]}"#;
    let unanswered = "`$ref` must name a field that the earlier call answers";
    for (reference, error) in [
        (r#""0.nothing""#, unanswered),
        (r#""0.remark""#, unanswered),
        (r#""0.secret""#, unanswered),
        (
            r#""1.id""#,
            "`$ref` must name a call before this one; the first is 0",
        ),
        (
            r#""7.id""#,
            "`$ref` must name a call before this one; the first is 0",
        ),
        (r#""x.id""#, "`$ref` must begin with a call's place"),
        (
            r#""0""#,
            r#"`$ref` must be like \"0.id\": an earlier call's place and a field"#,
        ),
        (
            "1",
            r#"`$ref` must be like \"0.id\": an earlier call's place and a field"#,
        ),
    ] {
        let call = format!(
            r#"{{"method":"create","params":["Note",{{"title":{{"$ref":{reference}}},"rank":"x"}}]}}"#
        );
        let text = transaction(&format!("[{FIRST},{call}]")).unwrap_err();
        let told = format!(r#"{{"field":"title","error":"{error}"}}"#);
        assert!(
            text.contains(&told) && text.contains(r#""field":"rank""#),
            "{reference}: {text}"
        );
        assert!(text.contains(r#""call":1"#), "{text}");
    }
    let alone = refused("read", r#"["Note",{"$ref":"0.id"}]"#);
    assert!(
        alone.contains("must be a UUID"),
        "outside of a transaction it is nothing: {alone}"
    );
}

#[test]
fn a_transactions_options_are_read_and_what_is_said_of_the_call_is_said_once() {
    const CALLS: &str = r#"[{"method":"read","params":["Note",KEY]}]"#;
    let options = |options: &str| call_as("user", "transaction", &format!("[{CALLS},{options}]"));
    let call = options(r#"{"isolation":"read_committed","meta":{"timeoutMs":5}}"#).unwrap();
    assert_eq!(call.wanted.isolation(), Isolation::ReadCommitted);
    assert!(call.meta.patience.is_some());
    assert_eq!(
        options("null").unwrap().wanted.isolation(),
        Isolation::Serializable
    );
    for wrong in [
        r#"{"isolation":"dirty"}"#,
        r#"{"isolation":1}"#,
        r#"{"other":1}"#,
        "1",
    ] {
        assert!(options(wrong).is_err(), "{wrong}");
    }
    for (calls, code) in [
        (
            r#"[{"method":"read","params":["Note",KEY,{"meta":{"timeoutMs":5}}]}]"#,
            422,
        ),
        (r#"[{"method":"strange"}]"#, 400),
        (r#"[{"method":"getCapabilities"}]"#, 422),
        (r#"[{"method":"read","params":["Nothing",KEY]}]"#, 404),
        ("[]", 422),
    ] {
        let text = transaction(calls).unwrap_err();
        assert!(text.contains(&format!(r#""code":{code}"#)), "{calls}: {text}");
    }
    let strange = transaction(r#"[{"method":"explain","params":["count",["Note"]]}]"#).unwrap_err();
    assert!(
        strange.contains("`explain`") && strange.contains("can't stand within a transaction"),
        "{strange}"
    );
    // As in every method's options, null is nothing.
    let nothing = options(r#"{"isolation":null,"idempotencyKey":null,"meta":null,"other":null}"#).unwrap();
    assert_eq!(
        (nothing.wanted.isolation(), nothing.meta.once),
        (Isolation::Serializable, None)
    );
}

#[test]
fn of_two_names_for_one_write_none_counts() {
    let refused = |method, params: &str| {
        let text = refused(method, params);
        assert!(text.contains(r#""field":"idempotencyKey""#), "{params}: {text}");
        assert!(
            text.contains("is given twice, and not the same"),
            "{params}: {text}"
        );
    };
    for options in [
        r#"{"idempotencyKey":"k","meta":{"idempotencyKey":"l"}}"#,
        r#"{"meta":{"idempotencyKey":"l"},"idempotencyKey":"k"}"#,
    ] {
        refused("create", &format!(r#"["Note",{{"title":"t"}},{options}]"#));
        refused(
            "transaction",
            &format!(r#"[[{{"method":"delete","params":["Note",KEY]}}],{options}]"#),
        );
    }
    refused(
        "create",
        r#"{"entity":"Note","data":{"title":"t"},"options":{"idempotencyKey":"k"},"_meta":{"idempotencyKey":"l"}}"#,
    );
    let same = r#"{"entity":"Note","data":{"title":"t"},"options":{"idempotencyKey":"k"},"_meta":{"idempotencyKey":"k"}}"#;
    let call = call_as("user", "create", same).unwrap();
    assert_eq!(call.meta.once.as_deref(), Some("k"));
}

#[test]
fn a_write_is_named_in_its_options_or_beside_its_named_parameters_and_a_read_is_not() {
    for (method, params) in [
        ("create", r#"["Note",{"title":"t"},{"idempotencyKey":"k"}]"#),
        (
            "create",
            r#"["Note",{"title":"t"},{"meta":{"idempotencyKey":"k"}}]"#,
        ),
        (
            "create",
            r#"{"entity":"Note","data":{"title":"t"},"options":{"idempotencyKey":"k"}}"#,
        ),
        (
            "create",
            r#"{"entity":"Note","data":{"title":"t"},"_meta":{"idempotencyKey":"k"}}"#,
        ),
        ("update", r#"["Note",KEY,{"title":"t"},{"idempotencyKey":"k"}]"#),
        ("delete", r#"["Note",KEY,{"idempotencyKey":"k"}]"#),
        (
            "updateByField",
            r#"["Note","slug","s",{"title":"t"},{"idempotencyKey":"k"}]"#,
        ),
        ("deleteByField", r#"["Note","slug","s",{"idempotencyKey":"k"}]"#),
        ("createMany", r#"["Note",[{"title":"t"}],{"idempotencyKey":"k"}]"#),
        (
            "updateMany",
            r#"["Note",{"rank":1},{"title":"t"},{"idempotencyKey":"k"}]"#,
        ),
        ("deleteMany", r#"["Note",{"rank":1},{"idempotencyKey":"k"}]"#),
        (
            "upsert",
            r#"["Note",{"slug":"s"},{"title":"t"},{"rank":1},{"idempotencyKey":"k"}]"#,
        ),
        (
            "upsert",
            r#"["Note","slug","s",{"title":"t"},{"rank":1},{"idempotencyKey":"k"}]"#,
        ),
        (
            "transaction",
            r#"[[{"method":"delete","params":["Note",KEY]}],{"idempotencyKey":"k"}]"#,
        ),
    ] {
        let call = call_as("user", method, params).unwrap();
        assert_eq!(call.meta.once.as_deref(), Some("k"), "{method} {params}");
    }
    for (method, params) in [
        ("read", r#"["Note",KEY,{"idempotencyKey":"k"}]"#),
        ("read", r#"["Note",KEY,{"meta":{"idempotencyKey":"k"}}]"#),
        ("create", r#"["Note",{"title":"t"},{"idempotencyKey":""}]"#),
        ("create", r#"["Note",{"title":"t"},{"idempotencyKey":7}]"#),
        ("create", r#"["Note",{"title":"t"},{"select":["id"]}]"#),
        ("create", r#"["Note",{"title":"t"},"k"]"#),
        (
            "transaction",
            r#"[[{"method":"delete","params":["Note",KEY,{"idempotencyKey":"k"}]}]]"#,
        ),
    ] {
        assert!(
            refused(method, params).contains(r#""code":422"#),
            "{method} {params}"
        );
    }
}
