//! The command line: results on standard output, everything else on standard error.

mod audit;
mod bench;
mod call;
mod changes;
mod check;
mod client;
mod doctor;
#[cfg(test)]
mod documented;
mod explain;
mod import;
mod init;
mod install;
mod key;
mod list;
mod login;
mod new;
mod progress;
mod read;
#[cfg(test)]
mod reference;
mod reload;
mod schema;
mod secret;
mod serve;
mod servers;
mod shell;
mod tail;
mod token;

use crate::{
    Builder, exit, observe,
    settings::{self, Kept},
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};
use toolcrib_contract::CallerId;
use toolcrib_edge::mcp::Identity;
use toolcrib_gate::Credential;
use toolcrib_store::Store;
use tracing_subscriber::filter::LevelFilter;

#[derive(Debug, Parser)]
#[command(propagate_version = true, after_help = HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Say nothing but results and failures.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(flatten)]
    serve: serve::Serve,
}

/// The variable that holds the token or API key of whoever calls.
const TOKEN: &str = "TOOLCRIB_TOKEN";

const ABOUT: &str =
    "One binary between AI agents and their tools: serves ready-made tools over MCP, and gathers other servers behind one endpoint.";

const HELP: &str = "\
Exit codes: 0 well, 1 the call or check failed, 2 bad usage or config, 3 a server could not be reached.
TOOLCRIB_TOKEN holds the token or API key of whoever calls.
TOOLCRIB_LOG sets what is logged to standard error, e.g. TOOLCRIB_LOG=debug or TOOLCRIB_LOG=info,toolcrib_upstream=debug;
TOOLCRIB_LOG_FORMAT=json has it logged for machines.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a config to begin with.
    Init(init::Init),
    /// Take over the MCP servers that agents have.
    Import(import::Import),
    /// Add Toolcrib to the MCP servers of an agent.
    Install(install::Install),
    /// Take Toolcrib out of the MCP servers of an agent.
    Uninstall(install::Uninstall),
    /// Add an MCP server to the config.
    Add(servers::Add),
    /// Change what the config says of a server, or the config itself in an editor.
    Edit(servers::Edit),
    /// Remove an MCP server from the config.
    Remove(servers::Remove),
    /// Begin a server with tools of your own, in Rust.
    New(new::New),
    /// Serve MCP over HTTP, or over standard input and output.
    Serve(serve::Serve),
    /// List tools, resources, prompts or servers.
    List(list::List),
    /// Call a tool.
    Call(call::Call),
    /// Read a resource.
    Read(read::Read),
    /// Report every fault of a config file at once, and what it names that is not there.
    Check(check::Check),
    /// Ask everything that the config names whether it is well.
    Doctor(doctor::Doctor),
    /// Say what each step would decide about a call, and why.
    Explain(explain::Explain),
    /// Show and check the record of what was called.
    Audit(audit::Audit),
    /// Show calls as they happen.
    Tail(tail::Tail),
    /// Tell how quick a tool is.
    Bench(bench::Bench),
    /// Mint a token with the secret of the config.
    Token(token::Token),
    /// Make, list and revoke API keys.
    Key(key::Key),
    /// Check a config, and have the servers that run by it read it anew.
    Reload(reload::Reload),
    /// Store, list and remove what callers show to other servers.
    Secret(secret::Secret),
    /// Sign in at a server that wants to know on whose behalf it works.
    Login(login::Login),
    /// Forget a sign-in.
    Logout(login::Logout),
    /// Print the JSON Schema of the config.
    Schema(schema::Schema),
    /// Print what completes the command line in a shell.
    Completions(shell::Completions),
    /// Write the manual pages into a folder.
    Man(shell::Man),
}

/// Where a command finds what it works on: a config, run in this process, or a running server.
#[derive(Debug, Args)]
struct Target {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A running server to ask instead, such as http://127.0.0.1:3001/mcp.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// Be somebody with this role, where the config knows roles. May be given more than once.
    #[arg(long = "as", value_name = "ROLE", conflicts_with = "url")]
    roles: Vec<String>,
}

/// Of which config the store is, and in which form what is in it is told.
#[derive(Debug, Args)]
struct InStore {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// What vouches for a caller that is named.
#[derive(Debug, Args)]
struct Voucher {
    /// What vouches for them: the name of an entry of auth.jwt, key, or local. Without it, the only entry of auth.jwt.
    #[arg(long, value_name = "NAME")]
    authority: Option<String>,
}

impl Target {
    /// Who is to be assumed, if anybody.
    fn assumed(&self) -> Option<CallerId> {
        (!self.roles.is_empty()).then(|| CallerId::new(CallerId::LOCAL, "cli", self.roles.iter().cloned()))
    }

