//! Shared state, hooks, resources, prompts with completion, questions in mid-call, and ready tools under rules of a config.
//!
//! ```sh
//! cargo run --example advanced-tools -- call note text="buy nails" --config examples/advanced-tools/mcp-config.yaml
//! ```

use std::{
    fs, io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};
use toolcrib::{
    BoxError, CallContext, CallError, Change, Crib, Prompt, PromptSpec, Resource, ResourceSpec, Spec, Tool,
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// The resource with all notes.
const ALL: &str = "notes://all";

fn main() -> ExitCode {
    let notes = Arc::new(Notes::default());
    let (told, shown, known) = (Arc::clone(&notes), Arc::clone(&notes), Arc::clone(&notes));
    let all = ResourceSpec::new(ALL, "notes").description("All notes, a line for each.").mime_type("text/plain");
    let about = PromptSpec::new("about", "Asks for what the notes say about something.").title("What do my notes say?");
    Crib::builder()
        .name("advanced-tools", "1.0.0")
        .instructions("Keeps notes. Read notes://all before you add one that may be there already.")
        .ready_tools(&["web_scraper", "api_client", "database_query", "describe_database"])
        .tool(AddNote(Arc::clone(&notes)))
        .tool(ClearNotes(notes))
        .resource(Resource::text(all, move |_| {
            let text = told.lines().join("\n");
            async move { Ok(text) }
        }))
        .prompt(
            Prompt::new(about, move |About { subject }: About, _| {
                let notes = shown.lines().join("\n");
                async move { Ok(format!("These are my notes:\n\n{notes}\n\nWhat do they say about {subject}?")) }
            })
            .completing(move |_, typed| {
                let words = known.words_that_begin(&typed);
                async move { Ok(words) }
            }),
        )
        .cleanup(|| async { println_to_stderr("the notes are kept") })
        .serve()
}

#[derive(Deserialize, JsonSchema)]
struct About {
    /// What to look for.
    subject: String,
}

/// What the tools, the resource and the prompt share.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, lines: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    fn words_that_begin(&self, typed: &str) -> Vec<String> {
        let mut words: Vec<String> = self.lines().iter().flat_map(|line| line.split_whitespace()).map(str::to_lowercase).collect();
        words.retain(|word| word.starts_with(&typed.to_lowercase()));
        words.sort_unstable();
        words.dedup();
        words
    }

    fn file() -> PathBuf {
        PathBuf::from(std::env::var_os("NOTES_FILE").unwrap_or_else(|| "notes.txt".into()))
    }
}

/// Adds a note. Of the two tools it is the one that reads the file before anything is served, and writes it in the end.
struct AddNote(Arc<Notes>);

#[derive(Deserialize, JsonSchema)]
struct Note {
    /// What to remember, in one line.
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Kept {
    /// How many notes there are now.
    notes: usize,
}

impl Tool for AddNote {
    type Args = Note;
    type Output = Kept;

    fn spec(&self) -> Spec {
        Spec::new("note", "Keeps a note.").tags(&["notes"])
    }

    async fn initialize(&self) -> Result<(), BoxError> {
        let text = match fs::read_to_string(Notes::file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            // A file that cannot be read keeps the server from starting: better than to write over it.
            Err(error) => return Err(error.into()),
        };
        self.0.replace(text.lines().map(ToOwned::to_owned).collect());
        Ok(())
    }

    async fn run(&self, Note { text }: Note, cx: &CallContext) -> Result<Kept, CallError> {
        let mut lines = self.0.lines();
        lines.push(text.lines().collect::<Vec<_>>().join(" "));
        let notes = lines.len();
        self.0.replace(lines);
        // Whoever has subscribed to the resource is told.
        cx.announce(Change::Resource(ALL.into()));
        Ok(Kept { notes })
    }

    async fn cleanup(&self) {
        let lines = self.0.lines();
        if let Err(error) = fs::write(Notes::file(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()) {
            println_to_stderr(&format!("the notes could not be written: {error}"));
        }
    }
}

/// Forgets all notes, once the user has agreed.
struct ClearNotes(Arc<Notes>);

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// The form that the user is asked to fill in.
#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    /// Whether all notes are to be forgotten.
    forget: bool,
}

impl Tool for ClearNotes {
    type Args = Nothing;
    type Output = String;

    fn spec(&self) -> Spec {
        let destructive = toolcrib::Annotations { is_destructive: Some(true), is_read_only: Some(false), ..Default::default() };
        Spec::new("clear_notes", "Forgets all notes, if the user agrees.").tags(&["notes"]).annotations(destructive)
    }

    async fn run(&self, Nothing {}: Nothing, cx: &CallContext) -> Result<String, CallError> {
        let count = self.0.lines().len();
        match cx.ask_form("confirm", &format!("Forget all {count} notes?")).await? {
            Some(Confirmation { forget: true }) => {
                self.0.replace(Vec::new());
                cx.announce(Change::Resource(ALL.into()));
                Ok(format!("{count} notes are forgotten"))
            }
            _ => Ok("nothing is forgotten".to_owned()),
        }
    }
}

/// Standard output belongs to the results of commands, and to clients over `--stdio`.
#[expect(clippy::print_stderr, reason = "this is a word to the person at the terminal")]
fn println_to_stderr(text: &str) {
    eprintln!("{text}");
}
