//! Texts sealed (AES-256-GCM) with a key that is not in the database, bound to where they belong: a row that is moved to somebody else
//! opens for nobody.

use crate::secret::SecretKey;
use ring::aead::{Aad, NONCE_LEN, Nonce};
use toolcrib_contract::CallerId;
use zeroize::Zeroizing;

/// Where a text belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Belongs<'a> {
    pub(crate) table: &'static str,
    pub(crate) name: &'a str,
    pub(crate) owner: &'a CallerId,
}

impl Belongs<'_> {
    fn bound(self) -> Vec<u8> {
        let owner = self.owner.principal();
        [b"toolcrib ", self.table.as_bytes(), b" 1\0", self.name.as_bytes(), b"\0", owner.as_bytes()].concat()
    }
}

/// Nonce, then what is sealed: no two are alike.
pub(crate) fn seal(key: &SecretKey, belongs: Belongs<'_>, text: &str) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).expect("the operating system provides random numbers");
    let mut sealed = text.as_bytes().to_vec();
    let done = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(belongs.bound()), &mut sealed);
    done.expect("a secret is shorter than what one nonce is good for");
    [nonce.as_slice(), &sealed].concat()
}

/// The text, unless it was sealed with another key, moved or changed.
pub(crate) fn open(key: &SecretKey, belongs: Belongs<'_>, sealed: &[u8]) -> Option<Zeroizing<String>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let mut rest = Zeroizing::new(rest.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = key.open_in_place(nonce, Aad::from(belongs.bound()), &mut rest).ok()?;
    std::str::from_utf8(opened).ok().map(|text| Zeroizing::new(text.to_owned()))
}
