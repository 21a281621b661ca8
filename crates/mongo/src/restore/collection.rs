//! One collection: filled beside, compared, indexed, and renamed into place in one step.

use backup_core::{Context, Doing, Error, Kind, Result, body};
use bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};
use tokio::io::AsyncWrite;

use super::answered::answered;
use super::insert::{How, Inserted, insert};
use super::mark;
use super::options::{Options, bounds, options_later, options_now};
use crate::catalog;
use crate::cursor::{self, Slice};
use crate::described::Described;
use crate::digest::Counted;
use crate::documents::Documents;
use crate::dump::{Dump, Listed};
use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::mongo_error::mongo_error;
use crate::pace::Pace;

/// The code of a name that is taken.
const TAKEN: i32 = 48;

/// Where a collection goes, and how.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) client: &'a Client,
    pub(crate) database: &'a Database,
    /// What it is to be called.
    pub(crate) name: &'a str,
    /// What it is called until it is whole.
    pub(crate) work: String,
    pub(crate) options: &'a Options,
    /// With what all that is restored at once takes turns.
    pub(crate) pace: Pace,
}

/// What became of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, whole, with so many documents.
    Restored(u64),
    /// Somebody else made one of its name meanwhile, which was left as it is.
    Appeared,
}

/// Restores `listed` out of `dump`. What is there under the name is never touched; after an error nothing is left but what the
/// server could not be asked to drop, and a time series that is half in its place, with its mark.
pub(crate) async fn restore(cx: &Context, place: &Place<'_>, dump: &dyn Dump, listed: &Listed) -> Result<Outcome> {
    let restored = async {
        let described = dump.describe(listed).await?;
        let counted = fill_beside(cx, place, Some((dump, listed)), &described).await?;
        answered(cx, index_beside(place, &described)).await?;
        into_place(cx, place, &described, counted).await
    };
    let restored = restored.await;
    if !matches!(restored, Ok(Outcome::Restored(_))) {
        discard(place).await;
    }
    restored.doing(|| format!("restore {listed}"))
}

/// Makes what is `described` beside, and fills it with what the dump has, if it has something. Of a view there is nothing beside.
pub(crate) async fn fill_beside(
    cx: &Context,
    place: &Place<'_>,
    from: Option<(&dyn Dump, &Listed)>,
    described: &Described,
) -> Result<Counted> {
    if described.kind == CollectionType::View {
        return Ok(Counted::default());
    }
    if !answered(cx, create(place, &place.work, options_now(described))).await? {
        return Err(Error::new(Kind::Busy, format!("{} is being filled by another run", place.work)));
    }
    match from {
        Some((dump, listed)) => fill(cx, place, dump, listed, &source(&place.work, described.kind), described).await,
        None => Ok(Counted::default()),
    }
}

/// The collection that the documents of `name` are in.
pub(crate) fn source(name: &str, kind: CollectionType) -> String {
    match kind {
        CollectionType::TimeSeries => format!("{BUCKETS}{name}"),
        _ => name.to_owned(),
    }
}

/// Gives a capped collection that was filled beside without bounds those that it is to have.
pub(crate) async fn bound_beside(place: &Place<'_>, described: &Described) -> Result<()> {
    let bounds = bounds(described);
    if bounds.is_empty() {
        return Ok(());
    }
    let mut command = doc! { "collMod": &place.work };
    command.extend(bounds);
    let bounded = run(place.database, command, "set its bounds").await;
    bounded.map_err(|error| error.with_hint("servers before 6.0 change none: restore what was read, by --no-replay"))
}

/// Gives what lies beside its indexes, and what its documents are held against.
pub(crate) async fn index_beside(place: &Place<'_>, described: &Described) -> Result<()> {
    if described.kind == CollectionType::View {
        return Ok(());
    }
    index(place, &place.work, described).await?;
    let later = options_later(described);
    if described.kind == CollectionType::TimeSeries || later.is_empty() {
        return Ok(());
    }
    let mut command = doc! { "collMod": &place.work };
    command.extend(later);
    run(place.database, command, "set what documents are held against").await
}

/// Gives what lies beside, which has what was `counted`, its name.
pub(crate) async fn into_place(cx: &Context, place: &Place<'_>, described: &Described, counted: Counted) -> Result<Outcome> {
    let is_there = match described.kind {
        CollectionType::View => answered(cx, create(place, place.name, described.options.clone())).await?,
        CollectionType::Collection => answered(cx, rename(place)).await?,
        CollectionType::TimeSeries => time_series(cx, place, described, counted).await?,
    };
    Ok(if is_there { Outcome::Restored(counted.documents) } else { Outcome::Appeared })
}

/// A time series was filled beside, compared and indexed as any other; but none can be renamed. So one is made in its place, and
/// gets all that lies beside. What breaks off on the way is left as it is, since others may have written to it, and keeps its mark.
async fn time_series(cx: &Context, place: &Place<'_>, described: &Described, counted: Counted) -> Result<bool> {
    let mut options = options_now(described);
    options.extend(options_later(described));
    if !answered(cx, create(place, place.name, options)).await? {
        return Ok(false);
    }
    move_over(cx, place, counted, described).await.map_err(half)?;
    discard(place).await;
    Ok(true)
}

/// Copies what lies beside into the time series in its place, which may have others' documents by now.
async fn move_over(cx: &Context, place: &Place<'_>, counted: Counted, described: &Described) -> Result<()> {
    mark::set(place, counted).await?;
    let (database, from) = (place.database.clone(), format!("{BUCKETS}{}", place.work));
    // The documents of a time series are short. What is read does not take turns with what is written: that waits for it.
    let body =
        body::piped(move |mut writer| async move { read(&database, &from, &Pace::default(), &mut writer).await.map(drop) });
    let how = How { workers: place.options.workers, keeps: true, pace: place.pace.clone() };
    let target = format!("{BUCKETS}{}", place.name);
    let copied = insert(cx, place.database, &target, &mut Documents::new(body, &*place.work), how).await?.counted;
    if copied != counted {
        return Err(Error::new(Kind::Differs, format!("{} is not any more what was filled in", place.work)));
    }
    index(place, place.name, described).await?;
    mark::clear(place.database, place.name).await
}

