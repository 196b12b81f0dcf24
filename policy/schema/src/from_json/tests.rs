//! What each type takes from clients, what it refuses and how, and that nothing changes on the way through.

use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::value::Value;
use proptest::prelude::*;

use crate::Column;
use crate::fixture::column;
use crate::json_text::push_value;

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn read(column: &Column, text: &str) -> Result<Value, Fault> {
    column.value_from_json(&json(text))
}

fn written(column: &Column, value: &Value) -> String {
    let mut out = String::new();
    push_value(column, value, &mut out);
    out
}

/// `field`, then for each JSON text the JSON that comes back, or what is wrong with it.
type Case = (
    &'static str,
    &'static [(&'static str, Result<&'static str, &'static str>)],
);

const INT: &str = "must be an integer from -2147483648 to 2147483647";
const BIG: &str = "must be a 64-bit integer, as a number or a string";
const UUID: &str = "must be a UUID like 0190a6e0-0000-7000-8000-000000000000";
const MAIL: &str = "must be an email address";
const CUID: &str = "must be a CUID: 2 to 32 lower-case letters and digits, a letter first";
const DECIMAL: &str = "must be a decimal number, best as a string";
const DATE: &str = "must be a date like 2024-01-15";
const TIME: &str = "must be a time like 2024-01-15T10:30:00.000Z";

