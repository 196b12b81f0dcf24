//! WebSocket frames (RFC 6455 §5.2), written and read at next to no cost: the load generator shares the machine with what it
//! measures, so what it spends is missing there.

/// A text as a client's frame. Masked with zeros, which leaves it as it is.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short call");
    let mut frame = vec![0x81];
    if length < 126 {
        frame.push(0x80 | u8::try_from(length).expect("less than 126"));
    } else {
        frame.push(0x80 | 126);
        frame.extend(length.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// What came, and how much of it was looked at.
#[derive(Default)]
pub(super) struct Inbox {
    /// Where the stream is read into.
    pub(super) bytes: Vec<u8>,
    at: usize,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A result.
    Result,
    /// 503 or 429: not now.
    Refused,
    /// Any other error.
    Failed,
}

impl Inbox {
    /// The next whole answer: the number that is its call's id, and what it says. None when the rest has not come yet.
    pub(super) fn next(&mut self) -> Option<(usize, Said)> {
        loop {
            let (opcode, start, end) = self.whole()?;
            self.at = end;
            // Pings come only where nothing is asked for long, and a close ends the stream as well.
            if opcode == 1 {
                return Some(understood(&self.bytes[start..end]));
            }
        }
    }

    /// Forgets what was looked at.
    pub(super) fn compact(&mut self) {
        self.bytes.drain(..self.at);
        self.at = 0;
    }

    /// The next frame's opcode and where its payload lies.
    fn whole(&self) -> Option<(u8, usize, usize)> {
        let rest = self.bytes.get(self.at..)?;
        let (&first, &second) = (rest.first()?, rest.get(1)?);
        assert!(
            first & 0x80 != 0 && second & 0x80 == 0,
            "a whole frame of a server"
        );
        let (head, length) = match second {
            126 => (
                4,
                rest.get(2..4)?
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            ),
            127 => (
                10,
                rest.get(2..10)?
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            ),
            short => (2, usize::from(short)),
        };
        let start = self.at + head;
        (self.bytes.len() >= start + length).then_some((first & 0x0f, start, start + length))
    }
}

fn understood(answer: &[u8]) -> (usize, Said) {
    let text = || String::from_utf8_lossy(answer);
    let rest = answer
        .strip_prefix(b"{\"id\":\"")
        .unwrap_or_else(|| panic!("an id of ours: {}", text()));
    let end = rest
        .iter()
        .position(|byte| *byte == b'"')
        .unwrap_or_else(|| panic!("{}", text()));
    let id = rest[..end]
        .iter()
        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    let rest = &rest[end + 1..];
    let said = if rest.starts_with(b",\"result\"") {
        Said::Result
    } else if [&b"\"code\":503"[..], b"\"code\":429"]
        .iter()
        .any(|code| rest.windows(code.len()).any(|part| part == *code))
    {
        Said::Refused
    } else {
        Said::Failed
    };
    (id, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_however_they_come() {
        let long = format!("{{\"id\":\"012\",\"result\":\"{}\"}}", "x".repeat(300));
        let mut all = Vec::new();
        for text in [
            r#"{"id":"7","error":{"code":503,"message":"busy"}}"#,
            long.as_str(),
            r#"{"id":"3","error":{"code":404,"message":"no"}}"#,
        ] {
            // As a server writes it: without a mask.
            let mut masked = frame(text);
            let head = if text.len() < 126 { 2 } else { 4 };
            masked.drain(head..head + 4);
            masked[1] &= 0x7f;
            all.extend(masked);
        }
        all.extend([0x89, 0]);
        let mut inbox = Inbox::default();
        let mut told = Vec::new();
        for byte in all {
            inbox.bytes.push(byte);
            told.extend(inbox.next());
            inbox.compact();
        }
        assert_eq!(told, [(7, Said::Refused), (12, Said::Result), (3, Said::Failed)]);
        assert!(inbox.bytes.is_empty());
    }
}
