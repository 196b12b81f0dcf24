//! A token's header, read by ourselves: what may stand in it is little, and what would change its meaning is refused by name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dbal_shared::json::Json;
use dbal_shared::limits::TOKEN_BYTES;
use jsonwebtoken::Algorithm;

use crate::claims::{NAME_BYTES, TokenError};

/// Parameters that are refused, and why.
#[rustfmt::skip] // A table: one line for each.
const REFUSED: [(&str, &str); 9] = [
    ("crit", "demands an extension (RFC 7515 §4.1.11: \"if any of the listed extension Header Parameters are not \
              understood, then the JWS is invalid\")"),
    ("b64", "changes what is signed (RFC 7797), and other software may not notice"),
    ("jwk", "brings the key along: whoever made the token chose it (RFC 8725 §3.10)"),
    ("jku", "tells where to fetch the key"),
    ("x5u", "tells where to fetch the key"),
    ("x5c", "brings the key along"),
    ("cty", "says that there is another token within (RFC 7519 §5.2)"),
    ("enc", "says that the token is encrypted"),
    ("zip", "says that the token is compressed"),
];
/// What `typ` may say (RFC 7519 §5.1, RFC 9068 §2.1). Other kinds of JWT, such as logout tokens, prove something else
/// (RFC 8725 §3.11).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// What a header chooses: the key and the algorithm, to be compared with the key's own.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
}

/// Reads the header of a token in compact form. Nothing in it is proven yet.
pub(crate) fn read(token: &str) -> Result<Header, TokenError> {
    if token.len() > TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let (header, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
    // Padding, other alphabets, white space and bits that no byte needs are errors to this decoder: a token has one spelling.
    let bytes = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::Malformed)?;
    let json: Json = serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)?;
    let Json::Object(members) = &json else {
        return Err(TokenError::Malformed);
    };
    // Before anything else, so that the log tells what is wrong with it rather than that some key does not fit.
    if let Some((name, _)) = REFUSED.iter().find(|(name, _)| json.member(name).is_some()) {
        return Err(TokenError::Header { name });
    }
    let (mut algorithm, mut kid) = (None, None);
    for (name, value) in members {
        match (name.as_str(), value) {
            ("alg", Json::Text(text)) => algorithm = by_name(text),
            ("kid", Json::Text(text)) if text.len() <= NAME_BYTES => kid = Some(text.clone()),
            ("typ", Json::Text(text)) if TYPES.contains(&text.to_ascii_lowercase().as_str()) => {}
            ("typ", _) => return Err(TokenError::Header { name: "typ" }),
            ("alg" | "kid", _) => return Err(TokenError::Malformed),
            // Thumbprints name a certificate, and private parameters (RFC 7515 §4.3) mean something to their issuer; neither
            // chooses a key.
            _ => {}
        }
    }
    Ok(Header {
        algorithm: algorithm.ok_or(TokenError::Malformed)?,
        kid,
    })
}

/// The algorithms that have a name here. `none` has not.
fn by_name(name: &str) -> Option<Algorithm> {
    match name {
        "EdDSA" => Some(Algorithm::EdDSA),
        "ES256" => Some(Algorithm::ES256),
        "RS256" => Some(Algorithm::RS256),
        "HS256" => Some(Algorithm::HS256),
        _ => None,
    }
}
