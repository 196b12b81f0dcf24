//! The whole way of a request without sockets: text → request → plan → grant → frame → the worker's own judgement → statements →
//! SQLite → rows → frame. Each station is the daemons' own code; what must hold between them is checked here.

use std::sync::{Arc, Mutex, PoisonError};

use dbal_broker::call::{self, Method, Wanted};
use dbal_broker::rpc::Message;
use dbal_policy::{Grant, Policy, Subject};
use dbal_schema::{Schema, Source};
use dbal_shared::frame::{FrameReader, write_frame};
use dbal_shared::ids::{CallId, RequestId, SessionHandle};
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{self, Answer, Execute, Reply, ToBroker, ToWorker, Transact};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::{Places, SQLITE, Statement};
use dbal_worker::cursor::Cursors;
use dbal_worker::database::queue::Lane;
use dbal_worker::database::sqlite::fuzzed;
use dbal_worker::execute::{self, Rejection};
use dbal_worker::job::Task;
use dbal_worker::ledger::Memo;
use dbal_worker::session::{Found, Session};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::ask::{self, CANARY, Case};
use crate::grammar::{self, Names};
use crate::world::{self, Caller};

/// When all of it happens: 2024-01-15T10:30:00Z.
const NOW_MS: i64 = 1_705_314_600_000;
/// Functions that statements call, as SQLite names them.
const FUNCTIONS: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "substr",
    "length",
    "row_number",
    "dbal_sum",
    "dbal_sum_of_decimals",
    "dbal_fold",
    "dbal_contains",
    "quote",
];

/// A caller as both processes know him, and the two worlds that he can't tell apart.
struct Known {
    caller: Caller,
    principal: Principal,
    subject: Subject,
    session: Arc<Session>,
    world: Connection,
    other: Connection,
    untouched: String,
    /// Texts that he may not see.
    hidden: Vec<String>,
}

/// Schema, policy, callers and databases.
pub struct Way {
    policy: Arc<Policy>,
    places: Arc<dyn Places>,
    names: Names,
    callers: Vec<Known>,
    /// What SQLite's own parser found in a statement that none of ours has.
    refused: Refused,
}

/// What the worker said, or why it refused.
type Told = Result<String, String>;

/// The statements that one task ran, as far as something is wrong with them.
struct Watch<'a> {
    way: &'a Way,
    tenant: Option<&'static str>,
    wrong: Option<String>,
}

impl Way {
    /// By the policy of `world/acl.yaml`.
    pub fn new() -> Self {
        Self::by(include_str!("../world/acl.yaml"))
    }

    /// By another.
    fn by(rules: &str) -> Self {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let entities = [source("entities.yaml", include_str!("../world/entities.yaml"))];
        let schema = Arc::new(
            Schema::parse(&entities)
                .expect("the world's entities load")
                .schema,
        );
        grammar::must_be_able_to_fail(&schema);
        let policy = Policy::parse(&source("acl.yaml", rules), Arc::clone(&schema));
        let policy = Arc::new(policy.expect("the world's policy loads").policy);
        let refused = Refused::default();
        let database = |rows: &[world::Row]| {
            let mut connection = fuzzed::in_memory(&schema).expect("a database in memory");
            world::fill(&connection, rows);
            watch_over(&mut connection, &schema, refused.clone());
            connection
        };
        let rows = world::rows();
        let callers = Caller::ALL.map(|caller| {
            let principal = caller.principal();
            let subject = policy.subject(&principal);
            let session = Arc::new(Session {
                lane: Lane::of(&principal, "127.0.0.1"),
                principal: principal.clone(),
                subject: policy.subject(&principal),
                remote: "127.0.0.1".to_owned(),
                expires_at_ms: None,
                lookup: None,
            });
            let world = database(&rows);
            let hidden = rows.iter().flat_map(|row| {
                let cells = row.cells.iter().filter(|(name, _)| !row.shows(caller, name));
                cells.filter_map(|(_, value)| match value {
                    rusqlite::types::Value::Text(text) if text.ends_with("-qx") => Some(text.clone()),
                    _ => None,
                })
            });
            Known {
                caller,
                principal,
                subject,
                session,
                untouched: world::others_rows(&world, caller),
                hidden: hidden.collect(),
                world,
                other: database(&world::other_to(caller)),
            }
        });
        Self {
            names: Names::of(&schema),
            policy,
            places: Arc::new(Cursors::new().expect("randomness")),
            callers: callers.into(),
            refused,
        }
    }

