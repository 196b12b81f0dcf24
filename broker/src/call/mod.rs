//! What they want: a request's parameters → a wanted plan, in words that this caller may know. One file per group of
//! methods that read alike.

mod method;
mod arguments;
mod meta;
mod scope;
mod filter;
mod operators;
mod options;
mod read;
mod create;
mod update;
mod delete;
mod upsert;
mod several;
mod describe;

pub use describe::{capabilities, discover};
pub use meta::Meta;
pub use method::Method;
pub use several::{Member, batch};

use dbal_policy::{Policy, Subject};
use dbal_shared::plan::Plan;

use crate::respond::Refusal;
use crate::rpc::Params;
use arguments::Arguments;

/// A request, understood.
#[derive(Debug)]
pub struct Call {
    /// What is wanted of the database.
    pub plan: Plan,
    /// What the caller said about the call itself.
    pub meta: Meta,
}

/// Reads the parameters of a method that becomes a plan.
///
/// Order matters: who may not know the entity hears 404 and who may not do this to it hears 403 before a single word of
/// theirs about its fields is looked at, so that no answer depends on what is hidden.
pub fn interpret(
    method: Method,
    params: &Params,
    policy: &Policy,
    subject: &Subject,
) -> Result<Call, Refusal> {
    let arguments = Arguments::new(method, params)?;
    let caller = scope::Caller { policy, subject };
    let mut meta = arguments.meta()?;
    let plan = match method {
        Method::Read => read::read(&arguments, &caller, &mut meta),
        Method::List => read::list(&arguments, &caller, &mut meta),
        Method::FindFirst => read::find_first(&arguments, &caller),
        Method::FindByField => read::find_by_field(&arguments, &caller),
        Method::Count => read::count(&arguments, &caller, &mut meta),
        Method::Create => create::create(&arguments, &caller),
        Method::CreateMany => create::create_many(&arguments, &caller),
        Method::Update => update::update(&arguments, &caller),
        Method::UpdateByField => update::update_by_field(&arguments, &caller),
        Method::UpdateMany => update::update_many(&arguments, &caller),
        Method::Delete => delete::delete(&arguments, &caller),
        Method::DeleteByField => delete::delete_by_field(&arguments, &caller),
        Method::DeleteMany => delete::delete_many(&arguments, &caller),
        Method::Upsert => upsert::upsert(&arguments, &caller),
        Method::Aggregate => Err(Refusal::unsupported("aggregations")),
        Method::Transaction => Err(Refusal::unsupported("transactions")),
        Method::Explain => Err(Refusal::unsupported("explain")),
        // These ask nothing of the database, or several things; `serve` answers them and never comes here.
        Method::Batch | Method::GetCapabilities | Method::Discover | Method::Cancel => {
            Err(Refusal::unsupported("a plan for this method"))
        }
    }?;
    Ok(Call { plan, meta })
}

#[cfg(test)]
mod tests;
