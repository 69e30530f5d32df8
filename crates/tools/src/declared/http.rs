//! A request to an API, declared: where it goes, what goes along, and what of the answer is wanted.
//!
//! The host stands in the config and cannot be changed by a value; a value fills one piece of the path, however it is written.
//! Headers without places are secrets: they go to that host only, and are taken out of what it answers.

use super::{
    Canned,
    given::Given,
    template::{Place, Shape, Template, text_of},
};
use crate::{
    api::{Select, covered, hidden, scrub},
    charset::{decode, media_type},
    kept::Kept,
    outside::{retry_after, with_heartbeat},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Outage, Output};
use toolcrib_egress::{Egress, EgressError, Fetched, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Url, header};

/// What stays as it is in a piece of a path (RFC 3986, section 2.3: unreserved characters).
pub(super) const PIECE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The most pages of one answer, unless the config says.
pub const DEFAULT_PAGES: usize = 10;
/// How much of all pages together is read.
const MAX_PAGES_BYTES: usize = 16 << 20;
/// How much of an answer that tells of an error is told on.
const MAX_ERROR_CHARS: usize = 500;

/// A request as the config declares it.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The method.
    pub method: Method,
    /// The host, as the beginning of all URLs: scheme, name and port.
    pub origin: Url,
    /// The path, with a slash at its beginning.
    pub path: Template,
    /// Parameters of the URL. A list gives one for each of its values, what is missing none.
    pub query: Vec<(String, Template)>,
    /// Parameters of the URL that are written in another way.
    pub styled: Vec<Styled>,
    /// Headers that are the same for every call: secrets among them.
    pub secrets: HeaderMap,
    /// Headers with values in them.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: Option<Body>,
    /// Which part of a JSON answer is wanted: a JSONPath (RFC 9535).
    pub select: Option<String>,
    /// What a status means, in words, where the answer itself does not say.
    pub errors: BTreeMap<u16, String>,
    /// How more than one page is asked for.
    pub pages: Option<Pages>,
    /// Values that stand in it and that nobody is to see: those of variables and files.
    pub hidden: Vec<String>,
}

/// A parameter of the URL that is not written once for each of its values.
#[derive(Debug, Clone)]
pub struct Styled {
    /// Its name.
    pub name: String,
    /// The argument that it has its value from.
    pub argument: Template,
    /// How it is written.
    pub style: Style,
}

/// How a list or an object is written as a parameter (OpenAPI 3.0.3, section 4.7.12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The values of a list with this between them.
    Joined(&'static str),
    /// Each member of an object as `name[member]=value`.
    Deep,
    /// Each member of an object as a parameter of its own.
    Members,
    /// As JSON.
    Json,
}

impl Styled {
    fn pairs(&self, arguments: &Value) -> Vec<(String, String)> {
        let Some(value) = self.argument.given(arguments) else { return Vec::new() };
        let name = &self.name;
        match (self.style, value) {
            (Style::Json, value) => vec![(name.clone(), value.to_string())],
            (Style::Joined(between), Value::Array(items)) => {
                vec![(name.clone(), items.iter().map(text_of).collect::<Vec<_>>().join(between))]
            }
            (Style::Deep, Value::Object(members)) => {
                members.iter().map(|(member, value)| (format!("{name}[{member}]"), text_of(value))).collect()
            }
            (Style::Members, Value::Object(members)) => members.iter().map(|(member, value)| (member.clone(), text_of(value))).collect(),
            (_, value) => vec![(name.clone(), text_of(value))],
        }
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// JSON.
    Json(Shape),
    /// The fields of a form.
    Form(Vec<(String, Template)>),
    /// A text.
    Text(Template),
}

/// How pages follow each other.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Where the next page is told.
    pub next: Next,
    /// Where the items of a page are: a JSONPath. All of it, without one.
    pub items: Option<String>,
    /// The most pages that are asked for in one call.
    pub max: usize,
}

