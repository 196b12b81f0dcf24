//! Examples and exit codes, for `--help` and the manual pages: one table, so that no command is without, and a test that
//! each of them is a command line of ours.

use clap::Command;

/// What all commands have in common.
const OF_ALL: &str = "Exit codes: 0 done. 1 it failed, or what was asked for does not hold. 2 the command line is wrong, or it could \
not be asked. 3 nobody answers there. 141 nobody reads what is printed. More of them: call, policy diff, doctor.";

/// A command by its path, and lines that can be pasted.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "dev",
        &["dbal dev", "dbal dev --dir /tmp/try --listen 127.0.0.1:50052"],
    ),
    (
        "run",
        &[
            "dbal run --config /etc/dbal",
            "dbal run --config .dbal-dev --identity .dbal-dev/identity",
        ],
    ),
    (
        "call",
        &[
            "dbal call --as alice create Note '{\"title\":\"first\"}'",
            "dbal call --as alice list '[\"Note\", {\"limit\":5, \"sort\":{\"createdAt\":\"desc\"}}]'",
            "dbal call --as alice list '{\"entity\":\"Note\"}'",
            "dbal call --endpoint wss://db.example:50051/ --token-file token getCapabilities",
        ],
    ),
    (
        "config encrypt",
        &[
            "dbal config encrypt worker.yaml -r age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        ],
    ),
    (
        "config edit",
        &["dbal config edit /etc/dbal/worker.yaml.age -i identity"],
    ),
    (
        "config show",
        &["dbal config show .dbal-dev/worker.yaml.age -i .dbal-dev/identity"],
    ),
    (
        "config split",
        &["dbal config split config.yaml --issuer https://issuer.example --audience dbal --jwks keys.json"],
    ),
    (
        "config check",
        &["dbal config check /etc/dbal/broker.yaml /etc/dbal/worker.yaml.age -i identity"],
    ),
    (
        "keygen",
        &[
            "dbal keygen -o identity",
            "dbal keygen --checkpoints",
            "dbal keygen --countersign -o countersign.key",
            "dbal keygen --cursors",
        ],
    ),
    (
        "token",
        &[
            "dbal token --as alice > token",
            "dbal token --subject 42 --role user --tenant acme --lifetime 600",
            "dbal token --key token.key --kid one --issuer me --audience dbal --subject 42 --role user > token",
        ],
    ),
    (
        "key new",
        &["dbal key new --file keys/api-keys.yaml --name backup --subject backup --role user --days 30"],
    ),
    ("key list", &["dbal key list", "dbal key list --json"]),
    (
        "key revoke",
        &["dbal key revoke --file keys/api-keys.yaml k3Jd82Hs"],
    ),
    (
        "policy check",
        &[
            "dbal policy check --config /etc/dbal/broker.yaml --strict",
            "dbal policy check --format sarif",
        ],
    ),
    ("policy who-can", &["dbal policy who-can read User.email"]),
    (
        "policy diff",
        &["dbal policy diff /etc/dbal new/ --format markdown"],
    ),
    (
        "policy test",
        &[
            "dbal policy test",
            "dbal policy test tests/notes.yaml --format junit",
        ],
    ),
    (
        "policy reload",
        &[
            "dbal policy reload",
            "dbal policy reload --config .dbal-dev/broker.yaml",
        ],
    ),
    (
        "policy matrix",
        &[
            "dbal policy matrix",
            "dbal policy matrix --format html --output matrix.html",
        ],
    ),
    (
        "policy explain",
        &[
            "dbal policy explain --as '{\"id\":\"0199a000-0000-7000-8000-000000000b0b\",\"roles\":[\"user\"]}' list '[\"Note\"]'",
        ],
    ),
    (
        "policy why",
        &["dbal policy why c9c5b10a-41d9ded6ad91b901 --audit /var/log/dbal"],
    ),
    (
        "schema ddl",
        &["dbal schema ddl --entities entities --database postgresql"],
    ),
    (
        "schema import-prisma",
        &["dbal schema import-prisma prisma/schema.prisma --out entities"],
    ),
    (
        "schema check",
        &["dbal schema check --config worker.yaml.age -i identity"],
    ),
    (
        "schema introspect",
        &["dbal schema introspect -i identity --out entities"],
    ),
    ("schema apply", &["dbal schema apply -i identity"]),
    (
        "schema typescript",
        &[
            "dbal schema typescript --entities entities --output src/schema.ts",
            "dbal schema typescript --entities entities --policy acl.yaml --role user --output src/schema.ts --check",
        ],
    ),
    (
        "audit verify",
        &[
            "dbal audit verify /var/log/dbal",
            "dbal audit verify .dbal-dev/audit --json",
        ],
    ),
    ("audit tail", &["dbal audit tail /var/log/dbal -n 50 -f"]),
    (
        "audit search",
        &[
            "dbal audit search /var/log/dbal --since 2h --outcome denied",
            "dbal audit search /var/log/dbal --code 403 --json | jq .rule",
        ],
    ),
    (
        "audit export",
        &["dbal audit export /var/log/dbal --since 7d --format csv > audit.csv"],
    ),
    (
        "audit seal",
        &[
            "dbal audit seal --follow /var/log/dbal /var/log/dbal-sealed",
            "dbal audit seal --follow --keep-days 365 --metrics /var/lib/dbal-audit/seal.prom /var/log/dbal /var/log/dbal-sealed",
            "dbal audit seal audit audit-sealed",
        ],
    ),
    ("sandbox status", &["dbal sandbox status"]),
    (
        "doctor",
        &[
            "sudo dbal doctor --name db.example",
            "dbal doctor --config .dbal-dev",
        ],
    ),
    (
        "top",
        &[
            "dbal top",
            "dbal top --config .dbal-dev",
            "dbal top --once --sort p99",
            "dbal top --json | jq .calls",
        ],
    ),
];

/// The command line with its examples.
pub(crate) fn with_examples(tool: Command) -> Command {
    below(tool.after_help(OF_ALL), "")
}

fn below(command: Command, path: &str) -> Command {
    let of = EXAMPLES
        .iter()
        .find(|(of, _)| *of == path)
        .map(|(_, lines)| *lines);
    let command = match of {
        Some(lines) => command.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
        None => command,
    };
    command.mut_subcommands(|within| {
        let path = [path, within.get_name()].join(" ");
        below(within, path.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a shell does it, as far as the examples need one.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        for letter in line.chars() {
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                '|' | '>' if !is_quoted => return words,
                letter => word.push(letter),
            }
        }
        words.push(word);
        words
    }

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        let mut within = command
            .get_subcommands()
            .filter(|within| within.get_name() != "help")
            .peekable();
        if within.peek().is_none() {
            found.push(path.to_owned());
        }
        for command in within {
            leaves(command, [path, command.get_name()].join(" ").trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        let tool = crate::command_line();
        let mut wanted = Vec::new();
        leaves(&tool, "", &mut wanted);
        let named: Vec<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        assert_eq!(named, wanted, "in the order of the commands");
        for (path, lines) in EXAMPLES {
            for line in *lines {
                let words = words(line.strip_prefix("sudo ").unwrap_or(line));
                assert!(line.contains(&format!("dbal {path}")), "{path}: {line}");
                let understood = tool.clone().try_get_matches_from(words);
                assert!(understood.is_ok(), "{line}: {understood:?}");
            }
        }
    }
}
