//! The file of API keys: whom each stands for and until when. It holds hashes, so reading it forges nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use dbal_settings::{Mistake, parse};
use dbal_shared::message::Standing;
use dbal_shared::principal::{self, Principal};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;

use crate::api_key::{KeyHash, ShownKey};
use crate::claims::NAME_BYTES;
use crate::verifier::Verified;

/// Longest file, in bytes: the most keys with long names and some claims each.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most keys in a file, revoked ones included.
const KEYS: usize = 10_000;
/// Most roles, and most claims, of one key.
const ROLES: usize = 64;

/// Why a shown key opens nothing. For the operator; the client is told that it does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// A typing error, a truncated key or an invented one.
    #[error("the API key has not the shape or the checksum of one")]
    Malformed,
    /// No key of the file has this prefix.
    #[error("there is no API key `{prefix}`")]
    Unknown {
        /// Its prefix.
        prefix: String,
    },
    /// The prefix is one of the file's, the rest is not.
    #[error("the API key `{prefix}` was shown with a wrong secret")]
    WrongSecret {
        /// Its prefix.
        prefix: String,
    },
    /// `dbal key revoke`.
    #[error("the API key `{prefix}` (`{name}`) was revoked")]
    Revoked {
        /// Its prefix.
        prefix: String,
        /// Its name.
        name: String,
    },
    /// Its time is over.
    #[error("the API key `{prefix}` (`{name}`) has expired")]
    Expired {
        /// Its prefix.
        prefix: String,
        /// Its name.
        name: String,
    },
}

impl ApiKeyError {
    /// Whether this key is perhaps guessed.
    pub fn standing(&self) -> Standing {
        match self {
            ApiKeyError::Malformed | ApiKeyError::Unknown { .. } | ApiKeyError::WrongSecret { .. } => {
                Standing::Unproven
            }
            ApiKeyError::Revoked { .. } | ApiKeyError::Expired { .. } => Standing::Lapsed,
        }
    }
}

/// Why there are no API keys to check with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be read.
    #[error("can't read the file of API keys {}; `dbal key new` makes it", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Larger than any such file is.
    #[error("{} is longer than {FILE_BYTES} bytes, or has more than {KEYS} keys", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// It says something that it must not.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// A key can't be used.
    #[error("{}: key `{prefix}`: {what}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// The key's prefix.
        prefix: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// One key as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Finds it: the part of the key between `dbal_` and the next `_`.
    pub prefix: String,
    /// SHA-256 of the whole key.
    #[serde(deserialize_with = "hash")]
    pub hash: KeyHash,
    /// What people call it.
    pub name: String,
    /// Whom it stands for: the principal's id.
    pub subject: String,
    /// The principal's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The principal's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// What else a policy may know of the principal, as `$user.NAME`.
    #[serde(default)]
    pub claims: BTreeMap<String, ClaimValue>,
    /// When it was made: Unix time in milliseconds.
    #[serde(deserialize_with = "moment")]
    pub created: i64,
    /// When it ends: Unix time in milliseconds; never, if there is none.
    #[serde(default, deserialize_with = "some_moment")]
    pub expires: Option<i64>,
    /// Since when it is worth nothing: Unix time in milliseconds.
    #[serde(default, deserialize_with = "some_moment")]
    pub revoked: Option<i64>,
}

/// A claim of a key. Scalars only, since predicates compare scalars.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ClaimValue {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

/// A file's keys, each findable by its prefix.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    records: HashMap<String, KeyRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<KeyRecord>,
}

