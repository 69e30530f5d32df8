//! OpenAPI documents that are elsewhere: brought when we start, and kept for when they cannot be had.

use crate::settings::{checked::openapi::offered, document::value_of};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use toolcrib_egress::Egress;
use toolcrib_tools::{
    RemoteDocument, Settings,
    declared::{Translated, fetch, translate},
};

/// How long a document that was brought is not asked for again.
const FRESH: Duration = Duration::from_secs(3600);

/// Declares the tools of all documents that can be had. Gives what cannot be offered, each in a sentence: that one document cannot be had
/// costs only its own tools.
pub(crate) async fn bring(settings: &mut Settings, folder: Option<&Path>) -> Vec<String> {
    let mut notes = Vec::new();
    for document in std::mem::take(&mut settings.documents) {
        match translated(&document, &settings.egress, folder, &mut notes).await {
            Ok(translated) => {
                settings.declared.extend(offered(translated, document.timeout, &mut notes));
            }
            Err(reason) => {
                let note = format!("the tools of {:?} are not offered: {reason}", document.settings.name);
                tracing::warn!("{note}");
                notes.push(note);
            }
        }
    }
    notes
}

async fn translated(
    document: &RemoteDocument,
    egress: &toolcrib_egress::Config,
    folder: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<Translated, String> {
    let kept = folder.map(|folder| place(folder, document));
    if let Some(text) = kept.as_deref().and_then(fresh)
        && let Ok(translated) = read(&text, document)
    {
        return Ok(translated);
    }
    let brought = async {
        let egress = Egress::new(egress.clone()).map_err(|setup| setup.to_string())?;
        let bytes = fetch(&document.url, &egress).await?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| format!("{} is no text", document.url))?;
        Ok((read(&text, document)?, text))
    };
    match brought.await {
        Ok((translated, text)) => {
            if let Some(Err(error)) = kept.map(|file| keep(&file, &text)) {
                tracing::debug!("{} is not kept: {error}", document.url);
            }
            Ok(translated)
        }
        Err(reason) => {
            let old: Option<String> = kept.and_then(|file| fs::read_to_string(file).ok());
            let translated = old.ok_or_else(|| String::clone(&reason)).and_then(|text| read(&text, document))?;
            notes.push(format!("{} is taken as it was when it was last brought: {reason}", document.url));
            Ok(translated)
        }
    }
}

fn read(text: &str, document: &RemoteDocument) -> Result<Translated, String> {
    let value = value_of(text, Path::new(document.url.as_str()))?;
    translate(&value, &document.settings).map_err(|reason| format!("{}: {reason}", document.url))
}

/// Where a document is kept: by its URL, so that another one under the same name is not taken for it.
fn place(folder: &Path, document: &RemoteDocument) -> PathBuf {
    let name = toolcrib_tools::declared::digest(document.url.as_str());
    folder.join("openapi").join(name)
}

fn fresh(file: &Path) -> Option<String> {
    let age = fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
    (age < FRESH).then(|| fs::read_to_string(file).ok())?
}

/// Writes it whole or not at all.
fn keep(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}
