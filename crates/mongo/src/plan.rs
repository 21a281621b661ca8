//! A deployment in parts: which file holds what, in the order in which they are restored.

use backup_core::{Name, Part, Result};

use crate::catalog::Collection;
use crate::cursor::{Reply, Slice};
use crate::facts::{Content, PartFacts};
use crate::layout;

/// A part, and how it is read.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) part: Part,
    /// What is known before it is read.
    pub(crate) facts: PartFacts,
    pub(crate) how: How,
}

/// How a part is read.
#[derive(Debug)]
pub(crate) enum How {
    /// It is known already.
    Text(String),
    /// The server is asked for options and indexes.
    Metadata(Collection),
    /// A cursor over the collection of this name.
    Documents { of: Collection, source: String, slice: Box<Slice>, reply: Reply },
    /// When all documents have been read.
    Oplog,
}

/// `prelude.json`, of one database or of all.
pub(crate) fn prelude(database: Option<&str>, version: &str) -> Result<Planned> {
    let tool = concat!("backup-mongo ", env!("CARGO_PKG_VERSION"));
    let version = serde_json::Value::from(version);
    let text = format!("{{\"ServerVersion\":{version},\"ToolVersion\":\"{tool}\"}}");
    let mut facts = PartFacts::new(Content::Prelude, layout::prelude_file(database));
    facts.database = database.map(str::to_owned);
    let estimate = Some(text.len() as u64);
    planned(facts, How::Text(text), "json", estimate)
}

/// The options and indexes of a collection.
pub(crate) fn metadata(collection: &Collection) -> Result<Planned> {
    let file = layout::metadata_file(&collection.database, &collection.name);
    planned(of(collection, Content::Metadata, file), How::Metadata(collection.clone()), "json", None)
}

/// The documents of a collection, a part for each slice. `size` are its bytes.
pub(crate) fn documents(
    collection: &Collection,
    source: &str,
    slices: Vec<Slice>,
    size: u64,
    reply: Reply,
) -> Result<Vec<Planned>> {
    let file = layout::documents_file(&collection.database, source);
    let estimate = size / slices.len().max(1) as u64;
    let one = |(number, slice): (u32, Slice)| {
        let mut facts = of(collection, Content::Documents, file.clone());
        facts.range = (slice != Slice::All).then_some(number);
        let how = How::Documents { of: collection.clone(), source: source.to_owned(), slice: Box::new(slice), reply };
        planned(facts, how, "bson", Some(estimate))
    };
    (0..).zip(slices).map(one).collect()
}

/// `oplog.bson`: the last part.
pub(crate) fn oplog() -> Result<Planned> {
    planned(PartFacts::new(Content::Oplog, layout::OPLOG_FILE.to_owned()), How::Oplog, "bson", None)
}

fn of(collection: &Collection, content: Content, file: String) -> PartFacts {
    let mut facts = PartFacts::new(content, file);
    (facts.database, facts.collection) = (Some(collection.database.clone()), Some(collection.name.clone()));
    (facts.kind, facts.uuid) = (Some(collection.kind), collection.uuid.clone());
    facts
}

/// A part is called as its file; a range of it has its number behind a `#`, which no file's name has.
fn planned(facts: PartFacts, how: How, extension: &'static str, estimate: Option<u64>) -> Result<Planned> {
    let name: Name = match facts.range {
        Some(range) => format!("{}#{range:04}", facts.file).parse()?,
        None => facts.file.parse()?,
    };
    Ok(Planned { part: Part { name, extension, folder: None, estimate }, facts, how })
}