    /// Makes the call and says what must not be.
    pub fn examine(&self, case: &Case) -> Result<(), String> {
        let known = self
            .callers
            .iter()
            .find(|known| known.caller == case.caller)
            .ok_or("an unknown caller")?;
        let Some(task) = self.task(known, &case.message)? else {
            return Ok(());
        };
        if task.is_write() {
            return self.write(known, &case.message, &task);
        }
        let cursor = self.read(known, &case.message, &task)?;
        // The next page, by the cursor that the worker sealed.
        if let Some(message) = cursor.and_then(|cursor| ask::continued(&case.message, &cursor))
            && let Some(task) = self.task(known, &message)?
        {
            self.read(known, &message, &task)?;
        }
        Ok(())
    }

    /// What the worker makes of a client's message; none where either process refuses it.
    fn task(&self, known: &Known, text: &str) -> Result<Option<Task>, String> {
        let Ok(Message::One(request)) = Message::parse(text, None) else {
            return Ok(None);
        };
        let Some(method) = Method::by_name(&request.method) else {
            return Err(format!("`{}` is no method", request.method));
        };
        let understood = call::interpret(method, &request.params, &self.policy, &known.subject);
        let Ok(wanted) = understood.map(|call| call.wanted) else {
            return Ok(None);
        };
        let judged = call::judge(&self.policy, &known.principal, &known.subject, &wanted);
        let Ok(grants) = judged else {
            return Ok(None);
        };
        let sent = carried(self.frame(&wanted, &grants), FRAME_TO_WORKER_BYTES)?;
        let (policy, places) = (&self.policy, &self.places);
        let found = Found::Live(Arc::clone(&known.session));
        let mut memo = Memo::of_our_own();
        let judged = match sent {
            ToWorker::Execute(execute) => execute::judge(execute, found, policy, places, NOW_MS, &mut memo),
            ToWorker::Transact(transact) => {
                memo.calls = vec![Memo::of_our_own(); transact.calls.len()];
                execute::judge_together(transact, found, policy, places, NOW_MS, &mut memo)
            }
            _ => return Err("a frame became another message".to_owned()),
        };
        match judged {
            Ok(task) => Ok(Some(task)),
            Err(Rejection::Refused(_)) => Ok(None),
            // Broker and worker decided differently: one of them would close the channel on an honest other.
            Err(Rejection::Incident(refusal)) => Err(format!("an incident: {}", refusal.detail)),
        }
    }

    fn frame(&self, wanted: &Wanted, grants: &[Grant]) -> ToWorker {
        let pairs = wanted.plans().iter().zip(grants);
        let mut calls: Vec<_> = pairs
            .map(|(plan, grant)| message::Wanted {
                grant: grant.digest(),
                plan: plan.clone(),
            })
            .collect();
        let (call, request) = (CallId(1), RequestId { boot: 1, sequence: 1 });
        let (session, budget_ms, policy) = (SessionHandle([1; 32]), 1_000, self.policy.hash());
        match wanted {
            Wanted::One(_) => {
                let message::Wanted { grant, plan } = calls.remove(0);
                ToWorker::Execute(Execute {
                    call,
                    request,
                    session,
                    budget_ms,
                    policy,
                    grant,
                    once: None,
                    trace: None,
                    plan,
                })
            }
            Wanted::Together(_) => ToWorker::Transact(Transact {
                call,
                request,
                session,
                budget_ms,
                policy,
                isolation: wanted.isolation(),
                once: None,
                trace: None,
                calls,
            }),
        }
    }

    /// A read answers the same in both worlds. The cursor, if it gives one.
    fn read(&self, known: &Known, message: &str, task: &Task) -> Result<Option<String>, String> {
        let here = self.run(known, &known.world, task)?;
        let there = self.run(known, &known.other, task)?;
        let (mut cursor, mut none) = (None, None);
        let (one, other) = (plain(&here, &mut cursor)?, plain(&there, &mut none)?);
        if one != other {
            return Err(format!(
                "he sees what he may not: {one}\nor {other}\nby {message}"
            ));
        }
        tells_nothing(known, message, &here)?;
        Ok(cursor)
    }

