//! What was written about declared tools: entries of `tools` that say what the tool does.

use super::{ChildLimits, Reader, Sandbox};
use crate::settings::document::{Faults, Node, Spanned};
use std::path::PathBuf;
use toolcrib_contract::Json;

/// One tool.
#[derive(Debug)]
pub(in crate::settings) struct Declared {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) title: Option<Spanned<String>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) category: Option<Spanned<String>>,
    pub(in crate::settings) tags: Vec<Spanned<String>>,
    pub(in crate::settings) author: Option<Spanned<String>>,
    pub(in crate::settings) version: Option<Spanned<String>>,
    pub(in crate::settings) timeout_secs: Option<Spanned<f64>>,
    pub(in crate::settings) input: Option<Spanned<Json>>,
    pub(in crate::settings) output: Option<Spanned<Json>>,
    pub(in crate::settings) hints: Vec<(String, Spanned<bool>)>,
    pub(in crate::settings) does: Vec<Does>,
    pub(in crate::settings) tests: Vec<Spanned<Json>>,
    /// What variables and files have put into it.
    pub(in crate::settings) secrets: Vec<String>,
    /// The folder of the file that it stands in.
    pub(in crate::settings) base: PathBuf,
}

/// What it does.
#[derive(Debug)]
pub(in crate::settings) enum Does {
    Http(Box<Http>),
    Command(Box<Command>),
    Sql(Sql),
    Pipeline(Pipeline),
    OpenApi(Box<OpenApi>),
}

#[derive(Debug)]
pub(in crate::settings) struct OpenApi {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) file: Option<Spanned<String>>,
    pub(in crate::settings) url: Option<Spanned<String>>,
    pub(in crate::settings) server: Option<Spanned<String>>,
    pub(in crate::settings) include: Option<Vec<Spanned<String>>>,
    pub(in crate::settings) exclude: Vec<Spanned<String>>,
    pub(in crate::settings) auth: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) headers: Vec<(String, Spanned<String>)>,
}

#[derive(Debug)]
pub(in crate::settings) struct Http {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) method: Option<Spanned<String>>,
    pub(in crate::settings) url: Option<Spanned<String>>,
    pub(in crate::settings) query: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) headers: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) body: Option<Spanned<Json>>,
    pub(in crate::settings) form: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) select: Option<Spanned<String>>,
    pub(in crate::settings) errors: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) pages: Option<Pages>,
}

#[derive(Debug)]
pub(in crate::settings) struct Pages {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) next: Option<Spanned<String>>,
    pub(in crate::settings) parameter: Option<Spanned<String>>,
    pub(in crate::settings) items: Option<Spanned<String>>,
    pub(in crate::settings) max: Option<Spanned<usize>>,
}

#[derive(Debug)]
pub(in crate::settings) struct Command {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) run: Vec<Spanned<String>>,
    pub(in crate::settings) stdin: Option<Spanned<Json>>,
    pub(in crate::settings) env: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) directory: Option<Spanned<String>>,
    pub(in crate::settings) output: Option<Spanned<String>>,
    pub(in crate::settings) max_output_bytes: Option<Spanned<usize>>,
    pub(in crate::settings) exit_codes: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) fine: Vec<Spanned<String>>,
    pub(in crate::settings) limits: Option<ChildLimits>,
    pub(in crate::settings) sandbox: Option<Sandbox>,
}

#[derive(Debug)]
pub(in crate::settings) struct Sql {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) database: Option<Spanned<String>>,
    pub(in crate::settings) statement: Option<Spanned<String>>,
    pub(in crate::settings) max_rows: Option<Spanned<usize>>,
    pub(in crate::settings) writes: Option<Spanned<bool>>,
}

#[derive(Debug)]
pub(in crate::settings) struct Pipeline {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) steps: Vec<Step>,
    pub(in crate::settings) result: Option<Spanned<Json>>,
}

#[derive(Debug)]
pub(in crate::settings) struct Step {
    pub(in crate::settings) name: Option<Spanned<String>>,
    pub(in crate::settings) tool: Option<Spanned<String>>,
    pub(in crate::settings) arguments: Option<Spanned<Json>>,
    pub(in crate::settings) when: Option<Spanned<String>>,
    pub(in crate::settings) place: Spanned<()>,
}

