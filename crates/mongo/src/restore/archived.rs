//! An archive of mongodump that comes as a stream: it is read once, and its collections are filled as their documents come.

use std::collections::HashMap;

use backup_core::{Body, Context, Doing, Error, Event, Kind, Restored, Result};
use mongodb::{Client, Database};

use super::collection::{fill_beside, is_stored, source};
use super::insert::{BATCH, Batch, Sending};
use super::{Place, Planned, Run, Selection, begin, finish, leave, places};
use crate::archive::{Archive, Archived, Piece};
use crate::archive_dump::{decompressed, found, has_oplog};
use crate::digest::Counted;
use crate::dump::Listed;
use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::restore::RestoreOptions;

/// Restores what `selection` names out of `archive`, a stream of `mongodump --archive`, compressed by `--gzip` or not: as
/// [`restore`](super::restore) does, and nothing has its name before the archive has come to its end and was right.
///
/// [`Kind::Damaged`] if it is no archive, breaks off or contradicts itself; [`Kind::AlreadyExists`] before anything is written if a
/// name is taken, [`Kind::Usage`] where users and roles are asked for. The oplog, which comes when all is filled, is left out, and
/// that is told unless `options` leave it out too. The client belongs to `run`.
pub async fn restore_archive(
    cx: &Context,
    client: &Client,
    run: &Run,
    archive: Body,
    selection: &Selection,
    options: &RestoreOptions,
) -> Result<Restored> {
    if selection.users {
        return Err(Error::usage("users and roles are not restored out of a pipe")
            .with_hint("store the archive in a file, and load that"));
    }
    let opened = async { Archive::open(decompressed(archive).await?).await };
    let mut archive = cx.unless_cancelled(opened).await.doing(|| "read the archive")?;
    let planned = planned(archive.collections(), selection)?;
    let owner = begin(cx, client, run, &planned).await?;
    let databases: Vec<Database> = planned.iter().map(|of| client.database(&of.database)).collect();
    let each = places(client, run, &owner, &planned, &databases, options);
    let restored = async {
        let counted = fill(cx, &mut archive, selection, &each).await?;
        finish(cx, &each, counted, Restored::default()).await
    };
    let restored = restored.await;
    leave(&each, restored.is_ok()).await;
    if restored.is_ok() && options.replay && has_oplog(archive.collections()) {
        cx.tell(Event::Warning { what: "the oplog is left out: each collection is as it was while it was read" });
    }
    restored
}

/// What the prelude names and `selection` means.
fn planned(archived: &[Archived], selection: &Selection) -> Result<Vec<Planned>> {
    let mut found = found(archived, Vec::new())?;
    let listed = |((database, collection), found): (&(String, String), &crate::archive_dump::Found)| Listed {
        database: database.clone(),
        collection: collection.clone(),
        kind: found.described.kind,
        counted: None,
    };
    let mut all: Vec<Listed> = found.iter().map(listed).collect();
    all.sort_by_key(|listed| listed.kind == CollectionType::View);
    let planned = selection.of(&all)?.into_iter().map(|(listed, database, name)| {
        let found = found.remove(&(listed.database.clone(), listed.collection.clone())).unwrap_or_default();
        let (listed, described) = (listed.clone(), found.described);
        Planned { listed, is_in_dump: true, described, key: None, is_written: false, database, name }
    });
    Ok(planned.collect())
}

/// A collection that is being filled.
struct Filling<'a> {
    of: &'a Planned,
    place: &'a Place<'a>,
    /// Where its documents go.
    target: String,
    counted: Counted,
}

