//! Seeds that are texts: one of each thing that a parser has to know.

use super::put;

/// All of them.
pub fn write() {
    for (nth, call) in CALLS.iter().enumerate() {
        put("call", &format!("call{nth}"), call.as_bytes());
        put("json_rpc", &format!("call{nth}"), call.as_bytes());
    }
    for (nth, token) in TOKENS.iter().enumerate() {
        put("token", &format!("token{nth}"), token.as_bytes());
    }
    for (nth, file) in KEY_FILES.iter().enumerate() {
        put("key_files", &format!("file{nth}"), file.as_bytes());
    }
    for (nth, head) in HEADS.iter().enumerate() {
        // The first byte says how it comes: in one piece, with tokens in the URL.
        put(
            "http_head",
            &format!("head{nth}"),
            &[&[255], head.as_bytes()].concat(),
        );
    }
    for (nth, answer) in BRIDGE.iter().enumerate() {
        put("bridge_answer", &format!("answer{nth}"), answer.as_bytes());
    }
    for (nth, journal) in JOURNAL.iter().enumerate() {
        put(
            "audit_journal",
            &format!("chained{nth}"),
            &[&[1], journal.as_bytes()].concat(),
        );
        put(
            "audit_journal",
            &format!("parted{nth}"),
            &[&[3], journal.as_bytes()].concat(),
        );
    }
    for (nth, journal) in JOURNAL.iter().enumerate() {
        // In one file, in two, the last one torn, compressed, tended, and bytes that only look compressed.
        for how in [1, 3, 7, 19, 99, 25] {
            put(
                "journal_open",
                &format!("opened{nth}_{how}"),
                &[&[how, 1], journal.as_bytes()].concat(),
            );
        }
    }
    let bodies = [JOURNAL[0]; 4].join("\n");
    for (name, steps) in SEALED {
        let count = u8::try_from(steps.len() / 2).expect("a few steps");
        put(
            "journal_sealed",
            name,
            &[&[count], *steps, bodies.as_bytes()].concat(),
        );
    }
    for (nth, record) in RECORDS.iter().enumerate() {
        put("audit_record", &format!("record{nth}"), record.as_bytes());
        put("answer_text", &format!("record{nth}"), record.as_bytes());
    }
    let look = |calls: u32| METRICS.replace("CALLS", &calls.to_string());
    let looks = [&look(3), CALLS_BY_ENTITY, &look(70), CALLS_BY_ENTITY].join("\u{0}");
    for (nth, health) in HEALTH.iter().enumerate() {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{health}\u{0}{looks}");
        put("broker_answer", &format!("health{nth}"), answer.as_bytes());
    }
    for (name, text) in [
        (
            "broker_example",
            include_str!("../../../deploy/deb/examples/broker.yaml"),
        ),
        (
            "worker_example",
            include_str!("../../../deploy/deb/examples/worker.yaml"),
        ),
        ("broker", BROKER),
        ("postgresql", POSTGRESQL),
        ("mysql", MYSQL),
        ("prisma", PRISMA),
    ] {
        put("config_yaml", name, text.as_bytes());
    }
    put("invariants_yaml", "world", INVARIANTS.as_bytes());
    for (nth, condition) in CONDITIONS.iter().enumerate() {
        put(
            "invariants_yaml",
            &format!("condition{nth}"),
            condition.as_bytes(),
        );
    }
    put("policy_tests_yaml", "world", TESTS.as_bytes());
    put("policy_yaml", "world", dbal_fuzz::WORLD_RULES.as_bytes());
    put(
        "entity_yaml",
        "world",
        include_str!("../../world/entities.yaml").as_bytes(),
    );
    put("entity_yaml", "operations", OPERATIONS.as_bytes());
    put(
        "prisma_schema",
        "shop",
        include_str!("../../../cli/tests/shop.prisma").as_bytes(),
    );
    put("prisma_schema", "small", SCHEMA.as_bytes());
    put(
        "sealed_config",
        "text",
        b"\x00\x20\x01socket: {path: worker.sock}\n",
    );
    put(
        "sealed_config",
        "sealed",
        b"age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n",
    );
}

