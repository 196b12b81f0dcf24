//! Which code each target is there for: what it has reached of that is its coverage, whatever else it runs through.

/// A target's own files, or folders of them, below the root.
pub const PARSERS: [(&str, &[&str]); 26] = [
    ("answer_text", &["cli/src/indent.rs", "cli/src/visible.rs"]),
    (
        "audit_journal",
        &[
            "worker/audit/src/verify.rs",
            "worker/audit/src/search.rs",
            "worker/audit/src/follow.rs",
            "worker/audit/src/folder.rs",
            "worker/audit/src/claims.rs",
        ],
    ),
    (
        "audit_record",
        &[
            "cli/src/audit/row.rs",
            "cli/src/audit/ocsf.rs",
            "cli/src/audit/export.rs",
            "cli/src/policy/why.rs",
        ],
    ),
    (
        "bridge_answer",
        &[
            "worker/src/database/prisma/protocol.rs",
            "worker/src/database/prisma/values.rs",
            "worker/src/database/prisma/trouble.rs",
            "worker/src/database/postgres/json_row.rs",
        ],
    ),
    (
        "broker_answer",
        &[
            "cli/src/admin.rs",
            "cli/src/top/exposition.rs",
            "cli/src/top/reading.rs",
            "cli/src/top/latency.rs",
            "cli/src/top/rates.rs",
            "cli/src/top/page.rs",
            "cli/src/top/report.rs",
            "cli/src/doctor/running.rs",
            "cli/src/doctor/report.rs",
        ],
    ),
    ("call", &["broker/call/src/"]),
    (
        "call_to_rows",
        &["broker/call/src/", "policy/src/decide", "worker/sql/src/"],
    ),
    ("certificate", &["broker/src/net/client_certificate.rs"]),
    (
        "config_yaml",
        &["worker/config/src/", "broker/src/config.rs", "settings/src/"],
    ),
    ("cursor", &["worker/src/cursor.rs"]),
    ("entity_yaml", &["policy/schema/src/"]),
    (
        "frame_to_broker",
        &["shared/src/frame.rs", "shared/src/codec.rs", "shared/src/wire.rs"],
    ),
    (
        "frame_to_worker",
        &["shared/src/frame.rs", "shared/src/codec.rs", "shared/src/wire.rs"],
    ),
    (
        "http_head",
        &[
            "broker/src/net/http.rs",
            "broker/src/net/upgrade.rs",
            "broker/src/auth/credentials.rs",
        ],
    ),
    ("invariants_yaml", &["policy/src/invariants", "policy/src/prove"]),
    (
        "journal_open",
        &[
            "worker/audit/src/tail.rs",
            "worker/audit/src/text.rs",
            "worker/audit/src/journal.rs",
            "worker/audit/src/journal/",
        ],
    ),
    (
        "journal_sealed",
        &[
            "worker/audit/src/seal.rs",
            "worker/audit/src/text.rs",
            "worker/audit/src/tail.rs",
        ],
    ),
    ("json_rpc", &["broker/src/rpc/"]),
    ("key_files", &["identity/src/"]),
    ("plan_to_sql", &["worker/sql/src/", "policy/src/decide"]),
    ("policy_tests_yaml", &["policy/review/src/trial"]),
    (
        "policy_yaml",
        &[
            "policy/src/rules_file.rs",
            "policy/src/expression",
            "policy/src/compile",
            "policy/src/row_filter",
            "policy/src/roles.rs",
            "policy/src/limits.rs",
        ],
    ),
    ("prisma_schema", &["cli/src/schema/prisma"]),
    (
        "sealed_config",
        &["worker/config/src/sealed.rs", "worker/config/src/identity.rs"],
    ),
    (
        "stored_value",
        &[
            "worker/src/database/sqlite/values.rs",
            "worker/src/database/postgres/values.rs",
            "worker/src/database/mysql/values.rs",
            "policy/schema/src/decimal.rs",
            "policy/schema/src/json_text.rs",
        ],
    ),
    ("token", &["identity/src/"]),
];

/// What a target is there for; none if nobody said it.
pub fn of(target: &str) -> Option<&'static [&'static str]> {
    PARSERS
        .iter()
        .find(|(name, _)| *name == target)
        .map(|(_, files)| *files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    #[test]
    fn every_target_has_files_and_they_are_there() {
        for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap() {
            let path = entry.unwrap().path();
            let target = path.file_stem().unwrap().to_str().unwrap();
            assert!(of(target).is_some(), "{target}");
        }
        for (target, files) in PARSERS {
            assert!(
                root()
                    .join("fuzz/fuzz_targets")
                    .join(target)
                    .with_extension("rs")
                    .exists()
            );
            for file in files {
                let path = root().join(file);
                assert!(
                    path.exists() || path.with_extension("rs").exists(),
                    "{target}: {file}"
                );
            }
        }
    }
}
