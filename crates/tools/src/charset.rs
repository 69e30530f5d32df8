//! Bytes to text, in the encoding that a header, a mark, the page itself or its bytes tell of (WHATWG Encoding).

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

/// How much of a page is looked at for a `<meta charset>` (HTML, "prescan a byte stream").
const PRESCAN_BYTES: usize = 1024;

/// A text, and how it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    pub(crate) encoding: &'static str,
}

/// Decodes bytes: a byte order mark is believed first, then the header, then the page itself, then its bytes.
pub(crate) fn decode(bytes: &[u8], content_type: Option<&str>, is_html: bool) -> Decoded {
    let told = || content_type.and_then(charset_of).or_else(|| is_html.then(|| meta_charset(bytes)).flatten());
    let encoding = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or_else(told).unwrap_or_else(|| guess(bytes));
    let (text, encoding, _) = encoding.decode(bytes);
    Decoded { text: text.into_owned(), encoding: encoding.name() }
}

/// The media type of a header, in lower case and without parameters.
pub(crate) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn charset_of(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1);
    let charset =
        parameters.filter_map(|parameter| parameter.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charset.and_then(|(_, value)| Encoding::for_label(value.trim().trim_matches(['"', '\'']).as_bytes()))
}

fn meta_charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(PRESCAN_BYTES)]).to_ascii_lowercase();
    let metas = start.match_indices("<meta").map(|(index, _)| &start[index..]);
    let charset = metas.filter_map(|meta| meta[..meta.find('>').unwrap_or(meta.len())].split_once("charset=")).map(|(_, value)| {
        let value = value.trim_start_matches(['"', '\'', ' ']);
        &value[..value.find(['"', '\'', ' ', ';', '/', '>']).unwrap_or(value.len())]
    });
    let encoding = charset.filter_map(|label| Encoding::for_label(label.as_bytes())).next()?;
    // A page that could be read up to here is not in UTF-16, whatever it says (HTML, same place).
    Some(if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE { UTF_8 } else { encoding })
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_found_out() {
        let check = |bytes: &[u8], content_type: Option<&str>, text: &str, encoding: &str| {
            let decoded = decode(bytes, content_type, true);
            assert_eq!((decoded.text.as_str(), decoded.encoding), (text, encoding));
        };
        check("ä".as_bytes(), None, "ä", "UTF-8");
        check(b"\xe4", Some("text/html; charset=iso-8859-1"), "ä", "windows-1252");
        check(b"\xe4", Some("text/html; charset=\"latin1\""), "ä", "windows-1252");
        check("\u{feff}ä".as_bytes(), Some("text/html; charset=iso-8859-1"), "ä", "UTF-8");
        check(b"\xff\xfea\x00", None, "a", "UTF-16LE");
        check(b"<meta charset=shift_jis>\x82\xa0", None, "<meta charset=shift_jis>あ", "Shift_JIS");
        check(
            b"<meta http-equiv='Content-Type' content='text/html; charset=windows-1251'>\xcf",
            None,
            "<meta http-equiv='Content-Type' content='text/html; charset=windows-1251'>П",
            "windows-1251",
        );
        check(b"<meta charset=utf-16>a", None, "<meta charset=utf-16>a", "UTF-8");
        let russian = encoding_rs::WINDOWS_1251.encode("Привет, как дела? Это обычный русский текст.").0;
        check(&russian, None, "Привет, как дела? Это обычный русский текст.", "windows-1251");
    }
}