const CALLS: &[&str] = &[
    r#"{"id":"1","method":"list","params":["Note",{"filter":{"rank":{"gt":1},"OR":[{"title":{"contains":"a","mode":"insensitive"}},{"state":"draft"}],"NOT":{"body":null}},"sort":{"rank":"asc","at":"desc"},"page":2,"limit":3,"select":["id","title"],"total":false}]}"#,
    r#"{"id":"1","method":"list","params":["Note",{"include":{"comments":{"filter":{"weight":{"between":[1,9]}},"sort":{"weight":"desc"},"limit":2,"include":["author"]},"owner":true},"cursor":"AAAA"}]}"#,
    r#"{"id":"1","method":"list","params":["Person",{"filter":{"notes":{"some":{"comments":{"none":{"text":{"startsWith":"t"}}}},"every":{"rank":{"lte":3}}}},"meta":{"timeoutMs":100,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"aggregate","params":{"entity":"Note","options":{"groupBy":["state"],"count":true,"sum":["rank"],"avg":"score","min":["at"],"max":["price"],"filter":{"id":{"in":["00000000-0000-7000-8000-000000000001"]}}}}}"#,
    r#"{"id":"1","method":"create","params":["Note",{"title":"a","big":"9007199254740993","score":1.5,"price":"12.50","pinned":true,"day":"2024-02-29","at":"2024-01-15T10:30:00+01:00","extra":{"a":[1,null]},"blob":"AAAA"},{"idempotencyKey":"k"}]}"#,
    r#"{"id":"1","method":"upsert","params":["Note","id","00000000-0000-7000-8000-000000000001",{"title":"a"},{"rank":2}]}"#,
    r#"{"id":"1","method":"updateMany","params":["Note",{"ownerId":"00000000-0000-7000-8000-0000000000a1","rank":{"notIn":[1,2]}},{"state":"published"}]}"#,
    r#"{"id":"1","method":"transaction","params":[[{"method":"create","params":["Note",{"title":"a"}]},{"method":"create","params":["Comment",{"noteId":{"$ref":"0.id"},"text":"b"}]}],{"isolation":"serializable"}]}"#,
    r#"{"id":"1","method":"batch","params":[[{"method":"count","params":["Note",{"filter":{"title":{"endsWith":"x"}}}]},{"method":"findFirst","params":["Note",{},{"sort":{"id":"asc"}}]}]]}"#,
    r#"{"id":"1","method":"explain","params":["deleteMany",["Comment",{"weight":{"isNull":false}}]]}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"findByField","params":{"entity":"Note","field":"title","value":"a","options":{"select":{"id":true}},"_meta":{"timeoutMs":9}}}"#,
    r#"[{"id":"1","method":"createMany","params":["Comment",[{"noteId":"00000000-0000-7000-8000-000000000001","text":"a","weight":-1}]]},{"id":"2","method":"deleteByField","params":["Note","id","00000000-0000-7000-8000-000000000001"]},{"id":"3","method":"read","params":["Person","00000000-0000-7000-8000-0000000000a1"]}]"#,
];

const TOKENS: &[&str] = &[
    "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"KID\"}\n{\"iss\":\"issuer\",\"aud\":\"dbal\",\"sub\":\"a\",\"roles\":[\"user\"],\"tenant_id\":\"t\",\"exp\":1705318200,\"nbf\":1705314000,\"iat\":1705314000.5,\"level\":3,\"teams\":[\"x\"],\"is_staff\":true}",
    "{\"alg\":\"EdDSA\"}\n{\"iss\":\"issuer\",\"aud\":[\"dbal\",\"x\"],\"sub\":\"a\",\"roles\":\"user admin\",\"exp\":1705318200,\"cnf\":{\"x5t#S256\":\"AAAA\"}}",
    "{\"alg\":\"none\",\"crit\":[\"b64\"],\"b64\":false}\n{}",
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.AAAA",
    "dbal_01234567_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM",
];

const KEY_FILES: &[&str] = &[
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA","use":"sig"},{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
    r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
    r#"{"keys":[{"kty":"oct","kid":"k","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#,
    r#"{"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#,
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n",
    "keys:\n  - prefix: \"01234567\"\n    hash: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n    name: nightly\n    subject: job\n    roles: [user]\n    tenant: t\n    claims: {level: 3, is_staff: true, team: x}\n    created: 2024-01-15T10:30:00Z\n    expires: 2025-01-15T10:30:00Z\n    revoked: 2024-02-01T00:00:00Z\n",
];

