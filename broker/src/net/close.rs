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
    /// A message did not come to its end in time.
    Slow,
    /// No proof that holds was shown in time.
    Unproven,
    /// There is no room for what the client wants: memory for its message, or one more connection of its principal.
    Full,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed it, or it broke: there is nobody to tell.
    Gone,
    /// The client did not take what was sent to it: it is not told, since it would not read that either.
    Stalled,
    /// A newcomer needed the place, and the client had proven nothing.
    Displaced,
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
            Closing::Slow => (CloseCode::Library(4408), "a message took too long"),
            Closing::Unproven => (CloseCode::Library(4401), "no proof was shown in time"),
            Closing::Full => (CloseCode::Again, "try again later"),
        };
        CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }
    }
}

impl End {
    /// Every reason, as metrics name it.
    pub const REASONS: [&'static str; 16] = [
        "gone",
        "stalled",
        "displaced",
        "going_away",
        "cut_off",
        "protocol",
        "binary",
        "not_utf8",
        "too_big",
        "unauthenticated",
        "revoked",
        "idle",
        "flooding",
        "slow",
        "unproven",
        "full",
    ];

    /// Its name in metrics.
    pub fn reason(self) -> &'static str {
        match self {
            End::Gone => "gone",
            End::Stalled => "stalled",
            End::Displaced => "displaced",
            End::Closing(closing) => match closing {
                Closing::GoingAway => "going_away",
                Closing::CutOff => "cut_off",
                Closing::Protocol => "protocol",
                Closing::Binary => "binary",
                Closing::NotUtf8 => "not_utf8",
                Closing::TooBig => "too_big",
                Closing::Unauthenticated => "unauthenticated",
                Closing::Revoked => "revoked",
                Closing::Idle => "idle",
                Closing::Flooding => "flooding",
                Closing::Slow => "slow",
                Closing::Unproven => "unproven",
                Closing::Full => "full",
            },
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
