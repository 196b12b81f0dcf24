//! Connections as clients see them: a real WebSocket client at the other end of a pipe.

use std::task::Context;
use std::time::Duration;

use dbal_shared::limits::CLIENT_MESSAGE_BYTES;
use dbal_shared::message::ToWorker;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::intake::Intake;
use super::*;
use crate::auth::Credentials;
use crate::fixture::{KEY, SEATS, Said, World, answered, policy, polite};
use crate::net::drain::{Drainer, drain};
use crate::net::tls::unquestioned;

const LIMITS: ConnectionLimits = ConnectionLimits {
    in_flight: 4,
    idle: Duration::from_mins(1),
    unproven: Duration::from_mins(1),
    message: Duration::from_mins(1),
    write: Duration::from_secs(20),
};

/// A pipe says nothing of its end but to who reads it.
impl Departure for DuplexStream {
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

struct Client {
    socket: WebSocketStream<DuplexStream>,
    drain: Drainer,
    served: JoinHandle<End>,
}

impl Client {
    async fn connect(world: &World, credentials: Credentials, limits: ConnectionLimits) -> Self {
        Self::connect_with(world, credentials, limits, Intake::new(256 << 20)).await
    }

    async fn connect_with(
        world: &World,
        credentials: Credentials,
        limits: ConnectionLimits,
        intake: std::sync::Arc<Intake>,
    ) -> Self {
        let long = std::sync::Arc::new(LongMessages::new(tokio::runtime::Handle::current()));
        Self::connect_beside(world, credentials, limits, intake, &long).await
    }

    /// One of several whose long messages are worked on in the same place.
    async fn connect_to(
        world: &World,
        credentials: Credentials,
        limits: ConnectionLimits,
        long: &std::sync::Arc<LongMessages>,
    ) -> Self {
        Self::connect_beside(world, credentials, limits, Intake::new(256 << 20), long).await
    }