const HEADS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: dbal.v1, dbal.bearer.a.b.c\r\n\r\n\x01\x02",
    "GET /rpc?access_token=a%2Eb HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: dbal.v1.jsonrpc2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: a\r\n\r\nHEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /livez HTTP/1.0\r\n\r\n",
    "POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
];

const BRIDGE: &[&str] = &[
    "\x01{\"rows\":[{\"n\":0,\"r\":\"{\\\"id\\\":\\\"00000000-0000-7000-8000-000000000001\\\",\\\"tenantId\\\":\\\"t\\\",\\\"ownerId\\\":\\\"00000000-0000-7000-8000-0000000000a1\\\",\\\"title\\\":\\\"a\\\",\\\"body\\\":null,\\\"state\\\":\\\"draft\\\",\\\"rank\\\":1,\\\"big\\\":9007199254740993,\\\"score\\\":1.5e+300,\\\"price\\\":12.50,\\\"pinned\\\":true,\\\"day\\\":\\\"2024-01-15\\\",\\\"at\\\":\\\"2024-01-15T10:30:00.123456+00:00\\\",\\\"extra\\\":{\\\"a\\\":[1]},\\\"blob\\\":\\\"\\\\\\\\x00ff\\\"}\"}]}",
    "\x00{\"affected\":3}",
    "\x05{\"error\":{\"code\":\"statement_failed\",\"sqlstate\":\"23505\",\"message\":\"duplicate key \\\"title\\\"\",\"constraint\":{\"index\":\"i\",\"fields\":[\"title\"]},\"table\":\"Note\",\"outcome\":\"none\"}}",
    "\x06{\"error\":{\"code\":\"busy\",\"outcome\":\"unknown\"}}",
];

const JOURNAL: &[&str] = &[
    ",\"time\":\"2024-01-15T10:30:00.000000000Z\",\"event\":\"start\",\"outcome\":\"ok\"\n,\"time\":\"2024-01-15T10:30:01.000000000Z\",\"event\":\"call\",\"outcome\":\"denied\",\"request\":\"1-1\",\"principal\":\"a\",\"roles\":[\"user\"],\"method\":\"list\",\"entity\":\"Note\",\"keys\":[\"k\"],\"code\":403",
    ",\"time\":\"2024-01-15T10:30:00.000000000Z\",\"event\":\"removed\",\"outcome\":\"ok\",\"removed\":{\"from\":1,\"to\":2,\"head\":\"00\"}\n,\"time\":\"2024-01-15T10:30:01.000000000Z\",\"event\":\"checkpoint\",\"outcome\":\"ok\",\"checkpoint\":{\"key\":\"AA\",\"signature\":\"AA\"}",
];

/// What a worker does between looks of the keeper: what, and how much or where (`fuzz_targets/journal_sealed.rs`).
const SEALED: &[(&str, &[u8])] = &[
    ("life", &[4, 1, 0, 0, 5, 1, 7, 0, 15, 0, 0, 0]),
    ("cut", &[4, 2, 8, 1]),
    ("changed", &[4, 2, 9, 3, 15, 0]),
    ("removed", &[4, 1, 5, 1, 10, 0]),
    ("all_in_one", &[4, 1, 5, 1, 11, 1, 0, 0, 5, 0]),
    ("all_in_none", &[4, 1, 11, 0]),
    ("anything", &[4, 1, 12, 0]),
    ("twice", &[4, 1, 5, 1, 13, 8, 4, 1]),
    ("another_past", &[4, 2, 14, 0, 4, 1]),
];

