//! The one secret of a store, and the keys that are derived from it (HKDF, RFC 5869).

use crate::StoreError;
use ring::{
    aead, hkdf, hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// The file of the secret.
const FILE: &str = "toolcrib.key";
const BYTES: usize = 32;

/// Every key that is needed, each for one purpose.
pub(crate) struct Master {
    /// Signs checkpoints of the audit log.
    pub(crate) signer: Ed25519KeyPair,
    /// Binds records to one another.
    pub(crate) chain: hmac::Key,
    /// Makes digests of arguments that cannot be guessed back.
    pub(crate) digests: hmac::Key,
    /// Stands between a stolen database and the API keys in it.
    pub(crate) api_keys: hmac::Key,
    /// Seals the secrets of callers.
    pub(crate) secrets: SecretKey,
    /// Proves to a replica that another one speaks.
    pub(crate) between: hmac::Key,
}

/// The key that secrets are sealed with.
pub(crate) type SecretKey = aead::LessSafeKey;

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(…)")
    }
}

impl Master {
    /// The secret of a folder, made on first use.
    pub(crate) fn of(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let failed = |source: io::Error| StoreError::File { path: path.clone(), source };
        if !path.exists() {
            // A new secret would open nothing of what is there, and the old one is perhaps only mislaid.
            if folder.join(crate::database::file::NAME).exists() {
                return Err(StoreError::KeyMissing(path));
            }
            make(folder, &path).map_err(failed)?;
        }
        let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(StoreError::Exposed(path));
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let secret = from_hex(text.trim()).filter(|secret| secret.len() == BYTES);
        let secret = secret.ok_or_else(|| StoreError::Damaged { path, reason: format!("expected {} hexadecimal digits", BYTES * 2) })?;
        Ok(Self::derived(&secret))
    }

    /// The keys that this secret gives.
    pub(crate) fn derived(secret: &[u8]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"toolcrib store 1");
        let derive = |purpose: &str| {
            let mut key = [0_u8; BYTES];
            let purpose = [purpose.as_bytes()];
            let derived = salt.extract(secret);
            let derived = derived.expand(&purpose, hkdf::HKDF_SHA256).and_then(|derived| derived.fill(&mut key));
            derived.expect("32 bytes are within what HKDF gives");
            key
        };
        let signer = Ed25519KeyPair::from_seed_unchecked(&derive("audit checkpoints")).expect("any 32 bytes are a seed");
        let secrets = aead::UnboundKey::new(&aead::AES_256_GCM, &derive("caller secrets")).expect("32 bytes are a key");
        let secrets = aead::LessSafeKey::new(secrets);
        let mac = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, &derive(purpose));
        let (chain, digests, api_keys) = (mac("audit chain"), mac("audit digests"), mac("api keys"));
        Self { signer, chain, digests, api_keys, secrets, between: mac("between replicas") }
    }

    /// The public half of the key that signs checkpoints, for whoever checks them elsewhere.
    pub(crate) fn public_key(&self) -> String {
        hex(self.signer.public_key().as_ref())
    }
}

/// The secret that replicas share: what stands in the `toolcrib.key` of a folder.
#[derive(Clone)]
pub struct SharedKey(Zeroizing<Vec<u8>>);

impl SharedKey {
    /// Reads the secret: 64 hexadecimal digits, as `openssl rand -hex 32` gives them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text.trim()).filter(|secret| secret.len() == BYTES).map(|secret| Self(Zeroizing::new(secret)))
    }

    pub(crate) fn master(&self) -> Master {
        Master::derived(&self.0)
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(…)")
    }
}

/// Makes the folder, for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StoreError::File { path: folder.to_owned(), source })
}

/// Writes a new secret beside its place and puts it there whole; if another process was quicker, its secret stays.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    let mut secret = [0_u8; BYTES];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", hex(&secret))?;
    file.sync_all()?;
    let placed = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match placed {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(folder)?.sync_all(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.collect::<Option<Vec<u8>>>().filter(|_| text.len().is_multiple_of(2))
}