const CASES: &[Case] = &[
    (
        "type: uuid",
        &[
            (
                "\"0190A6E0-0000-7000-8000-00000000000F\"",
                Ok("\"0190a6e0-0000-7000-8000-00000000000f\""),
            ),
            ("\"0190a6e0000070008000000000000000\"", Err(UUID)),
            ("\"{0190a6e0-0000-7000-8000-00000000000}\"", Err(UUID)),
            ("\"0190a6e0-0000-7000-8000-00000000000g\"", Err(UUID)),
            ("7", Err(UUID)),
        ],
    ),
    (
        "type: cuid",
        &[
            (
                "\"cjld2cjxh0000qzrmn831i7rn\"",
                Ok("\"cjld2cjxh0000qzrmn831i7rn\""),
            ),
            ("\"tz4a98xxat96iws9zmbrgj3a\"", Ok("\"tz4a98xxat96iws9zmbrgj3a\"")),
            ("\"1abc\"", Err(CUID)),
            ("\"Abc\"", Err(CUID)),
            ("\"a\"", Err(CUID)),
            ("\"abcdefghijabcdefghijabcdefghijabc\"", Err(CUID)),
        ],
    ),
    (
        "type: string, min_length: 2, max_length: 3",
        &[
            ("\"äöü\"", Ok("\"äöü\"")),
            ("\"äö\"", Ok("\"äö\"")),
            ("\"ä\"", Err("must have at least 2 characters")),
            ("\"äöüß\"", Err("must have at most 3 characters")),
            ("5", Err("must be a string")),
            ("[\"ab\"]", Err("must be a string")),
        ],
    ),
    (
        "type: text, pattern: \"^a+$\"",
        &[
            ("\"aaa\"", Ok("\"aaa\"")),
            ("\"aab\"", Err("does not match the required pattern")),
        ],
    ),
    (
        "type: email",
        &[
            ("\"a.b+c@example.org\"", Ok("\"a.b+c@example.org\"")),
            ("\"ö@bücher.example\"", Ok("\"ö@bücher.example\"")),
            ("\"a\"", Err(MAIL)),
            ("\"a@b\"", Err(MAIL)),
            ("\"@b.c\"", Err(MAIL)),
            ("\"a@b@c.d\"", Err(MAIL)),
            ("\"a..b@c.d\"", Err(MAIL)),
            ("\".a@c.d\"", Err(MAIL)),
            ("\"a b@c.d\"", Err(MAIL)),
            ("\"a@-c.d\"", Err(MAIL)),
            ("\"a@c..d\"", Err(MAIL)),
            ("\"a@c.d\\r\\nBcc: x@y.z\"", Err(MAIL)),
            ("\"Eve <a@c.d>\"", Err(MAIL)),
        ],
    ),
    (
        "type: enum, values: [draft, \"yes\", no]",
        &[
            ("\"no\"", Ok("\"no\"")),
            ("\"Draft\"", Err("must be one of draft, yes, no")),
            ("false", Err("must be a string")),
        ],
    ),
    (
        "type: integer, min: -5, max: 2147483647",
        &[
            ("2147483647", Ok("2147483647")),
            ("\"-5\"", Ok("-5")),
            ("-6", Err("must be at least -5")),
            ("2147483648", Err(INT)),
            ("1.0", Err(INT)),
            ("1e3", Err(INT)),
            ("\"+5\"", Err(INT)),
            ("\"05\"", Err(INT)),
            ("\" 5\"", Err(INT)),
            ("\"-0\"", Err(INT)),
            ("true", Err(INT)),
        ],
    ),
    (
        "type: bigint, max: 9007199254740993",
        &[
            ("9007199254740991", Ok("9007199254740991")),
            ("9007199254740993", Ok("\"9007199254740993\"")),
            ("\"9007199254740993\"", Ok("\"9007199254740993\"")),
            ("9007199254740994", Err("must be at most 9007199254740993")),
            ("\"-9223372036854775808\"", Ok("\"-9223372036854775808\"")),
            ("9223372036854775808", Err(BIG)),
            ("\"2024-01-15T10:30:00.000Z\"", Ok("1705314600000")),
            ("\"2024-01-15\"", Err(BIG)),
            ("1.5", Err(BIG)),
        ],
    ),
    (
        "type: float, min: 0.1",
        &[
            ("0.1", Ok("0.1")),
            ("1", Ok("1.0")),
            ("1e300", Ok("1e300")),
            ("0.09", Err("must be at least 0.1")),
            ("\"1.5\"", Err("must be a number")),
        ],
    ),
    (
        "type: decimal, max: 99999999999999999999.5",
        &[
            ("\"99999999999999999999.50\"", Ok("\"99999999999999999999.5\"")),
            (
                "\"99999999999999999999.51\"",
                Err("must be at most 99999999999999999999.5"),
            ),
            ("12.50", Ok("\"12.5\"")),
            ("18446744073709551615", Ok("\"18446744073709551615\"")),
            ("1e-7", Ok("\"0.0000001\"")),
            ("\"1e5\"", Err(DECIMAL)),
            ("\"\"", Err(DECIMAL)),
            ("false", Err(DECIMAL)),
        ],
    ),
    (
        "type: boolean",
        &[
            ("true", Ok("true")),
            ("0", Err("must be true or false")),
            ("\"true\"", Err("must be true or false")),
        ],
    ),
    (
        "type: date, min: 2000-01-01",
        &[
            ("\"2024-02-29\"", Ok("\"2024-02-29\"")),
            ("\"2024-02-29T00:00:00.000Z\"", Ok("\"2024-02-29\"")),
            ("\"1999-12-31\"", Err("must be at least 2000-01-01")),
            ("\"2023-02-29\"", Err(DATE)),
            ("\"2024-02-29T01:00:00.000Z\"", Err(DATE)),
            ("20240229", Err(DATE)),
        ],
    ),
    (
        "type: datetime",
        &[
            (
                "\"2024-01-15T12:30:00.1239+02:00\"",
                Ok("\"2024-01-15T10:30:00.123Z\""),
            ),
            ("\"2024-01-15T10:30:00Z\"", Ok("\"2024-01-15T10:30:00.000Z\"")),
            ("\"+12024-01-15T10:30:00Z\"", Err(TIME)),
            ("\"2024-01-15\"", Err(TIME)),
            ("1705314600000", Err(TIME)),
        ],
    ),
    (
        "type: json",
        &[
            (
                "{\"b\": [1, null, \"x\"], \"a\": {}}",
                Ok("{\"b\":[1,null,\"x\"],\"a\":{}}"),
            ),
            ("\"text\"", Ok("\"text\"")),
            ("18446744073709551615", Ok("18446744073709551615")),
        ],
    ),
    (
        "type: bytes, max_length: 3",
        &[
            ("\"AAEC\"", Ok("\"AAEC\"")),
            ("\"AP8=\"", Ok("\"AP8=\"")),
            ("\"AP8\"", Ok("\"AP8=\"")),
            ("\"AP9=\"", Err("must be base64")),
            ("\"A-_\"", Err("must be base64")),
            ("\"AAECAw==\"", Err("must have at most 3 characters")),
        ],
    ),
];

