//! Messages as lines on a pipe: the framing of stdio.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const READ_SIZE: usize = 64 * 1024;

/// One line as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its end, never blank.
    Text(Bytes),
    /// A line longer than the limit. It was skipped to its end; the next line is whole again.
    TooLong,
}

/// Reads lines of bounded length. Lines share the buffer that they were read into.
#[derive(Debug)]
pub struct LineReader<R> {
    input: R,
    max_line_bytes: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
    is_skipping: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `input`, refusing lines of more than `max_line_bytes`.
    pub fn new(input: R, max_line_bytes: usize) -> Self {
        Self { input, max_line_bytes, buffer: BytesMut::new(), scanned: 0, is_skipping: false }
    }

    /// The next line, `None` at the end of the input. Blank lines are passed over; a last line without an end counts.
    ///
    /// # Errors
    /// What reading the input fails with.
    ///
    /// # Cancellation
    /// May be dropped at any time: what was read stays in the buffer.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            while let Some(line) = self.take_line() {
                if !is_blank(&line) {
                    return Ok(Some(line));
                }
            }
            self.buffer.reserve(READ_SIZE);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                let rest = self.end_of_line(self.buffer.len(), 0);
                return Ok(rest.filter(|line| !is_blank(line)));
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        match self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            Some(position) => self.end_of_line(self.scanned + position, 1),
            None if self.is_skipping || self.buffer.len() > self.max_line_bytes => {
                self.is_skipping = true;
                self.buffer.clear();
                self.scanned = 0;
                None
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    fn end_of_line(&mut self, length: usize, end_bytes: usize) -> Option<Line> {
        let text = self.buffer.split_to(length + end_bytes).freeze().slice(..length);
        self.scanned = 0;
        if std::mem::take(&mut self.is_skipping) || length > self.max_line_bytes {
            return Some(Line::TooLong);
        }
        Some(Line::Text(text.strip_suffix(b"\r").map_or_else(|| text.clone(), |stripped| text.slice_ref(stripped))))
    }
}

fn is_blank(line: &Line) -> bool {
    matches!(line, Line::Text(text) if text.trim_ascii().is_empty())
}

/// Puts one message at the end of a text, as a line. Line breaks between the tokens of the message become blanks.
pub fn append(text: &mut Vec<u8>, message: &[u8]) {
    let start = text.len();
    text.extend_from_slice(message);
    text[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    text.push(b'\n');
}

/// Writes one message as a line, in one write.
///
/// # Errors
/// What writing fails with.
pub async fn write<W: AsyncWrite + Unpin>(output: &mut W, message: &[u8]) -> io::Result<()> {
    let mut line = Vec::with_capacity(message.len() + 1);
    append(&mut line, message);
    output.write_all(&line).await?;
    output.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn lines(input: &[u8], max: usize) -> Vec<String> {
        let mut reader = LineReader::new(input, max);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(match line {
                Line::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                Line::TooLong => "<too long>".to_owned(),
            });
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_cut_and_long_ones_are_skipped() {
        assert_eq!(lines(b"a\nb\r\n\n  \nc", 10).await, ["a", "b", "c"]);
        assert_eq!(lines(b"0123456789\n01234567890\nx\n", 10).await, ["0123456789", "<too long>", "x"]);
        let endless = [&[b'x'; 300_000][..], b"\nafter\n"].concat();
        assert_eq!(lines(&endless, 100).await, ["<too long>", "after"]);
        assert_eq!(lines(&[b'x'; 300_000], 100).await, ["<too long>"]);
    }

    #[tokio::test]
    async fn a_message_is_one_line_whatever_blanks_it_holds() {
        let mut output = Vec::new();
        write(&mut output, b"{\n\"a\":\r\n1}").await.unwrap();
        assert_eq!(output, b"{ \"a\":  1}\n");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_no_line_exceeds_the_limit(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..500)) {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
                for line in lines(&bytes, 20).await {
                    assert!(line.chars().count() <= 20);
                }
            });
        }
    }
}
