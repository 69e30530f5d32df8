//! Tokens that were found good a moment ago: reading and checking one costs more than looking it up, and where it is made with a
//! key pair more than all the rest of a call.
//!
//! What is kept is the caller under the digest of the whole token, for less time than it takes to withdraw a key; whether the
//! token has expired is asked each time.

use super::Caller;
use moka::sync::Cache;
use ring::digest::{SHA256, digest};
use std::{fmt, time::Duration};

/// How long a token is not checked again.
const KEPT: Duration = Duration::from_secs(60);
/// The room for them, by the length of the tokens: what they say is about as long.
const MAX_BYTES: u64 = 8 << 20;

/// The digest of a token.
pub(super) type Digest = [u8; 32];

/// Callers whose tokens were found good.
#[derive(Clone)]
pub(super) struct Verified(Cache<Digest, Held>);

#[derive(Clone)]
struct Held {
    caller: Caller,
    token_bytes: u32,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({})", self.0.entry_count())
    }
}

impl Default for Verified {
    fn default() -> Self {
        let weigh = |_: &Digest, held: &Held| held.token_bytes;
        Self(Cache::builder().weigher(weigh).max_capacity(MAX_BYTES).time_to_live(KEPT).build())
    }
}

impl Verified {
    pub(super) fn caller(&self, token: &Digest) -> Option<Caller> {
        self.0.get(token).map(|held| held.caller)
    }

    pub(super) fn keep(&self, token: Digest, token_bytes: usize, caller: &Caller) {
        let held = Held { caller: caller.clone(), token_bytes: u32::try_from(token_bytes).unwrap_or(u32::MAX) };
        self.0.insert(token, held);
    }
}

pub(super) fn digest_of(token: &str) -> Digest {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}