/// Where the next page is told.
#[derive(Debug, Clone)]
pub enum Next {
    /// In the header `Link`, as `rel="next"` (RFC 8288).
    Link,
    /// In the answer, by this JSONPath: what the parameter of this name is to be.
    Cursor {
        /// Where it is.
        path: String,
        /// The parameter of the URL.
        parameter: String,
    },
}

/// The tool.
pub(super) struct Http {
    settings: HttpSettings,
    egress: Egress,
    select: Option<Select>,
    items: Option<Select>,
    cursor: Option<Select>,
    kept: Kept,
}

impl HttpSettings {
    /// The places for values.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        let texts = self.query.iter().map(|(_, text)| text).chain(self.headers.iter().map(|(_, text)| text)).chain([&self.path]);
        let styled = self.styled.iter().map(|parameter| &parameter.argument);
        let mut places: Vec<&Place> = texts.chain(styled).flat_map(Template::places).collect();
        match &self.body {
            Some(Body::Json(shape)) => places.extend(shape.places()),
            Some(Body::Form(fields)) => places.extend(fields.iter().flat_map(|(_, text)| text.places())),
            Some(Body::Text(text)) => places.extend(text.places()),
            None => {}
        }
        places
    }

    /// What is wrong with the paths by which answers are read, each in a sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let pages = self.pages.as_ref();
        let cursor = pages.and_then(|pages| if let Next::Cursor { path, .. } = &pages.next { Some(path) } else { None });
        let paths = [self.select.as_ref(), pages.and_then(|pages| pages.items.as_ref()), cursor];
        paths.into_iter().flatten().filter_map(|path| Some(Select::parse(path).err()?.reason)).collect()
    }

    /// The request for these arguments, as it would be sent, but for the secrets.
    ///
    /// # Errors
    /// [`CallError::InvalidArguments`] for values that cannot stand where they are to.
    pub fn request(&self, arguments: &Value) -> Result<Request, CallError> {
        let path = self.path.fill_with(arguments, |value| utf8_percent_encode(value, PIECE).to_string());
        let path = path.ok_or_else(|| missing(&self.path, arguments))?;
        if let Some(empty) = self.path.places().find(|place| place.find(arguments).is_some_and(|value| value == "")) {
            return Err(CallError::InvalidArguments(format!("{empty} must not be empty: it stands in a path")));
        }
        let mut url = below(&self.origin, &path)?;
        let pairs: Vec<(&str, String)> = self.query.iter().flat_map(|(name, text)| each(name, text, arguments)).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let styled: Vec<(String, String)> = self.styled.iter().flat_map(|parameter| parameter.pairs(arguments)).collect();
        if !styled.is_empty() {
            url.query_pairs_mut().extend_pairs(styled);
        }
        let mut headers = HeaderMap::new();
        for (name, text) in &self.headers {
            let Some(value) = text.fill(arguments) else { continue };
            let value = HeaderValue::from_str(&value)
                .map_err(|_| CallError::InvalidArguments(format!("{name} cannot be {value:?}: no header may hold that")))?;
            headers.insert(name.clone(), value);
        }
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.8"));
        let body = self.body.as_ref().and_then(|body| body.fill(arguments));
        if let Some((_, media_type)) = &body {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
        }
        Ok(Request {
            method: self.method.clone(),
            url: url.into(),
            headers,
            secrets: self.secrets.clone(),
            body: body.map(|(bytes, _)| bytes.into()),
            timeout: None,
            follows_redirects: false,
        })
    }
}

impl Body {
    fn fill(&self, arguments: &Value) -> Option<(Vec<u8>, &'static str)> {
        match self {
            Self::Json(shape) => Some((shape.fill(arguments)?.to_string().into_bytes(), "application/json")),
            Self::Text(text) => Some((text.fill(arguments)?.into_bytes(), "text/plain; charset=utf-8")),
            Self::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields.iter().flat_map(|(name, text)| each(name, text, arguments)));
                Some((form.finish().into_bytes(), "application/x-www-form-urlencoded"))
            }
        }
    }
}

fn each<'a>(name: &'a str, text: &Template, arguments: &Value) -> impl Iterator<Item = (&'a str, String)> {
    text.fill_each(arguments).into_iter().map(move |value| (name, value))
}

