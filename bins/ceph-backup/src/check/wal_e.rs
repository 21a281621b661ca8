//! Whether a bucket of WAL-E is enough to restore from: the newest base backup, and every WAL segment since.

use backup_ceph::{Listing, Object, SharedGateway};
use backup_cli::{Face, size};
use backup_core::{Doing, Error, Kind, Result};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::segment::Segment;
use super::timelines::{Reach, Wal};
use super::{good, tell};
use crate::list::pages;

/// What ends the name of the object that is stored last of a base backup.
const SENTINEL: &str = "_backup_stop_sentinel.json";

/// The most that a sentinel may have, in bytes: it names each tablespace.
const MOST: u64 = 1 << 20;

/// How many of the lines that say what is missing are told.
const TOLD: usize = 20;

/// A base backup that has its sentinel.
#[derive(Debug)]
struct Base {
    name: String,
    start: Segment,
    sentinel: Object,
}

/// Tells what there is; [`Kind::NotFound`] without a base backup, [`Kind::Damaged`] if something is missing.
pub(super) async fn check(face: &Face, gateway: &SharedGateway, bucket: &str, prefix: &str) -> Result<()> {
    let root = if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
    let bases = format!("{root}basebackups_005/");
    let (base, count) = newest(face, gateway, bucket, &bases).await?;
    let Some(base) = base else {
        return Err(Error::new(
            Kind::NotFound,
            format!("there is no base backup in s3://{bucket}/{bases} that has its sentinel"),
        )
        .with_hint("a base backup without one was not finished; take one with wal-e backup-push"));
    };
    let stop = stop(face, gateway, bucket, &base).await?;
    let when = |object: &Object| object.modified.map_or_else(|| "unknown".to_owned(), |time| time.to_string());
    good(face, "base backup", &format!("{} of {}, the newest of {count}", base.name, when(&base.sentinel)))?;

    let mut missing = Vec::new();
    let (parts, bytes) = parts(face, gateway, bucket, &format!("{bases}{}/tar_partitions/", base.name), &mut missing).await?;
    let whole = missing.is_empty();
    tell(face, whole, "parts", &format!("{parts} of the base backup, {}", size(bytes)))?;

    let folder = format!("{root}wal_005/");
    let mut wal = Wal::new(base.start, stop);
    let mut segments = 0_u64;
    pages(face, gateway, bucket, Listing { prefix: folder.clone(), ..Listing::default() }, |page| {
        // What is empty is no segment.
        for object in page.objects.into_iter().filter(|object| object.size > 0) {
            if let Some(name) = object.key.strip_prefix(&folder).and_then(|name| name.strip_suffix(".lzo")) {
                segments += u64::from(Segment::parse(name).is_some());
                wal.push(name)?;
            }
        }
        Ok(())
    })
    .await?;
    let Reach { last, newest, timelines, missing: lost } = wal.reach();
    let timelines: Vec<String> = timelines.iter().map(ToString::to_string).collect();
    let there = newest.map_or_else(|| "none".to_owned(), |newest| format!("up to {newest}"));
    let says = format!("{segments} segments, {there}, timelines {}; it needs {} to {stop}", timelines.join(", "), base.start);
    tell(face, lost.is_empty(), "WAL", &says)?;
    missing.extend(lost);
    for line in missing.iter().take(TOLD) {
        tell(face, false, "missing", line)?;
    }
    let usable = last.filter(|_| whole);
    let reached = usable.map(|last| last.to_string());
    let value = json!({
        "base_backup": base.name, "parts": parts, "bytes": bytes, "start": base.start.to_string(), "stop": stop.to_string(),
        "newest": newest.map(|newest| newest.to_string()), "reaches": reached, "missing": missing,
    });
    match (usable, missing.len()) {
        (Some(last), 0) => Ok(face.report.result(&format!("enough to restore up to {last}"), &value)?),
        (usable, count) => {
            let how_far = usable.map_or_else(
                || "not enough to restore from the newest base backup".to_owned(),
                |last| format!("enough to restore up to {last} and no further"),
            );
            face.report.result(&how_far, &value)?;
            Err(Error::damaged(format!("{count} things are missing in s3://{bucket}/{root}"))
                .with_hint("sync again from where it came; if it is missing there too, take a new base backup"))
        }
    }
}

