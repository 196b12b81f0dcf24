//! What they want: a request's parameters → a wanted plan, in words that this caller may know. One file per group of
//! methods that read alike. No I/O, no clock.
#![forbid(unsafe_code)]

mod refusal;
mod params;
mod method;
mod arguments;
mod meta;
mod scope;
mod earlier;
mod filter;
mod operators;
mod options;
mod include;
mod read;
mod aggregate;
mod create;
mod update;
mod delete;
mod upsert;
mod several;
mod transaction;
mod describe;
mod assignments;
mod judge;
mod explain;

pub use arguments::trace;
pub use describe::{capabilities, discover};
pub use explain::{Explained, Hearer, explained, granted, refused};
pub use judge::{judge, known, name_fields, refused_columns};
pub use meta::Meta;
pub use method::Method;
pub use params::Params;
pub use refusal::{Details, FAULTS, FieldFault, INVALID_CURSOR, Kind, Refusal};
pub use several::{Member, batch, count};

use dbal_policy::{Policy, Subject};
use dbal_shared::message::Isolation;
use dbal_shared::plan::Plan;

use arguments::Arguments;

/// A request, understood.
#[derive(Debug)]
pub struct Call {
    /// What is wanted of the database.
    pub wanted: Wanted,
    /// What the caller said about the call itself.
    pub meta: Meta,
}

/// What is wanted of the database.
#[derive(Debug)]
pub enum Wanted {
    /// One plan.
    One(Plan),
    /// All of these or none.
    Together(Together),
}

/// A transaction. Values of its plans may refer to what the plans before them answer.
#[derive(Debug)]
pub struct Together {
    /// What it may see of others.
    pub isolation: Isolation,
    /// In order, at least one.
    pub plans: Vec<Plan>,
}

impl Wanted {
    /// The plans, in order.
    pub fn plans(&self) -> &[Plan] {
        match self {
            Wanted::One(plan) => std::slice::from_ref(plan),
            Wanted::Together(together) => &together.plans,
        }
    }

    /// What it may see of others that run beside it.
    pub fn isolation(&self) -> Isolation {
        match self {
            Wanted::One(_) => Isolation::default(),
            Wanted::Together(together) => together.isolation,
        }
    }

    /// Whether it changes the database.
    pub fn is_write(&self) -> bool {
        self.plans().iter().any(|plan| plan.action.is_write())
    }
}

/// Reads the parameters of a method that becomes a plan, or several of them.
///
/// Order matters: who may not know the entity hears 404 and who may not do this to it hears 403 before a single word of
/// theirs about its fields is looked at, so that no answer depends on what is hidden.
pub fn interpret(
    method: Method,
    params: &Params,
    policy: &Policy,
    subject: &Subject,
) -> Result<Call, Refusal> {
    let caller = scope::Caller {
        policy,
        subject,
        earlier: None,
    };
    if method == Method::Transaction {
        return transaction::transaction(params, &caller);
    }
    let (plan, meta) =
        one(method, params, &caller).map_err(|refusal| about(refusal, method, params, policy))?;
    Ok(Call {
        wanted: Wanted::One(plan),
        meta,
    })
}

/// Says which entity and operation a refused call was about, for the audit: also where the caller may not know of them.
fn about(refusal: Refusal, method: Method, params: &Params, policy: &Policy) -> Refusal {
    let named =
        Arguments::new(method, params).and_then(|arguments| arguments.text("entity").map(str::to_owned));
    let entity = named.ok().and_then(|name| policy.schema().by_name(&name));
    match (entity, method.operation()) {
        (Some(entity), Some(operation)) => refusal.about(entity.id, operation),
        (Some(_) | None, _) => refusal,
    }
}

fn one(method: Method, params: &Params, caller: &scope::Caller<'_>) -> Result<(Plan, Meta), Refusal> {
    let arguments = Arguments::new(method, params)?;
    let mut meta = arguments.meta()?;
    if method.is_write() {
        meta.complete(arguments.options_of_write()?)?;
    }
    let plan = match method {
        Method::Read => read::read(&arguments, caller, &mut meta),
        Method::List => read::list(&arguments, caller, &mut meta),
        Method::FindFirst => read::find_first(&arguments, caller, &mut meta),
        Method::FindByField => read::find_by_field(&arguments, caller, &mut meta),
        Method::Count => read::count(&arguments, caller, &mut meta),
        Method::Create => create::create(&arguments, caller),
        Method::CreateMany => create::create_many(&arguments, caller),
        Method::Update => update::update(&arguments, caller),
        Method::UpdateByField => update::update_by_field(&arguments, caller),
        Method::UpdateMany => update::update_many(&arguments, caller),
        Method::Delete => delete::delete(&arguments, caller),
        Method::DeleteByField => delete::delete_by_field(&arguments, caller),
        Method::DeleteMany => delete::delete_many(&arguments, caller),
        Method::Upsert => upsert::upsert(&arguments, caller),
        Method::Aggregate => aggregate::aggregate(&arguments, caller, &mut meta),
        // These ask nothing of the database, or several things; `serve` answers them and never comes here but for those
        // that can't stand within a transaction.
        Method::Explain
        | Method::Transaction
        | Method::Batch
        | Method::GetCapabilities
        | Method::Discover
        | Method::Cancel => {
            let what = format!(
                "`{}` asks nothing of the database by itself, so it can't stand within a transaction",
                method.name()
            );
            Err(Refusal::new(Kind::InvalidParams, what))
        }
    }?;
    if meta.once.is_some() && !plan.action.is_write() {
        // A read is the same however often it is asked for; who names it means something else.
        return Err(arguments.fault("`idempotencyKey` goes with writes"));
    }
    Ok((plan, meta))
}
