//! Keys that signatures are checked with, and sets of them (RFC 7517).

use ring::{
    hmac,
    signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm},
};
use serde::Deserialize;
use spki::SubjectPublicKeyInfoOwned;
use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};
use toolcrib_contract::{BoxFuture, Json};

/// The fewest bytes of the modulus of an RSA key: 2048 bits.
const MIN_RSA_BYTES: usize = 256;
/// The most keys of one set.
const MAX_KEYS: usize = 64;
/// The longest name of a key.
pub(super) const MAX_KEY_ID_BYTES: usize = 128;
/// Secrets that stand in tutorials and in sources of products, where attackers read them too.
const KNOWN_SECRETS: [&str; 8] = ["secret", "changeme", "change-me", "change_me", "password", "my-test-key", "example", "0123456789abcdef"];

/// An algorithm of signatures (RFC 7518, section 3.1; RFC 8037). There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name in the header of a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether whoever can check a signature can also make one.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.hmac().is_some()
    }

    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

impl FromStr for Algorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(())
    }
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFault(String);

/// A secret that anybody could guess.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// It is shorter than its algorithm asks for (RFC 7518, section 3.2).
    #[error("the secret has {found} bytes; {} needs at least {needed} (try `openssl rand -base64 {needed}`)", .algorithm.name())]
    Short {
        /// For which algorithm.
        algorithm: Algorithm,
        /// How long it is.
        found: usize,
        /// How long it has to be.
        needed: usize,
    },
    /// The algorithm signs with a key pair.
    #[error("{} takes no secret, but a key pair", .algorithm.name())]
    WithoutUse {
        /// Which.
        algorithm: Algorithm,
    },
    /// It repeats itself or stands in tutorials.
    #[error("the secret can be guessed: use random bytes (try `openssl rand -base64 32`)")]
    Guessable,
}

/// A secret that is long enough for its algorithm and is not one that everybody knows.
pub(super) fn strong_secret(secret: &[u8], algorithm: Algorithm) -> Result<hmac::Key, WeakSecret> {
    let hmac = algorithm.hmac().ok_or(WeakSecret::WithoutUse { algorithm })?;
    let needed = hmac.digest_algorithm().output_len();
    if secret.len() < needed {
        return Err(WeakSecret::Short { algorithm, found: secret.len(), needed });
    }
    let mut distinct: Vec<u8> = secret.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let lowercase = String::from_utf8_lossy(secret).to_lowercase();
    if distinct.len() < 10 || KNOWN_SECRETS.iter().any(|known| lowercase.contains(known)) {
        return Err(WeakSecret::Guessable);
    }
    Ok(hmac::Key::new(hmac, secret))
}

/// A key to check signatures with: what it is fixes the algorithms that it goes with.
#[derive(Clone)]
pub struct PublicKey(Material);

#[derive(Clone)]
enum Material {
    /// `RSAPublicKey` in DER (RFC 8017, appendix A.1.1).
    RsaDer(Arc<[u8]>),
    Rsa {
        modulus: Arc<[u8]>,
        exponent: Arc<[u8]>,
    },
    /// The uncompressed point.
    P256(Arc<[u8]>),
    P384(Arc<[u8]>),
    Ed25519(Arc<[u8]>),
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl PublicKey {
    /// Reads a key as `openssl` writes it: `-----BEGIN PUBLIC KEY-----` (RFC 7468, section 13).
    ///
    /// # Errors
    /// [`KeyFault`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let fault = |reason: &str| KeyFault(reason.to_owned());
        let label = pem.trim_start();
        if !label.starts_with("-----BEGIN PUBLIC KEY-----") {
            let found = if label.contains("PRIVATE KEY") {
                "a private key, which has no business here: take its public half (openssl pkey -in FILE -pubout)"
            } else if label.contains("BEGIN CERTIFICATE") {
                "a certificate: take its key (openssl x509 -in FILE -pubkey -noout)"
            } else if label.contains("BEGIN RSA PUBLIC KEY") {
                "the older form of an RSA key: turn it (openssl rsa -RSAPublicKey_in -in FILE -pubout)"
            } else if label.starts_with("ssh-") {
                "a key of ssh: turn it (ssh-keygen -e -m PKCS8 -f FILE)"
            } else {
                "something else"
            };
            return Err(KeyFault(format!("expected a PEM that begins -----BEGIN PUBLIC KEY-----, found {found}")));
        }
        let (_, document) = spki::Document::from_pem(pem.trim()).map_err(|_| fault("the PEM cannot be read"))?;
        let info: SubjectPublicKeyInfoOwned =
            spki::der::Decode::from_der(document.as_bytes()).map_err(|_| fault("the PEM holds no public key"))?;
        let bits: Arc<[u8]> = info.subject_public_key.as_bytes().ok_or_else(|| fault("the key is not whole"))?.into();
        let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.decode_as::<spki::ObjectIdentifier>().ok());
        match (info.algorithm.oid.to_string().as_str(), curve.map(|curve| curve.to_string()).as_deref()) {
            ("1.2.840.113549.1.1.1", _) if bits.len() <= MIN_RSA_BYTES => Err(fault("an RSA key needs at least 2048 bits")),
            ("1.2.840.113549.1.1.1", _) => Ok(Self(Material::RsaDer(bits))),
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => Ok(Self(Material::P256(bits))),
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => Ok(Self(Material::P384(bits))),
            ("1.3.101.112", _) => Ok(Self(Material::Ed25519(bits))),
            _ => Err(fault("expected a key of RSA, P-256, P-384 or Ed25519")),
        }
    }

    fn kind(&self) -> &'static str {
        match self.0 {
            Material::RsaDer(_) | Material::Rsa { .. } => "RSA",
            Material::P256(_) => "P-256",
            Material::P384(_) => "P-384",
            Material::Ed25519(_) => "Ed25519",
        }
    }

    /// Whether signatures of this algorithm can be checked with the key.
    #[must_use]
    pub fn goes_with(&self, algorithm: Algorithm) -> bool {
        match self.0 {
            Material::RsaDer(_) | Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::P256(_) => algorithm == Algorithm::ES256,
            Material::P384(_) => algorithm == Algorithm::ES384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDSA,
        }
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match (&self.0, algorithm.rsa()) {
            (Material::RsaDer(der), Some(parameters)) => by(parameters, der),
            (Material::Rsa { modulus, exponent }, Some(parameters)) => {
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
            }
            (Material::P256(point), None) if algorithm == Algorithm::ES256 => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), None) if algorithm == Algorithm::ES384 => by(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Material::Ed25519(point), None) if algorithm == Algorithm::EdDSA => by(&signature::ED25519, point),
            _ => false,
        }
    }
}

