//! OpenAPI documents that are elsewhere: brought when we start, and kept for when they cannot be had.

use crate::settings::{checked::openapi::offered, document::value_of};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinSet;
use toolcrib_egress::Egress;
use toolcrib_tools::{
    RemoteDocument, Settings,
    declared::{Translated, fetch, shown, translate},
};

/// How long a document that was brought is not asked for again.
const FRESH: Duration = Duration::from_secs(3600);

/// Declares the tools of all documents that can be had. Gives what cannot be offered, each in a sentence: that one document cannot be had
/// costs only its own tools. Only one that was never brought is waited for, all such together.
pub(crate) async fn bring(settings: &mut Settings, folder: Option<&Path>) -> Vec<String> {
    let documents = std::mem::take(&mut settings.documents);
    if documents.is_empty() {
        return Vec::new();
    }
    let egress = match Egress::new(settings.egress.clone()) {
        Ok(egress) => egress,
        Err(setup) => return vec![format!("no document can be brought: {setup}")],
    };
    let mut asked = JoinSet::new();
    for (index, document) in documents.into_iter().enumerate() {
        let (egress, kept) = (egress.clone(), folder.map(|folder| place(folder, &document)));
        asked.spawn(async move { (index, translated(&document, egress, kept).await, document) });
    }
    let mut brought = asked.join_all().await;
    brought.sort_by_key(|(index, ..)| *index);
    let mut notes = Vec::new();
    for (_, translated, document) in brought {
        match translated {
            Ok(translated) => settings.declared.extend(offered(translated, document.timeout, &mut notes)),
            Err(reason) => {
                let note = format!("the tools of {:?} are not offered: {reason}", document.settings.name);
                tracing::warn!("{note}");
                notes.push(note);
            }
        }
    }
    notes
}

/// What is kept, asked for again behind our backs once it is old; else what is brought now.
async fn translated(document: &RemoteDocument, egress: Egress, kept: Option<PathBuf>) -> Result<Translated, String> {
    let old = kept.as_ref().and_then(|file| fs::read_to_string(file).ok()).and_then(|text| read(&text, document).ok());
    let Some(translated) = old else { return brought(document, &egress, kept.as_deref()).await };
    if !kept.as_deref().is_some_and(is_fresh) {
        let document = document.clone();
        tokio::spawn(async move {
            if let Err(reason) = brought(&document, &egress, kept.as_deref()).await {
                tracing::warn!("the document of {:?} is taken as it was when it was last brought: {reason}", document.settings.name);
            }
        });
    }
    Ok(translated)
}

async fn brought(document: &RemoteDocument, egress: &Egress, kept: Option<&Path>) -> Result<Translated, String> {
    let bytes = fetch(&document.url, egress).await?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| format!("{} is no text", shown(&document.url)))?;
    let translated = read(&text, document)?;
    if let Some(Err(error)) = kept.map(|file| keep(file, &text)) {
        tracing::debug!("{} is not kept: {error}", shown(&document.url));
    }
    Ok(translated)
}

fn read(text: &str, document: &RemoteDocument) -> Result<Translated, String> {
    let place = shown(&document.url);
    let value = value_of(text, Path::new(&place))?;
    translate(&value, &document.settings).map_err(|reason| format!("{place}: {reason}"))
}

/// Where a document is kept: by its URL, so that another one under the same name is not taken for it.
fn place(folder: &Path, document: &RemoteDocument) -> PathBuf {
    let name = toolcrib_tools::declared::digest(document.url.as_str());
    folder.join("openapi").join(name)
}

fn is_fresh(file: &Path) -> bool {
    let changed = fs::metadata(file).and_then(|found| found.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age < FRESH))
}

/// Writes it whole or not at all.
fn keep(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}