/// The base backup that was finished last, as WAL-E's LATEST, and how many there are.
async fn newest(face: &Face, gateway: &SharedGateway, bucket: &str, bases: &str) -> Result<(Option<Base>, u64)> {
    let (mut newest, mut furthest, mut count) = (None::<Base>, None::<Segment>, 0);
    let listing = Listing { prefix: bases.to_owned(), delimiter: Some("/".to_owned()), ..Listing::default() };
    pages(face, gateway, bucket, listing, |page| {
        for object in page.objects {
            let name = object.key.strip_prefix(bases).and_then(|name| name.strip_suffix(SENTINEL));
            let start = name.and_then(|name| Segment::parse(name.strip_prefix("base_")?.split('_').next()?));
            let (Some(name), Some(start)) = (name.map(str::to_owned), start) else { continue };
            count += 1;
            furthest = furthest.max(Some(start));
            if newest.as_ref().is_none_or(|newest| newest.sentinel.modified <= object.modified) {
                newest = Some(Base { name, start, sentinel: object });
            }
        }
        Ok(())
    })
    .await?;
    if let (Some(newest), Some(furthest)) = (&newest, furthest)
        && furthest > newest.start
    {
        let what =
            format!("LATEST of WAL-E is {}, since it was stored last, and another begins later, at {furthest}", newest.name);
        face.cx.tell(backup_core::Event::Warning { what: &what });
    }
    Ok((newest, count))
}

/// The segment in which a base backup ends, as its sentinel says.
async fn stop(face: &Face, gateway: &SharedGateway, bucket: &str, base: &Base) -> Result<Segment> {
    let key = &base.sentinel.key;
    let read = async {
        let (_, body) = gateway.get(bucket, key, None, None).await?;
        let mut text = Vec::new();
        body.take(MOST).read_to_end(&mut text).await?;
        Ok(text)
    };
    let text = face.cx.unless_cancelled(read).await.doing(|| format!("read s3://{bucket}/{key}"))?;
    let value: Option<Value> = serde_json::from_slice(&text).ok();
    let stop = value.as_ref().and_then(|value| Segment::parse(value.get("wal_segment_backup_stop")?.as_str()?));
    let stop = stop.filter(|stop| stop.timeline == base.start.timeline && stop.number >= base.start.number);
    stop.ok_or_else(|| {
        Error::damaged(format!("the sentinel s3://{bucket}/{key} does not say in which segment the base backup ends"))
    })
}

/// How many parts a base backup has, and how many bytes. Parts are counted from 0 on.
async fn parts(
    face: &Face,
    gateway: &SharedGateway,
    bucket: &str,
    folder: &str,
    missing: &mut Vec<String>,
) -> Result<(u64, u64)> {
    let (mut count, mut bytes, mut next) = (0_u64, 0_u64, 0_u64);
    pages(face, gateway, bucket, Listing { prefix: folder.to_owned(), ..Listing::default() }, |page| {
        for object in page.objects.into_iter().filter(|object| object.size > 0) {
            let name = object.key.strip_prefix(folder).and_then(|name| name.strip_prefix("part_")?.strip_suffix(".tar.lzo"));
            let Some(number) = name.and_then(|name| name.parse::<u64>().ok()).filter(|number| *number >= next) else {
                continue;
            };
            if number > next && missing.len() < TOLD {
                let until = if number - next > 1 { format!(" to part_{:08}.tar.lzo", number - 1) } else { String::new() };
                missing.push(format!("part_{next:08}.tar.lzo{until}"));
            }
            (count, bytes, next) = (count + 1, bytes + object.size, number.saturating_add(1));
        }
        Ok(())
    })
    .await?;
    if count == 0 {
        missing.push(format!("all of s3://{bucket}/{folder}"));
    }
    Ok((count, bytes))
}
