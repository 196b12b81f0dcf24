//! What the tokens say that the tool signs: those of development folders, and of an operator who tries a daemon without its issuer.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::error::ToolError;

/// Who says of whom what, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) roles: &'a [String],
    pub(crate) tenant: Option<&'a str>,
    /// From now on; below 0 it has ended already.
    pub(crate) lifetime_s: i64,
}

impl Claims<'_> {
    /// As JSON, under the names that the daemons look for unless they are told others.
    pub(crate) fn text(&self) -> Result<String, ToolError> {
        let Self {
            issuer,
            audience,
            subject,
            roles,
            tenant,
            lifetime_s,
        } = self;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|now| i64::try_from(now.as_secs()).ok())
            .ok_or_else(|| ToolError::Failed("the clock does not tell the time".to_owned()))?;
        let mut claims = json!({
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "roles": roles,
            "iat": now,
            "exp": now.saturating_add(*lifetime_s),
        });
        if let (Some(tenant), Some(claims)) = (tenant, claims.as_object_mut()) {
            claims.insert("tenant_id".to_owned(), (*tenant).into());
        }
        Ok(claims.to_string())
    }
}