    async fn connect_beside(
        world: &World,
        credentials: Credentials,
        limits: ConnectionLimits,
        intake: std::sync::Arc<Intake>,
        long: &std::sync::Arc<LongMessages>,
    ) -> Self {
        let (there, here) = duplex(1 << 20);
        let (drain, draining) = drain();
        let broker = std::sync::Arc::clone(&world.broker);
        let long = std::sync::Arc::clone(long);
        let served = tokio::spawn(async move {
            let config = WebSocketConfig::default()
                .max_message_size(Some(CLIENT_MESSAGE_BYTES))
                .max_frame_size(Some(CLIENT_MESSAGE_BYTES));
            let socket =
                WebSocketStream::from_raw_socket(Metered::new(there), Role::Server, Some(config)).await;
            let load = Load::none(&intake, credentials.address());
            let credentials = std::sync::Arc::new(credentials);
            Connection::new(socket, (&broker, &credentials), &long, None, limits, load)
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
        idle: Duration::from_millis(300),
        ..LIMITS
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

/// By turns, not by time: what others are told meanwhile is what alice waits behind.
#[tokio::test]
async fn who_does_not_stop_when_he_is_held_back_keeps_nobody_waiting() {
    const FLOODS: usize = 20;
    const CALLS: usize = 900;
    let world = World::new();
    let mut alice = Client::alice(&world).await;
    alice.say(COUNT).await;
    alice.hear().await.unwrap();
    let mut floods = Vec::new();
    for _ in 0..FLOODS {
        let mut flood = Client::connect(&world, World::connection("rita"), LIMITS).await;
        for _ in 0..CALLS {
            flood.socket.feed(Frame::text(COUNT)).await.unwrap();
        }
        floods.push(flood);
    }
    for flood in &mut floods {
        flood.socket.flush().await.unwrap();
    }
    for _ in 0..5 {
        alice.say(COUNT).await;
        alice.hear().await.unwrap();
    }
    let mut told = 0;
    for flood in &mut floods {
        while let Some(Some(Ok(Frame::Text(_)))) = unconstrained(flood.socket.next()).now_or_never() {
            told += 1;
        }
    }
    assert!(told > 0, "nobody was refused meanwhile");
    assert!(
        told < FLOODS * CALLS / 10,
        "{told} were told something before alice was"
    );
}

#[tokio::test]
async fn who_shows_no_proof_where_one_is_needed_is_slowed_down_as_by_bad_ones() {
    let world = World::new();
    let mut known = Client::alice(&world).await;
    known.say(COUNT).await;
    assert!(known.hear().await.unwrap().contains("result"));
    let mut client = Client::connect(&world, World::stranger(), LIMITS).await;
    let (mut refused, mut held_back) = (0, 0);
    while held_back == 0 {
        client.say(COUNT).await;
        let answer = client.hear().await.unwrap();
        refused += u32::from(answer.contains(r#""code":401"#));
        held_back += u32::from(answer.contains(r#""code":429"#));
        assert!(refused <= 110, "{answer}");
    }
    assert!(refused >= 100, "{refused}");
    // A session that is open goes on, though it is at the same address.
    known.say(COUNT).await;
    assert!(known.hear().await.unwrap().contains("result"));
}

#[tokio::test]
async fn cancellations_of_nothing_without_end_are_a_flood() {
    let world = World::new();
    let mut client = Client::alice(&world).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#;
    for _ in 0..=CONTROL_FRAMES {
        if client.socket.send(Frame::text(cancel)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.hear().await, Err(4429));
}

#[tokio::test]
async fn who_is_held_back_and_cancels_each_call_is_flooding_too() {
    let world = World::new();
    let mut client = Client::connect(&world, World::connection("rita"), LIMITS).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"count","params":["Note"]}"#;
    let cancel = r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#;
    let mut code = None;
    for _ in 0..3 * HELD_BACK {
        // Together, so that the call is still there to be cancelled.
        let fed = client.socket.feed(Frame::text(call)).await;
        if fed.is_err() || client.socket.send(Frame::text(cancel)).await.is_err() {
            break;
        }
        if let Err(closed) = client.hear().await {
            code = Some(closed);
            break;
        }
    }
    assert_eq!(code, Some(4429));
}

#[tokio::test]
async fn a_message_that_never_comes_to_its_end_closes_the_connection_whatever_is_sent_between() {
    let world = World::new();
    let limits = ConnectionLimits {
        message: Duration::from_millis(400),
        ..LIMITS
    };
    let mut client = Client::connect(&world, World::connection("alice"), limits).await;
    // A first fragment (RFC 6455 §5.4), then pings and empty fragments for as long as it lasts; all under a mask of zeros.
    let stream = client.socket.get_mut();
    stream.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'{']).await.unwrap();
    for _ in 0..100 {
        let more = [0x89, 0x80, 0, 0, 0, 0, 0x00, 0x80, 0, 0, 0, 0];
        if stream.write_all(&more).await.is_err() || client.served.is_finished() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.hear().await, Err(4408));

    // One that comes in pieces but comes, and one after another, is answered.
    let mut client = Client::connect(&world, World::connection("alice"), limits).await;
    for _ in 0..3 {
        let mut frame = vec![0x81, 0x80 | u8::try_from(COUNT.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(COUNT.as_bytes());
        let (first, rest) = frame.split_at(10);
        client.socket.get_mut().write_all(first).await.unwrap();
        sleep(Duration::from_millis(200)).await;
        client.socket.get_mut().write_all(rest).await.unwrap();
        assert!(client.hear().await.unwrap().contains("result"));
    }
}

#[tokio::test]
async fn long_messages_beyond_the_room_are_503_while_short_ones_go_on() {
    let world = dawdling();
    let intake = Intake::new(4 * 100_000);
    let connect = || {
        Client::connect_with(
            &world,
            World::connection("alice"),
            LIMITS,
            std::sync::Arc::clone(&intake),
        )
    };
    let mut client = connect().await;
    let long = |id: &str| format!("{}{}", read(id), " ".repeat(60_000));
    client.say(&long("first")).await;
    // One address has a quarter of the room: two of these don't fit.
    sleep(Duration::from_millis(100)).await;
    let mut other = connect().await;
    other.say(&long("second")).await;
    let refused = other.hear().await.unwrap();
    assert!(
        refused.contains(r#""code":503"#) && refused.contains(r#""retryable":true"#),
        "{refused}"
    );
    let batch = format!("[{},{}]{}", read("a"), read("b"), " ".repeat(60_000));
    other.say(&batch).await;
    let refused = other.hear().await.unwrap();
    assert!(
        refused.starts_with('[') && refused.matches(r#""code":503"#).count() == 2,
        "{refused}"
    );
    other.say(COUNT).await;
    assert_eq!(other.hear().await.unwrap(), r#"{"id":"count","result":1}"#);
    assert_eq!(client.hear().await.unwrap(), r#"{"id":"first","result":"late"}"#);
    other.say(&long("third")).await;
    other.say(COUNT).await;
    let answers = [other.hear().await.unwrap(), other.hear().await.unwrap()].concat();
    assert!(answers.contains(r#"{"id":"third","result":"late"}"#), "{answers}");
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_proven_is_closed_and_a_silent_one_with_a_good_token_stays() {
    let world = World::new();
    let limits = ConnectionLimits {
        unproven: Duration::from_millis(300),
        ..LIMITS
    };
    let mut stranger = Client::connect(&world, World::stranger(), limits).await;
    let mut known = Client::connect(&world, World::connection("alice"), limits).await;
    assert_eq!(stranger.hear().await, Err(4401));
    let mut liar = Client::connect(&world, World::connection("nobody"), limits).await;
    // Its token is judged although it asks for nothing.
    assert_eq!(liar.hear().await, Err(4401));
    assert!(!known.served.is_finished());
    known.say(COUNT).await;
    assert!(known.hear().await.unwrap().contains("result"));
}

#[tokio::test]
async fn a_principal_has_so_many_connections_and_who_goes_makes_room() {
    let world = World::new();
    let mut clients = Vec::new();
    for _ in 0..=SEATS {
        let mut client = Client::alice(&world).await;
        client.say(COUNT).await;
        let answer = client.hear().await.unwrap();
        clients.push((client, answer));
    }
    let is_served = |(_, answer): &(Client, String)| answer.contains("result");
    assert_eq!(
        clients.iter().filter(|client| is_served(client)).count(),
        usize::try_from(SEATS).unwrap()
    );
    let (mut last, refused) = clients.pop().unwrap();
    assert!(
        refused.contains(r#""code":429"#) && refused.contains("retryAfter"),
        "{refused}"
    );
    // Another principal, and others' calls on a connection that is in.
    let mut rita = Client::connect(&world, World::connection("rita"), LIMITS).await;
    rita.say(&read("r")).await;
    assert!(rita.hear().await.unwrap().contains("result"));
    let (first, _) = clients.remove(0);
    drop(first.socket);
    first.served.await.unwrap();
    last.say(COUNT).await;
    assert!(last.hear().await.unwrap().contains("result"));
}

#[tokio::test]
async fn pings_without_end_are_a_flood() {
    let world = World::new();
    let mut client = Client::alice(&world).await;
    client.say(COUNT).await;
    assert!(client.hear().await.unwrap().contains("result"));
    for _ in 0..=CONTROL_FRAMES {
        // Answered by pongs, which nobody reads here: they are small.
        if client.socket.send(Frame::Ping(Vec::new().into())).await.is_err() {
            break;
        }
    }
    assert_eq!(client.hear().await, Err(4429));
}

#[tokio::test]
async fn who_takes_nothing_of_what_is_sent_is_cut_off() {
    let long = "x".repeat(4 << 20);
    let world = World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) => Said::Messages(vec![answered(execute, &format!("\"{long}\""))]),
        _ => Said::Messages(polite(message)),
    });
    let limits = ConnectionLimits {
        write: Duration::from_millis(300),
        ..LIMITS
    };
    let mut client = Client::connect(&world, World::connection("alice"), limits).await;
    client.say(&read("long")).await;
    let end = timeout(Duration::from_secs(10), client.served)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, End::Stalled);
}

/// Reads that the worker has heard of, by what they ask for.
fn reads(world: &World) -> usize {
    let executed = world.executed();
    let reads = executed
        .iter()
        .filter(|execute| execute.plan.action.name() == "read");
    reads.count()
}

/// Waits until the worker has heard of so many, and a little longer for those that it shall not hear of.
async fn wait_for_reads(world: &World, count: usize) {
    let heard = async {
        while reads(world) < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), heard).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(reads(world), count);
}

#[tokio::test]
async fn who_sends_long_messages_makes_nobody_else_wait() {
    let world = dawdling();
    // Two turns of each caller, whatever the connections.
    let long = std::sync::Arc::new(LongMessages::new(tokio::runtime::Handle::current()));
    let mut clients = Vec::new();
    for name in ["alice", "alice", "alice", "alice", "bob"] {
        let mut client = Client::connect_to(&world, World::connection(name), LIMITS, &long).await;
        // It is known whose connection it is.
        client.say(COUNT).await;
        client.hear().await.unwrap();
        clients.push(client);
    }
    let padded = |id: &str| format!("{}{}", read(id), " ".repeat(LONG));
    let [one, two, three, short, bob] = &mut clients[..] else {
        panic!("five clients");
    };
    for (client, id) in [(&mut *one, "1"), (two, "2")] {
        client.say(&padded(id)).await;
    }
    wait_for_reads(&world, 2).await;
    three.say(&padded("3")).await;
    // A message behind a long one comes after it.
    three.say(&read("behind")).await;
    wait_for_reads(&world, 2).await;
    short.say(&read("short")).await;
    wait_for_reads(&world, 3).await;
    bob.say(&padded("4")).await;
    wait_for_reads(&world, 4).await;
    // Everything so far is answered, and the third has its turn.
    short.say(COUNT).await;
    wait_for_reads(&world, 6).await;
    assert_eq!(one.hear().await.unwrap(), r#"{"id":"1","result":"late"}"#);
    short.say(COUNT).await;
    let mut answers = [three.hear().await.unwrap(), three.hear().await.unwrap()];
    answers.sort();
    let late = |id: &str| format!(r#"{{"id":"{id}","result":"late"}}"#);
    assert_eq!(answers, [late("3"), late("behind")]);
}

#[tokio::test]
async fn a_write_that_lets_others_go_first_has_one_turn_at_a_time() {
    let turns = std::cell::Cell::new(0);
    let write = async {
        for _ in 0..2 {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let mut taken = Box::pin(taken(LIMITS.write, write));
    for nth in 1..=2 {
        assert!((&mut taken).now_or_never().is_none(), "{nth}");
        assert_eq!(turns.get(), nth);
    }
    assert!(matches!((&mut taken).now_or_never(), Some(Ok(()))));
}

#[tokio::test]
async fn a_long_answer_comes_in_one_piece_and_in_order_with_short_ones() {
    let long = format!("\"{}\"", "ä".repeat(3 << 20));
    let expected = long.clone();
    let world = World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) if execute.plan.action.name() == "read" => {
            Said::Messages(vec![answered(execute, &long)])
        }
        ToWorker::Execute(execute) => Said::Messages(vec![answered(execute, "1")]),
        _ => Said::Messages(polite(message)),
    });
    let mut client = Client::alice(&world).await;
    for _ in 0..2 {
        client.say(&read("long")).await;
        let told = client.hear().await.unwrap();
        assert!(
            told == format!(r#"{{"id":"long","result":{expected}}}"#),
            "{}",
            told.len()
        );
        client.say(COUNT).await;
        assert_eq!(client.hear().await.unwrap(), r#"{"id":"count","result":1}"#);
    }
}