    /// A write leaves every row alone that is not this caller's to change, and its answer holds nothing that he may not see.
    fn write(&self, known: &Known, message: &str, task: &Task) -> Result<(), String> {
        let command = |sql: &str| {
            known
                .world
                .execute_batch(sql)
                .map_err(|error| format!("{sql}: {error}"))
        };
        command("BEGIN")?;
        let came = self.run(known, &known.world, task);
        let after = world::others_rows(&known.world, known.caller);
        if !known.world.is_autocommit() {
            command("ROLLBACK")?;
        }
        if after != known.untouched {
            return Err(format!("others' rows were changed by {message}"));
        }
        tells_nothing(known, message, &came?)
    }

    fn run(&self, known: &Known, connection: &Connection, task: &Task) -> Result<Told, String> {
        let mut watch = Watch {
            way: self,
            tenant: known.caller.tenant(),
            wrong: None,
        };
        self.refused.take();
        let outcome = fuzzed::run(connection, task, &mut |statement| watch.see(statement));
        if let Some(wrong) = watch.wrong {
            return Err(wrong);
        }
        if let Some(wrong) = self.refused.take() {
            return Err(format!("SQLite's own parser found {wrong}"));
        }
        let outcome = match outcome {
            Ok(reply) => Ok(reply),
            Err(refusal) => {
                if refusal.failure.code == dbal_shared::fault::Code::Internal {
                    return Err(format!("an internal error: {}", refusal.detail));
                }
                Err(refusal.failure)
            }
        };
        let answer = ToBroker::Answer(Answer {
            call: CallId(1),
            outcome,
        });
        let ToBroker::Answer(Answer { call: _, outcome }) = carried(answer, FRAME_TO_BROKER_BYTES)? else {
            return Err("a frame became another message".to_owned());
        };
        Ok(match outcome {
            Ok(Reply { json, .. }) => Ok(json),
            Err(failure) => Err(format!("{failure:?}")),
        })
    }

    /// Checks that can't fail check nothing: without the row filters the same calls must be found out.
    pub fn must_be_able_to_fail() {
        let open = include_str!("../world/acl.yaml")
            .split("restrict:")
            .next()
            .expect("a part");
        let limits = include_str!("../world/acl.yaml")
            .split("limits:")
            .nth(1)
            .expect("a part");
        let without_wall = Self::by(&format!("{open}\nlimits:{limits}"));
        let without_rows =
            Self::by(&include_str!("../world/acl.yaml").replace("    rows: \"state = 'published'\"\n", ""));
        let honest = Self::new();
        let list = |caller, entity: &str| Case {
            caller,
            message: format!("{{\"id\":\"1\",\"method\":\"list\",\"params\":[\"{entity}\",{{}}]}}"),
        };
        let remove = Case {
            caller: Caller::Mallory,
            message: format!(
                "{{\"id\":\"1\",\"method\":\"delete\",\"params\":[\"Comment\",\"{}\"]}}",
                world::COMMENTS[5]
            ),
        };
        for case in [
            &list(Caller::Alice, "Note"),
            &list(Caller::Mallory, "Person"),
            &remove,
        ] {
            honest.examine(case).expect("nothing is wrong with it");
        }
        assert!(
            without_wall.examine(&list(Caller::Mallory, "Person")).is_err(),
            "no wall"
        );
        assert!(
            without_rows.examine(&list(Caller::Alice, "Note")).is_err(),
            "no rows"
        );
    }
}

impl Default for Way {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch<'_> {
    fn see(&mut self, statement: &Statement) {
        if self.wrong.is_none() {
            self.wrong = self.judged(statement).err();
        }
    }

