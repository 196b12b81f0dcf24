//! A call that is cancelled costs what any call costs, whoever cancels it and however soon.

use futures_util::future::AbortHandle;

use super::*;
use crate::auth::Credentials;

const COUNT: &str = r#"{"id":"1","method":"count","params":["Note"]}"#;

/// Cancelled before anybody has looked at it.
async fn at_once(world: &World, credentials: &Credentials, text: &str) -> String {
    let (handle, registration) = AbortHandle::new_pair();
    handle.abort();
    given_up(world, credentials, text, registration).await
}

async fn given_up(
    world: &World,
    credentials: &Credentials,
    text: &str,
    registration: futures_util::future::AbortRegistration,
) -> String {
    let (raw, name) = (request(text), world.broker.next_request());
    let served = world
        .broker
        .serve_unless_cancelled(credentials, &raw, name, registration)
        .await;
    served.text.unwrap_or_default()
}

#[tokio::test]
async fn who_proves_nothing_and_cancels_at_once_is_slowed_down_like_who_does_not() {
    let world = World::new();
    let stranger = World::stranger();
    let batch = r#"{"id":"1","method":"batch","params":[[{"method":"count","params":["Note"]}]]}"#;
    assert!(at_once(&world, &stranger, COUNT).await.contains(r#""code":401"#));
    assert!(at_once(&world, &stranger, batch).await.contains(r#""code":401"#));
    let unknown = r#"{"id":"1","method":"nothing","params":[]}"#;
    assert!(
        at_once(&world, &stranger, unknown)
            .await
            .contains("unknown method")
    );
    let mut last = String::new();
    for _ in 0..700 {
        last = at_once(&world, &stranger, COUNT).await;
    }
    assert!(last.contains(r#""code":429"#), "{last}");
    assert_eq!(world.executed().len(), 0);
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_charged_once_however_soon_that_is() {
    // A read is held until its caller gives up.
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Execute(_) => Said::Messages(Vec::new()),
        _ => Said::Messages(polite(message)),
    });
    let rita = World::connection("rita");
    let (handle, registration) = AbortHandle::new_pair();
    let asked = given_up(&world, &rita, COUNT, registration);
    let gives_up = async {
        while world.executed().is_empty() {
            tokio::task::yield_now().await;
        }
        handle.abort();
    };
    let (answer, ()) = tokio::join!(asked, gives_up);
    assert!(answer.contains("cancelled by the client"), "{answer}");
    // Her rate lets three through.
    for _ in 0..2 {
        let answer = at_once(&world, &rita, COUNT).await;
        assert!(answer.contains("cancelled by the client"), "{answer}");
    }
    let held = at_once(&world, &rita, COUNT).await;
    assert!(held.contains(r#""code":429"#), "{held}");
    assert_eq!(world.executed().len(), 1);
}
