//! Is the log what was written?

use super::chain::{COLUMNS, Hash, Kind, ORIGIN, SELECT, hash, signed};
use crate::{
    StoreError,
    database::Database,
    secret::{Master, hex},
};
use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};
use rusqlite::{Connection, types::Value};
use std::collections::BTreeMap;

/// What came of checking the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many records were found well.
    pub records: u64,
    /// How many signed checkpoints were found well.
    pub checkpoints: u64,
    /// The number of the first record that is kept.
    pub first: Option<i64>,
    /// The number and hash of the last record that was found well: note them elsewhere, and nobody can cut the log short.
    pub head: Option<(i64, String)>,
    /// The key that signed, in hexadecimal digits.
    pub public_key: String,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// The first broken link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is not what was written, or is not the one that was written there.
    #[error("record {seq} ({id}) is not as it was written, or the one before it")]
    Record {
        /// Its number.
        seq: i64,
        /// The name of the call.
        id: String,
    },
    /// Records are missing.
    #[error("records {from} to {to} are missing")]
    Missing {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A checkpoint is not signed with the key of this store.
    #[error("the checkpoint at record {0} is not signed by this store")]
    Forged(i64),
    /// A checkpoint was signed over another record.
    #[error("the checkpoint at record {0} was signed over another record")]
    Rewritten(i64),
    /// The file cannot be read.
    #[error("the file is damaged: {0}")]
    Unreadable(String),
}

pub(crate) fn verify(database: &Database, master: &Master) -> Result<Verdict, StoreError> {
    let public_key = master.public_key();
    let mut verdict = Verdict { records: 0, checkpoints: 0, first: None, head: None, public_key, broken: None };
    // One view of the file, whatever is written meanwhile.
    let walked = database.connection.unchecked_transaction().and_then(|view| walk(&view, master, None, &mut verdict));
    match walked {
        Ok(broken) => verdict.broken = broken,
        Err(error) => match database.failed(error) {
            StoreError::Damaged { reason, .. } => verdict.broken = Some(Broken::Unreadable(reason)),
            StoreError::Database { source: rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::Utf8Error(..), .. } => {
                verdict.broken = Some(Broken::Unreadable("a value is of another type than was written".into()));
            }
            other => return Err(other),
        },
    }
    Ok(verdict)
}

/// The first broken link up to a record, before whoever has the key signs for it.
pub(super) fn broken_until(connection: &Connection, master: &Master, seq: i64) -> rusqlite::Result<Option<Broken>> {
    let mut verdict = Verdict { records: 0, checkpoints: 0, first: None, head: None, public_key: String::new(), broken: None };
    walk(connection, master, Some(seq), &mut verdict)
}

/// Walks the chain, all of it or up to a record.
fn walk(connection: &Connection, master: &Master, until: Option<i64>, verdict: &mut Verdict) -> rusqlite::Result<Option<Broken>> {
    let upto = until.unwrap_or(i64::MAX);
    let mut checkpoints: BTreeMap<i64, (Kind, Hash)> = BTreeMap::new();
    let key = UnparsedPublicKey::new(&ED25519, master.signer.public_key().as_ref().to_vec());
    let mut statement = connection.prepare("SELECT seq, at_ms, hash, signature, kind FROM checkpoint WHERE seq <= ?1 ORDER BY seq")?;
    let mut rows = statement.query([upto])?;
    while let Some(row) = rows.next()? {
        let (seq, at_ms, hash): (i64, i64, Hash) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let signature: Vec<u8> = row.get(3)?;
        let kind = Kind::of(&row.get::<_, String>(4)?);
        let Some(kind) = kind.filter(|kind| key.verify(&signed(*kind, seq, at_ms, &hash), &signature).is_ok()) else {
            return Ok(Some(Broken::Forged(seq)));
        };
        checkpoints.insert(seq, (kind, hash));
    }
    let mut statement = connection.prepare(&format!("{} WHERE seq <= ?1 ORDER BY seq", *SELECT))?;
    let mut rows = statement.query([upto])?;
    let mut before: Option<(i64, Hash)> = None;
    while let Some(row) = rows.next()? {
        let columns = (0..COLUMNS.len()).map(|index| row.get::<_, Value>(index)).collect::<Result<Vec<_>, _>>()?;
        let (seq, written): (i64, Hash) = (row.get(0)?, row.get(COLUMNS.len())?);
        let (last, link) = match before {
            Some(before) => before,
            None => match checkpoints.get(&(seq - 1)) {
                Some((Kind::Cut, hash)) => (seq - 1, *hash),
                _ => (0, ORIGIN),
            },
        };
        if seq != last + 1 {
            return Ok(Some(Broken::Missing { from: last + 1, to: seq - 1 }));
        }
        if hash(&link, &columns, &master.chain) != written {
            let id = if let Value::Text(id) = &columns[1] { id.clone() } else { String::new() };
            return Ok(Some(Broken::Record { seq, id }));
        }
        if checkpoints.get(&seq).is_some_and(|(_, signed)| *signed != written) {
            return Ok(Some(Broken::Rewritten(seq)));
        }
        verdict.checkpoints += u64::from(checkpoints.contains_key(&seq));
        verdict.records += 1;
        verdict.first.get_or_insert(seq);
        verdict.head = Some((seq, hex(&written)));
        before = Some((seq, written));
    }
    let last = before.map_or(0, |(seq, _)| seq);
    if until.is_some() {
        return Ok(None);
    }
    // The last record is never taken out, so a checkpoint behind it tells of some that were.
    let signed = checkpoints.into_keys().next_back().filter(|seq| *seq > last);
    Ok(signed.map(|seq| Broken::Missing { from: last + 1, to: seq }))
}
