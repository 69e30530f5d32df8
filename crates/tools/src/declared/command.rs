//! A program, declared: its arguments out of the call's, what it reads, and what its end means.
//!
//! There is no shell: a value is one argument, whatever it holds. A value cannot become an option: where it would stand at the
//! beginning of an argument with a dash, the call is refused, unless the config has written `--` before it.

use super::{
    Canned,
    given::Given,
    template::{Place, Shape, Template},
};
use crate::{
    api::{covered, hidden},
    kept::Kept,
    outside::with_heartbeat,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use toolcrib_child::{Group, Guard, Limits, Sandbox};
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Output};

/// The most that is read of what a program writes, unless the config says.
pub const DEFAULT_MAX_OUTPUT_BYTES: usize = 1 << 20;
/// How much of what a program complained of is told.
const MAX_ERROR_BYTES: usize = 2000;
/// How long what a program has written is waited for once it has ended.
const LINGER: Duration = Duration::from_millis(200);
/// How much of what it complained of is kept, from its end.
const KEPT_ERROR_BYTES: usize = 8 << 10;

/// A program as the config declares it.
#[derive(Clone)]
pub struct CommandSettings {
    /// The program.
    pub program: OsString,
    /// Its arguments. One that is a list and nothing else gives an argument for each of its values; one whose value is missing
    /// is left out.
    pub args: Vec<Template>,
    /// What it reads from its standard input: a text, or JSON.
    pub stdin: Option<Shape>,
    /// Its environment: all of it.
    pub env: Vec<(OsString, OsString)>,
    /// Variables with values in them.
    pub variables: Vec<(String, Template)>,
    /// Where it is started.
    pub directory: Option<PathBuf>,
    /// What it may use up.
    pub limits: Limits,
    /// What it may reach.
    pub sandbox: Option<Sandbox>,
    /// What it writes.
    pub output: Written,
    /// The most that is read of it, in bytes.
    pub max_output_bytes: usize,
    /// What its exit codes mean, in words: failures that the model can react to. Those of [`CommandSettings::fine`] are none.
    pub exit_codes: BTreeMap<i32, String>,
    /// The exit codes of a program that has done what it was to do.
    pub fine: Vec<i32>,
    /// Values that stand in it and that nobody is to see: those of variables and files.
    pub hidden: Vec<String>,
}

/// What a program writes to its standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Written {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// The tool.
pub(super) struct Command {
    settings: CommandSettings,
    guard: Arc<OnceLock<Guard>>,
    kept: Kept,
}

/// What a program has written and how it ended.
struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
    complaints: String,
}

impl std::fmt::Debug for CommandSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Arguments and environment may hold secrets.
        f.debug_struct("CommandSettings").field("program", &self.program).finish_non_exhaustive()
    }
}

impl CommandSettings {
    /// The places for values.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        let texts = self.args.iter().chain(self.variables.iter().map(|(_, text)| text));
        texts.flat_map(Template::places).chain(self.stdin.iter().flat_map(Shape::places)).collect()
    }

    /// The arguments of the program for these of the call.
    ///
    /// # Errors
    /// [`CallError::InvalidArguments`] for a value that would become an option.
    pub fn arguments(&self, arguments: &Value) -> Result<Vec<String>, CallError> {
        let mut filled: Vec<String> = Vec::with_capacity(self.args.len());
        let mut options_are_over = false;
        for template in &self.args {
            for value in template.fill_each(arguments) {
                if template.begins_with_a_value() && value.starts_with('-') && !options_are_over {
                    return Err(CallError::InvalidArguments(format!(
                        "{value:?} begins with a dash, and the program would take it for an option"
                    )));
                }
                if value.contains('\0') {
                    return Err(CallError::InvalidArguments("no argument of a program can hold a NUL".to_owned()));
                }
                filled.push(value);
            }
            options_are_over |= template.literal() == Some("--");
        }
        Ok(filled)
    }

    fn input(&self, arguments: &Value) -> Option<Vec<u8>> {
        Some(match self.stdin.as_ref()?.fill(arguments)? {
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        })
    }
}

