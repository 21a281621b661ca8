//! What an entry of an oplog does: writes of documents, commands, a part of a transaction.

use backup_core::{Error, Result};
use bson::spec::BinarySubtype;
use bson::{RawBsonRef, RawDocument};

/// How deep entries lie in entries: the server nests once.
pub(crate) const DEEPEST: usize = 4;

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry<'e> {
    /// What it does, in this order; what servers write for themselves is nothing.
    pub(crate) operations: Vec<Operation<'e>>,
    /// The transaction that it belongs to, if that may have several entries.
    pub(crate) transaction: Option<Transaction>,
}

/// One thing that an entry does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation<'e> {
    pub(crate) does: Does,
    /// `DATABASE.COLLECTION`, of a command `DATABASE.$cmd`.
    pub(crate) namespace: &'e str,
    /// The UUID of the collection.
    pub(crate) uuid: Option<&'e [u8]>,
    /// The document, the change of one, or the command.
    pub(crate) object: &'e RawDocument,
    /// Which document, of an update.
    pub(crate) which: Option<&'e RawDocument>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Insert,
    Update,
    Delete,
    Command,
}

/// A transaction, and how far it is with this entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// Its session and number.
    pub(crate) id: Vec<u8>,
    pub(crate) step: Step,
}

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Whether it is committed is not known yet.
    Open,
    Committed,
    Aborted,
}

impl<'e> Entry<'e> {
    /// Reads an entry, which is not trusted.
    pub(crate) fn of(entry: &'e [u8]) -> Result<Self> {
        let entry = RawDocument::from_bytes(entry).map_err(|error| wrong("is not BSON").with_source(error))?;
        let mut operations = Vec::new();
        collect(entry, 0, &mut operations)?;
        Ok(Self { operations, transaction: transaction(entry) })
    }
}

fn wrong(what: &str) -> Error {
    Error::damaged(format!("an entry of the oplog {what}"))
}

fn collect<'e>(entry: &'e RawDocument, depth: usize, operations: &mut Vec<Operation<'e>>) -> Result<()> {
    let does = match entry.get_str("op").map_err(|_| wrong("does not say what it does"))? {
        // Nothing, and what servers write of records for themselves.
        "n" | "ci" | "cu" | "cd" | "km" => return Ok(()),
        "i" => Does::Insert,
        "u" => Does::Update,
        "d" => Does::Delete,
        "c" => Does::Command,
        other => return Err(wrong(&format!("does {other:?}, which is not known here"))),
    };
    let object = entry.get_document("o").map_err(|_| wrong("has no object"))?;
    let namespace = entry.get_str("ns").map_err(|_| wrong("has no namespace"))?;
    if does == Does::Command {
        match command(object) {
            Some(("applyOps", RawBsonRef::Array(inner))) if depth < DEEPEST => {
                for one in inner {
                    let one = one.ok().and_then(|one| one.as_document()).ok_or_else(|| wrong("has what is no entry in it"))?;
                    collect(one, depth + 1, operations)?;
                }
                return Ok(());
            }
            Some(("applyOps", _)) => return Err(wrong("has entries in it that cannot be read")),
            Some(("commitTransaction" | "abortTransaction", _)) => return Ok(()),
            Some(_) => {}
            None => return Err(wrong("has an empty command")),
        }
    }
    let which = entry.get_document("o2").ok();
    if does == Does::Update && which.is_none() {
        return Err(wrong("does not say which document it changes"));
    }
    let uuid = entry.get_binary("ui").ok().filter(|uuid| uuid.subtype == BinarySubtype::Uuid).map(|uuid| uuid.bytes);
    operations.push(Operation { does, namespace, uuid, object, which });
    Ok(())
}

/// The name of a command, and what stands behind it.
pub(crate) fn command(object: &RawDocument) -> Option<(&str, RawBsonRef<'_>)> {
    let (name, value) = object.into_iter().next()?.ok()?;
    Some((name.as_str(), value))
}