#[test]
fn every_type_takes_what_it_should_and_nothing_else() {
    for (field, cases) in CASES {
        let column = column(field);
        for (text, wanted) in *cases {
            let got = read(&column, text);
            let got = match &got {
                Ok(value) => Ok(written(&column, value)),
                Err(fault) => Err(fault.to_string()),
            };
            assert_eq!(
                got,
                wanted.map(str::to_owned).map_err(str::to_owned),
                "{field}: {text}"
            );
        }
    }
}

#[test]
fn null_is_for_nullable_columns_and_never_an_operand() {
    let nullable = column("type: json, nullable: true");
    assert_eq!(read(&nullable, "null"), Ok(Value::Null));
    assert_eq!(
        read(&column("type: json, required: true"), "null"),
        Err(Fault::Required)
    );
    assert!(nullable.operand_from_json(&Json::Null).is_err());
}

#[test]
fn a_filter_may_ask_for_what_could_not_be_stored() {
    let name = column("type: string, min_length: 3, pattern: \"^a\"");
    assert_eq!(
        name.operand_from_json(&json("\"b\"")),
        Ok(Value::Text("b".to_owned()))
    );
    let mail = column("type: email");
    let operand = mail.operand_from_json(&json("\"nobody\"")).unwrap();
    assert_eq!(mail.fault_of_operand(&operand), None);
    assert!(mail.faults_of(&operand).is_some());
}