impl Command {
    pub(super) fn new(settings: CommandSettings, guard: Arc<OnceLock<Guard>>, kept: Kept) -> Self {
        Self { settings, guard, kept }
    }

    fn name(&self) -> String {
        self.settings.program.to_string_lossy().into_owned()
    }

    async fn run(&self, arguments: &Value) -> Result<Given, CallError> {
        let settings = &self.settings;
        let mut command = tokio::process::Command::new(&settings.program);
        command.args(settings.arguments(arguments)?).env_clear().envs(settings.env.iter().map(|(name, value)| (name, value)));
        for (name, text) in &settings.variables {
            if let Some(value) = text.fill(arguments) {
                if value.contains('\0') {
                    return Err(CallError::InvalidArguments(format!("{name} cannot hold a NUL")));
                }
                command.env(name, value);
            }
        }
        if let Some(directory) = &settings.directory {
            command.current_dir(directory);
        }
        let input = settings.input(arguments);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
        let guard = self.guard.get_or_init(Guard::start);
        let (child, group) = Group::start(&mut command, settings.limits, settings.sandbox.as_ref(), guard)
            .map_err(|error| CallError::failed(format_args!("{} cannot be started: {error}", self.name())))?;
        let ended = tokio::select! {
            ended = self.end(child, input) => ended?,
            why = group.end_when_outgrown(|_| {}) => return Err(CallError::failed(format_args!("{} was ended {why}", self.name()))),
        };
        // What it has left behind would go on unseen.
        group.end();
        self.judge(ended)
    }

    /// What the program writes that is given no arguments.
    pub(super) async fn text(&self) -> Result<String, CallError> {
        Ok(match self.run(&Value::Object(serde_json::Map::new())).await? {
            Given::Text(text) => text,
            Given::Json(json) => json.to_string(),
            Given::Nothing => String::new(),
        })
    }

    /// What would come of a program that writes this and ends so.
    pub(super) fn rehearse(&self, arguments: &Value, canned: &Canned) -> Result<Given, CallError> {
        use std::os::unix::process::ExitStatusExt;
        self.settings.arguments(arguments)?;
        // As wait(2) tells it: the code is the second byte.
        let status = ExitStatus::from_raw((canned.exit.unwrap_or(0) & 0xff) << 8);
        self.judge(Ended { status, output: canned.bytes(), complaints: canned.stderr.clone() })
    }

    async fn end(&self, mut child: tokio::process::Child, input: Option<Vec<u8>>) -> Result<Ended, CallError> {
        let lost = || CallError::failed("a pipe to the program is missing");
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take().ok_or_else(lost)?, child.stderr.take().ok_or_else(lost)?);
        let most = self.settings.max_output_bytes;
        let write = async {
            if let (Some(stdin), Some(input)) = (&mut stdin, &input) {
                // A program that does not want all of it has its reasons, and tells them by how it ends.
                let _ = stdin.write_all(input).await;
            }
            drop(stdin);
            Ok(())
        };
        let (mut output, mut complaints) = (Vec::new(), Vec::new());
        let complaining = async {
            the_end_of(stderr, &mut complaints).await;
            Ok(())
        };
        let status = {
            let mut reading = std::pin::pin!(async { tokio::try_join!(write, up_to(stdout, most, &mut output), complaining) });
            tokio::select! {
                read = &mut reading => {
                    read.map_err(|error| self.unreadable(&error))?;
                    child.wait().await
                }
                status = child.wait() => {
                    // What it has started may keep its pipes open for as long as it likes.
                    if let Ok(read) = tokio::time::timeout(LINGER, reading).await {
                        read.map_err(|error| self.unreadable(&error))?;
                    }
                    status
                }
            }
        };
        let status = status.map_err(|error| self.unreadable(&error))?;
        Ok(Ended { status, output, complaints: String::from_utf8_lossy(&complaints).into_owned() })
    }

    fn unreadable(&self, error: &std::io::Error) -> CallError {
        CallError::failed(format_args!("what {} writes cannot be read: {error}", self.name()))
    }

    fn judge(&self, Ended { status, output, complaints }: Ended) -> Result<Given, CallError> {
        if !status.code().is_some_and(|code| self.settings.fine.contains(&code)) {
            return Err(CallError::failed(self.why(status, &output, &complaints)));
        }
        let text = String::from_utf8_lossy(&output);
        if text.trim().is_empty() {
            return Ok(Given::Nothing);
        }
        match self.settings.output {
            Written::Text => Ok(Given::Text(text.into_owned())),
            Written::Json => Json::parse(text.trim().to_owned())
                .map(Given::Json)
                .map_err(|error| CallError::failed(format_args!("{} was to write JSON, and wrote something else: {error}", self.name()))),
        }
    }

    /// Why it did not do what it was to do: in the words of the config, or in its own.
    fn why(&self, status: ExitStatus, output: &[u8], complaints: &str) -> String {
        use std::os::unix::process::ExitStatusExt;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => match self.settings.exit_codes.get(&code) {
                Some(meaning) => return meaning.clone(),
                None => format!("{} exited with code {code}", self.name()),
            },
            (None, Some(signal)) => format!("{} was killed by signal {signal}", self.name()),
            (None, None) => format!("{} broke off", self.name()),
        };
        let written = String::from_utf8_lossy(output);
        let said = if complaints.trim().is_empty() { written.trim() } else { complaints.trim() };
        let from = said.ceil_char_boundary(said.len().saturating_sub(MAX_ERROR_BYTES));
        if said.is_empty() { how } else { format!("{how}: {}", &said[from..]) }
    }
}

