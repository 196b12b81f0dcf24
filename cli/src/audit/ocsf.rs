//! A record as an event of the Open Cybersecurity Schema Framework (<https://schema.ocsf.io>), class API Activity, with the profile
//! Record Integrity.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The schema's version: the first that has the profile Record Integrity.
const VERSION: &str = "1.9.0";
const CATEGORY: u64 = 6;
const CLASS: u64 = 6003;

/// What has a place in the schema; the rest goes to `unmapped`.
const MAPPED: [&str; 17] = [
    "seq",
    "prev",
    "time",
    "outcome",
    "request",
    "principal",
    "roles",
    "tenant",
    "remote",
    "method",
    "operation",
    "entity",
    "keys",
    "code",
    "detail",
    "duration_us",
    "hash",
];

/// One event, with its fingerprint.
pub(super) fn event(record: &Value) -> Value {
    let mut event = bare(record);
    // Over the whole event but the fingerprint itself, and so over the link to the one before.
    let value = format!("{:x}", Sha256::digest(canonical(&event)));
    if let Some(Value::Object(attestation)) = event.pointer_mut("/attestation_list/0") {
        let fingerprint = json!({
            "algorithm_id": 3, "algorithm": "SHA-256", "encoding_id": 1, "encoding": "Hex",
            "serialization_id": 2, "serialization": "JCS", "value": value,
        });
        attestation.insert("fingerprint".to_owned(), fingerprint);
    }
    event
}

/// By the JSON Canonicalization Scheme (RFC 8785), as far as it concerns what stands in an event: members in order, no blanks, numbers
/// without fraction, names in ASCII. What serde_json writes is that.
fn canonical(event: &Value) -> String {
    event.to_string()
}

/// The event before: the record names it by its hash, which is the `metadata.uid` of that record's event.
fn attestation(record: &Value) -> Value {
    match record.get("prev").and_then(Value::as_str) {
        // The first of all names nobody.
        Some(prev) if prev.bytes().any(|digit| digit != b'0') => json!({"prev_event": {"uid": prev}}),
        Some(_) | None => json!({}),
    }
}

