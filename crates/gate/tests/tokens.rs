//! Tokens that attackers send, and what becomes of them.
//!
//! Four issuers: one that shares a secret, one with an RSA key in a set, one with a P-256 key in a set, one with an Ed25519 key
//! in PEM. Every token is made here, so that what is wrong with it is the one thing that its line says.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::BoxFuture;
use toolcrib_gate::{
    Algorithm, Authentication, Config, Credential, Demands, Gate, Issuer, KeySet, KeySource, Keys, PublicKey, Unauthenticated, WeakSecret,
};
use toolcrib_testkit::Remembered;

const SECRET: &[u8] = b"d3f0Zq9-unit-tests-share-this-one-and-nobody-else";
const RSA: &[u8] = include_bytes!("data/rsa-for-tests.der");
/// What stands before an Ed25519 key in DER (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A set that does not change, and counts how often it is asked for.
#[derive(Debug)]
struct Fixed(Arc<KeySet>, AtomicUsize);

impl KeySource for Fixed {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(Arc::clone(&self.0))
    }

    fn renew(&self) -> BoxFuture<'_, ()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    }
}

/// Whoever signs.
struct Signers {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

fn signers() -> Signers {
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    Signers {
        rsa: RsaKeyPair::from_der(RSA).unwrap(),
        ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
        ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        random,
    }
}

impl Signers {
    fn rsa_jwk(&self, id: &str) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": B64.encode(public.n), "e": B64.encode(public.e)})
    }

    fn ec_jwk(&self, id: &str) -> Value {
        let point = &self.ec.public_key().as_ref()[1..];
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": B64.encode(&point[..32]), "y": B64.encode(&point[32..])})
    }

    fn ed_pem(&self) -> String {
        let der = [ED25519_PREFIX.as_slice(), self.ed.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
    }

    fn sign(&self, by: By, signed: &[u8]) -> Vec<u8> {
        match by {
            By::Secret => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed).as_ref().to_vec(),
            By::Other(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed).as_ref().to_vec(),
            By::Rsa | By::RsaPss => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                let padding: &'static dyn ring::signature::RsaEncoding = if let By::Rsa = by { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                self.rsa.sign(padding, &self.random, signed, &mut signature).unwrap();
                signature
            }
            By::Ec => self.ec.sign(&self.random, signed).unwrap().as_ref().to_vec(),
            By::Ed => self.ed.sign(signed).as_ref().to_vec(),
            By::Nobody(bytes) => bytes,
        }
    }
}

/// Whose signature stands under a token.
#[derive(Clone)]
enum By {
    Secret,
    Other(Vec<u8>),
    Rsa,
    RsaPss,
    Ec,
    Ed,
    Nobody(Vec<u8>),
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A header with some members changed; null takes one away.
fn with(base: Value, changes: Value) -> Value {
    let mut members: Map<String, Value> = base.as_object().unwrap().clone();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(key)),
            value => drop(members.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(members)
}

struct Table {
    gate: Gate,
    signers: Signers,
    asked: Arc<Fixed>,
    tried: usize,
    surprises: Vec<String>,
}

impl Table {
    fn new() -> Self {
        let signers = signers();
        let set = json!({"keys": [signers.rsa_jwk("rsa-1"), {"kty": "EC", "crv": "P-521", "kid": "unknown-curve", "x": "AA", "y": "AA"}]});
        let set = Arc::new(KeySet::parse(set.to_string().as_bytes()).unwrap());
        let asked = Arc::new(Fixed(set, AtomicUsize::new(0)));
        let ec = Arc::new(KeySet::parse(json!({"keys": [signers.ec_jwk("ec-1")]}).to_string().as_bytes()).unwrap());
        let demands = |name: &str| Demands {
            issuer: Some(format!("https://{name}.example")),
            audiences: vec!["toolcrib".into()],
            ..Demands::default()
        };
        let issuer = |name: &str, keys: Keys, algorithms: &[Algorithm]| {
            let (name, demands, algorithms) = (name.into(), demands(name), algorithms.to_vec());
            Arc::new(Issuer { name, keys, algorithms, demands, only_access_tokens: false })
        };
        let issuers = vec![
            issuer("hmac", Keys::secret(SECRET, &[Algorithm::HS256]).unwrap(), &[Algorithm::HS256]),
            issuer("rsa", Keys::Set(Arc::clone(&asked) as Arc<dyn KeySource>), &[Algorithm::RS256]),
            issuer("ec", Keys::Set(Arc::new(Fixed(ec, AtomicUsize::new(0)))), &[Algorithm::ES256]),
            issuer("ed", Keys::Public(PublicKey::from_pem(&signers.ed_pem()).unwrap()), &[Algorithm::EdDSA]),
        ];
        let authentication = Authentication { issuers, is_required: true, ..Authentication::default() };
        let gate = Gate::new(Config::default(), Arc::new(Remembered::default())).authenticating(authentication);
        Self { gate, signers, asked, tried: 0, surprises: Vec::new() }
    }