fn missing(text: &Template, arguments: &Value) -> CallError {
    let missing = text.places().find(|place| arguments.get(place.root()).is_none_or(Value::is_null));
    CallError::InvalidArguments(missing.map_or_else(|| "a value is missing".to_owned(), |place| format!("{place} is needed")))
}

/// The URL of a path at this host, wherever servers take its dots and slashes to lead.
fn below(origin: &Url, path: &str) -> Result<Url, CallError> {
    let strays = || {
        CallError::InvalidArguments("a value that stands in a path is one piece of it: it holds no slash, and is not . or ..".to_owned())
    };
    if !crate::api::stays(path) {
        return Err(strays());
    }
    let mut url = origin.clone();
    url.set_path(path);
    Ok(url)
}

impl Http {
    /// The tool, with a way out that reaches its host.
    pub(super) fn new(settings: HttpSettings, egress: Egress, kept: Kept) -> Self {
        // Whether they can be read was found out with the config.
        let read = |path: Option<&String>| path.and_then(|path| Select::parse(path).ok());
        let select = read(settings.select.as_ref());
        let items = read(settings.pages.as_ref().and_then(|pages| pages.items.as_ref()));
        let cursor = settings.pages.as_ref().and_then(|pages| match &pages.next {
            Next::Cursor { path, .. } => read(Some(path)),
            Next::Link => None,
        });
        Self { settings, egress, select, items, cursor, kept }
    }

    fn host(&self) -> Arc<str> {
        self.settings.origin.host_str().unwrap_or_default().into()
    }

    /// Sends the request, and gives what was answered if that is no error.
    async fn fetch(&self, request: Request) -> Result<Fetched, CallError> {
        let fetched = self.egress.send(request).await.map_err(|error| self.unsent(error))?;
        let fetched = Fetched { body: scrub(&self.secrets(), fetched.body), ..fetched };
        if !fetched.status.is_success() {
            return Err(self.refused(&fetched));
        }
        if fetched.body.is_cut {
            let size = fetched.body.bytes.len();
            return Err(CallError::failed(format_args!("the answer of {} has more than {size} bytes (egress.maxBodyBytes)", self.host())));
        }
        Ok(fetched)
    }

