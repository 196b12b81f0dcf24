//! Client certificates that are somebody by themselves. Only the broker sees them proven: whoever takes the broker can be any of
//! these names, so it has to be entrusted with them in so many words.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// The `auth.certificates` part of `worker.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRules {
    /// Must be written out as `true`: the worker can't check what the broker says of certificates.
    #[serde(deserialize_with = "written_out")]
    pub trust_broker: bool,
    /// Whom the broker may let in.
    pub names: Vec<CertificateName>,
}

/// Whom one certificate stands for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateName {
    /// What the certificate is called: `dns:…` or `uri:…` (subjectAltName) or `cn:…` (subject).
    pub name: String,
    /// The principal's id.
    pub subject: String,
    /// The principal's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The principal's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
}

fn written_out<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    if bool::deserialize(deserializer)? {
        return Ok(true);
    }
    let expected =
        &"true: without trust in the broker a certificate is no proof; leave `auth.certificates` out";
    Err(D::Error::invalid_value(Unexpected::Bool(false), expected))
}
