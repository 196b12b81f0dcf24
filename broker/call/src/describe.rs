//! What there is to call: `getCapabilities` and `rpc.discover`, each cut to what this caller may use.

use dbal_policy::{Policy, Subject};
use dbal_shared::limits::{BATCH_CALLS, CLIENT_MESSAGE_BYTES, ROWS_PER_ANSWER, ROWS_PER_CREATE_MANY};
use dbal_shared::message::Capabilities;
use dbal_shared::plan::Operation;
use serde_json::{Value, json};

use super::method::Method;

/// The answer to `getCapabilities`.
pub fn capabilities(adapter: &Capabilities, policy: &Policy, subject: &Subject) -> String {
    // By name: what an adapter can do and what is told of it must not drift apart.
    let Capabilities {
        adapter,
        version,
        transactions,
        joins,
        full_text_search,
        ttl,
        json_queries,
        aggregations,
        relations,
    } = adapter;
    let limits = policy.limits(subject);
    json!({
        "transactions": transactions,
        "joins": joins,
        "fullTextSearch": full_text_search,
        "ttl": ttl,
        "jsonQueries": json_queries,
        "aggregations": aggregations,
        "relations": relations,
        "adapter": adapter,
        "version": version,
        "daemon": env!("CARGO_PKG_VERSION"),
        "methods": Method::served().map(Method::name).collect::<Vec<_>>(),
        "limits": {
            "messageBytes": CLIENT_MESSAGE_BYTES,
            "batchCalls": BATCH_CALLS,
            "rowsPerAnswer": limits.max_rows.min(ROWS_PER_ANSWER),
            "rowsPerCreateMany": ROWS_PER_CREATE_MANY,
            "requestsPerMinute": limits.requests_per_minute,
            "burst": limits.burst,
        },
        "entities": entities(policy, subject),
    })
    .to_string()
}

fn entities(policy: &Policy, subject: &Subject) -> Vec<Value> {
    let known = policy.schema().entities().iter().filter_map(|entity| {
        let operations: Vec<&str> = Operation::ALL
            .iter()
            .filter(|operation| {
                policy
                    .vocabulary(subject, entity.id, **operation)
                    .is_some_and(|vocabulary| vocabulary.is_permitted)
            })
            .map(|operation| operation.name())
            .collect();
        (!operations.is_empty()).then(|| json!({"name": entity.name, "operations": operations}))
    });
    known.collect()
}

/// The answer to `rpc.discover`: an OpenRPC 1.3 document.
pub fn discover(policy: &Policy, subject: &Subject) -> String {
    let names: Vec<Value> = entities(policy, subject)
        .iter()
        .filter_map(|entity| entity.get("name").cloned())
        .collect();
    let methods: Vec<Value> = Method::served()
        .filter(|method| *method != Method::Cancel)
        .map(|method| {
            let params: Vec<Value> = method
                .parameters()
                .iter()
                .map(|name| match *name {
                    "entity" => {
                        json!({"name": name, "required": true, "schema": {"type": "string", "enum": names}})
                    }
                    name => json!({"name": name, "schema": {}}),
                })
                .collect();
            json!({"name": method.name(), "params": params, "result": {"name": "result", "schema": {}}})
        })
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {"title": "dbal", "version": env!("CARGO_PKG_VERSION")},
        "methods": methods,
    })
    .to_string()
}