/// Makes all beside, and fills them with what comes. Holds the batches on their way, and one. After an error none is on its way.
async fn fill(
    cx: &Context,
    archive: &mut Archive,
    selection: &Selection,
    each: &[(&Planned, Place<'_>)],
) -> Result<Vec<Counted>> {
    let mut sending = Sending::new(each.first().map_or(1, |(_, place)| place.options.workers));
    let filled = fill_by(cx, archive, selection, each, &mut sending).await;
    sending.settled(filled).await
}

async fn fill_by(
    cx: &Context,
    archive: &mut Archive,
    selection: &Selection,
    each: &[(&Planned, Place<'_>)],
    sending: &mut Sending,
) -> Result<Vec<Counted>> {
    let mut filling = Vec::new();
    for (of, place) in each {
        fill_beside(cx, place, None, &of.described).await.doing(|| format!("restore {}", of.listed))?;
        filling.push(Filling { of, place, target: source(&place.work, of.described.kind), counted: Counted::default() });
    }
    let name = |of: &Planned| (of.listed.database.clone(), source(&of.listed.collection, of.described.kind));
    let numbers: HashMap<(String, String), usize> =
        each.iter().enumerate().map(|(number, (of, _))| (name(of), number)).collect();
    let mut open: Option<(usize, Batch)> = None;
    let (mut buffer, mut last) = (Vec::new(), None);
    while let Some(piece) = cx.unless_cancelled(archive.next(&mut buffer)).await.doing(|| "read the archive")? {
        let Piece::Document(number) = piece else { continue };
        let at = match last {
            Some((of, at)) if of == number => at,
            _ => at(&numbers, archive.collections().get(number), selection)?,
        };
        last = Some((number, at));
        let Some(at) = at else { continue };
        if open.as_ref().is_some_and(|(of, batch)| *of != at || !batch.has_room(buffer.len())) {
            send(cx, sending, &mut open, &filling).await?;
        }
        let is_large = buffer.len() > BATCH;
        if is_large {
            // It waits until nothing else is in memory.
            send(cx, sending, &mut open, &filling).await?;
            sending.all(cx).await?;
        }
        let Some(filled) = filling.get_mut(at) else { continue };
        filled.counted.add(&buffer);
        let (_, batch) = open.get_or_insert_with(|| (at, Batch::new(&filled.target, is_capped(filled.of))));
        batch.push(&buffer);
        if is_large {
            buffer = Vec::new();
            send(cx, sending, &mut open, &filling).await?;
            sending.all(cx).await?;
        }
    }
    send(cx, sending, &mut open, &filling).await?;
    sending.all(cx).await?;
    for Filling { of, place, target, counted } in &filling {
        if of.described.kind != CollectionType::View {
            is_stored(cx, place, target, *counted).await.doing(|| format!("restore {}", of.listed))?;
        }
    }
    Ok(filling.into_iter().map(|filled| filled.counted).collect())
}

/// Which of those that are filled has the name; none if it is not meant.
fn at(numbers: &HashMap<(String, String), usize>, archived: Option<&Archived>, selection: &Selection) -> Result<Option<usize>> {
    let Some(Archived { database, collection, .. }) = archived else { return Ok(None) };
    let number = numbers.get(&(database.clone(), collection.clone()));
    let name = collection.strip_prefix(BUCKETS).unwrap_or(collection);
    if number.is_none() && !database.is_empty() && selection.means(database, name) {
        let what = format!("the archive has documents of {database}.{collection}, which it does not name at its beginning");
        return Err(Error::new(Kind::Damaged, what));
    }
    Ok(number.copied())
}

/// A capped collection has the order of arrival.
fn is_capped(of: &Planned) -> bool {
    of.described.options.get_bool("capped").unwrap_or(false)
}

/// Sends the batch that is open.
async fn send(cx: &Context, sending: &mut Sending, open: &mut Option<(usize, Batch)>, filling: &[Filling<'_>]) -> Result<()> {
    let Some((at, batch)) = open.take() else { return Ok(()) };
    let Some(Filling { of, place, target, .. }) = filling.get(at) else { return Ok(()) };
    match is_capped(of) {
        true => sending.all(cx).await?,
        false => sending.room(cx).await?,
    }
    sending.send(place.database, target, batch, false, None).doing(|| format!("restore {}", of.listed))
}
