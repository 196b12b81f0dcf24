//! The bytes that a client sends before it speaks WebSocket, through hyper and the broker's own reading of the head, until it upgrades
//! or leaves.
#![no_main]

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dbal_broker::channel::{Agreed, Channel, WorkerAddress};
use dbal_broker::health::Health;
use dbal_broker::metrics::Metrics;
use dbal_broker::net::http::{HttpLimits, until_upgrade};
use dbal_broker::reload::Reloads;
use dbal_broker::traces::Traces;
use dbal_shared::ids::Digest;
use dbal_shared::limits::TOKEN_BYTES;
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

const LIMITS: HttpLimits = HttpLimits {
    head: Duration::from_secs(60),
    whole: Duration::from_secs(60),
};

struct World {
    runtime: Runtime,
    health: Health,
}

thread_local! {
    static WORLD: World = {
        let address = WorkerAddress { socket: PathBuf::from("/nonexistent"), uid: None };
        let digest = Digest([0; 32]);
        let (channel, _keeper) = Channel::new(address, Agreed { schema: digest, policy: digest }, None);
        World {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            health: Health::new(channel, Arc::new(Metrics::new(&[])), Arc::new(Traces::new(None, 0.0)), Vec::new(), String::new(), Arc::new(Reloads::new(digest))),
        }
    };
}

/// What was sent, in pieces, and what is answered.
struct Wire {
    input: Vec<u8>,
    at: usize,
    piece: usize,
    output: Rc<RefCell<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.input[self.at..];
        let taken = rest.len().min(self.piece).min(out.remaining());
        out.put_slice(&rest[..taken]);
        self.at += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, input)) = bytes.split_first() else {
        return;
    };
    let token_in_query = first & 1 == 1;
    let output = Rc::new(RefCell::new(Vec::new()));
    let wire = Wire {
        input: input.to_vec(),
        at: 0,
        piece: usize::from(first >> 1) + 1,
        output: Rc::clone(&output),
    };
    let upgraded = WORLD.with(|World { runtime, health }| {
        runtime.block_on(until_upgrade(wire, LIMITS, health, token_in_query))
    });
    let output = output.borrow();
    assert!(
        output.is_empty() || output.starts_with(b"HTTP/1."),
        "an answer that is no HTTP"
    );
    let Some(upgraded) = upgraded else {
        return;
    };
    let has = |part: &[u8]| output.windows(part.len()).any(|bytes| bytes == part);
    assert!(
        has(b"HTTP/1.1 101 ") && has(b"sec-websocket-accept: "),
        "upgraded without saying so"
    );
    assert!(!has(b"dbal.bearer."), "a token is echoed");
    if let Some(token) = upgraded.upgrade.token {
        assert!(token.expose_secret().len() <= TOKEN_BYTES);
    }
});
