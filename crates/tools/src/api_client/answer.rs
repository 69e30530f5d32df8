//! What an answer is, and how much of it is given.

use super::{Answer, Binary, MAX_TEXT, Verb};
use crate::{
    api::{Failure, Select, scrub},
    charset::{decode, media_type},
    kept::Kept,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write};
use toolcrib_contract::{CallerId, Json};
use toolcrib_egress::{Body, Fetched, HeaderMap, StatusCode, header};

/// Headers whose values are nobody's business: cookies are not kept, and hand out sessions.
const WITHHELD: &[header::HeaderName] = &[header::SET_COOKIE];

pub(super) struct Reader {
    pub(super) kept: Kept,
    pub(super) caller: CallerId,
    pub(super) max_text: usize,
    /// What the answer must not show.
    pub(super) secrets: Vec<String>,
    /// Whether the caller knows that redirects are answers.
    pub(super) is_told_of_redirects: bool,
}

impl Reader {
    pub(super) fn read(&self, method: Verb, fetched: Fetched, select: Option<Select>) -> Result<Answer, Failure> {
        let Fetched { url, status, headers, body, redirects, elapsed } = fetched;
        let body = scrub(&self.secrets, body);
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let answer = Answer {
            method: method.method().to_string(),
            url: url.into(),
            status_code: Some(status.as_u16()),
            headers: Some(self.shown(&headers)),
            redirects: (redirects > 0).then_some(redirects),
            elapsed_ms: u64::try_from(elapsed.as_millis()).ok(),
            note: (is_redirect(status) && !self.is_told_of_redirects)
                .then(|| "the redirect was not followed: a body and secrets do not go to another origin by themselves".into()),
            ..Answer::default()
        };
        if body.bytes.is_empty() {
            return Ok(answer);
        }
        let is_json = media_type(&content_type).ends_with("json")
            || body.bytes.trim_ascii_start().starts_with(b"{")
            || body.bytes.trim_ascii_start().starts_with(b"[");
        match Json::parse(body.bytes.clone()) {
            Ok(json) if is_json => self.json(answer, &json, select),
            _ if select.is_some() => {
                Err(Failure::new("bad_select", format!("the answer (status {}) is not JSON, so nothing can be selected", status.as_u16())))
            }
            _ if is_text(&content_type, &body) => Ok(self.text(answer, &content_type, &body)),
            _ => Ok(self.binary(answer, &content_type, &body)),
        }
    }

    fn shown(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            let mut value = if WITHHELD.contains(name) { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
            self.secrets.iter().for_each(|secret| value = value.replace(secret, "***"));
            let all = shown.entry(name.to_string()).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&value);
        }
        shown
    }

    fn json(&self, answer: Answer, json: &Json, select: Option<Select>) -> Result<Answer, Failure> {
        let is_selected = select.is_some();
        let selected = match select {
            Some(select) => select.apply(json)?,
            None => Some(json.clone()),
        };
        let Some(selected) = selected else {
            return Ok(Answer { note: Some("the select matches nothing in the answer".into()), ..answer });
        };
        if selected.size_bytes() <= MAX_TEXT {
            return Ok(Answer { json: Some(selected), ..answer });
        }
        let what = if is_selected { "what was selected" } else { "the answer" };
        let note = format!("{what} has {} bytes of JSON; a narrower `select` gives the part that matters", selected.size_bytes());
        let resource = self.kept.keep(&self.caller, "application/json", selected.as_bytes().to_vec());
        Ok(self.cut(Answer { note: Some(note), resource, ..answer }, selected.as_str()))
    }

    fn text(&self, answer: Answer, content_type: &str, body: &Body) -> Answer {
        let text = decode(&body.bytes, Some(content_type), media_type(content_type).contains("html")).text;
        let answer = self.cut(answer, &text);
        if !answer.truncated {
            return Answer { truncated: body.is_cut, ..answer };
        }
        let resource = self.kept.keep(&self.caller, content_type, body.bytes.clone());
        let kept = if resource.is_some() { "; the resource holds all that was fetched" } else { "" };
        let note = format!("max_text gives more of it{kept}");
        Answer { note: Some(note), resource, ..answer }
    }

    /// As much of a text as the caller wants.
    fn cut(&self, answer: Answer, text: &str) -> Answer {
        let end = text.char_indices().nth(self.max_text).map(|(index, _)| index);
        match end {
            None => Answer { text: Some(text.to_owned()), ..answer },
            Some(end) => Answer { text: Some(text[..end].to_owned()), truncated: true, total_chars: Some(text.chars().count()), ..answer },
        }
    }

    fn binary(&self, answer: Answer, content_type: &str, body: &Body) -> Answer {
        let media_type = if content_type.is_empty() { "application/octet-stream".to_owned() } else { media_type(content_type) };
        let sha256 = Sha256::digest(&body.bytes).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let resource = self.kept.keep(&self.caller, &media_type, body.bytes.clone());
        let note = resource.is_none().then(|| "the body is too large to be kept".to_owned());
        let binary = Binary { media_type, size_bytes: body.bytes.len(), sha256 };
        Answer { binary: Some(binary), truncated: body.is_cut, resource, note, ..answer }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

fn is_text(content_type: &str, body: &Body) -> bool {
    let media_type = media_type(content_type);
    let says_so = media_type.starts_with("text/")
        || ["json", "xml", "javascript", "x-www-form-urlencoded", "yaml", "x-ndjson", "graphql", "csv"]
            .iter()
            .any(|kind| media_type.ends_with(kind));
    let says_otherwise = ["image/", "audio/", "video/", "font/"].iter().any(|kind| media_type.starts_with(kind))
        || ["octet-stream", "pdf", "zip", "gzip"].iter().any(|kind| media_type.ends_with(kind));
    says_so || (!says_otherwise && std::str::from_utf8(&body.bytes).is_ok() && !body.bytes.contains(&0))
}
