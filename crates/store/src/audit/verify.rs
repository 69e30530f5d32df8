//! Is the log what was written?

use super::chain::{Hash, Kind, hash, signed};
use crate::{
    database::{Failed, Row, Sql, values},
    secret::{Master, hex},
};
use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};
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
    /// Whether retention took out what was before, as a signed checkpoint says.
    pub is_cut: bool,
    /// The number and hash of the last record that was found well, of each chain that has any: note them elsewhere, and nobody can cut the
    /// log short. A file has one chain; on a server each replica has one for each time that it was started.
    pub heads: Vec<(i64, String)>,
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
    /// Something is wrong with the chain of one replica.
    #[error("chain {number}, of {replica}: {what}")]
    Chain {
        /// The number of the chain.
        number: i64,
        /// Whose it is.
        replica: String,
        /// What is wrong.
        what: Box<Broken>,
    },
    /// There are records that belong to no chain, or stand outside of theirs.
    #[error("there are {0} records that nobody of this store wrote, or that stand in a wrong place")]
    Strangers(u64),
    /// The chain is not the one that was begun with this number.
    #[error("the chain is not the one that was begun, or the one before it")]
    OtherChain,
}

impl Verdict {
    pub(super) fn of(master: &Master) -> Self {
        Self { records: 0, checkpoints: 0, first: None, is_cut: false, heads: Vec::new(), public_key: master.public_key(), broken: None }
    }
}

/// Where the rows of a chain are.
pub(super) struct Rows {
    /// Some of the rows after one number and up to another, in their order: the columns with the number in the chain as the first, the
    /// hash, and the number in the log.
    pub(super) rows: String,
    /// The checkpoints up to a number: number, time, hash, signature, kind.
    pub(super) checkpoints: String,
    /// What the first row is bound to.
    pub(super) origin: Hash,
    /// Whether all of it may have been taken out by retention.
    pub(super) may_be_empty: bool,
}

/// Walks a chain, all of it or up to a row. Gives where it ends, or the first broken link.
pub(super) fn walk(
    it: &mut dyn Sql,
    of: &Rows,
    master: &Master,
    until: Option<i64>,
    verdict: &mut Verdict,
) -> Result<Result<(i64, Hash), Broken>, Failed> {
    let upto = until.unwrap_or(i64::MAX);
    let mut checkpoints: BTreeMap<i64, (Kind, Hash)> = BTreeMap::new();
    let key = UnparsedPublicKey::new(&ED25519, master.signer.public_key().as_ref().to_vec());
    for row in it.query(&of.checkpoints, &values![upto])? {
        let (seq, at_ms, hash): (i64, i64, Hash) = (row.integer(0)?, row.integer(1)?, row.bytes(2)?);
        let kind =
            Kind::of(row.text(4)?).filter(|kind| key.verify(&signed(*kind, seq, at_ms, &hash), row.blob(3).unwrap_or_default()).is_ok());
        let Some(kind) = kind else { return Ok(Err(Broken::Forged(seq))) };
        checkpoints.insert(seq, (kind, hash));
    }
    let mut link = Link { last: None, checkpoints, origin: of.origin };
    let mut head = None;
    loop {
        let rows = it.query(&of.rows, &values![link.last.map_or(i64::MIN, |(seq, _)| seq), upto])?;
        for row in &rows {
            if let Some(broken) = link.follow(row, master, verdict)? {
                return Ok(Err(broken));
            }
        }
        let Some(last) = rows.last() else { break };
        head = Some((last.integer(last.0.len() - 1)?, hex(last.blob(last.0.len() - 2)?)));
    }
    verdict.heads.extend(head);
    Ok(link.end(until, of.may_be_empty))
}

/// How far a chain was followed.
struct Link {
    last: Option<(i64, Hash)>,
    checkpoints: BTreeMap<i64, (Kind, Hash)>,
    origin: Hash,
}

impl Link {
    /// Goes on to the next row; gives what is wrong with it.
    fn follow(&mut self, row: &Row, master: &Master, verdict: &mut Verdict) -> Result<Option<Broken>, Failed> {
        let (columns, kept) = row.0.split_at(row.0.len() - 2);
        let (seq, written): (i64, Hash) = (row.integer(0)?, row.bytes(columns.len())?);
        let (last, before) = match self.last {
            Some(last) => last,
            None => match self.checkpoints.get(&(seq - 1)) {
                Some((Kind::Cut, hash)) => {
                    verdict.is_cut = true;
                    (seq - 1, *hash)
                }
                _ => (0, self.origin),
            },
        };
        if seq <= last {
            return Ok(Some(Broken::Record { seq, id: row.text(1).unwrap_or_default().to_owned() }));
        }
        if seq != last + 1 {
            return Ok(Some(Broken::Missing { from: last + 1, to: seq - 1 }));
        }
        if hash(&before, columns, &master.chain) != written {
            return Ok(Some(Broken::Record { seq, id: row.text(1).unwrap_or_default().to_owned() }));
        }
        if self.checkpoints.get(&seq).is_some_and(|(_, signed)| *signed != written) {
            return Ok(Some(Broken::Rewritten(seq)));
        }
        verdict.checkpoints += u64::from(self.checkpoints.contains_key(&seq));
        verdict.records += 1;
        let number = if let [_, crate::database::Value::Integer(number)] = kept { *number } else { return Err(Failed::OddValue) };
        verdict.first = Some(verdict.first.map_or(number, |first| first.min(number)));
        self.last = Some((seq, written));
        Ok(None)
    }

    /// Where the chain ends. A checkpoint behind its last row tells of some that were taken out, unless it says so itself; of a part, that it
    /// goes as far as it was asked for.
    fn end(self, until: Option<i64>, may_be_empty: bool) -> Result<(i64, Hash), Broken> {
        let latest = self.checkpoints.into_iter().next_back();
        let last = match (self.last, latest) {
            (None, Some((seq, (Kind::Cut, hash)))) if may_be_empty => (seq, hash),
            (last, _) => last.unwrap_or((0, self.origin)),
        };
        let expected = until.or(latest.map(|(seq, _)| seq)).unwrap_or(last.0);
        if last.0 < expected { Err(Broken::Missing { from: last.0 + 1, to: expected }) } else { Ok(last) }
    }
}
