//! `dbal call`: one method call from the shell.

use std::path::PathBuf;

use serde_json::Value;

use crate::client::Client;
use crate::dev::Ready;
use crate::error::ToolError;
use crate::indent::indented;
use crate::output;
use crate::supervise::block_on;

/// Call a method of a running daemon and print its result as JSON
///
/// Parameters are words, each of them JSON or a bare string; or one JSON array, or one object with names, that holds all.
///
/// Exit codes: 2 the command line is wrong, 3 the daemon can't be reached, and by the daemon's answer: 10 malformed or
/// invalid (400, 413, 422), 11 who are you (401), 12 forbidden (403), 13 not found (404), 14 conflict (409), 15 too many
/// requests (429), 16 not now (503, 504, 507), 1 anything else.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A development folder; its daemon, its certificate authority, its users.
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".dbal-dev",
        conflicts_with = "endpoint"
    )]
    dir: PathBuf,
    /// Who of the development folder's users calls; without it, nobody in particular.
    #[arg(long = "as", value_name = "NAME", conflicts_with_all = ["endpoint", "token_file"])]
    user: Option<String>,
    /// Another daemon: wss://host:port/
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Certificate authorities to trust (PEM) instead of the system's.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    ca: Option<PathBuf>,
    /// File with the bearer token; `-` reads it from standard input. The variable DBAL_TOKEN serves as well.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The method, such as create, read, list or getCapabilities.
    method: String,
    /// Its parameters.
    params: Vec<String>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        dir,
        user,
        endpoint,
        ca,
        token_file,
        method,
        params,
    } = options;
    let params = parameters(&params)?;
    let given = match token_file {
        Some(file) => Some(read_token(&file)?),
        None => std::env::var("DBAL_TOKEN").ok().filter(|_| user.is_none()),
    };
    let (endpoint, ca, token) = if let Some(endpoint) = endpoint {
        (endpoint, ca, given)
    } else {
        let ready = Ready::read(&dir)?;
        let token = match user {
            Some(name) => Some(ready.user(&name)?.token.clone()),
            None => given,
        };
        (ready.endpoint, Some(ready.ca), token)
    };
    let answer = block_on(async {
        let mut client = Client::connect(&endpoint, ca.as_deref(), token.as_deref()).await?;
        let answer = client.call(&method, params).await;
        client.close().await;
        answer
    })?;
    match answer {
        Ok(result) => output::line(format_args!("{}", indented(result.get()))),
        Err(refusal) => {
            output::say(format_args!("{}", indented(refusal.error.get())));
            Err(ToolError::Refused { code: refusal.code })
        }
    }
}

/// One array or object is all of them; else each word is one.
fn parameters(texts: &[String]) -> Result<Value, ToolError> {
    let mut values = texts
        .iter()
        .map(|text| parameter(text))
        .collect::<Result<Vec<_>, _>>()?;
    match values.as_mut_slice() {
        [all @ (Value::Array(_) | Value::Object(_))] => Ok(all.take()),
        _ => Ok(Value::Array(values)),
    }
}

/// JSON, or a bare word.
fn parameter(text: &str) -> Result<Value, ToolError> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        // What begins like JSON was meant to be JSON.
        Err(error) if text.starts_with(['{', '[', '"']) => {
            Err(ToolError::Usage(format!("`{text}` is not JSON: {error}")))
        }
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

fn read_token(file: &std::path::Path) -> Result<String, ToolError> {
    let read = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|source| ToolError::file(file, source))?;
    match text.trim() {
        "" => Err(ToolError::Usage(format!("{}: holds no token", file.display()))),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_parameter_is_json_or_a_bare_word() {
        for (text, expected) in [
            ("Note", json!("Note")),
            (
                "019a3c5e-7b1f-7a60-8a3c-2f1d9b0c4e55",
                json!("019a3c5e-7b1f-7a60-8a3c-2f1d9b0c4e55"),
            ),
            ("{\"a\":1}", json!({"a": 1})),
            ("[1]", json!([1])),
            ("12", json!(12)),
            ("\"12\"", json!("12")),
            ("null", json!(null)),
        ] {
            assert_eq!(parameter(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn one_array_or_object_holds_all_parameters() {
        let given = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            parameters(&texts).unwrap()
        };
        assert_eq!(given(&[]), json!([]));
        assert_eq!(given(&["Note"]), json!(["Note"]));
        assert_eq!(given(&["Note", "{\"limit\":1}"]), json!(["Note", {"limit": 1}]));
        assert_eq!(
            given(&["[\"Note\", {\"limit\":1}]"]),
            json!(["Note", {"limit": 1}])
        );
        assert_eq!(given(&["{\"entity\":\"Note\"}"]), json!({"entity": "Note"}));
    }

    #[test]
    fn broken_json_is_not_taken_for_a_word() {
        for text in ["{a:1}", "[1", "\"open"] {
            let error = parameter(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
        }
    }
}