/// The error of a time series that is half in its place.
fn half(error: Error) -> Error {
    let kind = if error.kind() == Kind::Cancelled { Kind::Cancelled } else { Kind::StillSick };
    let half = Error::new(kind, "it is there and not whole, and stays, since others may have written to it").with_source(error);
    half.with_hint("heal it: what it has not is added, and nothing of it is replaced")
}

/// Fills `target`, then reads it from the server and compares: what came, what the dump says, and what is there.
async fn fill(
    cx: &Context,
    place: &Place<'_>,
    dump: &dyn Dump,
    listed: &Listed,
    target: &str,
    described: &Described,
) -> Result<Counted> {
    let mut documents = Documents::new(dump.documents(listed).await?, listed.to_string());
    // A capped collection has the order of arrival.
    let capped = described.options.get_bool("capped").unwrap_or(false);
    let how = How { workers: if capped { 1 } else { place.options.workers }, keeps: false, pace: place.pace.clone() };
    let Inserted { counted, .. } = insert(cx, place.database, target, &mut documents, how).await?;
    if let Some(says) = listed.counted.filter(|says| *says != counted) {
        return Err(differs("the backup has", says, counted).with_kind(Kind::Damaged));
    }
    is_stored(cx, place, target, counted).await?;
    Ok(counted)
}

/// Reads what was filled from the server, and fails unless it is what came.
pub(crate) async fn is_stored(cx: &Context, place: &Place<'_>, target: &str, counted: Counted) -> Result<()> {
    let there = cx.unless_cancelled(count(place.database, target, &place.pace)).await?;
    if there == counted { Ok(()) } else { Err(differs("the server has stored", there, counted)) }
}

fn differs(of: &str, says: Counted, came: Counted) -> Error {
    let tell = |counted: Counted| format!("{} documents with the digest {}", counted.documents, counted.digest);
    Error::new(Kind::Differs, format!("{of} {}, and {} came", tell(says), tell(came)))
}

/// Counts and digests what is in a collection.
pub(crate) async fn count(database: &Database, name: &str, pace: &Pace) -> Result<Counted> {
    read(database, name, pace, &mut tokio::io::sink()).await
}

/// Writes the documents of a collection to `out`, in replies as large as an export's.
async fn read(database: &Database, name: &str, pace: &Pace, out: &mut (impl AsyncWrite + Unpin)) -> Result<Counted> {
    let (bytes, documents) = catalog::size(database, name).await.unwrap_or_default();
    let reply = cursor::reply(bytes, documents);
    let replies = pace.replies(reply.bytes);
    let turn = replies.turn().await;
    let found = cursor::open(database, name, &Slice::All, reply.documents).await?;
    cursor::write(found, replies, turn, || format!("read {}.{name}", database.name()), cursor::whole, out).await
}

/// Makes a collection; `false` if there is one of the name.
async fn create(place: &Place<'_>, name: &str, options: Document) -> Result<bool> {
    let mut command = doc! { "create": name };
    command.extend(options);
    command.insert("writeConcern", doc! { "w": "majority" });
    match place.database.run_command(command).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some(TAKEN) => Ok(false),
        Err(error) => Err(mongo_error(format!("create {name}"), &error)),
    }
}

/// Builds the indexes of `described` on `name`.
async fn index(place: &Place<'_>, name: &str, described: &Described) -> Result<()> {
    build(place.database, name, described.further_indexes()).await
}

/// Builds indexes, in the format that the server likes best.
pub(crate) async fn build<'i>(database: &Database, name: &str, indexes: impl Iterator<Item = &'i Document>) -> Result<()> {
    let as_new = |index: &Document| {
        let mut index = index.clone();
        // What an older server wrote there is its own; a text index of another version has other words.
        for own in ["v", "ns", "background"] {
            index.remove(own);
        }
        Bson::Document(index)
    };
    let indexes: Vec<Bson> = indexes.map(as_new).collect();
    if indexes.is_empty() {
        return Ok(());
    }
    let command = doc! {
        "createIndexes": name, "indexes": indexes, "ignoreUnknownIndexOptions": true, "writeConcern": { "w": "majority" },
    };
    run(database, command, "build the indexes").await
}

/// Gives the collection its name, acknowledged by most members and on their disks; `false` if the name is taken.
async fn rename(place: &Place<'_>) -> Result<bool> {
    let database = place.database.name();
    let command = doc! {
        "renameCollection": format!("{database}.{}", place.work), "to": format!("{database}.{}", place.name),
        "dropTarget": false, "writeConcern": { "w": "majority", "j": true },
    };
    match place.client.database("admin").run_command(command).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some(TAKEN) => Ok(false),
        Err(error) => Err(mongo_error("rename it into place", &error)),
    }
}

/// Drops what was made: the restore broke off, or is not needed. What cannot be dropped now, the next run drops.
pub(crate) async fn discard(place: &Place<'_>) {
    if let Err(error) = place.database.collection::<Document>(&place.work).drop().await {
        tracing::debug!(%error, name = place.work, "what was half restored stays until the next run");
    }
}

async fn run(database: &Database, command: Document, doing: &str) -> Result<()> {
    database.run_command(command).await.map(drop).map_err(|error| mongo_error(doing, &error))
}

pub(super) fn code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(said) => Some(said.code),
        _ => None,
    }
}