/// The transaction that an entry belongs to, if that may have several.
pub(crate) fn transaction(entry: &RawDocument) -> Option<Transaction> {
    // Many inserts that are retried together are no transaction.
    if entry.get_i32("multiOpType").is_ok_and(|kind| kind == 1) {
        return None;
    }
    let session = entry.get_document("lsid").ok()?;
    let number = entry.get_i64("txnNumber").ok()?;
    let object = entry.get_document("o").ok()?;
    let is_set = |name: &str| object.get_bool(name).unwrap_or(false);
    let step = match command(object)?.0 {
        "applyOps" if is_set("prepare") || is_set("partialTxn") => Step::Open,
        "applyOps" | "commitTransaction" => Step::Committed,
        "abortTransaction" => Step::Aborted,
        _ => return None,
    };
    let id = [session.as_bytes(), &number.to_le_bytes()].concat();
    Some(Transaction { id, step })
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    fn bytes(entry: &Document) -> Vec<u8> {
        entry.to_vec().expect("BSON")
    }

    fn told(entry: &Document) -> Vec<String> {
        let bytes = bytes(entry);
        let entry = Entry::of(&bytes).expect("an entry");
        entry.operations.iter().map(|one| format!("{:?} {}", one.does, one.namespace)).collect()
    }

    #[test]
    fn what_an_entry_does() {
        let insert = doc! { "op": "i", "ns": "app.users", "o": { "_id": 1 } };
        let delete = doc! { "op": "d", "ns": "app.users", "o": { "_id": 1 } };
        let drop = doc! { "op": "c", "ns": "app.$cmd", "o": { "drop": "users" } };
        assert_eq!(told(&insert), ["Insert app.users"]);
        assert_eq!(told(&doc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } }), Vec::<String>::new());
        assert_eq!(told(&drop), ["Command app.$cmd"]);
        let nested = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [delete, drop] } };
        let all = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [insert, nested] } };
        assert_eq!(told(&all), ["Insert app.users", "Delete app.users", "Command app.$cmd"]);
    }

    #[test]
    fn what_is_no_entry_is_damage() {
        let mut deep = doc! { "op": "i", "ns": "a.b", "o": {} };
        for _ in 0..6 {
            deep = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [deep] } };
        }
        for entry in [
            doc! {},
            doc! { "op": "x", "ns": "a.b", "o": {} },
            doc! { "op": "i", "ns": "a.b" },
            doc! { "op": "i", "o": {} },
            doc! { "op": "u", "ns": "a.b", "o": {} },
            doc! { "op": "c", "ns": "a.$cmd", "o": {} },
            doc! { "op": "c", "ns": "a.$cmd", "o": { "applyOps": [1] } },
            doc! { "op": "c", "ns": "a.$cmd", "o": { "applyOps": 1 } },
            deep,
        ] {
            let error = Entry::of(&bytes(&entry)).expect_err("damage");
            assert_eq!(error.kind(), backup_core::Kind::Damaged, "{entry}");
        }
    }

    #[test]
    fn how_far_a_transaction_is() {
        let step = |command: Document, more: Document| {
            let mut entry = doc! { "op": "c", "ns": "admin.$cmd", "o": command, "lsid": { "id": 1 }, "txnNumber": 7_i64 };
            entry.extend(more);
            Entry::of(&bytes(&entry)).expect("an entry").transaction.map(|of| of.step)
        };
        assert_eq!(step(doc! { "applyOps": [] }, doc! {}), Some(Step::Committed));
        assert_eq!(step(doc! { "applyOps": [], "partialTxn": true }, doc! {}), Some(Step::Open));
        assert_eq!(step(doc! { "applyOps": [], "prepare": true }, doc! {}), Some(Step::Open));
        assert_eq!(step(doc! { "commitTransaction": 1 }, doc! {}), Some(Step::Committed));
        assert_eq!(step(doc! { "abortTransaction": 1 }, doc! {}), Some(Step::Aborted));
        assert_eq!(step(doc! { "applyOps": [] }, doc! { "multiOpType": 1 }), None);
        assert_eq!(step(doc! { "drop": "users" }, doc! {}), None);
    }
}
