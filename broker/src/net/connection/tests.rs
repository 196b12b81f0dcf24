//! Connections as clients see them: a real WebSocket client at the other end of a pipe.

use std::time::Duration;

use dbal_shared::limits::CLIENT_MESSAGE_BYTES;
use dbal_shared::message::ToWorker;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::*;
use crate::auth::Credentials;
use crate::fixture::{KEY, Said, World, answered, policy, polite};
use crate::net::drain::{Drainer, drain};
use crate::net::tls::unquestioned;

const LIMITS: ConnectionLimits = ConnectionLimits {
    in_flight: 4,
    idle: Duration::from_mins(1),
};

struct Client {
    socket: WebSocketStream<DuplexStream>,
    drain: Drainer,
    served: JoinHandle<End>,
}

impl Client {
    async fn connect(world: &World, credentials: Credentials, limits: ConnectionLimits) -> Self {
        let (there, here) = duplex(1 << 20);
        let (drain, draining) = drain();
        let broker = std::sync::Arc::clone(&world.broker);
        let served = tokio::spawn(async move {
            let config = WebSocketConfig::default()
                .max_message_size(Some(CLIENT_MESSAGE_BYTES))
                .max_frame_size(Some(CLIENT_MESSAGE_BYTES));
            let socket = WebSocketStream::from_raw_socket(there, Role::Server, Some(config)).await;
            Connection::new(socket, &broker, &credentials, None, limits)
                .run(draining, unquestioned())
                .await
        });
        Self {
            socket: WebSocketStream::from_raw_socket(here, Role::Client, None).await,
            drain,
            served,
        }
    }

    async fn alice(world: &World) -> Self {
        Self::connect(world, World::connection("alice"), LIMITS).await
    }

    async fn say(&mut self, text: &str) {
        self.socket.send(Frame::text(text.to_owned())).await.unwrap();
    }