    /// Says which of the assumed roles no rule names: most likely they are misspelt.
    fn check_roles(&self, settings: &settings::Settings) {
        let Some(access) = &settings.security.access else { return };
        let mut named: Vec<&str> =
            access.rules.iter().flat_map(|rule| &rule.roles).map(|role| &**role).filter(|role| *role != "*").collect();
        named.sort_unstable();
        named.dedup();
        for role in self.roles.iter().filter(|role| !named.contains(&role.as_str())) {
            note(format_args!("toolcrib: no rule names the role {role:?}; the rules name {}", named.join(", ")));
        }
    }

    /// What is shown to prove who calls: the role that is assumed, or the token of the environment.
    fn credential(&self) -> Credential {
        self.assumed().map_or_else(credential_of_environment, Credential::Local)
    }
}

/// The token or key in the environment, if there is one.
fn credential_of_environment() -> Credential {
    environment(TOKEN).filter(|token| !token.is_empty()).map_or(Credential::None, |token| Credential::Bearer(token.into()))
}

/// Why a command failed: what to say, and the code to exit with.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    fn usage(message: impl fmt::Display) -> Self {
        Self::new(exit::USAGE, message)
    }

    fn failed(message: impl fmt::Display) -> Self {
        Self::new(exit::FAILED, message)
    }

    fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(exit::UNREACHABLE, message)
    }
}

type Done = Result<(), Failure>;

/// What a program does that is started without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// It serves.
    Serves,
    /// It says what it can do.
    Helps,
}

/// Runs the command that the arguments of the process ask for, with the server that the builder makes.
pub(crate) fn run(builder: Builder, bare: Bare) -> ExitCode {
    let given = Cli::from_arg_matches(&parser(&builder, bare).get_matches());
    let Cli { command, quiet, serve } = given.unwrap_or_else(|error| error.exit());
    QUIET.store(quiet, Ordering::Relaxed);
    let command = command.unwrap_or(Command::Serve(serve));
    let level = match command {
        Command::Serve(_) => LevelFilter::INFO,
        // What becomes of servers that are not asked is no news here.
        Command::Call(_) | Command::List(_) | Command::Read(_) | Command::Explain(_) | Command::Bench(_) | Command::Doctor(_) => {
            LevelFilter::ERROR
        }
        _ => LevelFilter::WARN,
    };
    let of_log = [observe::VARIABLE, observe::FORMAT].map(|name| environment(name).unwrap_or_default());
    observe::start(level, &of_log[0], &of_log[1]);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&builder.identity.name, &Failure::failed(format_args!("cannot start: {error}"))),
    };
    let name = builder.identity.name.clone();
    let done = runtime.block_on(async {
        match command {
            Command::Init(init) => init.run(),
            Command::Import(import) => import.run(),
            Command::Install(install) => install.run(),
            Command::Uninstall(uninstall) => uninstall.run(),
            Command::Add(add) => add.run(),
            Command::Edit(edit) => edit.run(),
            Command::Remove(remove) => remove.run(),
            Command::New(new) => new.run(),
            Command::Serve(serve) => serve.run(builder).await,
            Command::List(list) => list.run(builder).await,
            Command::Call(call) => call.run(builder).await,
            Command::Read(read) => read.run(builder).await,
            Command::Check(check) => check.run().await,
            Command::Doctor(doctor) => doctor.run(builder).await,
            Command::Explain(explain) => explain.run(builder).await,
            Command::Audit(audit) => audit.run().await,
            Command::Tail(tail) => tail.run().await,
            Command::Bench(bench) => bench.run(builder).await,
            Command::Token(token) => token.run(),
            Command::Key(key) => key.run(),
            Command::Secret(secret) => secret.run(),
            Command::Reload(reload) => reload.run(),
            Command::Login(login) => login.run().await,
            Command::Logout(logout) => logout.run().await,
            Command::Schema(schema) => schema.run(),
            Command::Completions(completions) => completions.run(parser(&builder, bare)),
            Command::Man(man) => man.run(parser(&builder, bare)),
        }
    });
    // A read of standard input cannot be broken off; the process must end all the same.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => report(&name, &failure),
    }
}

/// How the command line is read: by the program's own name, and with the config that its code names.
fn parser(builder: &Builder, bare: Bare) -> clap::Command {
    let Identity { name, version, instructions, .. } = &builder.identity;
    let mut parser = Cli::command().name(name.clone()).version(version.clone());
    // A server of somebody else's tells of itself.
    let about = |text: &Option<String>| text.clone().unwrap_or_else(|| "Serves tools over the Model Context Protocol (MCP).".to_owned());
    parser = parser.about(if bare == Bare::Helps { ABOUT.to_owned() } else { about(instructions) });
    match bare {
        Bare::Helps => parser = parser.arg_required_else_help(true),
        // Whoever has a server does not begin one.
        Bare::Serves => parser = parser.mut_subcommand("new", |new| new.hide(true)),
    }
    if let Some(file) = &builder.file {
        parser = with_config(parser, file);
    }
    parser
}

