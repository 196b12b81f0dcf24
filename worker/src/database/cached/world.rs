//! A small world of teams, documents and remarks, under policies that say by claims and by linked rows who sees what; questions about
//! it, and writes to it.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Schema, Source};
use dbal_shared::message::Isolation;
use dbal_shared::plan::{
    Action, Assignment, Direction, Function, Include, Measure, Page, Plan, SortKey, Target, Total,
};
use dbal_shared::predicate::{Comparison, Link, Predicate, Quantifier};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::{Places, ValidPlan};
use proptest::prelude::*;

use crate::generate::Fresh;
use crate::job::{Task, What};
use crate::session::Session;
use crate::together::{Step, Transaction};

/// `Diary` is not to be kept, and says so by saying nothing.
const ENTITIES: &str = "
entity: Team
fields: {id: {type: integer, primary: true}, name: {type: string}}
cache: {ttl: 5m}
---
entity: Doc
fields:
  id:     {type: integer, primary: true}
  teamId: {type: integer, nullable: true, foreign_key: {entity: Team, field: id, on_delete: cascade}}
  owner:  {type: string}
  state:  {type: enum, values: [open, shut]}
  rank:   {type: integer}
cache: {ttl: 5m}
---
entity: Remark
fields:
  id:    {type: integer, primary: true}
  docId: {type: integer, foreign_key: {entity: Doc, field: id, on_delete: cascade}}
  text:  {type: string}
cache: {ttl: 5m}
---
entity: Member
fields:
  id:     {type: integer, primary: true}
  teamId: {type: integer, nullable: true, foreign_key: {entity: Team, field: id, on_delete: set_null}}
  who:    {type: string}
cache: {ttl: 5m}
---
entity: Diary
fields: {id: {type: integer, primary: true}, docId: {type: integer, nullable: true, foreign_key: {entity: Doc, field: id, on_delete: set_null, inverse: diaries}}}
";

/// What a policy may say of the rows that a user sees.
const ROWS: [&str; 6] = [
    "owner = $user.id",
    "state = 'open'",
    "owner = $user.id OR state = 'open'",
    "teamId IN (SELECT teamId FROM Member WHERE who = $user.id)",
    "team.name = $user.id",
    "owner = $user.id AND rank < 3",
];
/// And of cells.
const FIELDS: [&str; 3] = ["[\"*\"]", "[\"*\", \"-rank\"]", "[id, state]"];

pub(in crate::database) const CALLERS: [&str; 3] = ["a", "b", "c"];

/// One policy of those that there may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::database) struct Rules {
    first: usize,
    second: usize,
    fields: usize,
}

pub(in crate::database) fn rules() -> impl Strategy<Value = Rules> {
    (0..ROWS.len(), 0..ROWS.len(), 0..FIELDS.len()).prop_map(|(first, second, fields)| Rules {
        first,
        second,
        fields,
    })
}

impl Rules {
    /// Everybody sees every document that is open or his.
    pub(in crate::database) fn everything() -> Self {
        Self {
            first: 1,
            second: 2,
            fields: 0,
        }
    }
}

/// A schema and a policy.
pub(in crate::database) struct World {
    policy: Arc<Policy>,
}

/// What somebody asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::database) struct Question {
    caller: usize,
    what: usize,
    number: i64,
}

pub(in crate::database) fn questions() -> impl Strategy<Value = Question> {
    // Few, so that the same is asked again.
    (0..CALLERS.len(), 0..8_usize, 1..4_i64).prop_map(|(caller, what, number)| Question {
        caller,
        what,
        number,
    })
}

/// What somebody changes, who may change everything.
#[derive(Clone, Copy, Debug)]
pub(in crate::database) struct Deed {
    what: usize,
    number: i64,
    other: i64,
}

pub(in crate::database) fn deeds() -> impl Strategy<Value = Deed> {
    (0..12_usize, 1..4_i64, 1..4_i64).prop_map(|(what, number, other)| Deed { what, number, other })
}