    fn judged(&self, statement: &Statement) -> Result<(), String> {
        grammar::check(statement, &SQLITE, &self.way.names)?;
        if statement.sql().to_ascii_lowercase().contains(CANARY) || statement.sql().contains("-qx") {
            return Err(format!("a value stands in the statement: {}", statement.sql()));
        }
        // Each table has the wall of its tenant, and so each statement the tenant as a value.
        let Some(tenant) = self.tenant else {
            return Err(format!("a statement for nobody: {}", statement.sql()));
        };
        let is_walled = statement.sql().contains("\"tenantId\"")
            && statement
                .parameters()
                .iter()
                .any(|value| matches!(value, Value::Text(text) if text == tenant));
        if is_walled || is_whether_there(statement) {
            Ok(())
        } else {
            Err(format!(
                "a statement without the tenant's wall: {}",
                statement.sql()
            ))
        }
    }
}

/// Whether a reference leads anywhere, asked when the database has refused it: no row is shown, and what a foreign key tells it tells
/// in any case. Which rows may be referred to is for a rule's `check` to say.
fn is_whether_there(statement: &Statement) -> bool {
    let target = statement.sql().strip_prefix("SELECT 1 FROM \"").and_then(|rest| {
        let (table, condition) = rest.split_once('"')?;
        Some(condition == format!(" WHERE \"{table}\".\"id\" = ?"))
    });
    target == Some(true) && statement.parameters().len() == 1
}

/// What was sent through a stream of bytes.
fn carried<T: dbal_shared::codec::Wire>(message: T, max: usize) -> Result<T, String> {
    let mut stream = Vec::new();
    write_frame(&message, max, &mut stream).map_err(|error| error.to_string())?;
    let mut reader = FrameReader::new(max);
    for piece in stream.chunks(1_000) {
        reader.space().extend_from_slice(piece);
    }
    let read: Option<T> = reader.next_message().map_err(|error| error.to_string())?;
    let read = read.ok_or("a frame that was written is not read")?;
    let mut again = Vec::new();
    write_frame(&read, max, &mut again).map_err(|error| error.to_string())?;
    if again == stream {
        Ok(read)
    } else {
        Err("a frame changed on its way".to_owned())
    }
}

/// An answer without its cursor, which is never the same twice.
fn plain(answer: &Told, cursor: &mut Option<String>) -> Result<String, String> {
    let json = match answer {
        Ok(json) => json,
        Err(failure) => return Ok(failure.clone()),
    };
    let mut value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| format!("an answer that is no JSON: {error}: {json}"))?;
    let mut strip = |value: &mut serde_json::Value| {
        let taken = value
            .as_object_mut()
            .and_then(|members| members.remove("nextCursor"));
        if let Some(serde_json::Value::String(text)) = taken {
            *cursor = Some(text);
        }
    };
    if let Some(answers) = value.as_array_mut() {
        answers.iter_mut().for_each(&mut strip);
    } else {
        strip(&mut value);
    }
    Ok(value.to_string())
}

fn tells_nothing(known: &Known, message: &str, answer: &Told) -> Result<(), String> {
    let (Ok(text) | Err(text)) = answer;
    let told = known
        .hidden
        .iter()
        .find(|hidden| text.contains(hidden.as_str()) && !message.contains(hidden.as_str()));
    match told {
        Some(hidden) => Err(format!(
            "`{hidden}` is told to {:?}: {text}\nby {message}",
            known.caller
        )),
        None => Ok(()),
    }
}

/// SQLite's own parser says what each statement does. What is not reading or writing rows of our tables it refuses.
fn watch_over(connection: &mut Connection, schema: &Schema, refused: Refused) {
    let entities = schema.entities().iter();
    let tables: Vec<String> = entities.map(|entity| entity.table.as_str().to_owned()).collect();
    let judge = move |context: AuthContext<'_>| {
        let is_table = |name: &str| tables.iter().any(|table| table == name);
        let is_allowed = match context.action {
            AuthAction::Select | AuthAction::Transaction { .. } => true,
            AuthAction::Read { table_name, .. } => is_table(table_name),
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => is_table(table_name),
            AuthAction::Function { function_name } => FUNCTIONS.contains(&function_name),
            _ => false,
        };
        if is_allowed {
            return Authorization::Allow;
        }
        refused.note(format!("{:?}", context.action));
        Authorization::Deny
    };
    connection.authorizer(Some(judge)).expect("an authorizer");
}

/// What SQLite was told to refuse.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Option<String>>>);

impl Refused {
    fn note(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