/// Lets every command that reads a config read this one, unless another is named.
fn with_config(command: clap::Command, file: &Path) -> clap::Command {
    let is_config = |argument: &clap::Arg| matches!(argument.get_id().as_str(), "config" | "file");
    let command =
        command.mut_args(|argument| if is_config(&argument) { argument.default_value(file.as_os_str().to_owned()) } else { argument });
    command.mut_subcommands(|command| with_config(command, file))
}

#[expect(clippy::print_stderr, reason = "this is where a command says why it failed")]
fn report(program: &str, failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        eprintln!("{program}: {}", failure.message);
    }
    ExitCode::from(failure.code)
}

/// Prints a result. A reader that has gone away has seen enough.
fn print(text: impl fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The store that a config speaks of, wherever its secrets are.
fn store(config: Option<&PathBuf>) -> Result<Store, Failure> {
    match kept(config)? {
        Kept::OnServer(storage) => storage.open(),
        Kept::InFolder(folder) => Store::open(&some_folder(folder)?),
    }
    .map_err(Failure::failed)
}

/// The same, for a command that makes nothing.
fn existing_store(config: Option<&PathBuf>) -> Result<Store, Failure> {
    if let Kept::InFolder(folder) = kept(config)? {
        let folder = some_folder(folder)?;
        if !Store::exists(&folder) {
            return Err(Failure::failed(format_args!("there is nothing in {} yet", folder.display())));
        }
    }
    store(config)
}

fn kept(config: Option<&PathBuf>) -> Result<Kept, Failure> {
    match config_file(config) {
        Some(file) => settings::kept(&file, &environment).map_err(Failure::usage),
        None => Ok(Kept::InFolder(settings::without_file(&environment).security.audit.folder)),
    }
}

fn some_folder(folder: Option<PathBuf>) -> Result<PathBuf, Failure> {
    folder.ok_or_else(|| Failure::usage("neither HOME nor XDG_DATA_HOME is set: set \"dataFolder\" in the config"))
}

/// An address to listen on; of a port alone, that of loopback.
fn address(text: &str) -> Result<SocketAddr, String> {
    let of_port = || text.trim_start_matches(':').parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    let fault = || format!("{text:?} is no address; write it like 127.0.0.1:3001, [::1]:3001 or 3001");
    text.replace("localhost:", "127.0.0.1:").parse().or_else(|_| of_port()).map_err(|_| fault())
}

/// A text as it can be printed: what would move the cursor or break the line is written out.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Whether `--quiet` was given: said once, as the process begins.
static QUIET: AtomicBool = AtomicBool::new(false);

fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

#[expect(clippy::print_stderr, reason = "this is a word to the person at the terminal")]
fn note(text: impl fmt::Display) {
    if !is_quiet() {
        eprintln!("{text}");
    }
}

/// The settings of a config file; those of an empty one where there is none.
fn settings(config: Option<&PathBuf>) -> Result<settings::Settings, Failure> {
    match config_file(config) {
        Some(file) => settings::read(&file, &environment).map_err(Failure::usage),
        None => Ok(settings::without_file(&environment)),
    }
}

/// The config file that is meant: the one that is named, or the one that lies here.
fn config_file(named: Option<&PathBuf>) -> Option<PathBuf> {
    named.cloned().or_else(|| Some(PathBuf::from(settings::DEFAULT_FILE)).filter(|file| file.exists()))
}

impl Voucher {
    /// The caller of this name for whom that vouches.
    fn caller(&self, subject: &str, settings: &settings::Settings) -> Result<CallerId, Failure> {
        check_caller(subject, &[])?;
        let issuers = settings.security.auth.as_ref().map(|auth| auth.issuers.as_slice()).unwrap_or_default();
        let names: Vec<&str> = issuers.iter().map(|issuer| issuer.name.as_str()).chain([CallerId::KEY, CallerId::LOCAL]).collect();
        let authority = match (self.authority.as_deref(), issuers) {
            (Some(authority), _) if names.contains(&authority) => authority,
            (None, [only]) => &only.name,
            _ => {
                let names = names.join(", ");
                return Err(Failure::usage(format_args!("who vouches for {subject}? say --authority with one of {names}")));
            }
        };
        Ok(CallerId::new(authority, subject, [""; 0]))
    }
}

/// Refuses a name or role that no token or key is taken with.
fn check_caller(subject: &str, roles: &[String]) -> Done {
    if !CallerId::is_subject(subject) {
        return Err(Failure::usage("--sub is blank, too long, or holds control characters"));
    }
    match roles.iter().find(|role| !CallerId::is_role(role)) {
        Some(role) => Err(Failure::usage(format_args!("{role:?} is no role: a role is one word, and \"*\" stands for everyone"))),
        None => Ok(()),
    }
}