const DOES: &[&str] = &["http", "command", "sql", "pipeline", "openapi"];
const DECLARED: &[&str] = &[
    "http",
    "command",
    "sql",
    "pipeline",
    "openapi",
    "title",
    "description",
    "category",
    "tags",
    "author",
    "version",
    "timeout",
    "input",
    "output",
    "annotations",
    "tests",
];
const HINTS: &[&str] = &["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
const OPENAPI: &[&str] = &["file", "url", "server", "include", "exclude", "auth", "headers"];
const HTTP: &[&str] = &["method", "url", "query", "headers", "body", "form", "select", "errors", "pages"];
const PAGES: &[&str] = &["next", "parameter", "items", "max"];
const COMMAND: &[&str] = &["run", "stdin", "env", "directory", "output", "maxOutputBytes", "exitCodes", "fine", "limits", "sandbox"];
const SQL: &[&str] = &["database", "statement", "maxRows", "writes"];
const PIPELINE: &[&str] = &["steps", "result"];
const STEP: &[&str] = &["name", "tool", "args", "when"];

/// Whether an entry of `tools` declares a tool, and does not say something of a ready one.
pub(super) fn is_declared(name: &str, node: &Node<'_>) -> bool {
    // What is wrong with it is said when it is read.
    !toolcrib_tools::NAMES.contains(&name) && node.entries(&mut Faults::default()).iter().any(|(key, _)| DOES.contains(&key.as_str()))
}

impl Reader<'_> {
    pub(super) fn declared(&mut self, name: String, node: &Node<'_>) -> Declared {
        let of_others = std::mem::take(&mut self.values);
        let base = std::path::absolute(node.place().folder()).unwrap_or_default();
        let mut tool = Declared {
            name: node.place().with(name),
            title: None,
            description: None,
            category: None,
            tags: Vec::new(),
            author: None,
            version: None,
            timeout_secs: None,
            input: None,
            output: None,
            hints: Vec::new(),
            does: Vec::new(),
            tests: Vec::new(),
            secrets: Vec::new(),
            base,
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "title" => tool.title = self.text(&node),
                "description" => tool.description = self.text(&node),
                "category" => tool.category = self.text(&node),
                "tags" => tool.tags = self.list(&node),
                "author" => tool.author = self.text(&node),
                "version" => tool.version = self.text(&node),
                "timeout" => tool.timeout_secs = node.scalar("a number of seconds", self.faults),
                "input" => tool.input = self.value(&node),
                "output" => tool.output = self.value(&node),
                "annotations" => tool.hints = self.hints(&node),
                "http" => {
                    let http = self.http_tool(&node);
                    tool.does.push(Does::Http(Box::new(http)));
                }
                "command" => {
                    let command = self.command_tool(&node);
                    tool.does.push(Does::Command(Box::new(command)));
                }
                "sql" => {
                    let sql = self.sql_tool(&node);
                    tool.does.push(Does::Sql(sql));
                }
                "pipeline" => {
                    let pipeline = self.pipeline(&node);
                    tool.does.push(Does::Pipeline(pipeline));
                }
                "openapi" => {
                    let openapi = self.openapi(&node);
                    tool.does.push(Does::OpenApi(Box::new(openapi)));
                }
                "tests" => tool.tests = node.items(self.faults).iter().filter_map(|node| self.value(node)).collect(),
                _ => self.faults.add(node.unknown(&key, DECLARED)),
            }
        }
        tool.secrets = std::mem::replace(&mut self.values, of_others);
        tool
    }

    fn value(&mut self, node: &Node<'_>) -> Option<Spanned<Json>> {
        self.json(node).map(|json| node.place().with(json))
    }

    fn hints(&mut self, node: &Node<'_>) -> Vec<(String, Spanned<bool>)> {
        let mut hints = Vec::new();
        for (key, node) in node.entries(self.faults) {
            if HINTS.contains(&key.as_str()) {
                hints.extend(self.flag(&node).map(|flag| (key, flag)));
            } else {
                self.faults.add(node.unknown(&key, HINTS));
            }
        }
        hints
    }

    fn http_tool(&mut self, node: &Node<'_>) -> Http {
        let mut http = Http {
            place: node.place(),
            method: None,
            url: None,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            form: Vec::new(),
            select: None,
            errors: Vec::new(),
            pages: None,
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "method" => http.method = self.text(&node),
                "url" => http.url = self.text(&node),
                "query" => http.query = self.texts(&node),
                "headers" => http.headers = self.texts(&node),
                "body" => http.body = self.value(&node),
                "form" => http.form = self.texts(&node),
                "select" => http.select = self.text(&node),
                "errors" => http.errors = self.texts(&node),
                "pages" => http.pages = Some(self.pages(&node)),
                _ => self.faults.add(node.unknown(&key, HTTP)),
            }
        }
        http
    }

    fn openapi(&mut self, node: &Node<'_>) -> OpenApi {
        let mut openapi = OpenApi {
            place: node.place(),
            file: None,
            url: None,
            server: None,
            include: None,
            exclude: Vec::new(),
            auth: Vec::new(),
            headers: Vec::new(),
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "file" => openapi.file = self.text(&node),
                "url" => openapi.url = self.text(&node),
                "server" => openapi.server = self.text(&node),
                "include" => openapi.include = Some(self.list(&node)),
                "exclude" => openapi.exclude = self.list(&node),
                "auth" => openapi.auth = self.texts(&node),
                "headers" => openapi.headers = self.texts(&node),
                _ => self.faults.add(node.unknown(&key, OPENAPI)),
            }
        }
        openapi
    }

    fn pages(&mut self, node: &Node<'_>) -> Pages {
        let mut pages = Pages { place: node.place(), next: None, parameter: None, items: None, max: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "next" => pages.next = self.text(&node),
                "parameter" => pages.parameter = self.text(&node),
                "items" => pages.items = self.text(&node),
                "max" => pages.max = node.scalar("a whole number", self.faults),
                _ => self.faults.add(node.unknown(&key, PAGES)),
            }
        }
        pages
    }

    pub(super) fn command_tool(&mut self, node: &Node<'_>) -> Command {
        let mut command = Command {
            place: node.place(),
            run: Vec::new(),
            stdin: None,
            env: Vec::new(),
            directory: None,
            output: None,
            max_output_bytes: None,
            exit_codes: Vec::new(),
            fine: Vec::new(),
            limits: None,
            sandbox: None,
        };
        if node.is_sequence() {
            command.run = self.list(node);
            return command;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "run" => command.run = self.list(&node),
                "stdin" => command.stdin = self.value(&node),
                "env" => command.env = self.texts(&node),
                "directory" => command.directory = self.text(&node),
                "output" => command.output = self.text(&node),
                "maxOutputBytes" => command.max_output_bytes = node.scalar("a whole number", self.faults),
                "exitCodes" => command.exit_codes = self.texts(&node),
                "fine" => command.fine = self.list(&node),
                "limits" => command.limits = Some(self.child_limits(&node)),
                "sandbox" => command.sandbox = Some(self.sandbox(&node)),
                _ => self.faults.add(node.unknown(&key, COMMAND)),
            }
        }
        command
    }

    fn sql_tool(&mut self, node: &Node<'_>) -> Sql {
        let mut sql = Sql { place: node.place(), database: None, statement: None, max_rows: None, writes: None };
        if node.is_scalar() {
            sql.statement = self.text(node);
            return sql;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "database" => sql.database = self.text(&node),
                "statement" => sql.statement = self.text(&node),
                "writes" => sql.writes = self.flag(&node),
                "maxRows" => sql.max_rows = node.scalar("a whole number", self.faults),
                _ => self.faults.add(node.unknown(&key, SQL)),
            }
        }
        sql
    }

    fn pipeline(&mut self, node: &Node<'_>) -> Pipeline {
        let mut pipeline = Pipeline { place: node.place(), steps: Vec::new(), result: None };
        if node.is_sequence() {
            pipeline.steps = self.steps(node);
            return pipeline;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "steps" => pipeline.steps = self.steps(&node),
                "result" => pipeline.result = self.value(&node),
                _ => self.faults.add(node.unknown(&key, PIPELINE)),
            }
        }
        pipeline
    }

    fn steps(&mut self, node: &Node<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for node in node.items(self.faults) {
            let mut step = Step { name: None, tool: None, arguments: None, when: None, place: node.place() };
            for (key, node) in node.entries(self.faults) {
                match key.as_str() {
                    "name" => step.name = self.text(&node),
                    "tool" => step.tool = self.text(&node),
                    "args" => step.arguments = self.value(&node),
                    "when" => step.when = self.text(&node),
                    _ => self.faults.add(node.unknown(&key, STEP)),
                }
            }
            steps.push(step);
        }
        steps
    }
}
