//! Attackers who have a token and make the most of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dbal_tests::client::{Client, Login, Message};
use dbal_tests::crowd::Crowd;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::super::Scale;
use super::super::honest::read;
use super::super::stage::Stage;
use super::{Attackers, Tally};

const AGAIN: Duration = Duration::from_millis(200);
const FIRST: u32 = 1;
/// A key that no row has.
const NOWHERE: &str = "0190a6e0-0000-7000-8000-000000000001";
/// A text frame of 1 MiB under a mask of zeros (RFC 6455 §5.2).
const FRAME_OF_A_MIB: [u8; 14] = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
const PART: usize = 900 * 1024;

pub(super) fn trickle(stage: &Stage, scale: Scale) -> Attackers {
    let (mut attackers, tally) = Attackers::new();
    let token: Arc<str> = stage.token("mallory", "user").into();
    for nth in 0..200 / scale.fewer {
        let (crowd, tally, token) = (stage.crowd.clone(), Arc::clone(&tally), Arc::clone(&token));
        let from = Crowd::source(FIRST + nth as u32 % 20);
        let work = async move {
            let part = vec![b' '; PART];
            loop {
                if let Some(mut client) = proven(&crowd, from, &token).await {
                    let came = tally.came();
                    let dawdling = async {
                        // Fragments could be interrupted by pings; within one frame nothing can, so only bytes follow.
                        client.send_bytes(&FRAME_OF_A_MIB).await?;
                        client.send_bytes(&part).await?;
                        for _ in 0..600 {
                            sleep(Duration::from_millis(100)).await;
                            client.send_bytes(b" ").await?;
                        }
                        std::io::Result::Ok(())
                    };
                    let _ = dawdling.await;
                    tell_close(&mut client, &tally).await;
                    tally.went(came);
                }
                sleep(AGAIN).await;
            }
        };
        attackers.tasks.spawn_on(work, stage.attackers.handle());
    }
    attackers
}

pub(super) fn huge(stage: &Stage, scale: Scale) -> Attackers {
    let rows: Vec<_> = (0..200)
        .map(|number| json!({"title": format!("Huge {number}"), "body": "y".repeat(5_000), "rank": 0}))
        .collect();
    let text = json!({"id": "h", "method": "createMany", "params": ["Item", rows]}).to_string();
    pipelines(stage, 8, 16, stage.token("mallory", "user"), vec![text], scale)
}

pub(super) fn flood_limited(stage: &Stage, scale: Scale) -> Attackers {
    pipelines(
        stage,
        8,
        64,
        stage.token("mallory", "guest"),
        vec![read(NOWHERE)],
        scale,
    )
}

pub(super) fn flood_allowed(stage: &Stage, scale: Scale) -> Attackers {
    pipelines(
        stage,
        8,
        64,
        stage.token("mallory", "user"),
        vec![read(NOWHERE)],
        scale,
    )
}

/// Connections of one caller that keep so many calls under way each.
fn pipelines(
    stage: &Stage,
    connections: usize,
    depth: usize,
    token: String,
    texts: Vec<String>,
    _: Scale,
) -> Attackers {
    let (mut attackers, tally) = Attackers::new();
    let (token, texts): (Arc<str>, Arc<[String]>) = (token.into(), texts.into());
    for nth in 0..connections {
        let (crowd, tally, token, texts) = (
            stage.crowd.clone(),
            Arc::clone(&tally),
            Arc::clone(&token),
            Arc::clone(&texts),
        );
        let from = Crowd::source(FIRST + nth as u32);
        let work = async move {
            loop {
                if let Some(client) = proven(&crowd, from, &token).await {
                    let came = tally.came();
                    pipeline(client, depth, &texts, &tally).await;
                    tally.went(came);
                }
                sleep(AGAIN).await;
            }
        };
        attackers.tasks.spawn_on(work, stage.attackers.handle());
    }
    attackers
}

async fn pipeline(client: Client, depth: usize, texts: &[String], tally: &Tally) {
    let places = Semaphore::new(depth);
    let (mut sending, mut receiving) = client.split();
    let send = async {
        for text in texts.iter().cycle() {
            let Ok(place) = places.acquire().await else {
                return;
            };
            place.forget();
            if sending.send(Message::text(text.as_str())).await.is_err() {
                return;
            }
            tally.sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    let receive = async {
        while let Some(Ok(message)) = receiving.next().await {
            match message {
                Message::Text(_) => places.add_permits(1),
                Message::Close(frame) => {
                    if let Some(frame) = frame {
                        tally.code(frame.code.into());
                    }
                    return;
                }
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    };
    // Both: who sends into a connection that is closed still wants to hear why.
    tokio::join!(send, async {
        receive.await;
        places.close();
    });
}

pub(super) fn deaf(stage: &Stage, scale: Scale) -> Attackers {
    let (mut attackers, tally) = Attackers::new();
    // Somebody else than those who are honest, whose calls would otherwise stand in one queue with these.
    let token: Arc<str> = stage.token("mallory", "auditor").into();
    let text = json!({"id": "d", "method": "list", "params": ["Item", {"limit": 1_000, "total": false}]})
        .to_string();
    let text: Arc<str> = text.into();
    for nth in 0..16 {
        let (crowd, tally, token, text) = (
            stage.crowd.clone(),
            Arc::clone(&tally),
            Arc::clone(&token),
            Arc::clone(&text),
        );
        let from = Crowd::source(FIRST + nth);
        let work = async move {
            loop {
                let coming = async {
                    let stream = crowd.tcp_with(from, Some(4_096)).await.ok()?;
                    crowd.client_on(stream, Login::Header(&token)).await.ok()
                };
                if let Ok(Some(client)) = timeout(Duration::from_secs(5), coming).await {
                    let came = tally.came();
                    let (mut sending, _receiving) = client.split();
                    // It goes on asking: only so it notices that nobody is there any more.
                    for asked in 0.. {
                        if sending.send(Message::text(&*text)).await.is_err() {
                            break;
                        }
                        tally.sent.fetch_add(1, Ordering::Relaxed);
                        if asked >= 64 {
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                    tally.went(came);
                }
                sleep(AGAIN).await;
            }
        };
        attackers.tasks.spawn_on(work, stage.attackers.handle());
    }
    let _ = scale;
    attackers
}

/// A client that has shown that its token holds.
async fn proven(crowd: &Crowd, from: std::net::IpAddr, token: &str) -> Option<Client> {
    let coming = async {
        let mut client = crowd.client(from, Login::Header(token)).await.ok()?;
        client.try_round_trip(&read(NOWHERE)).await?;
        Some(client)
    };
    timeout(Duration::from_secs(5), coming).await.ok().flatten()
}

async fn tell_close(client: &mut Client, tally: &Tally) {
    let closed = timeout(Duration::from_secs(1), client.try_closed_with()).await;
    if let Ok(Some(code)) = closed {
        tally.code(code);
    }
}