impl World {
    pub(in crate::database) fn new(rules: Rules) -> Self {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let schema = Schema::parse(&[source("e.yaml", ENTITIES)]).unwrap().schema;
        let (first, second, fields) = (ROWS[rules.first], ROWS[rules.second], FIELDS[rules.fields]);
        let acl = format!(
            "version: 1\nroles: {{user: {{}}, writer: {{}}}}\nrules:\n\
             \x20 - {{id: docs, entity: Doc, roles: [user], operations: [read, list], rows: \"{first}\", fields: {{read: {fields}}}}}\n\
             \x20 - {{id: more, entity: Doc, roles: [user], operations: [read, list], rows: \"{second}\", fields: {{read: [\"*\"]}}}}\n\
             \x20 - {{id: remarks, entity: Remark, roles: [user], operations: [read, list], rows: \"doc.owner = $user.id OR text = 'x1'\", fields: {{read: [\"*\"]}}}}\n\
             \x20 - {{id: teams, entity: Team, roles: [user], operations: [read, list], fields: {{read: [\"*\"]}}}}\n\
             \x20 - {{id: diaries, entity: Diary, roles: [user], operations: [read, list], fields: {{read: [\"*\"]}}}}\n\
             \x20 - {{id: all, entity: \"*\", roles: [writer], operations: [read, list, create, update, delete], fields: {{read: [\"*\"], write: [\"*\", id]}}, allow_unfiltered: true}}\n\
             limits:\n  user: {{max_complexity: 100000, max_rows: 1000}}\n  writer: {{max_complexity: 100000, max_rows: 1000}}\n"
        );
        let policy = Policy::parse(&source("acl.yaml", &acl), Arc::new(schema)).unwrap();
        Self {
            policy: Arc::new(policy.policy),
        }
    }

    pub(in crate::database) fn schema(&self) -> &Schema {
        self.policy.schema()
    }

    pub(in crate::database) fn shared_schema(&self) -> &Arc<Schema> {
        self.policy.schema()
    }

    fn plan(&self, who: &str, role: &str, entity: &str, action: Action) -> ValidPlan {
        let subject = self.policy.subject(&principal(who, role));
        let entity = self.schema().by_name(entity).unwrap().id;
        let grant = self.policy.decide(&subject, Plan { entity, action }).unwrap();
        ValidPlan::of_grant(grant, self.policy.schema(), &mut Fresh::at(0)).unwrap()
    }

    fn column(&self, entity: &str, name: &str) -> dbal_shared::ids::ColumnId {
        let entity = self.schema().by_name(entity).unwrap();
        entity.column_by_name(name).unwrap().id
    }

    fn is(&self, entity: &str, name: &str, value: Value) -> Predicate {
        Predicate::Compare {
            column: self.column(entity, name),
            op: Comparison::Eq,
            value,
        }
    }

    pub(in crate::database) fn ask(&self, question: Question) -> ValidPlan {
        let Question { caller, what, number } = question;
        let projection = ["id", "state", "owner"]
            .map(|name| self.column("Doc", name))
            .to_vec();
        let link = |name: &str| self.doc_link(name);
        let list = |filter, projection, includes| Action::List {
            filter,
            order: vec![SortKey {
                column: self.column("Doc", "id"),
                direction: Direction::Descending,
            }],
            page: Page {
                number: 1,
                limit: u32::try_from(number).unwrap().saturating_add(2),
            },
            total: Total::Counted,
            projection,
            includes,
            cursor: None,
        };
        let include = || Include {
            link: link("remarks"),
            filter: Predicate::True,
            order: Vec::new(),
            limit: 5,
            projection: vec![self.column("Remark", "text")],
            includes: Vec::new(),
        };
        let related = |name: &str, quantifier, predicate| Predicate::Related {
            link: link(name),
            quantifier,
            within: Box::new(Predicate::True),
            predicate: Box::new(predicate),
        };
        let shut = self.is("Doc", "state", Value::Text("shut".to_owned()));
        let (of, action) = match what {
            0 => (
                "Doc",
                Action::FindFirst {
                    filter: self.is("Doc", "id", Value::Int(number)),
                    order: Vec::new(),
                    projection,
                    includes: Vec::new(),
                },
            ),
            1 => ("Doc", list(Predicate::True, projection, Vec::new())),
            2 => ("Doc", list(Predicate::True, projection, vec![include()])),
            3 => ("Doc", Action::Count { filter: shut }),
            4 => {
                let word = self.is("Remark", "text", Value::Text(format!("x{number}")));
                let filter = related("remarks", Quantifier::Some, word);
                ("Doc", list(filter, projection, Vec::new()))
            }
            5 => {
                let name = self.is("Team", "name", Value::Text(CALLERS[0].to_owned()));
                let filter = related("team", Quantifier::None, name);
                ("Doc", Action::Count { filter })
            }
            6 => (
                "Doc",
                Action::Aggregate {
                    filter: Predicate::True,
                    groups: vec![self.column("Doc", "state")],
                    count: Total::Counted,
                    measures: vec![Measure {
                        function: Function::Max,
                        column: self.column("Doc", "id"),
                    }],
                    limit: 5,
                },
            ),
            _ => (
                "Diary",
                Action::Count {
                    filter: Predicate::IsNull {
                        column: self.column("Diary", "docId"),
                    },
                },
            ),
        };
        self.plan(CALLERS[caller], "user", of, action)
    }