/// A key of a set, and what it is for.
#[derive(Debug, Clone)]
struct Listed {
    key: PublicKey,
    /// The only algorithm that it may be used with, where the set says so.
    algorithm: Option<Algorithm>,
}

/// The keys of one issuer, by their names (RFC 7517, "JWK Set").
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    named: HashMap<String, Listed>,
    /// All keys, for tokens that name none.
    all: Vec<Listed>,
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that are not for signatures, or that we cannot use, are passed over.
    ///
    /// # Errors
    /// [`KeyFault`] where the text is no set, holds more than 64 keys or a secret one, or none that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFault> {
        let fault = |reason: &str| KeyFault(reason.to_owned());
        let json = Json::parse(text.to_vec()).map_err(|error| KeyFault(format!("the key set is not JSON: {error}")))?;
        let WrittenSet { keys } = json.read().map_err(|_| fault("the key set has no list \"keys\" (RFC 7517)"))?;
        if keys.len() > MAX_KEYS {
            return Err(KeyFault(format!("the key set holds {} keys; at most {MAX_KEYS} are taken", keys.len())));
        }
        let mut set = Self::default();
        for key in keys {
            let Ok(key) = serde_json::from_value::<WrittenKey>(key) else { continue };
            if key.kty == "oct" {
                return Err(fault("the key set holds a secret (\"kty\": \"oct\"), which is no secret any more"));
            }
            let Some((id, listed)) = listed(key) else { continue };
            if let Some(id) = id
                && set.named.insert(id, listed.clone()).is_some()
            {
                return Err(fault("two keys of the set have one \"kid\""));
            }
            set.all.push(listed);
        }
        if set.is_empty() { Err(fault("the key set holds no key for signatures that can be used")) } else { Ok(set) }
    }

    /// The key of this name, or the only one that fits where a token names none, if it may be used with the algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let fits = |listed: &&Listed| listed.algorithm.is_none_or(|only| only == algorithm) && listed.key.goes_with(algorithm);
        let Some(id) = id else {
            let mut fitting = self.all.iter().filter(fits);
            return fitting.next().filter(|_| fitting.next().is_none()).map(|listed| &listed.key);
        };
        self.named.get(id).filter(fits).map(|listed| &listed.key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is no key: never so for a set that was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a key of this name, whatever it is for.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.named.contains_key(id))
    }
}

fn listed(key: WrittenKey) -> Option<(Option<String>, Listed)> {
    let is_for_signatures = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && key.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|purpose| purpose == "verify"));
    if !is_for_signatures || key.kid.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID_BYTES) {
        return None;
    }
    let algorithm = key.alg.as_deref().map(str::parse::<Algorithm>).transpose().ok()?;
    let bytes = |text: &Option<String>| text.as_deref().and_then(super::token::decode);
    let point = |size: usize| {
        let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
        (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), y.as_slice()].concat().into())
    };
    let material = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => {
            let modulus = bytes(&key.n).filter(|modulus| modulus.len() >= MIN_RSA_BYTES && modulus[0] != 0)?;
            Material::Rsa { modulus: modulus.into(), exponent: bytes(&key.e)?.into() }
        }
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&key.x).filter(|x| x.len() == 32)?.into()),
        _ => return None,
    };
    Some((key.kid, Listed { key: PublicKey(material), algorithm }))
}

/// Where the keys of an issuer come from, and are asked for again when a token names one that is new.
pub trait KeySource: Send + Sync + fmt::Debug {
    /// The keys as they are known now, if they are.
    fn current(&self) -> Option<Arc<KeySet>>;

    /// Sees whether there are newer ones. Many calls at once, and calls soon after one another, ask but once.
    fn renew(&self) -> BoxFuture<'_, ()>;
}
