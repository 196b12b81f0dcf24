//! `dbal token`: a token signed with a development folder's key, or with another one to try a daemon whose issuer is not at hand.

use std::path::PathBuf;

use dbal_identity::Signer;
use serde_json::json;
use zeroize::Zeroizing;

use crate::claims::Claims;
use crate::dev::{AUDIENCE, ISSUER, Ready, signing_key};
use crate::error::ToolError;
use crate::files;
use crate::output;

/// Sign a token with a development folder's key, or with --key.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The development folder.
    #[arg(long, value_name = "DIR", default_value = ".dbal-dev")]
    dir: PathBuf,
    /// One of its users.
    #[arg(long = "as", value_name = "NAME", conflicts_with_all = ["subject", "role", "tenant", "key"], required_unless_present = "subject")]
    user: Option<String>,
    /// Anybody else: the token's subject.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// A role of that subject; may be given several times.
    #[arg(long, value_name = "ROLE", requires = "subject")]
    role: Vec<String>,
    /// The tenant of that subject.
    #[arg(long, value_name = "ID", requires = "subject")]
    tenant: Option<String>,
    /// Seconds until that subject's token ends; below 0 it has ended already.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        allow_negative_numbers = true
    )]
    lifetime: i64,
    /// Another key than the folder's: Ed25519, PEM, as `openssl genpkey -algorithm ed25519` makes it.
    #[arg(long, value_name = "FILE", conflicts_with = "dir", requires_all = ["subject", "kid", "issuer", "audience"])]
    key: Option<PathBuf>,
    /// What `auth.tokens.keys` calls that key.
    #[arg(long, value_name = "NAME", requires = "key")]
    kid: Option<String>,
    /// `auth.tokens.issuer`.
    #[arg(long, value_name = "TEXT", requires = "key")]
    issuer: Option<String>,
    /// `auth.tokens.audience`.
    #[arg(long, value_name = "TEXT", requires = "key")]
    audience: Option<String>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        dir,
        user,
        subject,
        role,
        tenant,
        lifetime,
        key,
        kid,
        issuer,
        audience,
    } = options;
    let Some(subject) = subject else {
        let name =
            user.ok_or_else(|| ToolError::Usage("name a user with --as, or a --subject".to_owned()))?;
        return output::line(format_args!("{}", Ready::read(&dir)?.user(&name)?.token));
    };
    let claims = Claims {
        issuer: issuer.as_deref().unwrap_or(ISSUER),
        audience: audience.as_deref().unwrap_or(AUDIENCE),
        subject: &subject,
        roles: &role,
        tenant: tenant.as_deref(),
        lifetime_s: lifetime,
    };
    let key = key.unwrap_or_else(|| signing_key(&dir));
    let signer = Signer::from_pem(&Zeroizing::new(files::read(&key)?))?;
    let kid = kid.as_deref().unwrap_or(signer.key_id());
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}).to_string();
    output::line(format_args!("{}", signer.sign_under(&header, &claims.text()?)))
}