impl ApiKeys {
    /// Reads the file. One bad key fails all: half a list would look like revocation.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let records = read_records(path)?;
        let mut keys = HashMap::with_capacity(records.len());
        for record in records {
            keys.insert(record.prefix.clone(), record);
        }
        Ok(Self { records: keys })
    }

    /// Whom a key stands for, at the time `now_ms` (milliseconds since 1970).
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Verified, ApiKeyError> {
        let shown = ShownKey::parse(token).ok_or(ApiKeyError::Malformed)?;
        let prefix = || shown.prefix().to_owned();
        let hash = shown.hash();
        let record = self
            .records
            .get(shown.prefix())
            .ok_or_else(|| ApiKeyError::Unknown { prefix: prefix() })?;
        // In constant time, though a hash of a guess tells nothing about how to guess better.
        if !bool::from(record.hash.0.ct_eq(&hash.0)) {
            return Err(ApiKeyError::WrongSecret { prefix: prefix() });
        }
        let name = || record.name.clone();
        if record.revoked.is_some() {
            return Err(ApiKeyError::Revoked {
                prefix: prefix(),
                name: name(),
            });
        }
        if record.expires.is_some_and(|end| end <= now_ms) {
            return Err(ApiKeyError::Expired {
                prefix: prefix(),
                name: name(),
            });
        }
        Ok(Verified {
            principal: record.principal(),
            expires_at_ms: record.expires,
            by: format!("API key {} ({})", record.prefix, record.name),
        })
    }
}

impl KeyRecord {
    fn principal(&self) -> Principal {
        let mut roles = self.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        let claims = self.claims.iter().map(|(name, value)| {
            let value = match value {
                ClaimValue::Bool(truth) => principal::ClaimValue::Bool(*truth),
                ClaimValue::Int(number) => principal::ClaimValue::Int(*number),
                ClaimValue::Text(text) => principal::ClaimValue::Text(text.clone()),
            };
            (name.clone(), value)
        });
        Principal {
            id: Some(self.subject.clone()),
            roles,
            tenant: self.tenant.clone(),
            claims: claims.collect(),
        }
    }

    /// What would make the key useless, or a line of the audit endless.
    fn fault(&self) -> Option<&'static str> {
        let is_name = |text: &String| (1..=NAME_BYTES).contains(&text.len()) && !text.contains('\0');
        let Self {
            prefix,
            hash: _,
            name,
            subject,
            roles,
            tenant,
            claims,
            created: _,
            expires: _,
            revoked: _,
        } = self;
        let is_prefix =
            prefix.len() == crate::api_key::PREFIX && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let are_claims = claims.iter().all(|(name, value)| {
            is_name(name) && !matches!(value, ClaimValue::Text(text) if text.len() > NAME_BYTES)
        });
        if !is_prefix {
            Some("`prefix` must be the 8 letters and digits behind `dbal_`")
        } else if ![name, subject]
            .into_iter()
            .chain(roles)
            .chain(tenant)
            .all(is_name)
        {
            Some("`name`, `subject`, `tenant` and roles must have 1 to 255 bytes")
        } else if roles.len() > ROLES || claims.len() > ROLES || !are_claims {
            Some("at most 64 roles and 64 claims, and no claim above 255 bytes")
        } else {
            None
        }
    }
}

/// Every key of the file, in its order.
pub fn read_records(path: &Path) -> Result<Vec<KeyRecord>, KeyFileError> {
    let failed = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let too_long = || KeyFileError::TooLong {
        path: path.to_owned(),
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let most = FILE_BYTES.saturating_add(1);
    file.take(most).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).map_or(true, |bytes| bytes > FILE_BYTES) {
        return Err(too_long());
    }
    let Document { keys } = parse(path, &text)?;
    if keys.len() > KEYS {
        return Err(too_long());
    }
    let mut seen = HashSet::with_capacity(keys.len());
    for key in &keys {
        let is_second = !seen.insert(key.prefix.as_str());
        let fault = if is_second {
            Some("another key has the same prefix")
        } else {
            key.fault()
        };
        if let Some(what) = fault {
            return Err(KeyFileError::Unusable {
                path: path.to_owned(),
                prefix: key.prefix.clone(),
                what,
            });
        }
    }
    Ok(keys)
}