    fn values(&self, entity: &str, values: &[(&str, Value)]) -> Vec<Assignment> {
        let one = |(name, value): &(&str, Value)| Assignment {
            column: self.column(entity, name),
            value: value.clone(),
        };
        values.iter().map(one).collect()
    }

    fn target(&self, entity: &str, id: i64) -> Target {
        Target {
            column: self.column(entity, "id"),
            value: Value::Int(id),
        }
    }

    fn doc(&self, deed: Deed) -> Vec<Assignment> {
        let Deed { number, other, .. } = deed;
        let owner = caller(other);
        let state = if number == other { "open" } else { "shut" };
        self.values(
            "Doc",
            &[
                ("teamId", Value::Int(other)),
                ("owner", Value::Text(owner.to_owned())),
                ("state", Value::Text(state.to_owned())),
                ("rank", Value::Int(number.saturating_add(other))),
            ],
        )
    }

    /// The plans of a deed: one, or several that are done together.
    fn plans(&self, deed: Deed) -> Vec<ValidPlan> {
        let Deed { what, number, other } = deed;
        let plan = |entity: &str, action| self.plan("w", "writer", entity, action);
        let team = Value::Int(other);
        let upsert = |entity: &str, id: i64, update: Vec<Assignment>| {
            let mut create = self.values(entity, &[("id", Value::Int(id))]);
            create.extend(update.iter().cloned());
            let action = Action::Upsert {
                target: self.target(entity, id),
                create,
                update,
                projection: vec![self.column(entity, "id")],
            };
            plan(entity, action)
        };
        let delete = |entity: &str| {
            let target = self.target(entity, number);
            plan(entity, Action::Delete { target })
        };
        let remark = [
            ("docId", Value::Int(number)),
            ("text", Value::Text(format!("x{other}"))),
        ];
        let one = match what {
            0 | 1 => upsert("Doc", number, self.doc(deed)),
            2 => {
                let values = self.doc(deed);
                let target = self.target("Doc", number);
                let projection = vec![self.column("Doc", "id")];
                plan(
                    "Doc",
                    Action::Update {
                        target,
                        values,
                        projection,
                    },
                )
            }
            3 => delete("Doc"),
            4 => delete("Team"),
            5 => {
                let name = caller(other);
                upsert(
                    "Team",
                    number,
                    self.values("Team", &[("name", Value::Text(name.to_owned()))]),
                )
            }
            6 => {
                let who = caller(number);
                let values = [("teamId", team), ("who", Value::Text(who.to_owned()))];
                upsert("Member", number, self.values("Member", &values))
            }
            7 => {
                let rows = (10..12_i64)
                    .map(|nth| {
                        let mut row = self.values(
                            "Remark",
                            &[("id", Value::Int(nth.saturating_add(number.saturating_mul(2))))],
                        );
                        row.extend(self.values("Remark", &remark));
                        row
                    })
                    .collect();
                plan("Remark", Action::CreateMany { rows })
            }
            8 => plan(
                "Doc",
                Action::UpdateMany {
                    filter: self.is("Doc", "teamId", team),
                    values: self.values("Doc", &[("state", Value::Text("shut".to_owned()))]),
                },
            ),
            9 => plan(
                "Remark",
                Action::DeleteMany {
                    filter: self.is("Remark", "text", Value::Text(format!("x{other}"))),
                },
            ),
            10 => upsert("Diary", number, self.values("Diary", &[("docId", Value::Null)])),
            _ => {
                return vec![
                    upsert("Doc", number, self.doc(deed)),
                    upsert("Remark", other, self.values("Remark", &remark)),
                ];
            }
        };
        vec![one]
    }

