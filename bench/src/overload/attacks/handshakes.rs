//! Attackers who never get as far as asking for anything.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_tests::client::Login;
use dbal_tests::crowd::Crowd;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::super::Scale;
use super::super::stage::Stage;
use super::{Attackers, Tally};

/// What a ClientHello begins with (RFC 8446 §5.1): a handshake record of 512 bytes.
const HELLO: [u8; 9] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
/// Before who was cut off comes again: a loop without it would be churn.
const AGAIN: Duration = Duration::from_millis(200);
/// How long getting in may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The nth group of addresses belongs to attackers; the honest have the first address.
const FIRST: u32 = 1;

pub(super) fn slow_tls(stage: &Stage, scale: Scale) -> Attackers {
    of_bare_connections(stage, 2_000 / scale.fewer, 50, &HELLO)
}

pub(super) fn many_addresses(stage: &Stage, scale: Scale) -> Attackers {
    of_bare_connections(stage, 4_000 / scale.fewer, 1_000, &[])
}

pub(super) fn no_descriptors(stage: &Stage, scale: Scale) -> Attackers {
    let broker = stage.daemon.broker();
    broker.allow_descriptors(broker.descriptors().len() + 200 / scale.fewer);
    of_bare_connections(stage, 2_000 / scale.fewer, 50, &[])
}

/// Connections that begin with some bytes, add one each second, and come again when they are cut off.
fn of_bare_connections(stage: &Stage, count: usize, addresses: u32, first: &'static [u8]) -> Attackers {
    coming_again(stage, count, addresses, move |crowd, from, tally| async move {
        if let Ok(Ok(stream)) = timeout(PATIENCE, crowd.tcp(from)).await {
            let came = tally.came();
            dawdle(stream, first, &tally, came).await;
        }
    })
}

pub(super) fn slow_head(stage: &Stage, scale: Scale) -> Attackers {
    coming_again(stage, 400 / scale.fewer, 20, |crowd, from, tally| async move {
        if let Ok(Ok(stream)) = timeout(PATIENCE, crowd.tls(from)).await {
            let came = tally.came();
            dawdle(stream, HEAD, &tally, came).await;
        }
    })
}

pub(super) fn silent(stage: &Stage, scale: Scale) -> Attackers {
    coming_again(stage, 400 / scale.fewer, 20, |crowd, from, tally| async move {
        let coming = crowd.client(from, Login::Nobody);
        if let Ok(Ok(client)) = timeout(PATIENCE, coming).await {
            let came = tally.came();
            let (_, mut receiving) = client.split();
            while let Some(Ok(frame)) = receiving.next().await {
                if let dbal_tests::client::Message::Close(Some(frame)) = frame {
                    tally.code(frame.code.into());
                }
            }
            tally.went(came);
        }
    })
}

/// So many at once, from so many addresses; each comes again when its visit is over.
fn coming_again<V: Future<Output = ()> + Send>(
    stage: &Stage,
    count: usize,
    addresses: u32,
    visit: impl Fn(Crowd, IpAddr, Arc<Tally>) -> V + Copy + Send + 'static,
) -> Attackers {
    let (mut attackers, tally) = Attackers::new();
    for nth in 0..count {
        let (crowd, tally) = (stage.crowd.clone(), Arc::clone(&tally));
        let from = Crowd::source(FIRST + nth as u32 % addresses);
        let work = async move {
            loop {
                visit(crowd.clone(), from, Arc::clone(&tally)).await;
                sleep(AGAIN).await;
            }
        };
        attackers.tasks.spawn_on(work, stage.attackers.handle());
    }
    attackers
}

pub(super) fn churn(stage: &Stage, _: Scale) -> Attackers {
    let (mut attackers, tally) = Attackers::new();
    for _ in 0..16 {
        let (crowd, tally) = (stage.crowd.clone(), Arc::clone(&tally));
        let work = async move {
            loop {
                let came = Instant::now();
                match timeout(PATIENCE, crowd.tls(Crowd::source(FIRST))).await {
                    Ok(Ok(stream)) => {
                        tally.came();
                        drop(stream);
                    }
                    Ok(Err(_)) | Err(_) => {
                        tally.went(came);
                        // Who is turned away before TLS costs so little that this loop would take the machine for itself.
                        sleep(Duration::from_millis(2)).await;
                    }
                }
            }
        };
        attackers.tasks.spawn_on(work, stage.attackers.handle());
    }
    attackers
}

/// Sends, then a byte each second until the other side has enough.
async fn dawdle(stream: impl AsyncRead + AsyncWrite + Unpin, first: &[u8], tally: &Tally, came: Instant) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let dawdling = async {
        writing.write_all(first).await?;
        writing.flush().await?;
        loop {
            sleep(Duration::from_secs(1)).await;
            if !first.is_empty() {
                writing.write_all(b"x").await?;
                writing.flush().await?;
            }
        }
        #[expect(unreachable_code, reason = "tells the type")]
        std::io::Result::Ok(())
    };
    let mut heard = [0; 64];
    let reading = async { while reading.read(&mut heard).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        _ = dawdling => {}
        () = reading => {}
    }
    tally.went(came);
}
