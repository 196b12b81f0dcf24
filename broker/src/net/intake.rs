//! What clients' messages may take of the memory: while they come in piece by piece, and while they are worked on. A sender
//! decides how long a message is and how slowly it comes; without a bound over all of them ten thousand could hold 1 MiB each.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::client_stream::Departure;
use super::prefix;

/// Messages up to this length are not weighed, in bytes: ten thousand of them, one of each connection, are 40 MiB.
pub const LIGHT: usize = 4 * 1024;
/// An unfinished message is looked at again whenever it has grown by so much, in bytes.
const STEP: usize = 64 * 1024;
/// What one connection takes off its socket before the others have their turn, in bytes: one TLS record (RFC 8446 §5.1).
const SLICE: usize = 16 * 1024;
/// One address may take this part of the whole, so that no single one keeps all others' large messages out.
const SHARE: usize = 4;

/// The scale. One for the whole broker.
pub struct Intake {
    taken: Mutex<Taken>,
    most: usize,
}

#[derive(Default)]
struct Taken {
    total: usize,
    /// Who weighs nothing is not in it.
    by_address: HashMap<IpAddr, usize>,
}

/// Bytes on the scale; taken off when dropped.
pub struct Load {
    intake: Arc<Intake>,
    address: IpAddr,
    bytes: usize,
}

impl Intake {
    /// Room for so many bytes of messages.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            most,
        })
    }

    /// How long a message may take to come: the usual time up to half of the room, then less and less, so that
    /// who dawdles makes room for who doesn't.
    pub fn patience(&self, usual: Duration) -> Duration {
        let left = self.most.saturating_sub(self.taken().total);
        let half = self.most.div_euclid(2).max(1);
        if left >= half {
            return usual;
        }
        let (left, half) = (
            u32::try_from(left.div_euclid(1024)).unwrap_or(u32::MAX),
            u32::try_from(half.div_euclid(1024)).unwrap_or(u32::MAX).max(1),
        );
        usual.saturating_mul(left).checked_div(half).unwrap_or_default()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// Nothing yet, of somebody at this address.
    pub fn none(intake: &Arc<Intake>, address: IpAddr) -> Self {
        Self {
            intake: Arc::clone(intake),
            address: prefix(address),
            bytes: 0,
        }
    }

    /// A message of so many bytes beside this load; none where there is no room for it.
    pub fn beside(&self, bytes: usize) -> Option<Self> {
        let mut load = Self::none(&self.intake, self.address);
        load.weigh(bytes).then_some(load)
    }

    /// Weighs so much from now on, if there is room; else what it weighed before.
    pub fn weigh(&mut self, bytes: usize) -> bool {
        let bytes = if bytes <= LIGHT { 0 } else { bytes };
        if bytes == self.bytes {
            return true;
        }
        let Intake { taken: _, most } = *self.intake;
        let mut taken = self.intake.taken();
        let total = taken.total.saturating_sub(self.bytes).saturating_add(bytes);
        let here = taken.by_address.get(&self.address).copied().unwrap_or(0);
        let here = here.saturating_sub(self.bytes).saturating_add(bytes);
        if bytes > self.bytes && (total > most || here > most.div_euclid(SHARE)) {
            return false;
        }
        taken.total = total;
        if here == 0 {
            taken.by_address.remove(&self.address);
        } else {
            taken.by_address.insert(self.address, here);
        }
        self.bytes = bytes;
        true
    }

    /// What it weighs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// See [`Intake::patience`].
    pub fn patience(&self, usual: Duration) -> Duration {
        self.intake.patience(usual)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.weigh(0);
    }
}

/// A stream that knows how much of a WebSocket message has come that is not yet a message, and that pauses after each slice:
/// one that always has more to read would otherwise keep its task, and all others waiting.
pub struct Metered<S> {
    stream: S,
    /// Read since the last pause.
    slice: usize,
    /// Whether there was a pause since [`Metered::take_pause`].
    has_paused: bool,
    unfinished: usize,
    /// When the first byte of it came.
    since: Option<Instant>,
    /// What was unfinished when it was last looked at.
    seen: usize,
}

