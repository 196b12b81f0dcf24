//! `dbal token`: a token signed with a development folder's key. Real deployments have an issuer of their own.

use std::path::PathBuf;

use dbal_identity::Signer;
use zeroize::Zeroizing;

use crate::dev::{Ready, signed, signing_key};
use crate::error::ToolError;
use crate::files;
use crate::output;

/// Sign a token with a development folder's key.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The development folder.
    #[arg(long, value_name = "DIR", default_value = ".dbal-dev")]
    dir: PathBuf,
    /// One of its users.
    #[arg(long = "as", value_name = "NAME", conflicts_with_all = ["subject", "role", "tenant"], required_unless_present = "subject")]
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
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        dir,
        user,
        subject,
        role,
        tenant,
        lifetime,
    } = options;
    let token = match (user, subject) {
        (Some(name), _) => Ready::read(&dir)?.user(&name)?.token.clone(),
        (None, Some(subject)) => {
            let signer = Signer::from_pem(&Zeroizing::new(files::read(&signing_key(&dir))?))?;
            signed(&signer, &subject, &role, tenant.as_deref(), lifetime)?
        }
        (None, None) => {
            return Err(ToolError::Usage(
                "name a user with --as, or a --subject".to_owned(),
            ));
        }
    };
    output::line(format_args!("{token}"))
}
