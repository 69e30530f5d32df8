//! What was written about prompts and resources: the blocks `prompts` and `resources`.

use super::{Reader, declared::Command};
use crate::settings::document::{Node, Spanned};
use std::path::PathBuf;

/// One prompt.
#[derive(Debug)]
pub(in crate::settings) struct Prompt {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) title: Option<Spanned<String>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) arguments: Vec<Argument>,
    pub(in crate::settings) text: Option<Spanned<String>>,
    /// Who says what, in their order.
    pub(in crate::settings) messages: Vec<(Spanned<String>, Spanned<String>)>,
}

/// One argument of a prompt.
#[derive(Debug)]
pub(in crate::settings) struct Argument {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) optional: Option<Spanned<bool>>,
    pub(in crate::settings) values: Vec<Spanned<String>>,
}

/// One resource.
#[derive(Debug)]
pub(in crate::settings) struct Resource {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) uri: Option<Spanned<String>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) mime_type: Option<Spanned<String>>,
    pub(in crate::settings) file: Option<Spanned<String>>,
    pub(in crate::settings) folder: Option<Spanned<String>>,
    pub(in crate::settings) command: Option<Command>,
    pub(in crate::settings) include: Vec<Spanned<String>>,
    pub(in crate::settings) exclude: Vec<Spanned<String>>,
    pub(in crate::settings) max_bytes: Option<Spanned<usize>>,
    pub(in crate::settings) every_secs: Option<Spanned<f64>>,
    /// What variables and files have put into it.
    pub(in crate::settings) secrets: Vec<String>,
    /// The folder of the file that it stands in.
    pub(in crate::settings) base: PathBuf,
}

const PROMPT: &[&str] = &["title", "description", "arguments", "text", "messages"];
const ARGUMENT: &[&str] = &["description", "optional", "values"];
const RESOURCE: &[&str] = &["uri", "description", "mimeType", "file", "folder", "command", "include", "exclude", "maxBytes", "every"];

impl Reader<'_> {
    pub(super) fn prompts(&mut self, node: &Node<'_>) -> Vec<Prompt> {
        node.entries(self.faults).into_iter().map(|(name, node)| self.prompt(name, &node)).collect()
    }

    fn prompt(&mut self, name: String, node: &Node<'_>) -> Prompt {
        let name = node.place().with(name);
        let mut prompt = Prompt { name, title: None, description: None, arguments: Vec::new(), text: None, messages: Vec::new() };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "title" => prompt.title = self.text(&node),
                "description" => prompt.description = self.text(&node),
                "arguments" => {
                    prompt.arguments =
                        node.entries(self.faults).into_iter().map(|(name, node)| self.prompt_argument(name, &node)).collect();
                }
                "text" => prompt.text = self.text(&node),
                "messages" => {
                    for node in node.items(self.faults) {
                        for (who, node) in node.entries(self.faults) {
                            prompt.messages.extend(self.text(&node).map(|text| (node.place().with(who), text)));
                        }
                    }
                }
                _ => self.faults.add(node.unknown(&key, PROMPT)),
            }
        }
        prompt
    }

    fn prompt_argument(&mut self, name: String, node: &Node<'_>) -> Argument {
        let mut argument = Argument { name: node.place().with(name), description: None, optional: None, values: Vec::new() };
        if node.is_scalar() {
            argument.description = self.text(node);
            return argument;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "description" => argument.description = self.text(&node),
                "optional" => argument.optional = self.flag(&node),
                "values" => argument.values = self.list(&node),
                _ => self.faults.add(node.unknown(&key, ARGUMENT)),
            }
        }
        argument
    }

    pub(super) fn resources(&mut self, node: &Node<'_>) -> Vec<Resource> {
        node.entries(self.faults).into_iter().map(|(name, node)| self.resource(name, &node)).collect()
    }

    fn resource(&mut self, name: String, node: &Node<'_>) -> Resource {
        let of_others = std::mem::take(&mut self.values);
        let mut resource = Resource {
            name: node.place().with(name),
            uri: None,
            description: None,
            mime_type: None,
            file: None,
            folder: None,
            command: None,
            include: Vec::new(),
            exclude: Vec::new(),
            max_bytes: None,
            every_secs: None,
            secrets: Vec::new(),
            base: std::path::absolute(node.place().folder()).unwrap_or_default(),
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "uri" => resource.uri = self.text(&node),
                "description" => resource.description = self.text(&node),
                "mimeType" => resource.mime_type = self.text(&node),
                "file" => resource.file = self.text(&node),
                "folder" => resource.folder = self.text(&node),
                "command" => resource.command = Some(self.command_tool(&node)),
                "include" => resource.include = self.list(&node),
                "exclude" => resource.exclude = self.list(&node),
                "maxBytes" => resource.max_bytes = node.scalar("a whole number", self.faults),
                "every" => resource.every_secs = node.scalar("a number of seconds", self.faults),
                _ => self.faults.add(node.unknown(&key, RESOURCE)),
            }
        }
        resource.secrets = std::mem::replace(&mut self.values, of_others);
        resource
    }
}
