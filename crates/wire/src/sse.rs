//! Server-sent events, written and read (WHATWG HTML, section 9.2).

use bytes::{BufMut, Bytes, BytesMut};
use std::{mem, time::Duration};

/// A comment that keeps idle connections open.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Writes one event whose data is one JSON text, with an id if it can be resumed from.
///
/// JSON text holds no line break outside of blanks between tokens; where the sender left some there, each line becomes
/// a `data:` line of its own, as the format wants.
#[must_use]
pub fn event(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(data.len() + id.map_or(0, str::len) + 32);
    if let Some(id) = id {
        text.put_slice(b"id: ");
        text.put_slice(id.as_bytes());
        text.put_u8(b'\n');
    }
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        text.put_slice(b"data: ");
        text.put_slice(line);
        text.put_u8(b'\n');
    }
    text.put_u8(b'\n');
    text.freeze()
}

/// Writes an event without data that gives the client a place to resume from and, if wanted, a time to wait first.
#[must_use]
pub fn priming(id: &str, retry: Option<Duration>) -> Bytes {
    let retry = retry.map_or_else(String::new, |wait| format!("retry: {}\n", wait.as_millis()));
    format!("id: {id}\n{retry}data: \n\n").into()
}

/// One event as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The id to resume from, if the event had one.
    pub id: Option<String>,
    /// How long to wait before connecting again, if the event said so.
    pub retry: Option<Duration>,
    /// The lines of data, joined.
    pub data: Vec<u8>,
}

/// Cuts a stream of bytes into events.
///
/// ```
/// use toolcrib_wire::sse::Decoder;
///
/// let mut decoder = Decoder::new(1024);
/// assert!(decoder.push(b"data: {\"a\"")?.is_empty());
/// assert_eq!(decoder.push(b":1}\n\n")?[0].data, b"{\"a\":1}");
/// # Ok::<(), toolcrib_wire::sse::TooLarge>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_event_bytes: usize,
    line: Vec<u8>,
    after_carriage_return: bool,
    is_first_line: bool,
    event: Event,
    has_data: bool,
}

/// An event exceeded the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event exceeds {max_event_bytes} bytes")]
pub struct TooLarge {
    /// The limit.
    pub max_event_bytes: usize,
}

impl Decoder {
    /// A decoder that refuses events of more than `max_event_bytes`.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            after_carriage_return: false,
            is_first_line: true,
            event: Event::default(),
            has_data: false,
        }
    }

    /// Takes the next bytes and gives the events that they complete.
    ///
    /// # Errors
    /// [`TooLarge`]; the decoder is then of no further use.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        if mem::take(&mut self.after_carriage_return) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend_line(&bytes[..end])?;
            let is_pair = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
            self.after_carriage_return = bytes[end] == b'\r' && end + 1 == bytes.len();
            bytes = &bytes[end + if is_pair { 2 } else { 1 }..];
            events.extend(self.end_line());
        }
        self.extend_line(bytes)?;
        Ok(events)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.line.len() + self.event.data.len() + bytes.len() > self.max_event_bytes {
            return Err(TooLarge { max_event_bytes: self.max_event_bytes });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = mem::take(&mut self.line);
        let mut line = line.as_slice();
        if mem::take(&mut self.is_first_line) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            let is_worth_telling = mem::take(&mut self.has_data) || event.id.is_some() || event.retry.is_some();
            return is_worth_telling.then_some(event);
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => self.event.id = String::from_utf8(value.to_vec()).ok(),
            b"retry" => self.event.retry = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).map(Duration::from_millis),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Vec<String> {
        Decoder::new(10_000).push(text.as_bytes()).unwrap().into_iter().map(|event| String::from_utf8(event.data).unwrap()).collect()
    }

    #[test]
    fn the_corners_of_the_format() {
        assert_eq!(decode("data: a\n\ndata:b\n\n"), ["a", "b"]);
        assert_eq!(decode("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ["a", "b", "c"]);
        assert_eq!(decode("\u{feff}data: a\ndata: b\n\n"), ["a\nb"]);
        assert_eq!(decode(": comment\n\nevent: message\ndata: a\n\n"), ["a"]);
        assert_eq!(decode("data\n\n"), [""]);
        assert_eq!(decode("data: cut off"), Vec::<String>::new());
        let event = &Decoder::new(100).push(&priming("7", Some(Duration::from_millis(500)))).unwrap()[0];
        assert_eq!((event.id.as_deref(), event.retry), (Some("7"), Some(Duration::from_millis(500))));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::new(100);
        let error = (0..100).find_map(|_| decoder.push(b"data: 0123456789\n").err());
        assert_eq!(error, Some(TooLarge { max_event_bytes: 100 }));
        assert!(Decoder::new(100).push(&[b'x'; 101]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_however_it_is_cut(texts in prop::collection::vec("[^\r\n]*", 1..5), cut in 1_usize..20) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| event(Some("1"), text.as_bytes())).collect();
            let mut decoder = Decoder::new(100_000);
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                read.extend(decoder.push(piece).unwrap().into_iter().map(|event| String::from_utf8(event.data).unwrap()));
            }
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn hostile_bytes_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10)) {
            let mut decoder = Decoder::new(200);
            for piece in pieces {
                if decoder.push(&piece).is_err() {
                    break;
                }
            }
        }
    }
}
