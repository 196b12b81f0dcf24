//! That it wakes only for what arrives, and that nothing is lost where there is no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often the runtime wakes who waits for bytes on `waiting` while its other side takes some that were sent before.
async fn woken_by_room(mut waiting: impl AsyncRead + AsyncWrite + Unpin, mut other: UnixStream) -> usize {
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut context = Context::from_waker(&waker);
    let mut memory = [0; 16];
    // What is ready from the start is no news.
    for _ in 0..3 {
        let mut buffer = ReadBuf::new(&mut memory);
        assert!(
            Pin::new(&mut waiting)
                .poll_read(&mut context, &mut buffer)
                .is_pending()
        );
        sleep(Duration::from_millis(5)).await;
    }
    waiting.write_all(b"question").await.unwrap();
    sleep(Duration::from_millis(5)).await;
    let mut buffer = ReadBuf::new(&mut memory);
    assert!(
        Pin::new(&mut waiting)
            .poll_read(&mut context, &mut buffer)
            .is_pending()
    );
    let before = counter.0.load(Ordering::Relaxed);
    let mut question = [0; 8];
    other.read_exact(&mut question).await.unwrap();
    sleep(Duration::from_millis(20)).await;
    let by_room = counter.0.load(Ordering::Relaxed).saturating_sub(before);
    other.write_all(b"answer").await.unwrap();
    sleep(Duration::from_millis(20)).await;
    assert!(
        counter.0.load(Ordering::Relaxed) > before.saturating_add(by_room),
        "it is woken by what arrives"
    );
    by_room
}

#[tokio::test]
async fn who_waits_for_bytes_is_not_woken_by_room() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(woken_by_room(LocalStream::new(ours).unwrap(), theirs).await, 0);
}

#[tokio::test]
async fn what_is_more_than_the_socket_holds_arrives_whole_both_ways() {
    const BYTES: usize = 8 << 20;
    let (ours, theirs) = UnixStream::pair().unwrap();
    let sent: Vec<u8> = (0..BYTES).map(|nth| u8::try_from(nth % 251).unwrap()).collect();
    let (one, other) = (LocalStream::new(ours).unwrap(), LocalStream::new(theirs).unwrap());
    let exchange = |stream: LocalStream, sent: Vec<u8>| async move {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let writer = tokio::spawn(async move {
            writing.write_all(&sent).await.unwrap();
            writing.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        reading.read_to_end(&mut got).await.unwrap();
        writer.await.unwrap();
        got
    };
    let (got, got_too) = timeout(PATIENCE, async {
        tokio::join!(exchange(one, sent.clone()), exchange(other, sent.clone()))
    })
    .await
    .expect("both sides end");
    assert!(got == sent && got_too == sent);
}

#[tokio::test]
async fn a_reader_goes_on_after_its_writer_waited_for_room() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (mut reading, mut writing) = tokio::io::split(LocalStream::new(ours).unwrap());
    let reader = tokio::spawn(async move {
        let mut got = [0; 5];
        reading.read_exact(&mut got).await.unwrap();
        got
    });
    let writer = tokio::spawn(async move { writing.write_all(&vec![7; 4 << 20]).await });
    // The writer has found no room and the reader waits.
    sleep(Duration::from_millis(20)).await;
    theirs.write_all(b"hello").await.unwrap();
    assert_eq!(
        &timeout(PATIENCE, reader).await.expect("it is woken").unwrap(),
        b"hello"
    );
    let mut taken = vec![0; 4 << 20];
    timeout(PATIENCE, theirs.read_exact(&mut taken))
        .await
        .expect("all of it comes")
        .unwrap();
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_end_of_the_other_side_is_seen() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut stream = LocalStream::new(ours).unwrap();
    drop(theirs);
    let mut got = Vec::new();
    assert_eq!(
        timeout(PATIENCE, stream.read_to_end(&mut got))
            .await
            .unwrap()
            .unwrap(),
        0
    );
    assert!(stream.write_all(b"anybody?").await.is_err());
}
