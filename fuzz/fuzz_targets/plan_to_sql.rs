//! A hostile broker's plan through the worker's own decide and the renderer of every dialect: it is refused, or it becomes SQL of our
//! words, names of the schema and placeholders.
#![no_main]

use std::sync::{Arc, LazyLock};

use dbal_fuzz::grammar::{self, Names};
use dbal_policy::{Policy, Subject};
use dbal_schema::Schema;
use dbal_shared::codec;
use dbal_shared::plan::Plan;
use dbal_shared::value::Value;
use dbal_sql::steps::{Reach, Update};
use dbal_sql::{
    BRIDGED_POSTGRES, Branch, Dialect, Generate, MARIADB, MARIADB_FOREIGN, MYSQL, MYSQL_FOREIGN, POSTGRES,
    POSTGRES_ALONE, SQLITE, SQLITE_FOREIGN, SQLITE_LAX, Statement, Steps, ValidPlan,
};
use libfuzzer_sys::fuzz_target;

struct World {
    schema: Arc<Schema>,
    policy: Policy,
    subject: Subject,
    names: Names,
}

static DIALECTS: [&Dialect; 10] = [
    &SQLITE,
    &SQLITE_FOREIGN,
    &SQLITE_LAX,
    &POSTGRES,
    &POSTGRES_ALONE,
    &BRIDGED_POSTGRES,
    &MARIADB,
    &MARIADB_FOREIGN,
    &MYSQL,
    &MYSQL_FOREIGN,
];

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let schema = dbal_fuzz::schema();
    let policy = dbal_fuzz::policy(&schema);
    let subject = policy.subject(&dbal_fuzz::alice());
    grammar::must_be_able_to_fail(&schema);
    World {
        names: Names::of(&schema),
        schema,
        policy,
        subject,
    }
});

struct Zeros;

impl Generate for Zeros {
    fn uuid(&mut self) -> [u8; 16] {
        [0; 16]
    }
    fn uuid4(&mut self) -> [u8; 16] {
        [4; 16]
    }
    fn cuid(&mut self) -> String {
        "c00000000000000000000000".to_owned()
    }
    fn now_ms(&self) -> i64 {
        0
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = codec::decode::<Plan>(bytes) else {
        return;
    };
    let world = &*WORLD;
    let Ok(grant) = world.policy.decide(&world.subject, plan) else {
        return;
    };
    let Ok(plan) = ValidPlan::of_grant(grant, &world.schema, &mut Zeros) else {
        return;
    };
    for dialect in DIALECTS {
        if let Ok(branches) = Branch::of_plan(&plan, dialect) {
            branches.iter().for_each(|branch| check_branch(branch, dialect));
        }
        if let Ok(steps) = Steps::of_plan(&plan, dialect) {
            check_steps(steps, &|statement| check(statement, dialect));
        }
    }
});

fn check_steps(steps: Steps<'_>, check: &dyn Fn(&Statement)) {
    match steps {
        Steps::Read(select) | Steps::FindFirst(select) => check(&select.statement),
        Steps::List {
            rows,
            count,
            page: _,
            start: _,
        } => {
            check(&rows.statement);
            count.iter().for_each(check);
        }
        Steps::Count(statement) => check(&statement),
        Steps::Delete(removal) => check(&removal.statement),
        Steps::Aggregate(aggregate) => check(&aggregate.statement),
        Steps::Create(write) => check(&write.statement),
        Steps::CreateTogether(together) => together.statements().for_each(check),
        Steps::CreateBatches(batches) => {
            let several = batches.iter().filter_map(|batch| batch.together.as_ref());
            several.for_each(|together| together.statements().for_each(check));
        }
        Steps::CreateMany(writes) => writes.iter().for_each(|write| check(&write.statement)),
        Steps::Update(update) => check_update(&update, check),
        Steps::UpdateMany(bulk) | Steps::DeleteMany(bulk) => {
            bulk.survey.iter().for_each(check);
            check(&bulk.write);
        }
        Steps::Upsert { update, create } => {
            check_update(&update, check);
            check(&create.statement);
        }
    }
}

fn check_branch(branch: &Branch<'_>, dialect: &Dialect) {
    if let Ok(select) = branch.of_keys(&[Value::Int(1), Value::Int(2), Value::Int(3)]) {
        check(&select.statement, dialect);
    }
    if let Ok(further) = branch.branches() {
        further.iter().for_each(|branch| check_branch(branch, dialect));
    }
}

fn check_update(update: &Update<'_>, check: &dyn Fn(&Statement)) {
    check(&update.write.statement);
    let (Reach::After(reach) | Reach::Before(reach)) = &update.reach;
    check(reach);
}

fn check(statement: &Statement, dialect: &Dialect) {
    if let Err(wrong) = grammar::check(statement, dialect, &WORLD.names) {
        panic!("{wrong}");
    }
}
