//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`. Run it when a message or a format changes.

mod texts;

use std::path::Path;

use dbal_shared::codec::{self, Wire};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::{CallId, ColumnId, Digest, RequestId, SessionHandle};
use dbal_shared::message::*;
use dbal_shared::plan::{
    Action, Assignment, Direction, Function, Include, Measure, Page, Plan, SortKey, Target, Total,
};
use dbal_shared::predicate::{Case, Comparison, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;

fn main() {
    texts::write();
    certificates();
    cursors();
    noise();
    let plans = plans();
    for plan in &plans {
        write("plan_to_sql", plan.action.name(), plan);
        let execute = Execute {
            call: CallId(1),
            request: RequestId { boot: 1, sequence: 1 },
            session: SessionHandle([1; 32]),
            budget_ms: 1_000,
            policy: Digest([2; 32]),
            grant: Digest([3; 32]),
            once: None,
            trace: None,
            plan: plan.clone(),
        };
        write("frame_to_worker", plan.action.name(), &ToWorker::Execute(execute));
    }
    let hello = Hello {
        protocol: PROTOCOL,
        schema: Digest([1; 32]),
        policy: Digest([2; 32]),
        version: "1".to_owned(),
    };
    write("frame_to_worker", "hello", &ToWorker::Hello(hello));
    let open = OpenSession {
        call: CallId(2),
        proof: Proof::Bearer("a.b.c".into()),
        remote: "127.0.0.1:1".to_owned(),
        certificate: None,
    };
    write("frame_to_worker", "open", &ToWorker::OpenSession(open));
    write("frame_to_worker", "cancel", &ToWorker::Cancel(CallId(3)));
    let transact = Transact {
        call: CallId(4),
        request: RequestId { boot: 1, sequence: 2 },
        session: SessionHandle([1; 32]),
        budget_ms: 1_000,
        policy: Digest([2; 32]),
        isolation: Isolation::Serializable,
        once: None,
        trace: None,
        calls: plans
            .iter()
            .map(|plan| Wanted {
                grant: Digest([3; 32]),
                plan: plan.clone(),
            })
            .collect(),
    };
    write("frame_to_worker", "transact", &ToWorker::Transact(transact));
    let reply = Reply {
        json: "{\"id\":1}".to_owned(),
        rows: 1,
        database_us: 9,
    };
    write(
        "frame_to_broker",
        "answer",
        &ToBroker::Answer(Answer {
            call: CallId(1),
            outcome: Ok(reply),
        }),
    );
    let failure = Failure {
        code: Code::Invalid,
        fields: vec![
            (ColumnId(1), Fault::TooLong { max: 9 }),
            (ColumnId(2), Fault::Taken),
        ],
        advice: Advice::Final,
        at: Some(1),
    };
    write(
        "frame_to_broker",
        "failure",
        &ToBroker::Answer(Answer {
            call: CallId(1),
            outcome: Err(failure),
        }),
    );
    write("frame_to_broker", "draining", &ToBroker::Draining);
    let head = Head {
        sequence: 7,
        hash: Digest([4; 32]),
    };
    write("frame_to_broker", "head", &ToBroker::Head(head));
    let countersignature = Countersignature {
        head,
        after: Some(Head { sequence: 3, ..head }),
        key: [5; 32],
        signature: [6; 64],
    };
    write(
        "frame_to_worker",
        "countersigned",
        &ToWorker::Countersigned(countersignature),
    );
}

/// Plans that the fixtures' policy grants, so that the fuzzer starts behind the first refusals.
fn plans() -> Vec<Plan> {
    let schema = dbal_fuzz::schema();
    let paper = schema.by_name("Paper").expect("the fixture has it");
    let column = |name: &str| paper.column_by_name(name).expect("the fixture has it").id;
    let (id, title, rank) = (column("id"), column("title"), column("rank"));
    let text = |text: &str| Value::Text(text.to_owned());
    let target = || Target {
        column: id,
        value: Value::Uuid([7; 16]),
    };
    let values = || {
        vec![
            Assignment {
                column: title,
                value: text("x"),
            },
            Assignment {
                column: rank,
                value: Value::Int(7),
            },
        ]
    };
    let filter = || {
        Predicate::And(vec![
            Predicate::Compare {
                column: rank,
                op: Comparison::Lt,
                value: Value::Int(3),
            },
            Predicate::Not(Box::new(Predicate::In {
                column: title,
                values: vec![text("a"), text("b")],
            })),
            Predicate::Matches {
                column: title,
                position: TextPosition::Contains,
                text: "%".to_owned(),
                case: Case::Insensitive,
            },
            Predicate::Or(vec![
                Predicate::IsNull { column: rank },
                Predicate::Between {
                    column: rank,
                    low: Value::Int(0),
                    high: Value::Int(9),
                },
                Predicate::CompareColumns {
                    left: id,
                    op: Comparison::Ne,
                    right: column("ownerId"),
                },
            ]),
        ])
    };
    let projection = || vec![id, title, rank];
    let order = || {
        vec![SortKey {
            column: title,
            direction: Direction::Descending,
        }]
    };
    let owner = paper.relation_by_name("owner").expect("the fixture has it").link;
    let owned = |quantifier| Predicate::Related {
        link: owner,
        quantifier,
        within: Box::new(Predicate::True),
        predicate: Box::new(Predicate::IsNull {
            column: owner.foreign,
        }),
    };
    let includes = || {
        let user = schema.entity(owner.entity).expect("the fixture has it");
        vec![Include {
            link: owner,
            filter: Predicate::True,
            order: Vec::new(),
            limit: 3,
            projection: vec![user.key],
            includes: vec![Include {
                link: user.relation_by_name("papers").expect("the fixture has it").link,
                filter: filter(),
                order: order(),
                limit: 2,
                projection: projection(),
                includes: Vec::new(),
            }],
        }]
    };
    let page = Page { number: 2, limit: 10 };
    let upsert = || Action::Upsert {
        target: target(),
        create: values(),
        update: values(),
        projection: projection(),
    };
    let actions = [
        Action::Read {
            target: target(),
            projection: projection(),
            includes: includes(),
        },
        Action::FindFirst {
            filter: owned(Quantifier::Every).or(owned(Quantifier::None)),
            order: order(),
            projection: projection(),
            includes: Vec::new(),
        },
        Action::List {
            filter: filter(),
            order: order(),
            page,
            total: Total::Counted,
            projection: projection(),
            includes: includes(),
            cursor: None,
        },
        Action::Aggregate {
            filter: owned(Quantifier::Some),
            groups: vec![title],
            count: Total::Counted,
            measures: vec![Measure {
                function: Function::Average,
                column: rank,
            }],
            limit: 5,
        },
        Action::Count { filter: filter() },
        Action::Create {
            values: values(),
            projection: projection(),
        },
        Action::CreateMany {
            rows: vec![values(), values()],
        },
        Action::Update {
            target: target(),
            values: values(),
            projection: projection(),
        },
        Action::UpdateMany {
            filter: filter(),
            values: values(),
        },
        Action::Delete { target: target() },
        Action::DeleteMany { filter: filter() },
        upsert(),
    ];
    let policy = dbal_fuzz::policy(&schema);
    let subject = policy.subject(&dbal_fuzz::alice());
    let plans: Vec<Plan> = actions
        .into_iter()
        .map(|action| Plan {
            entity: paper.id,
            action,
        })
        .collect();
    for plan in &plans {
        let name = plan.action.name();
        match policy.decide(&subject, plan.clone()) {
            Ok(_) => println!("{name}: granted"),
            // An upsert names its key in the row that it would create, which this policy lets nobody choose.
            Err(denied) => println!("{name}: {}", denied.operator()),
        }
    }
    plans
}

/// Certificates with names of each kind, and more of them than are handed on.
fn certificates() {
    let many: Vec<String> = (0..20).map(|nth| format!("host{nth}.example")).collect();
    for (name, names, common) in [
        ("named", vec!["ci.example".to_owned()], Some("ci")),
        ("many", many, None),
        ("bare", Vec::new(), Some("only a name")),
    ] {
        let mut wanted = rcgen::CertificateParams::new(names).expect("names");
        wanted.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            wanted.distinguished_name.push(rcgen::DnType::CommonName, common);
        }
        let uri = "spiffe://example/ci".try_into().expect("ASCII");
        wanted.subject_alt_names.push(rcgen::SanType::URI(uri));
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = wanted.self_signed(&key).expect("a certificate");
        put("certificate", name, certificate.der());
    }
}

/// Places, with what they are bound to before them: see the target.
fn cursors() {
    let place = vec![
        Value::Null,
        Value::Int(7),
        Value::Text("a".to_owned()),
        Value::Float(0.5),
    ];
    let mut bytes = vec![0, 40, 1, 3];
    bytes.extend_from_slice(b"abc");
    codec::encode(&place, &mut bytes).expect("a seed can be written");
    put("cursor", "place", &bytes);
}

/// Bytes of which long calls are made: libFuzzer would begin with those of a few bytes and take hours to get to them. The same ones
/// each time (Marsaglia's xorshift64).
fn noise() {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for nth in 0..48 {
        let bytes: Vec<u8> = (0..64 + nth * 8)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[5]
            })
            .collect();
        put("call_to_rows", &format!("noise{nth}"), &bytes);
    }
}

fn write<T: Wire>(target: &str, name: &str, message: &T) {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes).expect("a seed can be written");
    put(target, name, &bytes);
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a seed");
}
