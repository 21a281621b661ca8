//! `sync`: from the command line to what is told of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backup_ceph::sync::{End, Limits, Options, Route, Summary, Verdict, sync};
use backup_ceph::{ContentType, Settings};
use backup_cli::{Answers, Face, one_line, size};
use backup_core::{Error, Event, Result};
use clap::Args;
use serde_json::json;

use crate::names::FilterArgs;
use crate::s3cmd::Partial;
use crate::server::{DestinationArgs, Named, look, server, settings};

#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// s3://BUCKET[/PREFIX], or a folder: with a slash at its end what is in it, without one the folder itself
    source: String,
    /// The same; a prefix ends in a slash
    destination: String,
    #[command(flatten)]
    other: DestinationArgs,
    /// Delete at the destination what this sync wrote there and the source has no longer
    #[arg(long)]
    delete_removed: bool,
    /// Delete nothing if more than this many objects would go
    #[arg(long, value_name = "N")]
    max_delete: Option<u64>,
    /// Delete nothing without --yes if more than this share of what was written would go
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    delete_share: u8,
    /// Delete also if the source is empty now or a great share of it is gone
    #[arg(long)]
    yes: bool,
    /// Delete at once what is otherwise moved to .ceph-backup/trash at the destination
    #[arg(long)]
    no_trash: bool,
    /// Tell what would be done, and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    names: FilterArgs,
    /// How many objects are copied at once; eight of up to 64 KiB count as one
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Bytes per second, all jobs together; k and m stand for 1,024 and 1,048,576
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<u64>,
    /// Take what has the same size for the same
    #[arg(long)]
    no_check_md5: bool,
    /// Pass over what the destination has, whatever it is
    #[arg(long)]
    skip_existing: bool,
    /// Neither keep nor set mode, owner and times of files
    #[arg(long)]
    no_preserve: bool,
    /// The storage class of new objects [default: that of the source]
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// The media type of objects that are made of files [default: that of the name, else binary/octet-stream]
    #[arg(long, value_name = "TYPE")]
    mime_type: Option<String>,
    /// Take no media type from the names of files
    #[arg(long)]
    no_guess_mime_type: bool,
}

impl Sync {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let route = Route::new(&self.source, &self.destination)?;
        let (common, part_size) = (settings(&face.s3), face.s3.part_size);
        let other = self.other.clone().settings(part_size);
        let of = |end: &End, settings: &Settings| match end {
            End::Bucket { bucket, .. } => server(face, settings, Some(bucket)).map(Some),
            End::Folder(_) => Ok(None),
        };
        let from = of(&route.from, &common)?;
        let to = match (&other, &from) {
            (Some(other), _) => of(&route.to, other)?,
            (None, None) => of(&route.to, &common)?,
            (None, Some(from)) => again(&route.to, from, &common)?,
        };
        let Some(named) = to.as_ref().or(from.as_ref()) else {
            return Err(Error::usage("neither source nor destination is a bucket"));
        };
        let (yes, options) = (self.yes, self.options(named, face.state()?)?);
        let dry_run = options.dry_run;
        let server = |named: Option<Named>| named.map(|named| named.server);
        let begun = Instant::now();
        let synced = sync(&face.cx, &route, server(from), server(to), options).await?;
        let (done, verdict) = (synced.summary.clone(), synced.verdict.clone());
        let deleted = match &verdict {
            Verdict::Nothing => Ok(done.clone()),
            Verdict::Delete => synced.delete().await,
            Verdict::Ask(why) if dry_run => {
                face.cx.tell(Event::Warning { what: &format!("without --dry-run it would ask first: {why}") });
                synced.delete().await
            }
            Verdict::Ask(why) if agreed(face, yes, why).await? => synced.delete().await,
            Verdict::Ask(why) => Err(Error::failed(format!("nothing was deleted: {why}"))
                .with_hint("look at the source; if it is as it should be, run it again with --yes")),
            Verdict::Never(why) => Err(Error::failed(format!("nothing was deleted: {why}"))
                .with_hint("nothing is deleted by a sync that is not whole; run it again")),
        };
        tell(face, deleted.as_ref().unwrap_or(&done), dry_run, begun.elapsed())?;
        let Summary { failed, .. } = deleted?;
        if failed > 0 {
            return Err(Error::failed(format!("{failed} objects failed"))
                .with_source(Partial(failed))
                .with_hint("the warnings say which and why; run it again"));
        }
        Ok(())
    }

    fn options(self, Named { s3cfg, part_size, .. }: &Named, state: PathBuf) -> Result<Options> {
        Ok(Options {
            filter: self.names.filter()?,
            limits: Limits {
                delete: self.delete_removed || s3cfg.delete_removed,
                most: self.max_delete.or(s3cfg.max_delete),
                share: self.delete_share,
            },
            trash: !self.no_trash,
            dry_run: self.dry_run || s3cfg.dry_run,
            jobs: usize::from(self.jobs),
            rate: self.limit_rate.or(s3cfg.limit_rate),
            check_content: !self.no_check_md5,
            skip_existing: self.skip_existing || s3cfg.skip_existing,
            preserve: !self.no_preserve && s3cfg.preserve_attrs,
            part_size: *part_size,
            storage_class: self.storage_class.or_else(|| s3cfg.storage_class.clone()),
            content_type: ContentType {
                always: self.mime_type.or_else(|| s3cfg.content_type.always.clone()),
                guess: !self.no_guess_mime_type && s3cfg.content_type.guess,
                ..s3cfg.content_type.clone()
            },
            state,
        })
    }
}

/// The destination on the server of the source, which can copy by itself: there it is the same gateway.
fn again(to: &End, from: &Named, settings: &Settings) -> Result<Option<Named>> {
    let End::Bucket { bucket, .. } = to else { return Ok(None) };
    let (mut named, _told) = look(settings, Some(bucket))?;
    if named.server.endpoint == from.server.endpoint {
        named.server = from.server.clone();
    }
    Ok(Some(named))
}

/// Whether a person says that what the source no longer has may go. Without a terminal nobody does.
async fn agreed(face: &Face, yes: bool, why: &str) -> Result<bool> {
    face.without_bar();
    let question = format!("{}. Delete them at the destination?", one_line(why));
    if face.report.json { Ok(yes) } else { Answers::new(yes, "--yes").is_yes(&face.cx, &question).await }
}

fn tell(face: &Face, summary: &Summary, dry_run: bool, took: Duration) -> Result<()> {
    let Summary { source, source_bytes, copied, copied_bytes, unverified, same, deleted, foreign, failed } = summary;
    let would = if dry_run { "would have been " } else { "" };
    let rate = (*copied_bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
    let text = format!(
        "{source} objects, {}: {same} were there, {copied} {would}copied ({}), {deleted} {would}deleted, \
            {foreign} left that are not of this sync, {failed} failed; {:.1} s, {}/s",
        size(*source_bytes),
        size(*copied_bytes),
        took.as_secs_f64(),
        size(rate),
    );
    let value = json!({
        "source": source, "source_bytes": source_bytes, "copied": copied, "copied_bytes": copied_bytes, "unverified": unverified,
        "same": same, "deleted": deleted, "foreign": foreign, "failed": failed, "dry_run": dry_run, "seconds": took.as_secs_f64(),
    });
    Ok(face.report.result(&text, &value)?)
}

fn rate(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 0), |digits| (digits, 20)),
    };
    let number: Option<u64> = digits.parse().ok().filter(|number| (1..1 << 40).contains(number));
    number
        .map(|number| number << shift)
        .ok_or_else(|| "a rate is a number of bytes, with k or m behind it or nothing".to_owned())
}
