//! A program in the broker's place: it holds the socket, a correct codec, the schema and the policy. As honest as its test wants.

use dbal_shared::fault::Code;
use dbal_shared::ids::{CallId, ColumnId, Digest, EntityId, RequestId, SessionHandle};
use dbal_shared::message::{
    Answer, Certificate, Execute, Failure, Hello, Isolation, OpenSession, PROTOCOL, Proof, Reply,
    SessionOpened, ToBroker, ToWorker, Transact, Wanted,
};
use dbal_shared::plan::{Action, Assignment, Page, Plan, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_tests::channel::Channel;
use dbal_tests::worker_alone::{WorkerAlone, uuid};

/// A broker of our own, as honest or not as its test wants.
pub struct Broker<'a> {
    worker: &'a WorkerAlone,
    /// Its end of the channel.
    pub channel: Channel,
    calls: u64,
}

/// A session and who it is.
pub struct Session {
    /// Names it.
    pub handle: SessionHandle,
    /// Whose it is, as the worker says.
    pub principal: Principal,
}

impl<'a> Broker<'a> {
    /// Connected, and welcomed.
    pub fn greeted(worker: &'a WorkerAlone) -> Self {
        let mut broker = Self::silent(worker);
        let hello = ToWorker::Hello(broker.hello());
        broker.channel.send(&hello).unwrap();
        match broker.channel.receive() {
            Some(ToBroker::Welcome(_)) => broker,
            other => panic!("a welcome, not {other:?}"),
        }
    }

    /// Connected; has said nothing.
    pub fn silent(worker: &'a WorkerAlone) -> Self {
        Self {
            worker,
            channel: Channel::connect(&worker.socket()),
            calls: 0,
        }
    }

    /// The greeting of a broker that holds what the worker holds.
    pub fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            schema: self.worker.policy.schema().hash(),
            policy: self.worker.policy.hash(),
            version: "hostile".to_owned(),
        }
    }

    fn next_call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    /// Asks for a session.
    pub fn open(&mut self, proof: Proof) -> Result<Session, Code> {
        let call = self.next_call();
        // What a taken broker would say: names that it chose itself.
        let certificate = matches!(proof, Proof::Certificate).then(|| Certificate {
            thumbprint: Digest([7; 32]),
            names: ["dns:admin", "cn:admin"].map(str::to_owned).to_vec(),
        });
        let open = OpenSession {
            call,
            proof,
            remote: "203.0.113.9:1".to_owned(),
            certificate,
        };
        self.channel.send(&ToWorker::OpenSession(open)).unwrap();
        match self.channel.receive() {
            Some(ToBroker::SessionOpened(SessionOpened {
                session: handle,
                principal,
                ..
            })) => Ok(Session { handle, principal }),
            Some(ToBroker::SessionRefused(refused)) => Err(refused.code),
            other => panic!("a verdict, not {other:?}"),
        }
    }

    /// A session for somebody, by a good token.
    pub fn open_as(&mut self, id: &str, roles: &[&str]) -> Session {
        let token = self.worker.token(id, roles);
        self.open(Proof::Bearer(token.into()))
            .expect("a good token opens a session")
    }

    /// What an honest broker would send for this plan.
    pub fn honest(&mut self, session: &Session, plan: Plan) -> Execute {
        let subject = self.worker.policy.subject(&session.principal);
        let grant = self
            .worker
            .policy
            .decide(&subject, plan.clone())
            .map(|grant| grant.digest());
        self.execute(session.handle, plan, grant.unwrap_or(Digest([0; 32])))
    }

    /// A call with any handle and any digest.
    pub fn execute(&mut self, session: SessionHandle, plan: Plan, grant: Digest) -> Execute {
        let call = self.next_call();
        Execute {
            call,
            request: RequestId {
                boot: 7,
                sequence: call.0,
            },
            session,
            budget_ms: 5_000,
            policy: self.worker.policy.hash(),
            grant,
            once: None,
            trace: None,
            plan,
        }
    }

    /// What an honest broker would send for these plans together.
    pub fn honest_together(&mut self, session: &Session, plans: Vec<Plan>) -> Transact {
        let subject = self.worker.policy.subject(&session.principal);
        let grants = self
            .worker
            .policy
            .decide_together(&subject, plans.iter().cloned());
        let digests: Vec<Digest> = match grants {
            Ok(grants) => grants.iter().map(dbal_policy::Grant::digest).collect(),
            Err(_) => vec![Digest([0; 32]); plans.len()],
        };
        let call = self.next_call();
        Transact {
            call,
            request: RequestId {
                boot: 7,
                sequence: call.0,
            },
            session: session.handle,
            budget_ms: 5_000,
            policy: self.worker.policy.hash(),
            isolation: Isolation::Serializable,
            once: None,
            trace: None,
            calls: digests
                .into_iter()
                .zip(plans)
                .map(|(grant, plan)| Wanted { grant, plan })
                .collect(),
        }
    }

    /// Sends it and waits; none when the worker closes instead of answering.
    pub fn transact(&mut self, transact: Transact) -> Option<Result<Reply, Failure>> {
        let expected = transact.call;
        self.ask(&ToWorker::Transact(transact), expected)
    }

    /// Sends it and waits; none when the worker closes instead of answering.
    pub fn send(&mut self, execute: Execute) -> Option<Result<Reply, Failure>> {
        let expected = execute.call;
        self.ask(&ToWorker::Execute(execute), expected)
    }

    fn ask(&mut self, question: &ToWorker, expected: CallId) -> Option<Result<Reply, Failure>> {
        if self.channel.send(question).is_err() {
            return None;
        }
        loop {
            match self.channel.receive()? {
                ToBroker::Answer(Answer { call, outcome }) if call == expected => return Some(outcome),
                ToBroker::SessionEnded(_) => {}
                other => panic!("an answer, not {other:?}"),
            }
        }
    }

    /// An entity by name.
    pub fn entity(&self, name: &str) -> EntityId {
        self.worker
            .policy
            .schema()
            .by_name(name)
            .expect("the fixture has it")
            .id
    }

    /// A column by name.
    pub fn column(&self, entity: &str, name: &str) -> ColumnId {
        let entity = self
            .worker
            .policy
            .schema()
            .by_name(entity)
            .expect("the fixture has it");
        entity.column_by_name(name).expect("the fixture has it").id
    }

    /// A list of papers, these columns of each.
    pub fn papers(&self, names: &[&str]) -> Plan {
        self.list("Paper", names)
    }

    /// A list of all rows, these columns of each.
    pub fn list(&self, entity: &str, names: &[&str]) -> Plan {
        Plan {
            entity: self.entity(entity),
            action: Action::List {
                filter: Predicate::True,
                order: Vec::new(),
                page: Page { number: 1, limit: 50 },
                total: Total::Skipped,
                projection: names.iter().map(|name| self.column(entity, name)).collect(),
                includes: Vec::new(),
                cursor: None,
            },
        }
    }

    /// A new paper.
    pub fn new_paper(&self, owner: &str, title: &str) -> Plan {
        let assign = |name, value| Assignment {
            column: self.column("Paper", name),
            value,
        };
        Plan {
            entity: self.entity("Paper"),
            action: Action::Create {
                values: vec![
                    assign("title", Value::Text(title.to_owned())),
                    assign("ownerId", Value::Uuid(uuid(owner))),
                ],
                projection: vec![self.column("Paper", "id"), self.column("Paper", "title")],
            },
        }
    }
}
