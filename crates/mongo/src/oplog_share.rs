//! What of an oplog belongs to one database: its own entries, and its part of those of transactions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use backup_core::{Error, Result};
use bson::raw::cstr;
use bson::{Document, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use crate::oplog_entry::{DEEPEST, Step, command, transaction};

/// The share of one database. Remembers the transactions of which it has kept something.
#[derive(Debug)]
pub(crate) struct Share {
    /// How the names of its collections begin.
    prefix: String,
    /// Those that are not through.
    kept: BTreeSet<Vec<u8>>,
}

impl Share {
    /// The share of `database`.
    pub(crate) fn of(database: &str) -> Self {
        Self { prefix: format!("{database}."), kept: BTreeSet::new() }
    }

    /// Which entries may have something of it.
    pub(crate) fn filter(&self) -> Document {
        let end = format!("{}/", self.prefix.trim_end_matches('.'));
        doc! { "$or": [{ "ns": { "$gte": &self.prefix, "$lt": end } }, { "ns": "admin.$cmd" }] }
    }

    /// What of an entry is its own. A transaction that has something of it keeps its later entries: they say how it ended.
    pub(crate) fn part<'e>(&mut self, entry: &'e [u8]) -> Result<Option<Cow<'e, [u8]>>> {
        let entry = RawDocument::from_bytes(entry).map_err(|error| wrong().with_source(error))?;
        let (part, has_some) = self.within(entry, 0)?;
        let is_kept = match transaction(entry) {
            None => has_some,
            Some(of) => {
                let known = self.kept.remove(&of.id);
                if of.step == Step::Open && (has_some || known) {
                    self.kept.insert(of.id);
                }
                has_some || known
            }
        };
        Ok(is_kept.then_some(part))
    }

    /// The part of an entry, and whether there is something in it.
    fn within<'e>(&self, entry: &'e RawDocument, depth: usize) -> Result<(Cow<'e, [u8]>, bool)> {
        let object = entry.get_document("o").ok().filter(|_| entry.get_str("op").is_ok_and(|op| op == "c"));
        let Some(("applyOps", RawBsonRef::Array(inner))) = object.and_then(command) else {
            let is_own = entry.get_str("ns").is_ok_and(|namespace| namespace.starts_with(&self.prefix));
            return Ok((Cow::Borrowed(entry.as_bytes()), is_own));
        };
        if depth >= DEEPEST {
            return Err(wrong());
        }
        let mut own = RawArrayBuf::new();
        let mut is_all = true;
        for one in inner {
            let one = one.ok().and_then(|one| one.as_document()).ok_or_else(wrong)?;
            let (part, has_some) = self.within(one, depth + 1)?;
            is_all &= has_some && matches!(part, Cow::Borrowed(_));
            if has_some {
                own.push(RawDocumentBuf::from_bytes(part.into_owned()).map_err(|_| wrong())?);
            }
        }
        let has_some = own.into_iter().next().is_some();
        if is_all {
            return Ok((Cow::Borrowed(entry.as_bytes()), has_some));
        }
        let object = with(object.ok_or_else(wrong)?, "applyOps", |object| object.append(cstr!("applyOps"), own))?;
        let part = with(entry, "o", |entry| entry.append(cstr!("o"), object))?;
        Ok((Cow::Owned(part.into_bytes()), has_some))
    }
}

/// A document with what `put` puts in place of one of its fields.
fn with(document: &RawDocument, field: &str, put: impl FnOnce(&mut RawDocumentBuf)) -> Result<RawDocumentBuf> {
    let (mut put, mut made) = (Some(put), RawDocumentBuf::new());
    for element in document {
        let (name, value) = element.map_err(|error| wrong().with_source(error))?;
        match put.take_if(|_| name.as_str() == field) {
            Some(put) => put(&mut made),
            None => made.append(name, value),
        }
    }
    Ok(made)
}

fn wrong() -> Error {
    Error::damaged("an entry of the oplog cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(namespace: &str) -> Document {
        doc! { "op": "i", "ns": namespace, "o": { "_id": 1 } }
    }

    fn part_of(share: &mut Share, entry: &Document) -> Option<Document> {
        let bytes = entry.to_vec().expect("BSON");
        let part = share.part(&bytes).expect("read");
        part.map(|part| Document::from_reader(&*part).expect("BSON"))
    }

    #[test]
    fn an_entry_is_kept_without_what_belongs_to_others() {
        let mut share = Share::of("app");
        let mut of = |entry: Document| part_of(&mut share, &entry);
        assert_eq!(of(insert("app.users")), Some(insert("app.users")));
        let drop = doc! { "op": "c", "ns": "app.$cmd", "o": { "drop": "users" } };
        assert_eq!(of(drop.clone()), Some(drop.clone()));
        for other in [insert("apps.users"), insert("ap.users"), doc! { "op": "n", "ns": "", "o": {} }] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
        let all = |inner: Vec<Document>| doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": inner, "count": 3 }, "v": 2 };
        let own = all(vec![insert("app.a"), drop.clone()]);
        assert_eq!(of(own.clone()), Some(own.clone()));
        assert_eq!(of(all(vec![insert("other.a"), insert("app.a"), all(vec![insert("other.b")]), drop])), Some(own));
        let nested = |inner| all(vec![all(inner)]);
        assert_eq!(of(nested(vec![insert("app.a"), insert("other.a")])), Some(nested(vec![insert("app.a")])));
        assert_eq!(of(all(vec![insert("other.a")])), None);
    }

    #[test]
    fn a_transaction_is_kept_from_its_first_own_entry_to_its_end() {
        let mut share = Share::of("app");
        let entry = |number: i64, object: Document| {
            doc! { "op": "c", "ns": "admin.$cmd", "lsid": { "id": 1 }, "txnNumber": number, "o": object }
        };
        let (own, other) = (|| vec![insert("app.a")], || vec![insert("other.a")]);
        let part = |inner: Vec<Document>| doc! { "applyOps": inner, "partialTxn": true };
        let prepared = |inner: Vec<Document>| doc! { "applyOps": inner, "prepare": true };
        let last = |inner: Vec<Document>| doc! { "applyOps": inner };
        let [commit, abort] = ["commitTransaction", "abortTransaction"].map(|end| doc! { end: 1 });
        let told = [
            (1, part(other()), None),
            (1, part(own()), Some(part(own()))),
            (2, part(other()), None),
            (1, last(other()), Some(last(vec![]))),
            (2, last(other()), None),
            (3, prepared(own()), Some(prepared(own()))),
            (4, prepared(other()), None),
            (5, prepared(own()), Some(prepared(own()))),
            (3, commit.clone(), Some(commit.clone())),
            (3, commit.clone(), None),
            (4, commit, None),
            (5, abort.clone(), Some(abort)),
            (6, last(own()), Some(last(own()))),
        ];
        for (number, object, expected) in told {
            let expected = expected.map(|object| entry(number, object));
            assert_eq!(part_of(&mut share, &entry(number, object)), expected);
        }
        assert!(share.kept.is_empty(), "{share:?}");
    }

    #[test]
    fn what_cannot_be_read_is_damage() {
        let mut share = Share::of("app");
        let mut deep = insert("app.users");
        for _ in 0..6 {
            deep = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [deep] } };
        }
        for entry in [deep, doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [1] } }] {
            assert!(share.part(&entry.to_vec().expect("BSON")).is_err(), "{entry}");
        }
        assert!(share.part(&[1, 2, 3]).is_err());
    }
}