/// Reads all that is written.
///
/// # Errors
/// Those of the pipe, and one where it is more than that.
async fn up_to(pipe: impl AsyncRead + Unpin, most: usize, read: &mut Vec<u8>) -> std::io::Result<()> {
    pipe.take(most as u64 + 1).read_to_end(read).await?;
    if read.len() > most {
        return Err(std::io::Error::other(format!("it is more than {most} bytes")));
    }
    Ok(())
}

/// Reads what is written, however much that is, and keeps its end.
async fn the_end_of(mut pipe: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    // A pipe that breaks has ended.
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        if kept.len() > 2 * KEPT_ERROR_BYTES {
            kept.drain(..kept.len() - KEPT_ERROR_BYTES);
        }
    }
}

impl Callable for Command {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let arguments = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let given = with_heartbeat(&cx, "the program is running", self.run(&arguments)).await??;
            Ok(Output::Tool(given.output(&self.kept, cx.caller(), None)))
        })
    }

    fn foretell(&self, arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        let arguments = arguments.to_value().ok()?;
        Some(self.settings.arguments(&arguments).map(|args| {
            let mut lines = vec![format!("runs {:?} with {args:?}", self.name())];
            lines.extend(self.settings.input(&arguments).map(|input| format!("reads {}", String::from_utf8_lossy(&input))));
            let secrets = hidden(self.settings.hidden.iter().cloned());
            lines.into_iter().map(|line| covered(&line, &secrets)).collect()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use toolcrib_contract::Spec;
    use toolcrib_testkit::{OpenGate, TestGate};

    fn settings(program: &str, args: &[&str]) -> CommandSettings {
        CommandSettings {
            program: program.into(),
            args: args.iter().map(|arg| Template::parse(arg).unwrap()).collect(),
            stdin: None,
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            variables: Vec::new(),
            directory: None,
            limits: Limits::default(),
            sandbox: None,
            output: Written::Text,
            max_output_bytes: 1000,
            exit_codes: BTreeMap::new(),
            fine: vec![0],
            hidden: Vec::new(),
        }
    }

    fn gate(settings: CommandSettings) -> OpenGate {
        let command = Command::new(settings, Arc::default(), Kept::default());
        TestGate::default().entry(Spec::new("run", "Runs it.").timeout(Duration::from_secs(20)), Arc::new(command)).open()
    }

    async fn told(settings: CommandSettings, arguments: Value) -> Result<String, String> {
        gate(settings).text("run", &arguments).await
    }

    #[tokio::test]
    async fn a_value_is_one_argument_whatever_it_holds() {
        let printf = settings("printf", &["[%s]", "{{a}}", "{{list}}", "x{{a}}"]);
        let sly = json!({"a": "$(id); `id` 'x' \"y\"\n*", "list": ["1", "2 3"]});
        assert_eq!(told(printf.clone(), sly).await.unwrap(), "[$(id); `id` 'x' \"y\"\n*][1][2 3][x$(id); `id` 'x' \"y\"\n*]");
        assert_eq!(told(printf.clone(), json!({"a": "b"})).await.unwrap(), "[b][xb]");
        let option = told(printf.clone(), json!({"a": "-rf"})).await.unwrap_err();
        assert!(option.contains("\"-rf\" begins with a dash"), "{option}");
        assert!(told(printf.clone(), json!({"a": "b", "list": ["ok", "--help"]})).await.unwrap_err().contains("--help"));
        assert!(told(printf, json!({"a": "a\0b"})).await.unwrap_err().contains("NUL"));
        let guarded = settings("printf", &["%s", "--", "{{a}}"]);
        assert_eq!(guarded.arguments(&json!({"a": "-rf"})).unwrap(), ["%s", "--", "-rf"]);
    }

    #[tokio::test]
    async fn what_it_reads_and_writes_is_what_the_config_says() {
        let mut cat = settings("cat", &[]);
        cat.stdin = Some(Shape::parse(&json!({"n": "{{n}}", "t": "is {{n}}"})).unwrap());
        cat.output = Written::Json;
        let answer = gate(cat.clone()).tell("run", &json!({"n": 7})).await;
        assert_eq!(answer, json!({"n": 7, "t": "is 7"}));
        cat.stdin = Some(Shape::parse(&json!("no json")).unwrap());
        assert!(told(cat, json!({})).await.unwrap_err().contains("was to write JSON"));
        let mut env = settings("env", &[]);
        env.variables = vec![("CITY".into(), Template::parse("{{city}}").unwrap()), ("GONE".into(), Template::parse("{{gone}}").unwrap())];
        assert_eq!(told(env, json!({"city": "Bern"})).await.unwrap(), "CITY=Bern\nPATH=/usr/bin:/bin\n", "nothing of ours");
        assert_eq!(told(settings("true", &[]), json!({})).await.unwrap(), "(done; there is nothing to tell)");
    }

    #[tokio::test]
    async fn how_it_ends_is_told_in_words() {
        let mut grep = settings("sh", &["-c", "echo oh no >&2; exit {{code}}"]);
        assert_eq!(told(grep.clone(), json!({"code": 3})).await.unwrap_err(), "sh exited with code 3: oh no");
        grep.exit_codes = BTreeMap::from([(3, "nothing was found".to_owned())]);
        assert_eq!(told(grep.clone(), json!({"code": 3})).await.unwrap_err(), "nothing was found");
        grep.fine = vec![0, 4];
        assert!(told(grep, json!({"code": 4})).await.is_ok());
        let much = told(settings("sh", &["-c", "yes"]), json!({})).await.unwrap_err();
        assert_eq!(much, "what sh writes cannot be read: it is more than 1000 bytes");
        let none = told(settings("no-such-program", &[]), json!({})).await.unwrap_err();
        assert!(none.starts_with("no-such-program cannot be started: "), "{none}");
    }

    #[tokio::test]
    async fn nobody_stays_when_the_call_is_over_or_its_caller_leaves() {
        let left = |mark: &str| std::process::Command::new("pgrep").args(["-f", mark]).output().unwrap().status.success();
        // The last part of the number tells these from others.
        let background = settings("sh", &["-c", "sleep 31.4159261 & echo started"]);
        assert_eq!(told(background, json!({})).await.unwrap(), "started\n");
        let until_gone = async |mark: &str| {
            while left(mark) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), until_gone("sleep 31.4159261")).await.expect("what it left behind was ended");
        let long = gate(settings("sh", &["-c", "sleep 31.4159262; true"]));
        let nothing = json!({});
        let call = long.text("run", &nothing);
        let seen = async {
            while !left("sleep 31.4159262") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = call => panic!("it takes longer than that"),
            () = seen => {}
        }
        tokio::time::timeout(Duration::from_secs(20), until_gone("sleep 31.4159262")).await.expect("the caller has left");
    }
}
