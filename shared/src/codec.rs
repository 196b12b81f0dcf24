//! The only place that names bincode. Bytes ⇄ messages, with every length and depth checked before it is used.
//!
//! bincode 2.0.1 is the last release (RUSTSEC-2025-0141: unmaintained). We use its varint primitives and nothing of
//! it that allocates: lists, texts and nesting are read here, against what is left of the frame.

use std::num::{NonZeroU64, NonZeroU128};

use bincode::config::{self, Configuration};
use bincode::de::read::Reader;
use bincode::de::{Decode, Decoder, DecoderImpl};
use bincode::enc::write::Writer;
use bincode::enc::{Encode, EncoderImpl};
pub use bincode::error::{DecodeError, EncodeError};

use crate::limits::FRAME_DEPTH;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes end early, hold an unknown variant, a length beyond the frame, bad UTF-8, or nest too deep.
    #[error("not a message of this protocol")]
    Malformed(#[source] DecodeError),
    /// A message was followed by more bytes in the same frame.
    #[error("{0} bytes follow the message in its frame")]
    Trailing(usize),
    /// A message could not be written.
    #[error("the message could not be written")]
    Unwritable(#[source] EncodeError),
}

/// A type that crosses the channel. Implemented in `wire.rs` only, by lists that name every field.
pub trait Wire: Sized {
    /// Writes it.
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError>;
    /// Reads it; never allocates more than a small multiple of what the frame still holds.
    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError>;
}

/// Where a message is written to.
pub type Encoding<'a> = EncoderImpl<Sink<'a>, Configuration>;

/// Where a message is read from. The context is the nesting that is still allowed.
pub type Decoding<'a> = DecoderImpl<Source<'a>, Configuration, Depth>;

/// Writes `message` behind what `buffer` already holds.
pub fn encode<T: Wire>(message: &T, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    message
        .put(&mut EncoderImpl::new(Sink(buffer), config::standard()))
        .map_err(CodecError::Unwritable)
}

/// Reads one message that fills `bytes` wholly.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut from = DecoderImpl::new(Source(bytes), config::standard(), Depth(FRAME_DEPTH));
    let message = T::take(&mut from).map_err(CodecError::Malformed)?;
    match from.reader().0.len() {
        0 => Ok(message),
        rest => Err(CodecError::Trailing(rest)),
    }
}

/// Lists and boxes that may still be opened inside one another.
pub struct Depth(usize);

/// The growing end of a frame.
pub struct Sink<'a>(&'a mut Vec<u8>);

/// The unread rest of a frame.
pub struct Source<'a>(&'a [u8]);

impl Writer for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Reader for Source<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let missing = bytes.len().saturating_sub(self.0.len());
        let (head, rest) = self
            .0
            .split_at_checked(bytes.len())
            .ok_or(DecodeError::UnexpectedEnd { additional: missing })?;
        bytes.copy_from_slice(head);
        self.0 = rest;
        Ok(())
    }
}

pub(crate) const UNKNOWN_VARIANT: DecodeError = DecodeError::Other("unknown variant");
const TOO_DEEP: DecodeError = DecodeError::Other("nested too deep");
const TOO_LONG: DecodeError = DecodeError::Other("a length goes beyond the frame");
const NOT_UTF8: DecodeError = DecodeError::Other("a text is not UTF-8");

fn take_length(from: &mut Decoding<'_>) -> Result<usize, DecodeError> {
    let length = usize::try_from(u64::decode(from)?).map_err(|_| TOO_LONG)?;
    if length > from.reader().0.len() {
        Err(TOO_LONG)
    } else {
        Ok(length)
    }
}

fn put_length(length: usize, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
    u64::try_from(length)
        .map_err(|_| EncodeError::Other("a length beyond 64 bits"))?
        .encode(out)
}

pub(crate) fn put_text(text: &str, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
    put_length(text.len(), out)?;
    bincode::enc::Encoder::writer(out).write(text.as_bytes())
}

fn nested<T>(
    from: &mut Decoding<'_>,
    read: impl FnOnce(&mut Decoding<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let depth = from.context();
    depth.0 = depth.0.checked_sub(1).ok_or(TOO_DEEP)?;
    let value = read(from)?;
    let depth = from.context();
    depth.0 = depth.0.saturating_add(1);
    Ok(value)
}

macro_rules! primitive {
    ($($type:ty)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
                self.encode(out)
            }
            fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
                <$type>::decode(from)
            }
        }
    )*};
}

// What is not to be zero is refused by the decoder if it is.
primitive!(bool u16 u32 u64 i32 i64 f64 [u8; 16] [u8; 32] [u8; 64] NonZeroU64 NonZeroU128);

impl Wire for Vec<u8> {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        put_length(self.len(), out)?;
        bincode::enc::Encoder::writer(out).write(self)
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        let length = take_length(from)?;
        let mut bytes = vec![0; length];
        from.reader().read(&mut bytes)?;
        Ok(bytes)
    }
}

impl Wire for String {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        put_text(self, out)
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        String::from_utf8(Vec::<u8>::take(from)?).map_err(|_| NOT_UTF8)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        put_length(self.len(), out)?;
        self.iter().try_for_each(|item| item.put(out))
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        let length = take_length(from)?;
        nested(from, |from| {
            // Grows as items truly arrive: an item may be far larger in memory than the byte that announces it.
            let mut items = Vec::new();
            for _ in 0..length {
                items.push(T::take(from)?);
            }
            Ok(items)
        })
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        T::put(self, out)
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        nested(from, T::take).map(Box::new)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        self.is_some().put(out)?;
        self.as_ref().map_or(Ok(()), |value| value.put(out))
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        if bool::take(from)? {
            T::take(from).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        self.0.put(out)?;
        self.1.put(out)
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        self.is_ok().put(out)?;
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        if bool::take(from)? {
            T::take(from).map(Ok)
        } else {
            E::take(from).map(Err)
        }
    }
}
