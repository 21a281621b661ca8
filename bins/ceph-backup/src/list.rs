//! Buckets and what is in them: `ls`, `du` and `mb`.

use backup_ceph::sync::bucket;
use backup_ceph::{Listing, Page, Pages, SharedGateway};
use backup_cli::{Face, escaped};
use backup_core::{Error, Result};
use clap::Args;
use serde_json::json;

use crate::server::{server, settings};

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// s3://BUCKET[/PREFIX]; all buckets if there is none
    place: Option<String>,
    /// Also what is behind the next slash
    #[arg(long, short)]
    recursive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Du {
    /// s3://BUCKET[/PREFIX]
    place: String,
}

#[derive(Debug, Args)]
pub(crate) struct Mb {
    /// s3://BUCKET
    place: String,
}

impl Ls {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let settings = settings(&face.s3);
        let Some(place) = self.place else {
            let buckets = face.cx.unless_cancelled(server(face, &settings, None)?.server.gateway.buckets()).await?;
            for bucket in buckets {
                let created = bucket.created.map(|time| time.to_string());
                let line = format!("{:20}  s3://{}", created.as_deref().unwrap_or_default(), bucket.name);
                face.report.result(&escaped(&line), &json!({"bucket": bucket.name, "created": created}))?;
            }
            return Ok(());
        };
        let (bucket, prefix) = bucket(&place)?;
        let delimiter = (!self.recursive).then(|| "/".to_owned());
        let listing = Listing { prefix, delimiter, ..Listing::default() };
        pages(face, &server(face, &settings, Some(&bucket))?.server.gateway, &bucket, listing, |page| {
            for prefix in page.prefixes {
                let line = format!("{:20}  {:>12}  s3://{bucket}/{prefix}", "", "DIR");
                face.report.result(&escaped(&line), &json!({"bucket": bucket, "prefix": prefix}))?;
            }
            for object in page.objects {
                let modified = object.modified.map(|time| time.to_string());
                let time = modified.as_deref().unwrap_or_default();
                let line = format!("{time:20}  {:>12}  s3://{bucket}/{}", object.size, object.key);
                let value = json!({
                    "bucket": bucket, "key": object.key, "size": object.size, "modified": modified, "etag": object.etag,
                    "storage_class": object.storage_class,
                });
                face.report.result(&escaped(&line), &value)?;
            }
            Ok(())
        })
        .await
    }
}

impl Du {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let (bucket, prefix) = bucket(&self.place)?;
        let gateway = server(face, &settings(&face.s3), Some(&bucket))?.server.gateway;
        let (mut bytes, mut objects) = (0u64, 0u64);
        pages(face, &gateway, &bucket, Listing { prefix, ..Listing::default() }, |page| {
            objects += page.objects.len() as u64;
            bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
            Ok(())
        })
        .await?;
        let text = format!("{bytes:>12}  {objects} objects  {}", escaped(&self.place));
        Ok(face.report.result(&text, &json!({"place": self.place, "bytes": bytes, "objects": objects}))?)
    }
}

impl Mb {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let (bucket, prefix) = bucket(&self.place)?;
        if !prefix.is_empty() {
            return Err(Error::usage(format!("{:?} is more than a bucket", self.place)).with_hint("write s3://BUCKET"));
        }
        let gateway = server(face, &settings(&face.s3), Some(&bucket))?.server.gateway;
        face.cx.unless_cancelled(gateway.make_bucket(&bucket)).await?;
        Ok(face.report.result(&format!("made s3://{bucket}/"), &json!({"made": bucket}))?)
    }
}

/// Hands each page of a listing to `each`.
pub(crate) async fn pages(
    face: &Face,
    gateway: &SharedGateway,
    bucket: &str,
    listing: Listing,
    mut each: impl FnMut(Page) -> Result<()>,
) -> Result<()> {
    let mut pages = Pages::new(gateway, bucket, listing);
    while let Some(page) = face.cx.unless_cancelled(pages.next()).await? {
        each(page)?;
    }
    Ok(())
}
