//! What `dbal dev` prints: where the daemon is, and calls that can be pasted as they stand.

use std::fmt::Write;
use std::path::Path;

use crate::dev::Ready;

/// The whole greeting.
pub(super) fn text(dir: &Path, ready: &Ready) -> String {
    let Ready {
        endpoint,
        ca,
        health,
        metrics,
        users,
    } = ready;
    let (dbal, dir, ca) = (
        quoted(&own_name()),
        quoted(&dir.display().to_string()),
        quoted(&ca.display().to_string()),
    );
    let token = format!("$({dbal} token --dir {dir} --as alice)");
    let mut out = String::new();
    // Writing into a string can't fail.
    let _ = write!(
        out,
        "
dbal serves. Ctrl-C ends it; what it holds stays in {dir}.

  endpoint  {endpoint}
  ca        {ca}
  health    {health}
  metrics   {metrics}

Users (their tokens: {dbal} token --dir {dir} --as NAME)

"
    );
    for (name, user) in users {
        let _ = writeln!(out, "  {name:<8} {}  {}", user.user_id, user.roles.join(", "));
    }
    let _ = write!(
        out,
        r#"
Paste one of these into another terminal.

dbal
  {dbal} call --dir {dir} --as alice create Note '{{"title":"Hello"}}'
  {dbal} call --dir {dir} --as alice list Note '{{"sort":{{"createdAt":"desc"}},"limit":5}}'

websocat
  echo '{{"id":"1","method":"list","params":["Note"]}}' | \
    SSL_CERT_FILE={ca} websocat -n1 -H="Authorization: Bearer {token}" {endpoint}

Node (npm install ws)
  NODE_EXTRA_CA_CERTS={ca} TOKEN="{token}" node -e '
    const WebSocket = require("ws");
    const socket = new WebSocket("{endpoint}", {{headers: {{Authorization: `Bearer ${{process.env.TOKEN}}`}}}});
    socket.on("open", () => socket.send(JSON.stringify({{id: "1", method: "list", params: ["Note"]}})));
    socket.on("message", (text) => {{ console.log(text.toString()); socket.close(); }});'

Python (pip install websockets)
  CA={ca} TOKEN="{token}" python3 -c '
import json, os, ssl
from websockets.sync.client import connect
tls = ssl.create_default_context(cafile=os.environ["CA"])
who = {{"Authorization": "Bearer " + os.environ["TOKEN"]}}
with connect("{endpoint}", ssl=tls, additional_headers=who) as socket:
    socket.send(json.dumps({{"id": "1", "method": "list", "params": ["Note"]}}))
    print(socket.recv())'

A client that knows nothing but an endpoint: {endpoint}?access_token=TOKEN

"#
    );
    out
}

/// This program as the next shell finds it: from here if it is below, else by its whole path.
fn own_name() -> String {
    let Ok(own) = std::env::current_exe() else {
        return "dbal".to_owned();
    };
    let here = std::env::current_dir()
        .ok()
        .and_then(|here| own.strip_prefix(here).ok().map(Path::to_owned));
    here.unwrap_or(own).display().to_string()
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_shell() {
        for (text, expected) in [
            ("/tmp/a-b_c.d", "/tmp/a-b_c.d"),
            ("/tmp/a b", "'/tmp/a b'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