    /// The task of a deed.
    pub(in crate::database) fn task(&self, deed: Deed) -> Task {
        let mut plans = self.plans(deed);
        let what = if plans.len() == 1 {
            What::One(Box::new(plans.remove(0)))
        } else {
            let writer = principal("w", "writer");
            let session = Session {
                lane: crate::database::queue::Lane::of(&writer, ""),
                subject: self.policy.subject(&writer),
                principal: writer,
                remote: String::new(),
                expires_at_ms: None,
                lookup: None,
            };
            let places: Arc<dyn Places> = Arc::new(crate::cursor::Cursors::new().unwrap());
            What::Together(Box::new(Transaction::new(
                Isolation::default(),
                plans.into_iter().map(Step::Ready).collect(),
                Arc::clone(&self.policy),
                places,
                Arc::new(session),
                0,
            )))
        };
        Task { what, once: None }
    }

    /// How many documents have something in the diary, of which nothing is kept.
    pub(in crate::database) fn of_diaries(&self) -> ValidPlan {
        let link = self.doc_link("diaries");
        let filter = Predicate::Related {
            link,
            quantifier: Quantifier::Some,
            within: Box::new(Predicate::True),
            predicate: Box::new(Predicate::True),
        };
        self.plan("a", "user", "Doc", Action::Count { filter })
    }

    /// The same brought along.
    pub(in crate::database) fn with_diaries(&self) -> ValidPlan {
        let action = Action::FindFirst {
            filter: Predicate::True,
            order: Vec::new(),
            projection: vec![self.column("Doc", "id")],
            includes: vec![Include {
                link: self.doc_link("diaries"),
                filter: Predicate::True,
                order: Vec::new(),
                limit: 5,
                projection: vec![self.column("Diary", "id")],
                includes: Vec::new(),
            }],
        };
        self.plan("a", "user", "Doc", action)
    }

    fn doc_link(&self, name: &str) -> Link {
        let doc = self.schema().by_name("Doc").unwrap();
        doc.relation_by_name(name).unwrap().link
    }

    /// The writer's change of one number, and the caller's look at it.
    pub(in crate::database) fn rank(&self, rank: i64) -> ValidPlan {
        let action = Action::Update {
            target: self.target("Doc", 1),
            values: self.values("Doc", &[("rank", Value::Int(rank))]),
            projection: vec![self.column("Doc", "rank")],
        };
        self.plan("w", "writer", "Doc", action)
    }

    /// See [`World::rank`].
    pub(in crate::database) fn ranks(&self) -> ValidPlan {
        let action = Action::Read {
            target: self.target("Doc", 1),
            projection: vec![self.column("Doc", "rank")],
            includes: Vec::new(),
        };
        self.plan("w", "writer", "Doc", action)
    }

    /// What the database refuses, after it has begun: a team that is not there.
    pub(in crate::database) fn refused(&self) -> ValidPlan {
        let action = Action::Update {
            target: self.target("Doc", 1),
            values: self.values("Doc", &[("teamId", Value::Int(99))]),
            projection: vec![self.column("Doc", "rank")],
        };
        self.plan("w", "writer", "Doc", action)
    }

    /// A new entry of the diary, of which nothing is kept.
    pub(in crate::database) fn diary(&self) -> ValidPlan {
        let action = Action::Create {
            values: self.values("Diary", &[("id", Value::Int(77)), ("docId", Value::Null)]),
            projection: vec![self.column("Diary", "id")],
        };
        self.plan("w", "writer", "Diary", action)
    }

    /// Rows to begin with.
    pub(in crate::database) fn begin(&self) -> Vec<Task> {
        let deeds = (1..4_i64).flat_map(|number| {
            [5, 0, 6].map(|what| Deed {
                what,
                number,
                other: number,
            })
        });
        deeds.map(|deed| self.task(deed)).collect()
    }
}

/// The callers are numbered from 1, as rows are.
fn caller(number: i64) -> &'static str {
    CALLERS[usize::try_from(number).unwrap().saturating_sub(1)]
}

fn principal(who: &str, role: &str) -> Principal {
    Principal {
        id: Some(who.to_owned()),
        roles: vec![role.to_owned()],
        ..Principal::default()
    }
}