/// The file's text.
pub fn write_records(records: &[KeyRecord]) -> String {
    let mut text = String::from(
        "# API keys as hashes; `dbal key` writes this file. The worker reads it at start, at SIGHUP and when it changes.\n",
    );
    if records.is_empty() {
        text.push_str("keys: []\n");
        return text;
    }
    text.push_str("keys:\n");
    for record in records {
        write_record(&mut text, record);
    }
    text
}

fn write_record(text: &mut String, record: &KeyRecord) {
    let KeyRecord {
        prefix,
        hash,
        name,
        subject,
        roles,
        tenant,
        claims,
        created,
        expires,
        revoked,
    } = record;
    // JSON's values are YAML's (YAML 1.2 §1.3). Writing to a string can't fail.
    let json = |value: &str| serde_json::Value::String(value.to_owned()).to_string();
    let _ = writeln!(text, "  - prefix: {}", json(prefix));
    let _ = writeln!(text, "    hash: \"{hash}\"");
    let _ = writeln!(text, "    name: {}", json(name));
    let _ = writeln!(text, "    subject: {}", json(subject));
    let roles: Vec<String> = roles.iter().map(|role| json(role)).collect();
    let _ = writeln!(text, "    roles: [{}]", roles.join(", "));
    if let Some(tenant) = tenant {
        let _ = writeln!(text, "    tenant: {}", json(tenant));
    }
    if !claims.is_empty() {
        let _ = writeln!(text, "    claims:");
    }
    for (claim, value) in claims {
        let value = match value {
            ClaimValue::Bool(truth) => truth.to_string(),
            ClaimValue::Int(number) => number.to_string(),
            ClaimValue::Text(value) => json(value),
        };
        let _ = writeln!(text, "      {}: {value}", json(claim));
    }
    for (what, when) in [
        ("created", Some(created)),
        ("expires", expires.as_ref()),
        ("revoked", revoked.as_ref()),
    ] {
        if let Some(when) = when {
            // Beyond the year 9999 there is no spelling; 1970 ends the key instead of letting it live.
            let when = Timestamp::from_millisecond(*when).unwrap_or_default();
            let _ = writeln!(text, "    {what}: \"{when}\"");
        }
    }
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
    let text = String::deserialize(deserializer)?;
    KeyHash::parse(&text).ok_or_else(|| wrong("64 hexadecimal digits, SHA-256 of the key"))
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let when = text.parse::<Timestamp>();
    when.map(Timestamp::as_millisecond)
        .map_err(|_| wrong("a time such as \"2026-01-15T10:30:00Z\""))
}

fn some_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    moment(deserializer).map(Some)
}