    fn claims(&self, issuer: &str, changes: Value) -> Value {
        let base = json!({"iss": format!("https://{issuer}.example"), "aud": "toolcrib", "sub": "ann", "iat": now(), "exp": now() + 600, "roles": ["user"]});
        with(base, changes)
    }

    fn token(&self, header: &Value, claims: &Value, by: By) -> String {
        self.token_of(&header.to_string(), &claims.to_string(), by)
    }

    fn token_of(&self, header: &str, claims: &str, by: By) -> String {
        let signed = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let signature = B64.encode(self.signers.sign(by, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    async fn verdict(&self, token: &str) -> Result<Vec<String>, Unauthenticated> {
        let caller = self.gate.authenticate(Credential::Bearer(token.into())).await?;
        Ok(caller.id().roles.iter().map(ToString::to_string).collect())
    }

    async fn refuses(&mut self, what: &str, token: &str) {
        self.tried += 1;
        match self.verdict(token).await {
            Ok(roles) => self.surprises.push(format!("taken: {what} (roles {roles:?})")),
            Err(error) => assert_eq!(error.to_string(), "Invalid authentication token", "{what}"),
        }
    }

    async fn takes(&mut self, what: &str, token: &str, expected: &[&str]) {
        self.tried += 1;
        match self.verdict(token).await {
            Ok(roles) if roles == expected => {}
            other => self.surprises.push(format!("not taken as it should be: {what}: {other:?}")),
        }
    }

    /// A token of the issuer with the shared secret whose claims are changed.
    async fn refuses_claims(&mut self, what: &str, changes: Value) {
        let token = self.token(&json!({"alg": "HS256", "typ": "JWT"}), &self.claims("hmac", changes), By::Secret);
        self.refuses(what, &token).await;
    }

    async fn takes_claims(&mut self, what: &str, changes: Value, expected: &[&str]) {
        let token = self.token(&json!({"alg": "HS256", "typ": "JWT"}), &self.claims("hmac", changes), By::Secret);
        self.takes(what, &token, expected).await;
    }

    /// The same with a changed header.
    async fn refuses_header(&mut self, what: &str, changes: Value) {
        let header = with(json!({"alg": "HS256", "typ": "JWT"}), changes);
        let token = self.token(&header, &self.claims("hmac", json!({})), By::Secret);
        self.refuses(what, &token).await;
    }
}

#[tokio::test]
async fn every_token_gets_the_verdict_that_is_right() {
    let mut table = Table::new();
    valid_tokens(&mut table).await;
    algorithms(&mut table).await;
    signatures(&mut table).await;
    key_names_and_embedded_keys(&mut table).await;
    headers(&mut table).await;
    times(&mut table).await;
    audiences_and_issuers(&mut table).await;
    subjects_and_roles(&mut table).await;
    shapes(&mut table).await;
    assert!(table.surprises.is_empty(), "of {} tokens:\n{}", table.tried, table.surprises.join("\n"));
    assert!(table.tried >= 130, "only {} tokens were tried", table.tried);
}

async fn valid_tokens(table: &mut Table) {
    let none = || json!({});
    let cases = [
        ("hmac", json!({"alg": "HS256"}), By::Secret),
        ("rsa", json!({"alg": "RS256", "kid": "rsa-1"}), By::Rsa),
        ("rsa", json!({"alg": "RS256"}), By::Rsa),
        ("ec", json!({"alg": "ES256", "kid": "ec-1", "typ": "at+jwt"}), By::Ec),
        ("ed", json!({"alg": "EdDSA", "typ": "JWT", "kid": "whatever"}), By::Ed),
    ];
    for (issuer, header, by) in cases {
        let token = table.token(&header, &table.claims(issuer, none()), by);
        table.takes(&format!("a good token of {issuer}: {header}"), &token, &["user"]).await;
    }
    table.takes_claims("several audiences, ours among them", json!({"aud": ["other", "toolcrib"]}), &["user"]).await;
    table
        .takes_claims(
            "roles and scopes",
            json!({"roles": ["b", "a"], "scope": "tools:read  tools:write"}),
            &["a", "b", "tools:read", "tools:write"],
        )
        .await;
    table.takes_claims("no roles at all", json!({"roles": null}), &[]).await;
    table.takes_claims("expired within the leeway", json!({"exp": now() - 10, "iat": now() - 100}), &["user"]).await;
    table.takes_claims("a date with a fraction", json!({"exp": now() as f64 + 100.5}), &["user"]).await;
    table.takes_claims("claims that nobody asked for", json!({"email": "ann@x.example", "deep": {"a": [1, 2]}}), &["user"]).await;
}

async fn algorithms(table: &mut Table) {
    for name in
        ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "A128KW", "dir"]
    {
        table.refuses_header(&format!("alg {name:?} over the secret"), json!({"alg": name})).await;
    }
    for value in [json!(0), json!(null), json!(["HS256"]), json!({"a": "HS256"}), json!(true)] {
        table.refuses_header(&format!("alg {value}"), json!({"alg": value})).await;
    }
    for name in ["none", "None", "NONE"] {
        let token = table.token(&json!({"alg": name}), &table.claims("hmac", json!({})), By::Nobody(Vec::new()));
        table.refuses(&format!("alg {name} without a signature"), &token).await;
    }
    // Keys that are public, used as secrets.
    let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(table.signers.rsa.public()).n;
    let pem = table.signers.ed_pem();
    let jwk = table.signers.rsa_jwk("rsa-1").to_string();
    let raw = table.signers.ed.public_key().as_ref().to_vec();
    let public_keys = [
        ("modulus", modulus),
        ("PEM", pem.clone().into_bytes()),
        ("JWK", jwk.into_bytes()),
        ("raw key", raw),
        ("trimmed PEM", pem.trim().as_bytes().to_vec()),
    ];
    for issuer in ["rsa", "ec", "ed", "hmac"] {
        for (what, key) in &public_keys {
            let token = table.token(&json!({"alg": "HS256", "kid": "rsa-1"}), &table.claims(issuer, json!({})), By::Other(key.clone()));
            table.refuses(&format!("HS256 with the {what} as the secret, as {issuer}"), &token).await;
        }
    }
    let token = table.token(&json!({"alg": "PS256", "kid": "rsa-1"}), &table.claims("rsa", json!({})), By::RsaPss);
    table.refuses("PS256, which the config does not name", &token).await;
    let token = table.token(&json!({"alg": "RS256", "kid": "rsa-1"}), &table.claims("rsa", json!({})), By::RsaPss);
    table.refuses("a PSS signature as RS256", &token).await;
    let token = table.token(&json!({"alg": "RS256", "kid": "ec-1"}), &table.claims("ec", json!({})), By::Rsa);
    table.refuses("another issuer's key and algorithm", &token).await;
}

async fn signatures(table: &mut Table) {
    let header = json!({"alg": "HS256"});
    let good = table.token(&header, &table.claims("hmac", json!({})), By::Secret);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bytes = B64.decode(signature).unwrap();
    let mut flipped = bytes.clone();
    flipped[0] ^= 1;
    let cases = [
        ("none", String::new()),
        ("flipped", B64.encode(&flipped)),
        ("cut", B64.encode(&bytes[..16])),
        ("longer", B64.encode([bytes.clone(), vec![0]].concat())),
        ("zeros", B64.encode([0; 32])),
        ("padded", format!("{signature}=")),
        ("of the other alphabet", BASE64_STANDARD.encode(&bytes)),
        ("with a blank", format!("{signature} ")),
        ("with a line feed", format!("{signature}\n")),
    ];
    for (what, signature) in cases {
        if signature != *good.rsplit_once('.').unwrap().1 {
            table.refuses(&format!("signature: {what}"), &format!("{signed}.{signature}")).await;
        }
    }
    // The last character of 32 bytes in Base64 carries two bits that mean nothing: another one must not do.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() ^ 1).unwrap();
    table.refuses("signature: trailing bits", &format!("{signed}.{}{next}", &signature[..signature.len() - 1])).await;
    let claims = table.claims("hmac", json!({"roles": ["admin"]}));
    let swapped = format!("{}.{}.{signature}", signed.split_once('.').unwrap().0, B64.encode(claims.to_string()));
    table.refuses("claims changed after signing", &swapped).await;
    let es = json!({"alg": "ES256", "kid": "ec-1"});
    for (what, bytes) in [("r = s = 0", vec![0; 64]), ("empty", Vec::new()), ("short", vec![1; 32])] {
        let token = table.token(&es, &table.claims("ec", json!({})), By::Nobody(bytes));
        table.refuses(&format!("ECDSA: {what}"), &token).await;
    }
    let token = table.token(&json!({"alg": "EdDSA"}), &table.claims("ed", json!({})), By::Nobody(vec![0; 64]));
    table.refuses("EdDSA: zeros", &token).await;
    for secret in ["", "secret", "changeme", "0123456789abcdef0123456789abcdef"] {
        let token = table.token(&header, &table.claims("hmac", json!({})), By::Other(secret.as_bytes().to_vec()));
        table.refuses(&format!("a secret that everybody tries: {secret:?}"), &token).await;
    }
}

async fn key_names_and_embedded_keys(table: &mut Table) {
    let before = table.asked.1.load(Ordering::Relaxed);
    let names =
        ["rsa-2", "", "../../../../dev/null", "rsa-1' OR '1'='1", "rsa-1\u{0}", "http://evil.example/key", "RSA-1", "unknown-curve"];
    for name in names {
        let token = table.token(&json!({"alg": "RS256", "kid": name}), &table.claims("rsa", json!({})), By::Rsa);
        table.refuses(&format!("kid {name:?}"), &token).await;
    }
    assert!(table.asked.1.load(Ordering::Relaxed) > before, "an unknown name is asked for once more");
    let token = table.token(&json!({"alg": "RS256", "kid": "x".repeat(200)}), &table.claims("rsa", json!({})), By::Rsa);
    table.refuses("a kid that is too long", &token).await;
    for kid in [json!(1), json!(["rsa-1"]), json!({"a": 1}), json!(true)] {
        let token = table.token(&json!({"alg": "RS256", "kid": kid}), &table.claims("rsa", json!({})), By::Rsa);
        table.refuses(&format!("kid {kid}"), &token).await;
    }
    let jwk = table.signers.rsa_jwk("mine");
    for (member, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = json!({"alg": "RS256", "kid": "rsa-1"});
        header[member] = value;
        let token = table.token(&header, &table.claims("rsa", json!({})), By::Rsa);
        table.refuses(&format!("a key brought along in {member}"), &token).await;
    }
}

async fn headers(table: &mut Table) {
    for (what, changes) in [
        ("crit that we do not know", json!({"crit": ["exp"], "exp": 1})),
        ("an empty crit", json!({"crit": []})),
        ("crit that is no list", json!({"crit": "exp"})),
        ("an unencoded payload", json!({"b64": false, "crit": ["b64"]})),
        ("b64 alone", json!({"b64": true})),
        ("compression", json!({"zip": "DEF"})),
        ("a token within a token", json!({"cty": "JWT"})),
        ("typ of a logout token", json!({"typ": "logout+jwt"})),
        ("typ of a DPoP proof", json!({"typ": "dpop+jwt"})),
        ("typ of a security event", json!({"typ": "secevent+jwt"})),
        ("typ that is no text", json!({"typ": 1})),
    ] {
        table.refuses_header(what, changes).await;
    }
}

async fn times(table: &mut Table) {
    let cases = [
        ("no exp", json!({"exp": null})),
        ("expired", json!({"exp": now() - 120})),
        ("exp as text", json!({"exp": (now() + 600).to_string()})),
        ("exp of 2^64", json!({"exp": u64::MAX})),
        ("exp beyond all numbers", json!({"exp": 1e300})),
        ("negative exp", json!({"exp": -1})),
        ("exp 0", json!({"exp": 0})),
        ("exp true", json!({"exp": true})),
        ("exp in a list", json!({"exp": [now() + 600]})),
        ("exp in milliseconds", json!({"exp": (now() + 600) * 1000})),
        ("good for ten years", json!({"exp": now() + 315_360_000})),
        ("good for two days since long ago", json!({"iat": now() - 172_800, "exp": now() + 600})),
        ("nbf in the future", json!({"nbf": now() + 300})),
        ("nbf as text", json!({"nbf": now().to_string()})),
        ("nbf as an object", json!({"nbf": {}})),
        ("iat in the future", json!({"iat": now() + 300})),
        ("iat as text", json!({"iat": "yesterday"})),
        ("no iat and good for ten years", json!({"iat": null, "exp": now() + 315_360_000})),
    ];
    for (what, changes) in cases {
        table.refuses_claims(what, changes).await;
    }
}

async fn audiences_and_issuers(table: &mut Table) {
    let cases = [
        ("no aud", json!({"aud": null})),
        ("another aud", json!({"aud": "other"})),
        ("aud in other letters", json!({"aud": "TOOLCRIB"})),
        ("aud that begins as ours", json!({"aud": "toolcrib.evil.example"})),
        ("an empty aud", json!({"aud": ""})),
        ("no audiences", json!({"aud": []})),
        ("audiences of several kinds", json!({"aud": ["toolcrib", 1]})),
        ("aud as an object", json!({"aud": {"toolcrib": true}})),
        ("no iss", json!({"iss": null})),
        ("another iss", json!({"iss": "https://evil.example"})),
        ("iss with a slash at the end", json!({"iss": "https://hmac.example/"})),
        ("iss in a list", json!({"iss": ["https://hmac.example"]})),
        ("iss of another issuer", json!({"iss": "https://rsa.example"})),
        ("iss as a number", json!({"iss": 1})),
    ];
    for (what, changes) in cases {
        table.refuses_claims(what, changes).await;
    }
}

async fn subjects_and_roles(table: &mut Table) {
    let cases = [
        ("no sub", json!({"sub": null})),
        ("an empty sub", json!({"sub": ""})),
        ("a blank sub", json!({"sub": "  "})),
        ("sub with a line feed", json!({"sub": "ann\nadmin"})),
        ("sub with NUL", json!({"sub": "ann\u{0}"})),
        ("a long sub", json!({"sub": "a".repeat(300)})),
        ("sub as a number", json!({"sub": 1})),
        ("sub as an object", json!({"sub": {"name": "ann"}})),
        ("roles as text", json!({"roles": "admin"})),
        ("roles as an object", json!({"roles": {"admin": true}})),
        ("a role that is a number", json!({"roles": ["user", 1]})),
        ("an empty role", json!({"roles": ["user", ""]})),
        ("a role of blanks", json!({"roles": ["user admin"]})),
        ("a role for everyone", json!({"roles": ["*"]})),
        ("a role with a line feed", json!({"roles": ["admin\n"]})),
        ("too many roles", json!({"roles": (0..300).map(|number| format!("r{number}")).collect::<Vec<_>>()})),
        ("scope as a list", json!({"scope": ["admin"]})),
        ("scope for everyone", json!({"scope": "a * b"})),
        ("bound to a key of its holder", json!({"cnf": {"jkt": "abc"}})),
        ("bound to a certificate", json!({"cnf": {"x5t#S256": "abc"}})),
    ];
    for (what, changes) in cases {
        table.refuses_claims(what, changes).await;
    }
}

async fn shapes(table: &mut Table) {
    let good = table.token(&json!({"alg": "HS256"}), &table.claims("hmac", json!({})), By::Secret);
    let parts: Vec<&str> = good.split('.').collect();
    let cases = [
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("one part", parts[0].into()),
        ("two parts", parts[..2].join(".")),
        ("four parts", format!("{good}.{}", parts[2])),
        ("five parts, as if encrypted", format!("{good}.{}.{}", parts[2], parts[2])),
        ("a dot in front", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("a blank in front", format!(" {good}")),
        ("quotes", format!("\"{good}\"")),
        ("no text of any kind", "\u{1F600}.a.b".into()),
    ];
    for (what, token) in cases {
        table.refuses(what, &token).await;
    }
    let claims = table.claims("hmac", json!({})).to_string();
    let more = |member: &str| format!("{},{member}}}", &claims[..claims.len() - 1]);
    let header = r#"{"alg":"HS256"}"#;
    let texts = [
        ("exp twice", header.to_owned(), more(r#""exp":1"#)),
        ("sub twice", header.to_owned(), more(r#""sub":"eve""#)),
        ("roles twice", header.to_owned(), more(r#""roles":["admin"]"#)),
        ("a member twice, once escaped", header.to_owned(), more(r#""r\u006fles":["admin"]"#)),
        ("a claim twice that nobody reads", header.to_owned(), more(r#""x":1,"x":2"#)),
        ("alg twice", r#"{"alg":"HS256","alg":"none"}"#.to_owned(), claims.clone()),
        ("claims that are a list", header.to_owned(), "[]".to_owned()),
        ("claims that are a text", header.to_owned(), "\"ann\"".to_owned()),
        ("claims that are null", header.to_owned(), "null".to_owned()),
        ("no claims", header.to_owned(), String::new()),
        ("claims that go on", header.to_owned(), format!("{claims}{{}}")),
        ("claims with a byte order mark", header.to_owned(), format!("\u{feff}{claims}")),
        ("claims with a comment", header.to_owned(), format!("/**/{claims}")),
        ("a header that is a list", "[\"HS256\"]".to_owned(), claims.clone()),
        ("claims as deep as a well", header.to_owned(), more(&format!("\"x\":{}{}", "[".repeat(64), "]".repeat(64)))),
        ("claims of 10 kB", header.to_owned(), more(&format!("\"x\":\"{}\"", "y".repeat(10_000)))),
        ("a header of 10 kB", format!("{{\"alg\":\"HS256\",\"x\":\"{}\"}}", "y".repeat(10_000)), claims.clone()),
        ("claims of 1 MB", header.to_owned(), more(&format!("\"x\":\"{}\"", "y".repeat(1 << 20)))),
    ];
    for (what, header, claims) in texts {
        let token = table.token_of(&header, &claims, By::Secret);
        table.refuses(what, &token).await;
    }
    let signed = format!("{}.{}", B64.encode(header), B64.encode([&claims.as_bytes()[..claims.len() - 2], b"\xff\"]}"].concat()));
    let signature = B64.encode(table.signers.sign(By::Secret, signed.as_bytes()));
    table.refuses("claims that are not UTF-8", &format!("{signed}.{signature}")).await;
}

#[tokio::test]
async fn without_a_token_nobody_is_anonymous_where_tokens_are_required() {
    let table = Table::new();
    let error = table.gate.authenticate(Credential::None).await.unwrap_err();
    assert_eq!(error.to_string(), "authentication is required");
}

/// A set that counts how often it is looked into.
#[derive(Debug)]
struct Counted(Arc<KeySet>, AtomicUsize);

impl KeySource for Counted {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&self.0))
    }

    fn renew(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_good_token_is_not_checked_again_at_once_but_ends_when_it_expires() {
    let signers = signers();
    let set = Arc::new(KeySet::parse(json!({"keys": [signers.ec_jwk("ec-1")]}).to_string().as_bytes()).unwrap());
    let counted = Arc::new(Counted(set, AtomicUsize::new(0)));
    let demands = Demands { issuer: Some("i".into()), audiences: vec!["a".into()], leeway: Duration::ZERO, ..Demands::default() };
    let keys = Keys::Set(Arc::clone(&counted) as Arc<dyn KeySource>);
    let issuer = Issuer { name: "ec".into(), keys, algorithms: vec![Algorithm::ES256], demands, only_access_tokens: false };
    let authentication = Authentication { issuers: vec![Arc::new(issuer)], is_required: true, ..Authentication::default() };
    let gate = Gate::new(Config::default(), Arc::new(Remembered::default())).authenticating(authentication);
    let token = |signature: &dyn Fn(&[u8]) -> Vec<u8>| {
        let claims = json!({"iss": "i", "aud": "a", "sub": "ann", "exp": now() + 2});
        let signed = format!("{}.{}", B64.encode(r#"{"alg":"ES256","kid":"ec-1"}"#), B64.encode(claims.to_string()));
        let signature = B64.encode(signature(signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    let good = token(&|signed| signers.sign(By::Ec, signed));
    let show = |token: &str| gate.authenticate(Credential::Bearer(token.into()));
    for _ in 0..5 {
        show(&good).await.unwrap();
    }
    assert_eq!(counted.1.load(Ordering::Relaxed), 1, "it is looked up once");
    let (signed, _) = good.rsplit_once('.').unwrap();
    show(&format!("{signed}.{}", B64.encode([1; 64]))).await.unwrap_err();
    let mut caller = show(&good).await;
    while caller.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        caller = show(&good).await;
    }
    assert!(
        now() >= serde_json::from_slice::<Value>(&B64.decode(good.split('.').nth(1).unwrap()).unwrap()).unwrap()["exp"].as_u64().unwrap()
    );
}

#[test]
fn secrets_that_can_be_guessed_are_not_taken() {
    let secret = |secret: &str, algorithm| Keys::secret(secret.as_bytes(), &[algorithm]).map(drop);
    assert_eq!(secret(&"k".repeat(31), Algorithm::HS256), Err(WeakSecret::Short { algorithm: Algorithm::HS256, found: 31, needed: 32 }));
    let fine = "Zk3v9QwX7uYt2RbN5mLpHs8DfGjC4aEoTiVx1KzBnM0qWeSyUrPdAhJgLcOvIxF6";
    assert_eq!(secret(fine, Algorithm::HS512), Ok(()));
    assert!(matches!(secret(&fine[..40], Algorithm::HS384), Err(WeakSecret::Short { needed: 48, .. })));
    for guessable in [
        &*"a".repeat(64),
        "your-256-bit-secret-your-256-bit-secret",
        "changemechangemechangemechangeme!",
        "my-test-key-but-salted-0123456789",
    ] {
        assert_eq!(secret(guessable, Algorithm::HS256), Err(WeakSecret::Guessable), "{guessable}");
    }
}

#[test]
fn key_sets_hold_public_keys_for_signatures() {
    let signers = signers();
    let parse = |set: Value| KeySet::parse(set.to_string().as_bytes()).map(drop).map_err(|fault| fault.to_string());
    let ec = signers.ec_jwk("a");
    parse(json!({"keys": [ec]})).unwrap();
    let refused = [
        (json!({"keys": []}), "no key for signatures"),
        (json!([]), "no list"),
        (json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "no secret any more"),
        (json!({"keys": [with(ec.clone(), json!({"use": "enc"}))]}), "no key for signatures"),
        (json!({"keys": [with(ec.clone(), json!({"key_ops": ["encrypt"]}))]}), "no key for signatures"),
        (json!({"keys": [with(ec.clone(), json!({"x": "AA"}))]}), "no key for signatures"),
        (json!({"keys": [{"kty": "RSA", "n": B64.encode([0xff; 128]), "e": "AQAB"}]}), "no key for signatures"),
        (json!({"keys": [ec, ec]}), "one \"kid\""),
        (json!({"keys": (0..65).map(|number| signers.ec_jwk(&number.to_string())).collect::<Vec<_>>()}), "at most 64"),
    ];
    for (set, expected) in refused {
        let fault = parse(set.clone()).unwrap_err();
        assert!(fault.contains(expected), "{set}: {fault}");
    }
    assert!(
        PublicKey::from_pem("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----")
            .unwrap_err()
            .to_string()
            .contains("private key")
    );
    PublicKey::from_pem("ssh-rsa AAAA").unwrap_err();
}

#[test]
fn a_lifetime_is_bounded_by_default() {
    assert_eq!(Demands::default().max_lifetime, Duration::from_secs(24 * 60 * 60));
}