    /// What an answer must not show: what variables and files have put into the request, and headers that are secrets by their names.
    fn secrets(&self) -> Vec<String> {
        let is_secret =
            |name: &HeaderName| ["authorization", "cookie", "key", "token", "secret"].iter().any(|word| name.as_str().contains(word));
        let headers = self.settings.secrets.iter().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value.to_str().ok());
        let tokens = headers.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, token)| token)]).flatten();
        let values = tokens.map(ToOwned::to_owned).chain(self.settings.hidden.iter().cloned());
        // As it is, and as it stands in a URL.
        hidden(values.flat_map(|value| [url::form_urlencoded::byte_serialize(value.as_bytes()).collect(), value]))
    }

    fn unsent(&self, error: EgressError) -> CallError {
        let reason = error.to_string();
        match error {
            EgressError::Dns { .. } | EgressError::Connect { .. } | EgressError::Tls { .. } => {
                CallError::Unavailable { server: self.host(), reason, outage: Outage::Unreached }
            }
            EgressError::Timeout { .. } | EgressError::BadAnswer { .. } => CallError::OutcomeUnknown { server: self.host(), reason },
            _ => CallError::failed(reason),
        }
    }

    /// What an answer means that is none: that a server has too much to do, that it is broken, or that the request is wrong.
    fn refused(&self, fetched: &Fetched) -> CallError {
        let Fetched { status, headers, .. } = fetched;
        let meaning = self.settings.errors.get(&status.as_u16());
        let said = meaning.cloned().unwrap_or_else(|| said(fetched));
        let reason = if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") };
        let is_safe = matches!(self.settings.method, Method::GET | Method::HEAD);
        let is_busy = *status == StatusCode::TOO_MANY_REQUESTS || wait(headers).is_some() || is_safe;
        match *status {
            // A proxy says so, too, of a server that broke off in the middle of the work.
            StatusCode::SERVICE_UNAVAILABLE if !is_busy => CallError::OutcomeUnknown { server: self.host(), reason },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                CallError::Unavailable { server: self.host(), reason, outage: Outage::Busy(wait(headers)) }
            }
            status if status.is_server_error() => CallError::OutcomeUnknown { server: self.host(), reason },
            _ => match meaning {
                Some(meaning) => CallError::failed(meaning),
                None => CallError::failed(format_args!("{}: {reason}", self.host())),
            },
        }
    }

    async fn answer(&self, arguments: &Value) -> Result<(Given, Option<String>), CallError> {
        let request = self.settings.request(arguments)?;
        let Some(pages) = &self.settings.pages else {
            return Ok((self.read(&self.fetch(request).await?, self.select.as_ref())?, None));
        };
        let (mut items, mut request, mut made, mut read_bytes) = (Vec::new(), Some(request), 0, 0);
        while made < pages.max
            && read_bytes < MAX_PAGES_BYTES
            && let Some(next) = request.take()
        {
            made += 1;
            let asked = next.clone();
            let fetched = self.fetch(next).await.map_err(|error| if made > 1 { self.after_a_page(error) } else { error })?;
            read_bytes += fetched.body.bytes.len();
            let page = json(&fetched).ok_or_else(|| CallError::failed(format_args!("{} gave a page that is no JSON", self.host())))?;
            let listed = match &self.items {
                Some(path) => path.apply(&page).map_err(|failure| CallError::failed(failure.reason))?.unwrap_or_else(|| Json::array([])),
                None => page.clone(),
            };
            items.extend(listed.elements().map_err(|error| CallError::failed(format_args!("the items of a page are no list: {error}")))?);
            match self.next(pages, asked, &fetched, &page) {
                Ok(next) => request = next,
                Err(why) => return Ok((Given::Json(Json::array(items)), Some(format!("(there is more, but {why})")))),
            }
        }
        let note = request.map(|_| format!("(there are more than the {made} pages that are given)"));
        Ok((Given::Json(Json::array(items)), note))
    }

    /// What asked for a page before has done what it does: with a request that does something, nobody can say that nothing was done.
    fn after_a_page(&self, error: CallError) -> CallError {
        match error {
            CallError::Unavailable { server, reason, .. } if !matches!(self.settings.method, Method::GET | Method::HEAD) => {
                CallError::OutcomeUnknown { server, reason }
            }
            other => other,
        }
    }

    /// The request for the page after this one, if there is one and it is at the same host.
    fn next(&self, pages: &Pages, asked: Request, fetched: &Fetched, page: &Json) -> Result<Option<Request>, String> {
        let url = match &pages.next {
            Next::Link => match next_link(&fetched.headers) {
                Some(link) => Some(fetched.url.join(&link).map_err(|error| format!("the next page cannot be found: {error}"))?),
                None => None,
            },
            Next::Cursor { parameter, .. } => {
                let cursor = self.cursor.as_ref().and_then(|path| path.apply(page).ok().flatten());
                let cursor =
                    cursor.and_then(|cursor| cursor.to_value().ok()).filter(|cursor| !matches!(cursor, Value::Null | Value::Bool(false)));
                cursor.map(|cursor| with_parameter(&fetched.url, parameter, &cursor))
            }
        };
        let elsewhere = |url: &Url| url.origin() != self.settings.origin.origin();
        match url {
            Some(url) if elsewhere(&url) => Err("the next page is said to be at another host, which is not asked".to_owned()),
            Some(url) => Ok(Some(Request { url: url.into(), ..asked })),
            None => Ok(None),
        }
    }

    /// What would come of this answer.
    pub(super) fn rehearse(&self, arguments: &Value, canned: &Canned) -> Result<Given, CallError> {
        let request = self.settings.request(arguments)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &canned.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        if canned.json.is_some() {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        let fetched = Fetched {
            url: Url::parse(&request.url).map_err(CallError::failed)?,
            status: StatusCode::from_u16(canned.status.unwrap_or(200)).map_err(CallError::failed)?,
            headers,
            body: toolcrib_egress::Body { bytes: canned.bytes().into(), is_cut: false },
            redirects: 0,
            elapsed: Duration::ZERO,
        };
        if !fetched.status.is_success() {
            return Err(self.refused(&fetched));
        }
        // One page is as good as several.
        self.read(&fetched, if self.settings.pages.is_some() { self.items.as_ref() } else { self.select.as_ref() })
    }

    fn read(&self, fetched: &Fetched, select: Option<&Select>) -> Result<Given, CallError> {
        let bytes = &fetched.body.bytes;
        if bytes.is_empty() {
            return Ok(Given::Nothing);
        }
        match (json(fetched), select) {
            (Some(json), Some(select)) => {
                let selected = select.apply(&json).map_err(|failure| CallError::failed(failure.reason))?;
                let nothing = || CallError::failed("the answer does not have what the tool looks for in it");
                selected.map(Given::Json).ok_or_else(nothing)
            }
            (Some(json), None) => Ok(Given::Json(json)),
            (None, Some(_)) => Err(CallError::failed(format_args!("{} answered with something that is no JSON", self.host()))),
            (None, None) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Given::Text(text.to_owned())),
                Err(_) => Ok(Given::Text(decode(bytes, Some(&content_type(&fetched.headers)), false).text)),
            },
        }
    }
}