/// Whole records: what tells of a call, of a refusal, of removals and of signatures.
const RECORDS: &[&str] = &[
    r#"{"seq":7,"prev":"00","time":"2023-11-14T22:13:20.123456789Z","event":"call","outcome":"denied","request":"1a2b3c4d-2a","trace":"0af7651916cd43dd8448eb211c80319c","principal":"alice","roles":["user"],"tenant":"t","remote":"127.0.0.1:40000","method":"update","operation":"update","entity":"Note","keys":["n1","n2"],"code":403,"detail":"no rule","claims":["level"],"policy":"ab","tried":[{"rule":"notes-own","at":"acl.yaml:3:5","why":"ownerId = $user.id"}],"complexity":3,"duration_us":181,"rows":0,"hash":"00"}"#,
    r#"{"seq":8,"time":"2023-11-14T22:13:21Z","event":"call","outcome":"allowed","principal":"=1+1","remote":"[::1]:4","method":"list","operation":"list","entity":"Note","rule":"notes-own,notes-all","repeated":4,"rows":2,"hash":"00"}"#,
    r#"{"seq":9,"event":"authentication","outcome":"failed","code":401,"detail":"\u001b[2J\u009b31m\u202e","remote":"unix"}"#,
    r#"{"seq":10,"event":"incident","outcome":"unknown","removed":{"from":1,"to":2,"head":"00"},"checkpoint":{"key":"AA","signature":"AA"},"countersigned":{"seq":1,"hash":"00","after":{"seq":1,"hash":"00"},"key":"AA","signature":"AA"}}"#,
];

const HEALTH: &[&str] = &[
    r#"{"status":"healthy","version":"0.1.0","uptime":7500,"policy":"p","policies_agree":true,"database":{"connected":true,"latency_ms":0.3},"reloads":{"succeeded":0,"failed":0,"error":null},"worker":{"connected":true,"version":"0.1.0","policy":"p","adapter":"sqlite","restarts":1,"failed_reloads":2},"sandbox":{"broker":[{"layer":"seccomp","state":"in force"}],"worker":[{"layer":"seccomp","state":"in force"},{"layer":"landlock","state":"missing","why":"old kernel"}]}}"#,
    r#"{"status":"degraded","version":"0.2.0","policies_agree":false,"database":{"connected":false},"reloads":{"failed":1,"error":"acl.yaml:1:1: \u001b[2J"},"worker":{"connected":false,"version":"0.1.0"},"sandbox":{"broker":[{"layer":"a","state":"missing","why":"\u009b"}],"worker":[{"layer":"seccomp","state":"off"}]}}"#,
];

const METRICS: &str = "\
# HELP dbal_requests Requests.
# TYPE dbal_requests counter
dbal_requests_total{method=\"list\",status=\"success\",code=\"ok\"} CALLS
dbal_requests_total{method=\"read\",status=\"error\",code=\"403\"} CALLS
dbal_requests_total{method=\"a\\\"b\\n\",status=\"error\",code=\"503\"} 1e300
dbal_request_duration_seconds_bucket{le=\"0.001\",method=\"list\"} 1
dbal_request_duration_seconds_bucket{le=\"0.5\",method=\"list\"} CALLS
dbal_request_duration_seconds_bucket{le=\"+Inf\",method=\"list\"} CALLS
dbal_rate_limited_total CALLS
dbal_client_connections 15
dbal_cache_bytes 4096
dbal_cache_hits_total CALLS
dbal_worker_queue NaN
dbal_sessions -inf
# EOF
";

const CALLS_BY_ENTITY: &str = r#"[{"entity":"Note","operation":"list","code":"ok","calls":5},{"entity":"Note","operation":"list","code":"403","calls":1e308},{"entity":"\u001b]0;x\u0007","operation":"read","code":"503","calls":-0.5}]"#;

const BROKER: &str = "\
listen: 127.0.0.1:50051
tls: {certificate: c.pem, key: k.pem}
worker: {socket: w.sock, uid: 7}
entities: entities
policy: acl.yaml
invariants: invariants.yaml
auth: {token_in_query: true, tokens: {issuer: i, audience: a, leeway_s: 5, max_age_s: 60, jwks: jwks.json, claims: {id: sub}, keys: [{kid: one, algorithm: EdDSA, public_key: one.pem}]}}
limits: {connections: 10, idle_s: 3}
security: {sandbox: permissive}
log: {format: json, level: debug}
";

const POSTGRESQL: &str = "\
socket: {path: w.sock, mode: 0660, allow_uid: [7]}
database: {postgresql: {host: [db1, 'db2:5433'], port: 5432, database: d, user: u, password: s3cr3t-s3cr3t, ssl_mode: verify-full, ca_file: ca.pem, pool_size: 4}}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: i, audience: a, keys: [{kid: one, algorithm: HS256, secret: s3cr3t-s3cr3t}]}, api_keys: keys.yaml}
audit: {folder: audit}
";

const MYSQL: &str = "\
socket: {path: w.sock}
database: {mysql: {host: db, user: u, password: s3cr3t-s3cr3t, database: d, target: read_write}}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: i, audience: a, keys: []}, sessions: {entity: Session, token: hash, user: userId, expires: at}}
audit: {folder: audit, durability: always, on_failure: continue}
limits: {idempotency_hours: 2}
";

const PRISMA: &str = "\
socket: {path: w.sock}
database: {prisma: {url: 'https://bridge:3000/', token: s3cr3t-s3cr3t, ca_file: ca.pem}}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: i, audience: a, keys: []}}
audit: {folder: audit}
";