#[test]
fn the_second_check_refuses_values_that_no_json_makes() {
    for (field, value) in [
        ("type: string", Value::Text("a\0b".to_owned())),
        ("type: string", Value::Int(1)),
        ("type: integer", Value::Int(1 << 31)),
        ("type: float", Value::Float(f64::NAN)),
        ("type: float", Value::Float(f64::INFINITY)),
        ("type: decimal", Value::Decimal("1.0".to_owned())),
        ("type: decimal", Value::Decimal("1; DROP TABLE".to_owned())),
        ("type: date", Value::Date(i32::MAX)),
        ("type: datetime", Value::Timestamp(i64::MAX)),
        ("type: json", Value::Json("{\"a\":1},{\"secret\":2".to_owned())),
        ("type: json", Value::Json(String::new())),
        ("type: json", Value::Json("\"\\u0000\"".to_owned())),
        (
            "type: uuid",
            Value::Text("0190a6e0-0000-7000-8000-000000000000".to_owned()),
        ),
        ("type: enum, values: [a]", Value::Text("b".to_owned())),
    ] {
        let column = column(field);
        assert!(column.faults_of(&value).is_some(), "{field} took {value:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_out_of_bounds() {
    assert!(crate::rules::is_ordered(&Value::Int(1), &Value::Int(1)));
    assert!(!crate::rules::is_ordered(&Value::Int(2), &Value::Int(1)));
    assert!(!crate::rules::is_ordered(&Value::Int(1), &Value::Timestamp(2)));
    assert!(!crate::rules::is_ordered(
        &Value::Float(f64::NAN),
        &Value::Float(1.0)
    ));
}

#[test]
fn a_pattern_that_would_backtrack_for_ever_answers_at_once() {
    let column = column("type: text, pattern: \"^(a+)+$\"");
    let text = Value::Text("a".repeat(100_000) + "!");
    let start = std::time::Instant::now();
    assert_eq!(column.faults_of(&text), Some(Fault::Pattern));
    assert!(start.elapsed().as_secs() < 5);
}

/// JSON that `column` takes: read, written and read again it is the same value and the same text.
fn assert_round_trip(column: &Column, json: &Json) -> Result<(), TestCaseError> {
    let value = column
        .value_from_json(json)
        .map_err(|fault| TestCaseError::fail(format!("{json:?} {fault}")))?;
    prop_assert_eq!(column.faults_of(&value), None);
    let text = written(column, &value);
    let again: Json =
        serde_json::from_str(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let second = column.value_from_json(&again);
    prop_assert_eq!(second.as_ref().map(|value| written(column, value)), Ok(text));
    prop_assert_eq!(second, Ok(value));
    Ok(())
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::Int),
        (1_u64 << 63..).prop_map(Json::Unsigned),
        proptest::num::f64::NORMAL.prop_map(Json::Float),
        "[^\\x00]{0,12}".prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::btree_map("[^\\x00]{0,6}", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_uuid_comes_back(bytes in any::<[u8; 16]>()) {
        let text = uuid::Uuid::from_bytes(bytes).to_string();
        assert_round_trip(&column("type: uuid"), &Json::Text(text))?;
    }

    #[test]
    fn a_cuid_comes_back(text in "[a-z][a-z0-9]{1,31}") {
        assert_round_trip(&column("type: cuid"), &Json::Text(text))?;
    }

    #[test]
    fn text_comes_back(text in "[^\\x00]{0,40}") {
        for kind in ["string", "text"] {
            assert_round_trip(&column(&format!("type: {kind}")), &Json::Text(text.clone()))?;
        }
    }

    #[test]
    fn an_address_comes_back(text in "[a-z0-9+_]{1,20}(\\.[a-z]{1,5})?@[a-z]{1,10}\\.[a-z]{2,5}") {
        assert_round_trip(&column("type: email"), &Json::Text(text))?;
    }

    #[test]
    fn integers_come_back(value in any::<i32>(), big in any::<i64>()) {
        assert_round_trip(&column("type: integer"), &Json::Int(value.into()))?;
        assert_round_trip(&column("type: bigint"), &Json::Int(big))?;
        assert_round_trip(&column("type: bigint"), &Json::Text(big.to_string()))?;
    }

    #[test]
    fn floats_come_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
        assert_round_trip(&column("type: float"), &Json::Float(value))?;
        assert_round_trip(&column("type: decimal"), &Json::Float(value))?;
    }

    #[test]
    fn decimals_come_back(text in "-?[0-9]{1,40}(\\.[0-9]{1,40})?") {
        assert_round_trip(&column("type: decimal"), &Json::Text(text))?;
    }

    #[test]
    fn booleans_and_enums_come_back(value in any::<bool>(), nth in 0_usize..3) {
        assert_round_trip(&column("type: boolean"), &Json::Bool(value))?;
        let word = ["a", "b", "ü"][nth];
        assert_round_trip(&column("type: enum, values: [a, b, ü]"), &Json::Text(word.to_owned()))?;
    }

    #[test]
    fn days_and_times_come_back(ms in crate::time::MIN_MS..=crate::time::MAX_MS) {
        let (mut time, mut day) = (String::new(), String::new());
        crate::time::push_datetime(ms, &mut time);
        crate::time::push_date(i32::try_from(ms.div_euclid(crate::time::DAY_MS)).unwrap(), &mut day);
        assert_round_trip(&column("type: datetime"), &Json::Text(time.clone()))?;
        assert_round_trip(&column("type: bigint"), &Json::Text(time))?;
        assert_round_trip(&column("type: date"), &Json::Text(day))?;
    }

    #[test]
    fn json_comes_back(json in any_json().prop_filter("null is no document", |json| *json != Json::Null)) {
        assert_round_trip(&column("type: json"), &json)?;
    }

    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        assert_round_trip(&column("type: bytes"), &Json::Text(text))?;
    }

    #[test]
    fn no_json_makes_reading_panic_and_what_is_taken_passes_the_second_check(json in any_json()) {
        for (field, _) in CASES {
            let column = column(field);
            if let Ok(value) = column.value_from_json(&json) {
                prop_assert_eq!(column.faults_of(&value), None);
            }
            if let Ok(value) = column.operand_from_json(&json) {
                prop_assert_eq!(column.fault_of_operand(&value), None);
            }
        }
    }
}