fn json(fetched: &Fetched) -> Option<Json> {
    let is_json = media_type(&content_type(&fetched.headers)).ends_with("json") || fetched.body.bytes.trim_ascii_start().starts_with(b"{");
    if is_json { Json::parse(fetched.body.bytes.clone()).ok() } else { None }
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What the answer says of the error, shortened.
fn said(fetched: &Fetched) -> String {
    let text = String::from_utf8_lossy(&fetched.body.bytes);
    let mut said: String = text.trim().chars().take(MAX_ERROR_CHARS).collect();
    if let Some(location) = fetched.headers.get(header::LOCATION).filter(|_| fetched.status.is_redirection()) {
        let location = String::from_utf8_lossy(location.as_bytes());
        // What is asked for there may be a secret.
        let place: String = location.split(['?', '#']).next().unwrap_or_default().chars().take(MAX_ERROR_CHARS).collect();
        said = format!("it redirects to {place}, which is not followed");
    }
    said
}

/// The seconds after which a server wants to be asked again. A date is for people.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers)?.strip_prefix("in ")?.strip_suffix(" s")?.parse().ok().map(Duration::from_secs)
}

/// The target of the link whose relation is `next` (RFC 8288, section 3).
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(",")).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').map(str::trim).any(|parameter| {
            let relation = parameter.strip_prefix("rel=").map(|relation| relation.trim_matches('"'));
            relation.is_some_and(|relation| relation.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next")))
        });
        is_next.then(|| target.to_owned())
    })
}

fn with_parameter(url: &Url, name: &str, value: &Value) -> Url {
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut next = url.clone();
    next.query_pairs_mut().clear().extend_pairs(others).append_pair(name, &value);
    next
}

impl Callable for Http {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let arguments = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let (given, note) = with_heartbeat(&cx, "waiting for the answer", self.answer(&arguments)).await??;
            Ok(Output::Tool(given.output(&self.kept, cx.caller(), note.as_deref())))
        })
    }

    fn foretell(&self, arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        let arguments = arguments.to_value().ok()?;
        Some(self.settings.request(&arguments).map(|request| {
            let mut lines = vec![format!("{} {}", request.method, request.url)];
            let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            lines.extend(request.headers.iter().map(|(name, value)| format!("{name}: {}", shown(value))));
            lines.extend(request.secrets.keys().map(|name| format!("{name}: ***")));
            lines.extend(request.body.map(|body| String::from_utf8_lossy(&body).into_owned()));
            let secrets = self.secrets();
            lines.into_iter().map(|line| covered(&line, &secrets)).collect()
        }))
    }
}

#[cfg(test)]
mod tests;
