//! Sinks in buckets: the options and the environment, as the library wants them.

use std::sync::Arc;

use backup_ceph::Settings;
use backup_cli::{Opening, S3Args};
use backup_core::{Event, Result, Sink};

/// Opens `s3:` and `rest`.
pub(crate) fn open(rest: &str, with: &Opening<'_>) -> Result<Arc<dyn Sink>> {
    let S3Args { s3_endpoint, s3_region, s3_ca, s3_profile, s3cfg, s3_virtual_host, part_size } = with.s3.clone();
    let settings = Settings {
        s3cfg,
        endpoint: s3_endpoint,
        region: s3_region,
        ca: s3_ca,
        profile: s3_profile,
        virtual_host: s3_virtual_host,
        part_size,
    };
    let (sink, warnings) = backup_ceph::open(rest, &settings, &|name: &str| std::env::var(name).ok(), with.cx.tasks.clone())?;
    for warning in &warnings {
        with.cx.tell(Event::Warning { what: warning });
    }
    Ok(sink)
}