const INVARIANTS: &str = "\
version: 1
invariants:
  - id: walls
    within: {entity: '*', rows: 'tenantId = $user.tenantId'}
  - id: nothing-without-a-proof
    never: {anonymous: true, read: '*', write: '*'}
  - id: remarks
    never: {unless_roles: [moderator], read: Note.remark, write: Note.remark}
  - id: people-stay
    never: {delete: Person, update: [Person], create: Person}
  - id: own
    within: {entity: Note, operations: [update, delete], roles: [user], fields: [title], rows: \"ownerId = $user.id OR state = 'published'\"}
";

const CONDITIONS: &[&str] = &[
    "tenantId = $user.tenantId",
    "ownerId = $user.id OR state = 'published'",
    "NOT (rank < 3 AND rank >= 0) OR price IN ('1.5', '2')",
    "owner.tenantId = $user.tenantId AND ownerId IN (SELECT id FROM Person WHERE name <> 'x')",
    "'user' IN $user.roles AND $user.level >= 1 AND at IS NOT NULL",
];

const TESTS: &str = "\
version: 1
people:
  alice: {id: 00000000-0000-7000-8000-0000000000a1, roles: [user], tenant: t, claims: {level: 3}}
rows:
  Person:
    - {id: 00000000-0000-7000-8000-0000000000a1, tenantId: t, name: Alice}
  Note:
    - {id: 00000000-0000-7000-8000-000000000001, tenantId: t, ownerId: 00000000-0000-7000-8000-0000000000a1, title: a, rank: 1, price: '2.5'}
cases:
  - name: one sees one's own
    as: alice
    do: {method: list, entity: Note, options: {sort: {title: asc}, filter: {rank: {gt: 0}}}}
    expect: {rows: [{title: a}], count: 1}
  - name: and changes it
    as: alice
    do: {method: update, entity: Note, id: 00000000-0000-7000-8000-000000000001, data: {title: b}}
    expect: {row: {title: b}}
  - name: nobody else does
    as: {roles: [user], id: x}
    do: {method: delete, entity: Note, id: 00000000-0000-7000-8000-000000000001}
    expect: {code: 404}
";

const OPERATIONS: &str = "\
entity: Note
fields:
  id:    {type: uuid, primary: true, generated: true}
  title: {type: string, required: true, pattern: '^[a-z]+(x|y){1,3}$', default: ax, unique: true}
  at:    {type: bigint, auto_update: true}
  until: {type: bigint, nullable: true}
indexes:
  - {fields: [title, at], unique: true, name: note_title}
acl:
  read: {public: true, row_level: \"title = 'a' AND id IN (SELECT id FROM Note WHERE at > 1)\"}
  update: {self: true, role: [user], writable_fields: [title]}
security: {never_expose: [at], audit_all_access: true}
ttl: {field: until, auto_delete: true}
";

const SCHEMA: &str = "\
generator client { provider = \"prisma-client\" }
datasource db { provider = \"postgresql\" url = env(\"URL\") }
/// People.
model User {
  id     Int     @id @default(autoincrement())
  email  String  @unique @db.VarChar(200)
  role   Role    @default(USER)
  posts  Post[]  @relation(\"author\")
  tags   String[]
  at     DateTime @default(now()) @updatedAt
  price  Decimal? @db.Decimal(10, 2)
  @@index([role, at(sort: Desc)], map: \"i\")
  @@map(\"users\")
}
model Post {
  a Int
  b BigInt
  author User? @relation(\"author\", fields: [a], references: [id], onDelete: Cascade)
  data Json @default(\"{\\\"a\\\":1}\")
  raw Unsupported(\"circle\")?
  @@id([a, b])
}
enum Role { USER ADMIN @map(\"admin\") }
";