fn bare(record: &Value) -> Value {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    let list = |name: &str| {
        record
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let kind = text("event").unwrap_or("unknown");
    let (activity, activity_name) = match (kind, text("operation")) {
        ("call", Some("create")) => (1, "Create"),
        ("call", Some("read" | "list")) => (2, "Read"),
        ("call", Some("update")) => (3, "Update"),
        ("call", Some("delete")) => (4, "Delete"),
        ("call", _) => (99, text("method").unwrap_or("call")),
        (other, _) => (99, other),
    };
    let (severity, severity_name) = match (kind, text("outcome")) {
        ("incident", _) => (5, "Critical"),
        ("lost", _) => (4, "High"),
        (_, Some("denied")) => (2, "Low"),
        _ => (1, "Informational"),
    };
    let (status, status_name) = match text("outcome") {
        Some("allowed") => (1, "Success"),
        Some("denied" | "failed") => (2, "Failure"),
        _ => (0, "Unknown"),
    };
    let mut event = json!({
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS.saturating_mul(100).saturating_add(activity),
        "type_name": format!("API Activity: {}", if activity == 99 { "Other" } else { activity_name }),
        "time": milliseconds(text("time")),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "metadata": {
            "version": VERSION,
            "profiles": ["record_integrity"],
            "product": {"name": "dbal", "vendor_name": "dbal", "version": env!("CARGO_PKG_VERSION")},
            "uid": text("hash"),
            "sequence": number("seq"),
            "original_time": text("time"),
            "event_code": kind,
            "log_name": "audit",
        },
        "actor": match text("principal") {
            Some(id) => json!({"user": user(id, &list("roles"))}),
            None => json!({"app_name": "dbal"}),
        },
        "src_endpoint": endpoint(text("remote")),
        "api": {
            "operation": text("method").unwrap_or(kind),
            "service": {"name": "dbal"},
        },
        "attestation_list": [attestation(record)],
        "unmapped": unmapped(record),
    });
    let mut put = |pointer: &str, name: &str, value: Option<Value>| {
        let object = event.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let (Some(object), Some(value)) = (object, value) {
            object.insert(name.to_owned(), value);
        }
    };
    put("/metadata", "tenant_uid", text("tenant").map(Value::from));
    put("/api", "request", text("request").map(|id| json!({"uid": id})));
    put(
        "/api",
        "response",
        number("code").map(|code| json!({"code": code})),
    );
    put(
        "",
        "status_code",
        number("code").map(|code| code.to_string().into()),
    );
    put("", "status_detail", text("detail").map(Value::from));
    put("", "message", text("detail").map(Value::from));
    put(
        "",
        "duration",
        number("duration_us").map(|us| us.div_ceil(1_000).into()),
    );
    put(
        "",
        "resources",
        text("entity").map(|entity| resources(entity, &list("keys"))),
    );
    event
}

fn user(id: &str, roles: &[Value]) -> Value {
    let groups: Vec<Value> = roles.iter().map(|role| json!({"name": role})).collect();
    if groups.is_empty() {
        json!({"uid": id})
    } else {
        json!({"uid": id, "groups": groups})
    }
}

/// An address, with its port where it is told.
fn endpoint(remote: Option<&str>) -> Value {
    let Some(remote) = remote else {
        return json!({"svc_name": "dbal"});
    };
    if let Ok(address) = remote.parse::<SocketAddr>() {
        return json!({"ip": address.ip().to_string(), "port": address.port()});
    }
    match remote.parse::<IpAddr>() {
        Ok(address) => json!({"ip": address.to_string()}),
        Err(_) => json!({"name": remote}),
    }
}

/// Each has a name or a uid (`resource_details`, constraint `at_least_one`): where no row is named, it is the entity.
fn resources(entity: &str, keys: &[Value]) -> Value {
    if keys.is_empty() {
        return json!([{"type": entity, "name": entity}]);
    }
    keys.iter()
        .map(|key| json!({"type": entity, "uid": key}))
        .collect()
}

fn unmapped(record: &Value) -> Value {
    let mut rest = Map::new();
    for (name, value) in record.as_object().into_iter().flatten() {
        if !MAPPED.contains(&name.as_str()) {
            rest.insert(name.clone(), value.clone());
        }
    }
    Value::Object(rest)
}

fn milliseconds(time: Option<&str>) -> i64 {
    let time: Option<jiff::Timestamp> = time.and_then(|time| time.parse().ok());
    time.map_or(0, jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_an_api_activity_with_all_that_the_class_requires() {
        let mut event = event(
            &json!({"seq": 7, "prev": "ee", "time": "2023-11-14T22:13:20.123456789Z", "event": "call",
            "outcome": "denied", "request": "1a2b3c4d-2a", "principal": "alice", "roles": ["user"], "tenant": "acme",
            "remote": "127.0.0.1:40000", "method": "update", "operation": "update", "entity": "Note", "keys": ["n1"],
            "code": 403, "detail": "why", "rule": "notes-own", "duration_us": 181, "rows": 0, "hash": "ff"}),
        );
        let fingerprint = event["attestation_list"][0]["fingerprint"]["value"].take();
        assert_eq!(fingerprint.as_str().unwrap().len(), 64);
        assert_eq!(
            event,
            json!({"category_uid": 6, "category_name": "Application Activity", "class_uid": 6003, "class_name": "API Activity",
                "activity_id": 3, "activity_name": "Update", "type_uid": 600_303, "type_name": "API Activity: Update",
                "time": 1_700_000_000_123_i64, "severity_id": 2, "severity": "Low", "status_id": 2, "status": "Failure",
                "metadata": {"version": "1.9.0", "profiles": ["record_integrity"], "product": {"name": "dbal", "vendor_name": "dbal", "version": env!("CARGO_PKG_VERSION")},
                    "uid": "ff", "sequence": 7, "original_time": "2023-11-14T22:13:20.123456789Z", "event_code": "call",
                    "log_name": "audit", "tenant_uid": "acme"},
                "actor": {"user": {"uid": "alice", "groups": [{"name": "user"}]}},
                "src_endpoint": {"ip": "127.0.0.1", "port": 40000},
                "api": {"operation": "update", "service": {"name": "dbal"}, "request": {"uid": "1a2b3c4d-2a"}, "response": {"code": 403}},
                "status_code": "403", "status_detail": "why", "message": "why", "duration": 1,
                "resources": [{"type": "Note", "uid": "n1"}],
                "attestation_list": [{"prev_event": {"uid": "ee"},
                    "fingerprint": {"algorithm_id": 3, "algorithm": "SHA-256", "encoding_id": 1, "encoding": "Hex",
                        "serialization_id": 2, "serialization": "JCS", "value": null}}],
                "unmapped": {"event": "call", "rule": "notes-own", "rows": 0}})
        );
    }

    /// Members in order, at every depth: else what is hashed is not RFC 8785, and nobody else gets the same fingerprint.
    fn assert_canonical(text: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                let names: Vec<&String> = members.keys().collect();
                assert!(
                    names.is_sorted() && names.iter().all(|name| name.is_ascii()),
                    "{names:?}"
                );
                members.values().for_each(|value| assert_canonical(text, value));
            }
            Value::Array(values) => values.iter().for_each(|value| assert_canonical(text, value)),
            Value::Number(number) => assert!(number.is_u64() || number.is_i64(), "{number} in {text}"),
            Value::Null => panic!("a null, which OCSF has no place for: {text}"),
            Value::Bool(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn whoever_reads_an_event_gets_its_fingerprint_and_another_one_from_a_changed_event() {
        let record = json!({"seq": 7, "prev": "ee", "time": "2023-11-14T22:13:20Z", "event": "call", "outcome": "denied",
            "principal": "\u{1}\"\u{fc}\n", "keys": ["b", "a"], "entity": "Note", "method": "update",
            "tried": [{"why": "x", "at": "y"}], "hash": "ff"});
        let line = event(&record).to_string();
        assert_eq!(line, event(&record).to_string());
        let fingerprint = |line: &str| {
            let mut read: Value = serde_json::from_str(line).unwrap();
            let attestation = read["attestation_list"][0].as_object_mut().unwrap();
            let told = attestation.remove("fingerprint").unwrap()["value"].clone();
            let text = read.to_string();
            assert_canonical(&text, &read);
            (told, json!(format!("{:x}", Sha256::digest(text))))
        };
        let (told, found) = fingerprint(&line);
        assert_eq!(told, found);
        for (from, to) in [
            ("\"Note\"", "\"Nose\""),
            ("\"ee\"", "\"ef\""),
            ("600399", "600300"),
        ] {
            let (told, found) = fingerprint(&line.replace(from, to));
            assert_eq!(told != found, line.contains(from), "{from}");
        }
    }

    #[test]
    fn the_first_of_all_has_no_event_before_it() {
        let first = event(&json!({"seq": 1, "prev": "0".repeat(64), "time": "2023-11-14T22:13:20Z"}));
        assert_eq!(first.pointer("/attestation_list/0/prev_event"), None);
    }

    #[test]
    fn each_resource_has_a_name_or_a_uid_also_where_no_row_is_named() {
        assert_eq!(resources("Note", &[]), json!([{"type": "Note", "name": "Note"}]));
        assert_eq!(
            resources("Note", &[json!("n1"), json!("n2")]),
            json!([{"type": "Note", "uid": "n1"}, {"type": "Note", "uid": "n2"}])
        );
    }

    #[test]
    fn an_address_is_one_with_and_without_a_port() {
        assert_eq!(endpoint(Some("127.0.0.1")), json!({"ip": "127.0.0.1"}));
        assert_eq!(endpoint(Some("[::1]:7")), json!({"ip": "::1", "port": 7}));
        assert_eq!(endpoint(Some("::1")), json!({"ip": "::1"}));
        assert_eq!(endpoint(Some("a pipe")), json!({"name": "a pipe"}));
    }

    /// Required by OCSF 1.6.0 of every API Activity, also where the record is not of a call.
    #[test]
    fn what_is_no_call_has_all_that_the_class_requires_too() {
        let event = event(
            &json!({"seq": 1, "time": "2023-11-14T22:13:20Z", "event": "worker-started", "outcome": "allowed"}),
        );
        for pointer in [
            "/activity_id",
            "/actor/app_name",
            "/api/operation",
            "/category_uid",
            "/class_uid",
            "/metadata/product/name",
            "/metadata/version",
            "/severity_id",
            "/src_endpoint/svc_name",
            "/time",
            "/type_uid",
        ] {
            assert!(
                event.pointer(pointer).is_some_and(|value| !value.is_null()),
                "{pointer}"
            );
        }
        assert_eq!(event["type_uid"], 600_399);
    }
}