impl<S> Metered<S> {
    /// Of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            slice: 0,
            has_paused: false,
            unfinished: 0,
            since: None,
            seen: 0,
        }
    }

    /// Bytes of a message that is not complete, and since when. What came in one read with the end of the message before
    /// it is not counted: less than [`LIGHT`].
    pub fn unfinished(&self) -> Option<(usize, Instant)> {
        self.since.map(|since| (self.unfinished, since))
    }

    /// Whether a message has begun, or has grown a good deal, since [`Metered::look`].
    pub fn has_news(&self) -> bool {
        self.unfinished > 0 && (self.seen == 0 || self.unfinished.saturating_sub(self.seen) >= STEP)
    }

    /// Whether reading has paused since the last call, though there may be more: then the others are to have their turn.
    pub fn take_pause(&mut self) -> bool {
        std::mem::take(&mut self.has_paused)
    }

    /// Whether [`Metered::take_pause`] would tell of a pause.
    pub fn has_paused(&self) -> bool {
        self.has_paused
    }

    /// See [`Metered::has_news`].
    pub fn look(&mut self) {
        self.seen = self.unfinished;
    }

    /// A message is complete.
    pub fn complete(&mut self) {
        self.unfinished = 0;
        self.seen = 0;
        self.since = None;
    }

    /// A control frame with so many bytes of payload is complete; a message that it came in the middle of is not
    /// (RFC 6455 §5.4). From a client it has a head of 2 bytes and a mask of 4.
    pub fn complete_control(&mut self, payload: usize) {
        self.unfinished = self.unfinished.saturating_sub(payload.saturating_add(6));
        if self.unfinished == 0 {
            self.complete();
        } else {
            self.seen = self.seen.min(self.unfinished).max(1);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.slice >= SLICE {
            self.slice = 0;
            self.has_paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_pending() {
            self.slice = 0;
        }
        ready!(polled)?;
        let read = buffer.filled().len().saturating_sub(before);
        if read > 0 {
            self.slice = self.slice.saturating_add(read);
            self.since.get_or_insert_with(Instant::now);
            self.unfinished = self.unfinished.saturating_add(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Departure> Departure for Metered<S> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_gone(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn all_messages_together_are_bounded_and_one_address_has_a_quarter() {
        let intake = Intake::new(8 * MIB);
        let mut loads: Vec<Load> = (1..=4).map(|last| Load::none(&intake, address(last))).collect();
        for load in &mut loads {
            assert!(load.weigh(2 * MIB));
            assert!(!load.weigh(2 * MIB + LIGHT), "more than a quarter");
            assert_eq!(load.bytes(), 2 * MIB);
        }
        let mut other = Load::none(&intake, address(5));
        assert!(!other.weigh(LIGHT + 1), "all is taken");
        assert!(other.weigh(LIGHT), "what is light is not weighed");
        assert!(other.beside(MIB).is_none());
        drop(loads);
        let worked_on = other.beside(MIB);
        assert!(worked_on.is_some() && other.beside(MIB + 1).is_none());
        drop((worked_on, other));
        let taken = intake.taken();
        assert_eq!((taken.total, taken.by_address.len()), (0, 0));
    }

    #[test]
    fn patience_ends_as_the_room_does() {
        let intake = Intake::new(8 * MIB);
        let usual = Duration::from_secs(30);
        let mut loads = Vec::new();
        let mut told = Vec::new();
        for last in 1..=4 {
            let mut load = Load::none(&intake, address(last));
            assert!(load.weigh(2 * MIB));
            loads.push(load);
            told.push(intake.patience(usual).as_secs());
        }
        assert_eq!(told, [30, 30, 15, 0]);
    }

    #[tokio::test]
    async fn a_stream_that_always_has_more_pauses_after_each_slice() {
        use futures_util::FutureExt;
        use tokio::io::AsyncReadExt;
        let sent = vec![0_u8; SLICE * 3];
        let mut stream = Metered::new(sent.as_slice());
        let (mut buffer, mut read) = ([0; LIGHT], 0);
        for nth in 1..=3 {
            while let Some(length) = stream.read(&mut buffer).now_or_never() {
                read += length.unwrap();
                assert!(!stream.has_paused() && read <= nth * SLICE);
            }
            assert_eq!(read, nth * SLICE);
            assert!(stream.take_pause() && !stream.take_pause());
        }
        // Who only waits is woken at once.
        let mut stream = Metered::new(sent.as_slice());
        let mut read = Vec::new();
        assert_eq!(stream.read_to_end(&mut read).await.unwrap(), SLICE * 3);
    }

    #[tokio::test]
    async fn what_is_unfinished_is_counted_without_control_frames_and_ends_with_its_message() {
        use tokio::io::AsyncReadExt;
        let sent = vec![0_u8; 100_000];
        let mut stream = Metered::new(sent.as_slice());
        assert!(stream.unfinished().is_none() && !stream.has_news());
        let mut bytes = vec![0; 106];
        stream.read_exact(&mut bytes).await.unwrap();
        assert!(stream.has_news(), "a message has begun");
        stream.look();
        stream.complete_control(0);
        assert_eq!(stream.unfinished().map(|(bytes, _)| bytes), Some(100));
        assert!(!stream.has_news());
        let mut bytes = vec![0; STEP];
        stream.read_exact(&mut bytes).await.unwrap();
        assert!(stream.has_news(), "it has grown");
        stream.complete();
        assert!(stream.unfinished().is_none() && !stream.has_news());
    }
}