fn wrong<E: serde::de::Error>(expected: &str) -> E {
    E::invalid_value(serde::de::Unexpected::Other("another"), &expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewKey;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn record(key: &NewKey) -> KeyRecord {
        KeyRecord {
            prefix: key.shown().prefix().to_owned(),
            hash: key.shown().hash(),
            name: "ci: \"nightly\" #1".to_owned(),
            subject: "service:ci".to_owned(),
            roles: vec!["user".to_owned(), "auditor".to_owned()],
            tenant: Some("acme".to_owned()),
            claims: BTreeMap::from([
                ("level".to_owned(), ClaimValue::Int(3)),
                ("beta".to_owned(), ClaimValue::Bool(true)),
                ("digits".to_owned(), ClaimValue::Text("42".to_owned())),
            ]),
            created: NOW_MS - 1_000,
            expires: Some(NOW_MS + 1_000),
            revoked: None,
        }
    }

    fn loaded(text: &str) -> Result<ApiKeys, KeyFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        ApiKeys::load(file.path())
    }

    #[test]
    fn a_key_stands_for_whom_the_file_says_until_it_ends() {
        let key = NewKey::generate().unwrap();
        let text = write_records(&[record(&NewKey::generate().unwrap()), record(&key)]);
        assert!(!text.contains(key.text()) && !text.contains(&key.text()[14..]));
        let keys = loaded(&text).unwrap();
        let verified = keys.verify(key.text(), NOW_MS).unwrap();
        let Principal {
            id,
            roles,
            tenant,
            claims,
        } = verified.principal;
        assert_eq!(id.as_deref(), Some("service:ci"));
        assert_eq!(roles, ["auditor", "user"]);
        assert_eq!(tenant.as_deref(), Some("acme"));
        assert_eq!(
            claims,
            [
                ("beta".to_owned(), principal::ClaimValue::Bool(true)),
                ("digits".to_owned(), principal::ClaimValue::Text("42".to_owned())),
                ("level".to_owned(), principal::ClaimValue::Int(3)),
            ]
        );
        assert_eq!(verified.expires_at_ms, Some(NOW_MS + 1_000));
        assert!(verified.by.contains(key.shown().prefix()) && !verified.by.contains(&key.text()[14..]));
        let ended = keys.verify(key.text(), NOW_MS + 1_000).unwrap_err();
        assert!(matches!(ended, ApiKeyError::Expired { .. }), "{ended}");
    }

    #[test]
    fn an_unknown_revoked_or_changed_key_opens_nothing() {
        let (key, other) = (NewKey::generate().unwrap(), NewKey::generate().unwrap());
        let mut revoked = record(&key);
        revoked.revoked = Some(NOW_MS);
        let keys = loaded(&write_records(&[revoked])).unwrap();
        let refused = |token: &str| keys.verify(token, NOW_MS).unwrap_err();
        assert!(matches!(refused(key.text()), ApiKeyError::Revoked { .. }));
        assert!(matches!(refused(other.text()), ApiKeyError::Unknown { .. }));
        assert_eq!(refused("dbal_aaaaaaaa_b"), ApiKeyError::Malformed);
        // Another key under the first one's prefix: what somebody makes who knows the prefix from a log.
        let mut taken = record(&other);
        taken.prefix = key.shown().prefix().to_owned();
        let keys = loaded(&write_records(&[taken])).unwrap();
        let wrong = keys.verify(key.text(), NOW_MS).unwrap_err();
        assert!(matches!(wrong, ApiKeyError::WrongSecret { .. }), "{wrong}");
        let refused = ApiKeys::default().verify(key.text(), NOW_MS).unwrap_err();
        assert!(matches!(refused, ApiKeyError::Unknown { .. }));
        assert!(!format!("{refused} {wrong}").contains(&key.text()[14..]));
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_as_a_whole_and_none_of_its_values_is_told() {
        let key = NewKey::generate().unwrap();
        let good = write_records(&[record(&key)]);
        let hash = key.shown().hash().to_string();
        for (text, expected) in [
            (good.replace("expires:", "expire:"), "did you mean `expires`"),
            (good.replace(&hash, &hash[1..]), "64 hexadecimal digits"),
            (good.replace("    hash:", "    # hash:"), "`hash` is missing"),
            (good.replace("Z\"\n", "\"\n"), "a time such as"),
            (
                good.replace("subject: \"service:ci\"", "subject: \"\""),
                "1 to 255 bytes",
            ),
            (good.replace("[\"user\", \"auditor\"]", "user"), "expected a list"),
            (
                format!("{good}{}", good.split_once("keys:\n").unwrap().1),
                "the same prefix",
            ),
            (
                good.replace(key.shown().prefix(), "../../.."),
                "8 letters and digits",
            ),
            ("keys:\n".to_owned(), "expected a list"),
            (String::new(), ""),
        ] {
            let error = loaded(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains(&hash), "{error}");
        }
        assert!(loaded(&write_records(&[])).unwrap().records.is_empty());
        let absent = ApiKeys::load(Path::new("/no/such")).unwrap_err().to_string();
        assert!(absent.contains("dbal key new"), "{absent}");
        assert!(matches!(
            ApiKeys::load(Path::new("/dev/zero")),
            Err(KeyFileError::TooLong { .. } | KeyFileError::Read { .. })
        ));
    }
}
