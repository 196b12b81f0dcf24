//! How connections end: the close codes of the protocol (RFC 6455 §7.4 and our own from 4400), each with its reason.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::Utf8Bytes};

/// Why the broker closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The broker stops, and has answered all that it has read.
    GoingAway,
    /// The broker stops and waits no longer for what it has read.
    CutOff,
    /// The client broke RFC 6455.
    Protocol,
    /// The client sent a binary message.
    Binary,
    /// A text message is not UTF-8.
    NotUtf8,
    /// A message is longer than `CLIENT_MESSAGE_BYTES`.
    TooBig,
    /// The connection's token does not hold (any more).
    Unauthenticated,
    /// The connection's certificate does not hold any more.
    Revoked,
    /// Nothing came for too long, not even an answer to pings.
    Idle,
    /// The client goes on and on although it is told to slow down.
    Flooding,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed it, or it broke: there is nobody to tell.
    Gone,
    /// The broker closes it and says why.
    Closing(Closing),
}

impl Closing {
    /// Code and reason, for the client.
    pub fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Closing::GoingAway => (CloseCode::Away, "going away"),
            Closing::CutOff => (
                CloseCode::Away,
                "going away; what has no answer may have been done",
            ),
            Closing::Protocol => (CloseCode::Protocol, "not according to RFC 6455"),
            Closing::Binary => (CloseCode::Unsupported, "send text messages"),
            Closing::NotUtf8 => (CloseCode::Invalid, "not UTF-8"),
            Closing::TooBig => (CloseCode::Size, "message too big"),
            Closing::Unauthenticated => (CloseCode::Library(4401), "the token does not hold"),
            Closing::Revoked => (CloseCode::Library(4401), "the certificate does not hold"),
            Closing::Idle => (CloseCode::Library(4408), "idle"),
            Closing::Flooding => (CloseCode::Library(4429), "flooding"),
        };
        CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }
    }
}

impl From<&Error> for End {
    fn from(error: &Error) -> Self {
        match error {
            Error::Utf8(_) => End::Closing(Closing::NotUtf8),
            Error::Capacity(_) => End::Closing(Closing::TooBig),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => End::Gone,
            Error::Protocol(_) | Error::AttackAttempt => End::Closing(Closing::Protocol),
        }
    }
}