    /// The next text, or the close code.
    async fn hear(&mut self) -> Result<String, u16> {
        loop {
            match timeout(Duration::from_secs(10), self.socket.next())
                .await
                .unwrap()
            {
                Some(Ok(Frame::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Frame::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn read(id: &str) -> String {
    format!(r#"{{"id":"{id}","method":"read","params":["Note","{KEY}"]}}"#)
}

/// Reads whose answers wait until their client cancels or asks for a count.
fn dawdling() -> World {
    let waiting = std::sync::Mutex::new(Vec::new());
    World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) if execute.plan.action.name() == "read" => {
            waiting.lock().unwrap().push(execute.clone());
            Said::Messages(Vec::new())
        }
        ToWorker::Execute(execute) => {
            let late = std::mem::take(&mut *waiting.lock().unwrap());
            let mut answers: Vec<_> = late.iter().map(|execute| answered(execute, "\"late\"")).collect();
            answers.push(answered(execute, "1"));
            Said::Messages(answers)
        }
        _ => Said::Messages(polite(message)),
    })
}

const COUNT: &str = r#"{"id":"count","method":"count","params":["Note"]}"#;

#[tokio::test]
async fn calls_run_side_by_side_and_answer_as_they_are_done() {
    let world = dawdling();
    let mut client = Client::alice(&world).await;
    client.say(&read("slow")).await;
    client.say(r#"{"id":"bad","method":"nosuch"}"#).await;
    assert!(client.hear().await.unwrap().starts_with(r#"{"id":"bad","error""#));
    client.say(COUNT).await;
    let mut answers = [client.hear().await.unwrap(), client.hear().await.unwrap()];
    answers.sort();
    assert_eq!(
        answers,
        [r#"{"id":"count","result":1}"#, r#"{"id":"slow","result":"late"}"#]
    );
}

#[tokio::test]
async fn a_socket_is_not_read_while_too_many_calls_are_outstanding() {
    let world = dawdling();
    let mut client = Client::alice(&world).await;
    for id in ["1", "2", "3", "4", "5", "6"] {
        client.say(&read(id)).await;
    }
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.executed().len(), 4);
}

#[tokio::test]
async fn a_batch_is_answered_in_one_array_and_a_notification_in_it_not_at_all() {
    let world = World::new();
    let mut client = Client::alice(&world).await;
    client
        .say(r#"[{"jsonrpc":"2.0","id":1,"method":"count","params":["Note"]},{"jsonrpc":"2.0","method":"count","params":["Note"]},5,{"id":"n","method":"nosuch"}]"#)
        .await;
    let text = client.hear().await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3, "{text}");
    assert_eq!(json[0]["id"], 1);
    assert_eq!(json[1]["error"]["code"], -32_600);
    assert_eq!(json[2]["error"]["code"], 400);
    client
        .say(r#"[{"jsonrpc":"2.0","method":"count","params":["Note"]}]"#)
        .await;
    client.say(COUNT).await;
    assert!(
        client.hear().await.unwrap().contains("count"),
        "nothing stands before it"
    );
}

#[tokio::test]
async fn a_call_can_be_cancelled_and_the_worker_hears_of_it() {
    let world = dawdling();
    let mut client = Client::alice(&world).await;
    client.say(&read("slow")).await;
    sleep(Duration::from_millis(100)).await;
    client
        .say(r#"{"jsonrpc":"2.0","id":9,"method":"$/cancelRequest","params":{"id":"slow"}}"#)
        .await;
    let mut answers = [client.hear().await.unwrap(), client.hear().await.unwrap()];
    answers.sort();
    assert!(
        answers[0].contains(r#""id":"slow","error":{"code":504"#),
        "{answers:?}"
    );
    assert_eq!(answers[1], r#"{"jsonrpc":"2.0","id":9,"result":true}"#);
    client
        .say(r#"{"method":"$/cancelRequest","params":["slow"]}"#)
        .await;
    sleep(Duration::from_millis(50)).await;
    let cancelled = world.heard(|message| matches!(message, ToWorker::Cancel(_)).then_some(()));
    assert_eq!(cancelled.len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_what_it_asked() {
    let world = dawdling();
    let mut client = Client::alice(&world).await;
    client.say(&read("slow")).await;
    sleep(Duration::from_millis(100)).await;
    drop(client.socket);
    assert_eq!(client.served.await.unwrap(), End::Gone);
    sleep(Duration::from_millis(50)).await;
    let told = world.heard(|message| match message {
        ToWorker::Cancel(_) => Some("cancel"),
        ToWorker::CloseSession(_) => Some("close"),
        _ => None,
    });
    assert_eq!(told, ["cancel", "close"]);
}

#[tokio::test]
async fn what_is_no_text_message_closes_the_connection_with_its_code() {
    let world = World::new();
    let mut client = Client::alice(&world).await;
    client.socket.send(Frame::binary(vec![1])).await.unwrap();
    assert_eq!(client.hear().await, Err(1003));

    let mut client = Client::alice(&world).await;
    client.say(&"x".repeat(CLIENT_MESSAGE_BYTES + 1)).await;
    assert_eq!(client.hear().await, Err(1009));

    let mut client = Client::alice(&world).await;
    // A text frame of one byte 0xff under an all-zero mask.
    client
        .socket
        .get_mut()
        .write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff])
        .await
        .unwrap();
    assert_eq!(client.hear().await, Err(1007));

    let mut client = Client::alice(&world).await;
    // Not masked (RFC 6455 §5.1), and a reserved bit (§5.2).
    client
        .socket
        .get_mut()
        .write_all(&[0xc1, 0x01, b'x'])
        .await
        .unwrap();
    assert_eq!(client.hear().await, Err(1002));
}

#[tokio::test]
async fn a_broken_message_is_answered_and_the_connection_goes_on() {
    let world = World::new();
    let mut client = Client::alice(&world).await;
    for broken in [
        "",
        "{",
        "[]",
        "7",
        r#"{"id":"1","method":"count","params":["\u0000"]}"#,
    ] {
        client.say(broken).await;
        let text = client.hear().await.unwrap();
        assert!(text.contains(r#""id":null,"error""#), "{text}");
    }
    client.say(COUNT).await;
    assert!(client.hear().await.unwrap().contains("result"));
}

#[tokio::test]
async fn a_connection_whose_token_does_not_hold_is_told_and_closed() {
    let world = World::new();
    let mut client = Client::connect(&world, World::connection("nobody"), LIMITS).await;
    client.say(COUNT).await;
    assert!(client.hear().await.unwrap().contains(r#""code":401"#));
    assert_eq!(client.hear().await, Err(4401));
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_says_goodbye() {
    let world = dawdling();
    let mut client = Client::alice(&world).await;
    client.say(&read("slow")).await;
    sleep(Duration::from_millis(100)).await;
    client.drain.begin();
    sleep(Duration::from_millis(50)).await;
    assert!(!client.served.is_finished());
    // Another connection lets the worker answer.
    let mut other = Client::alice(&world).await;
    other.say(COUNT).await;
    assert_eq!(client.hear().await.unwrap(), r#"{"id":"slow","result":"late"}"#);
    assert_eq!(client.hear().await, Err(1001));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone_and_one_that_does_may_stay() {
    let world = World::new();
    let limits = ConnectionLimits {
        in_flight: 4,
        idle: Duration::from_millis(300),
    };
    let client = Client::connect(&world, World::connection("alice"), limits).await;
    let end = timeout(Duration::from_secs(5), client.served)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, End::Closing(Closing::Idle));

    let mut client = Client::connect(&world, World::connection("alice"), limits).await;
    // Reading is what answers pings.
    let _ = timeout(Duration::from_secs(1), client.socket.next()).await;
    let _ = timeout(Duration::from_millis(500), async {
        while client.socket.next().await.is_some() {}
    })
    .await;
    assert!(!client.served.is_finished());
}

#[tokio::test]
async fn a_client_that_never_slows_down_is_flooding() {
    let world = World::new();
    let mut client = Client::connect(&world, World::connection("rita"), LIMITS).await;
    let (mut held_back, mut code) = (0_u32, None);
    while code.is_none() {
        client.say(COUNT).await;
        match client.hear().await {
            Ok(text) => held_back += u32::from(text.contains(r#""code":429"#)),
            Err(closed) => code = Some(closed),
        }
    }
    assert_eq!(code, Some(4429));
    assert!(held_back >= HELD_BACK, "{held_back}");
}
