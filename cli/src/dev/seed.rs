//! Gives each user of the folder a `User` row, through the daemon itself and under its policy.

use dbal_schema::Schema;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::dev::Ready;
use crate::dev::folder::Folder;
use crate::dev::people::{PEOPLE, Person};
use crate::error::ToolError;
use crate::output;

/// The protocol's "not found".
const NOT_FOUND: i64 = 404;

/// Creates the rows that are missing. Does nothing where the entities have no fitting `User`.
pub(super) async fn users(folder: &Folder, ready: &Ready) -> Result<(), ToolError> {
    let schema = Schema::load(&folder.entities())?.schema;
    let Some(entity) = schema.by_name("User") else {
        return Ok(());
    };
    let has = |name: &str| entity.column_by_name(name).is_some();
    if !has("id") {
        return Ok(());
    }
    let admin = ready.user("admin")?;
    let mut client = Client::connect(&ready.endpoint, Some(&ready.ca), Some(&admin.token)).await?;
    for person in &PEOPLE {
        let row: Map<String, Value> = fields(person)
            .into_iter()
            .filter(|(name, _)| has(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if let Err(refusal) = ensure(&mut client, person, row).await? {
            output::say(format_args!(
                "dbal: warning: there is no User row for {}: {}",
                person.name, refusal
            ));
        }
    }
    client.close().await;
    Ok(())
}

async fn ensure(
    client: &mut Client,
    person: &Person,
    row: Map<String, Value>,
) -> Result<Result<(), Box<RawValue>>, ToolError> {
    match client.call("read", json!(["User", person.id])).await? {
        Ok(_) => return Ok(Ok(())),
        Err(refusal) if refusal.code == NOT_FOUND => {}
        Err(refusal) => return Ok(Err(refusal.error)),
    }
    let created = client.call("create", json!(["User", row])).await?;
    Ok(created.map(|_| ()).map_err(|refusal| refusal.error))
}

fn fields(person: &Person) -> [(&'static str, Value); 4] {
    [
        ("id", json!(person.id)),
        ("username", json!(person.name)),
        ("email", json!(format!("{}@example.com", person.name))),
        ("role", json!(person.role)),
    ]
}
