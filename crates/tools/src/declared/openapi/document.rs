//! Where things stand in a document, whichever its version.

use serde_json::{Map, Value};
use toolcrib_egress::{Method, Url};

/// How many references may lead to each other before something is found.
const MAX_HOPS: usize = 16;
const METHODS: &[(&str, Method)] = &[
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
];

/// A document.
pub(super) struct Document<'a> {
    root: &'a Value,
    /// Whether it is of version 2.0.
    pub(super) is_swagger: bool,
}

/// One operation, with what its path says for all of them.
pub(super) struct Operation<'a> {
    /// Its id, or its method and path as one word.
    pub(super) id: String,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) says: &'a Value,
    of_path: &'a Value,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Value) -> Result<Self, String> {
        // Without quotes, YAML takes it for a number.
        let text = |version: &Value| version.as_str().map(ToOwned::to_owned).or_else(|| version.is_number().then(|| version.to_string()));
        let version = text(&root["openapi"]).or_else(|| text(&root["swagger"]));
        match version.as_deref() {
            Some(version) if version.starts_with("3.0") || version.starts_with("3.1") => Ok(Self { root, is_swagger: false }),
            Some("2.0" | "2") => Ok(Self { root, is_swagger: true }),
            Some(other) => Err(format!("OpenAPI {other} is not known; 2.0, 3.0 and 3.1 are")),
            None => Err("this is no OpenAPI document: it has neither \"openapi\" nor \"swagger\"".to_owned()),
        }
    }

    /// What a reference leads to; anything else is itself. None for references that lead nowhere, out of the document, or in circles.
    pub(super) fn resolve<'v>(&self, value: &'v Value) -> Option<&'v Value>
    where
        'a: 'v,
    {
        let mut found = value;
        for _ in 0..MAX_HOPS {
            match found["$ref"].as_str() {
                Some(reference) => {
                    found = self.root.pointer(&percent_encoding::percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?)?
                }
                None => return Some(found),
            }
        }
        None
    }

    pub(super) fn operations(&self) -> Vec<Operation<'a>> {
        let mut operations = Vec::new();
        for (path, of_path) in self.root["paths"].as_object().into_iter().flatten() {
            let of_path = self.resolve(of_path).unwrap_or(of_path);
            for (name, method) in METHODS {
                let says = &of_path[*name];
                if says.is_object() {
                    let id = says["operationId"].as_str().map_or_else(|| format!("{name}_{}", path.trim_matches('/')), ToOwned::to_owned);
                    operations.push(Operation { id, method: method.clone(), path, says, of_path });
                }
            }
        }
        operations
    }

    /// The parameters of an operation: its own, and those of its path that it does not replace.
    pub(super) fn parameters(&self, operation: &Operation<'a>) -> Result<Vec<&'a Value>, String> {
        let mut parameters: Vec<&Value> = Vec::new();
        let lists = [&operation.of_path["parameters"], &operation.says["parameters"]];
        for written in lists.into_iter().filter_map(Value::as_array).flatten() {
            let parameter = self.resolve(written).ok_or("one of its parameters is described elsewhere")?;
            parameters.retain(|other| (&other["name"], &other["in"]) != (&parameter["name"], &parameter["in"]));
            parameters.push(parameter);
        }
        Ok(parameters)
    }

    /// The names of the security schemes.
    pub(super) fn schemes(&self) -> impl Iterator<Item = &'a str> {
        self.defined_schemes().into_iter().flat_map(|schemes| schemes.keys().map(String::as_str))
    }

    pub(super) fn scheme(&self, name: &str) -> Option<&'a Value> {
        self.resolve(self.defined_schemes()?.get(name)?)
    }

    fn defined_schemes(&self) -> Option<&'a Map<String, Value>> {
        let schemes = if self.is_swagger { &self.root["securityDefinitions"] } else { &self.root["components"]["securitySchemes"] };
        schemes.as_object()
    }

    /// The names of the schemes that an operation takes. Where the document says nothing, any of them.
    pub(super) fn schemes_of(&self, operation: &Operation<'a>) -> Vec<&'a str> {
        let wanted = operation.says.get("security").or_else(|| self.root.get("security"));
        match wanted.and_then(Value::as_array) {
            Some(wanted) => wanted.iter().filter_map(Value::as_object).flat_map(|names| names.keys().map(String::as_str)).collect(),
            None => self.schemes().collect(),
        }
    }

    /// The media types that a body may have in version 2.0.
    pub(super) fn consumes(&self, operation: &Operation<'a>) -> Vec<&'a str> {
        let types = operation.says.get("consumes").unwrap_or(&self.root["consumes"]);
        types.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Where operations are that say nothing else.
    pub(super) fn usual_server(&self, location: Option<&Url>) -> Option<Url> {
        let nothing = &Value::Null;
        let usual = Operation { id: String::new(), method: Method::GET, path: "", says: nothing, of_path: nothing };
        self.server(&usual, location).ok()
    }

    /// Where an operation is: the URL that its path comes after.
    pub(super) fn server(&self, operation: &Operation<'a>, location: Option<&Url>) -> Result<Url, String> {
        let written = if self.is_swagger { self.host() } else { self.first_server(operation) };
        let written = written.ok_or("the document does not say where its API is: say it as \"server\"")?;
        let absolute = match location {
            Some(location) => location.join(&written),
            None => Url::parse(&written),
        };
        let url = absolute.map_err(|_| format!("its API is at {written:?}, which is no absolute URL: say \"server\""))?;
        match url.scheme() {
            "http" | "https" if url.host_str().is_some() => Ok(url),
            _ => Err(format!("its API is at {written:?}, which is no URL of http or https: say \"server\"")),
        }
    }

    fn host(&self) -> Option<String> {
        let base = self.root["basePath"].as_str().unwrap_or("/");
        let Some(host) = self.root["host"].as_str() else { return Some(base.to_owned()) };
        let schemes: Vec<&str> = self.root["schemes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let scheme = if schemes.contains(&"https") || schemes.is_empty() { "https" } else { schemes[0] };
        Some(format!("{scheme}://{host}{base}"))
    }

    fn first_server(&self, operation: &Operation<'a>) -> Option<String> {
        let lists = [&operation.says["servers"], &operation.of_path["servers"], &self.root["servers"]];
        let server = lists.into_iter().find_map(|servers| servers.get(0))?;
        let url = server["url"].as_str()?.to_owned();
        let variables = server["variables"].as_object().into_iter().flatten();
        Some(
            variables
                .fold(url, |url, (name, variable)| url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or_default())),
        )
    }
}

impl<'a> Operation<'a> {
    pub(super) fn tags(&self) -> impl Iterator<Item = &'a str> {
        self.says["tags"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }
}
