//! Sends one answer. What is long goes past the WebSocket library's buffer, which moves all that is left of it with each piece
//! that the socket takes: eight mebibytes would be moved a hundred times.

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::client_stream::Departure;
use super::{Connection, End, Error, Frame, taken};
use crate::channel::Weight;

/// Longest answer that is gathered with others for one write, in bytes.
const GATHERED: usize = 64 * 1024;
/// Longest head of a frame without a mask, in bytes (RFC 6455 §5.2).
const HEAD: usize = 10;

impl<S: AsyncRead + AsyncWrite + Departure + Unpin> Connection<'_, S> {
    /// Queues an answer; has it taken where it is long. Each long one has `limits.write_ms` for itself. `weights` are held
    /// until it is taken.
    pub(super) async fn answer(&mut self, text: String, weights: Vec<Weight>) -> Result<(), End> {
        if text.len() <= GATHERED {
            self.unflushed.extend(weights);
            return taken(self.limits.write, self.socket.feed(Frame::text(text))).await;
        }
        // INVARIANT: after a flush the library holds nothing back that this could overtake, and nobody else writes meanwhile.
        self.flush().await?;
        if self.is_left {
            return Err(End::Gone);
        }
        let header = FrameHeader {
            is_final: true,
            opcode: OpCode::Data(Data::Text),
            // A server masks nothing (RFC 6455 §5.1).
            mask: None,
            ..FrameHeader::default()
        };
        let mut head = Vec::with_capacity(HEAD);
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        header.format(length, &mut head).map_err(|_| End::Gone)?;
        let stream = self.socket.get_mut();
        let written = async {
            stream.write_all(&head).await?;
            for piece in text.as_bytes().chunks(GATHERED) {
                stream.write_all(piece).await?;
                // A client that takes it as fast as it comes shall not keep the others waiting.
                tokio::task::yield_now().await;
            }
            stream.flush().await?;
            Ok::<(), Error>(())
        };
        taken(self.limits.write, written).await?;
        drop(weights);
        Ok(())
    }
}
