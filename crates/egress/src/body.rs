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
    let mut reader: Box<dyn Read + '_> = match encoding {
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        // The header names zlib; some servers send what is inside of it.
        Encoding::Deflate if packed[0] & 0x0f == 8 => Box::new(flate2::read::ZlibDecoder::new(packed)),
        Encoding::Deflate => Box::new(flate2::read::DeflateDecoder::new(packed)),
        Encoding::Brotli => Box::new(brotli_decompressor::Decompressor::new(packed, 4096)),
        Encoding::Zstd => Box::new(
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, MAX_ZSTD_WINDOW)
                .map_err(|error| bad(io::Error::other(error)))?,
        ),
    };
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(Body { bytes: bytes.into(), is_cut: body.is_cut }),
            Ok(read) if bytes.len() + read > max_bytes => {
                bytes.extend_from_slice(&piece[..max_bytes - bytes.len()]);
                return Ok(Body { bytes: bytes.into(), is_cut: true });
            }
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            // A body that we cut ourselves ends in the middle of something.
            Err(_) if body.is_cut && !bytes.is_empty() => return Ok(Body { bytes: bytes.into(), is_cut: true }),
            Err(error) => return Err(bad(error)),
        }
    }
}
