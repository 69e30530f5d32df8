//! Bytes within bounds, before and after decompression.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use std::io::{self, Read};

/// How many encodings may lie over each other.
const MAX_ENCODINGS: usize = 2;
/// The largest window that a Zstandard frame may ask for.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;
/// The encodings that are asked for.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// The body of an answer, as far as the limits let it in.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// The bytes, decompressed.
    pub bytes: Bytes,
    /// Whether there was more.
    pub is_cut: bool,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the body is encoded as {0:?}, which is not understood")]
    UnknownEncoding(String),
    #[error("the body is not {encoding} as its header says")]
    BadEncoding { encoding: &'static str, source: io::Error },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Reads the body of an answer, at most so many bytes from the wire and so many after decompression.
pub(crate) async fn read(mut response: reqwest::Response, max_wire: usize, max_bytes: usize) -> Result<Body, BodyError> {
    let encodings = encodings(response.headers())?;
    let limit = if encodings.is_empty() { max_bytes } else { max_wire };
    let mut body = BytesMut::new();
    let mut is_cut = false;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            is_cut = true;
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let mut body = Body { bytes: body.freeze(), is_cut };
    // What was put on last comes off first.
    for encoding in encodings.into_iter().rev() {
        body = tokio::task::spawn_blocking(move || decode(&body, encoding, max_bytes))
            .await
            .map_err(|_| BodyError::BadEncoding { encoding: encoding.name(), source: io::Error::other("the decoder broke off") })??;
    }
    Ok(body)
}

fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, BodyError> {
    let mut encodings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().unwrap_or("?").split(',').map(|name| name.trim().to_ascii_lowercase()) {
            match name.as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => encodings.push(Encoding::Gzip),
                "deflate" => encodings.push(Encoding::Deflate),
                "br" => encodings.push(Encoding::Brotli),
                "zstd" => encodings.push(Encoding::Zstd),
                _ => return Err(BodyError::UnknownEncoding(name)),
            }
        }
    }
    if encodings.len() > MAX_ENCODINGS { Err(BodyError::UnknownEncoding(format!("{} layers", encodings.len()))) } else { Ok(encodings) }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses until the limit: what lies beyond it is never made, however small it was packed.
fn decode(body: &Body, encoding: Encoding, max_bytes: usize) -> Result<Body, BodyError> {
    let bad = |source| BodyError::BadEncoding { encoding: encoding.name(), source };
    let packed = &*body.bytes;
    if packed.is_empty() {
        return Ok(body.clone());
    }
    let mut unpacked = Unpacked { bytes: Vec::new(), max_bytes };
    let ended = match encoding {
        Encoding::Gzip => unpacked.take(&mut flate2::read::MultiGzDecoder::new(packed)),
        // The header names zlib; some servers send what is inside of it.
        Encoding::Deflate if packed[0] & 0x0f == 8 => unpacked.take(&mut flate2::read::ZlibDecoder::new(packed)),
        Encoding::Deflate => unpacked.take(&mut flate2::read::DeflateDecoder::new(packed)),
        Encoding::Brotli => unpacked.take(&mut brotli_decompressor::Decompressor::new(packed, 4096)),
        Encoding::Zstd => unpacked.take_frames(packed),
    };
    let is_cut = match ended {
        Ok(Ended::AtTheEnd) => body.is_cut,
        Ok(Ended::AtTheLimit) => true,
        // A body that we cut ourselves ends in the middle of something.
        Err(_) if body.is_cut && !unpacked.bytes.is_empty() => true,
        // What follows a whole gzip member and is none is padding.
        Err(error) if encoding == Encoding::Gzip && error.kind() == io::ErrorKind::InvalidInput && !unpacked.bytes.is_empty() => {
            body.is_cut
        }
        Err(error) => return Err(bad(error)),
    };
    Ok(Body { bytes: unpacked.bytes.into(), is_cut })
}

struct Unpacked {
    bytes: Vec<u8>,
    max_bytes: usize,
}

enum Ended {
    AtTheEnd,
    AtTheLimit,
}

impl Unpacked {
    fn take(&mut self, reader: &mut dyn Read) -> io::Result<Ended> {
        let mut piece = [0; 16 * 1024];
        loop {
            let read = reader.read(&mut piece)?;
            if read == 0 {
                return Ok(Ended::AtTheEnd);
            }
            let room = self.max_bytes - self.bytes.len();
            self.bytes.extend_from_slice(&piece[..read.min(room)]);
            if read > room {
                return Ok(Ended::AtTheLimit);
            }
        }
    }

    /// All frames of Zstandard, one after the other; those that are to be skipped are (RFC 8878, section 3.1.2).
    fn take_frames(&mut self, mut packed: &[u8]) -> io::Result<Ended> {
        while !packed.is_empty() {
            if let Some((header, rest)) =
                packed.split_at_checked(8).filter(|(header, _)| header[0] & 0xf0 == 0x50 && header[1..4] == [0x2a, 0x4d, 0x18])
            {
                let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
                packed = rest.get(size..).unwrap_or_default();
                continue;
            }
            let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, MAX_ZSTD_WINDOW);
            let mut decoder = decoder.map_err(io::Error::other)?;
            if let Ended::AtTheLimit = self.take(&mut decoder)? {
                return Ok(Ended::AtTheLimit);
            }
            packed = decoder.into_inner();
        }
        Ok(Ended::AtTheEnd)
    }
}
