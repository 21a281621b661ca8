//! Which server, and with which keys.

use std::path::PathBuf;

use backup_ceph::sync::Server;
use backup_ceph::{Found, S3Cfg, Settings, connect, find};
use backup_cli::{Face, S3Args};
use backup_core::{Event, Result};
use clap::Args;

/// A server, and how it is used.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) server: Server,
    /// What the configuration of s3cmd says that named it; its defaults if none did.
    pub(crate) s3cfg: S3Cfg,
    /// The size of parts in bytes.
    pub(crate) part_size: u64,
}

/// The server of the destination, if it is another than the source's: with one of these it is looked for anew, as the options without
/// `destination` look for the source's.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DestinationArgs {
    /// The URL of the destination's server, if it is another than the source's
    #[arg(long, value_name = "URL")]
    destination_endpoint: Option<String>,
    /// The region that requests to the destination's server are signed for
    #[arg(long, value_name = "NAME")]
    destination_region: Option<String>,
    /// Trust the certificates in this file (PEM) where the destination's server is asked
    #[arg(long, value_name = "FILE")]
    destination_ca: Option<PathBuf>,
    /// Take the keys for the destination's server of this profile
    #[arg(long, value_name = "NAME")]
    destination_profile: Option<String>,
    /// Take the destination's server and its keys from this configuration of s3cmd
    #[arg(long, value_name = "FILE")]
    destination_s3cfg: Option<PathBuf>,
    /// Ask the destination's server for buckets as hosts, BUCKET.HOST/KEY
    #[arg(long)]
    destination_virtual_host: bool,
}

impl DestinationArgs {
    /// What they say; `None` if nothing was said.
    pub(crate) fn settings(self, part_size: Option<u64>) -> Option<Settings> {
        let settings = Settings {
            s3cfg: self.destination_s3cfg,
            endpoint: self.destination_endpoint,
            region: self.destination_region,
            ca: self.destination_ca,
            profile: self.destination_profile,
            virtual_host: self.destination_virtual_host,
            part_size: None,
        };
        (settings != Settings::default()).then_some(Settings { part_size, ..settings })
    }
}

/// What the common options say.
pub(crate) fn settings(args: &S3Args) -> Settings {
    let S3Args { s3_endpoint, s3_region, s3_ca, s3_profile, s3cfg, s3_virtual_host, part_size } = args.clone();
    Settings {
        s3cfg,
        endpoint: s3_endpoint,
        region: s3_region,
        ca: s3_ca,
        profile: s3_profile,
        virtual_host: s3_virtual_host,
        part_size,
    }
}

/// The server as it is asked for a bucket, or for the list of buckets; what a person should be warned of is told.
pub(crate) fn server(face: &Face, settings: &Settings, bucket: Option<&str>) -> Result<Named> {
    let (named, warnings) = look(settings, bucket)?;
    for what in &warnings {
        face.cx.tell(Event::Warning { what });
    }
    Ok(named)
}

/// The same, and the warnings.
pub(crate) fn look(settings: &Settings, bucket: Option<&str>) -> Result<(Named, Vec<String>)> {
    let part_size = settings.part_size()?;
    let Found { access, s3cfg, warnings } = find(settings, bucket, &variable)?;
    let part_size = part_size.or(s3cfg.as_ref().map(|cfg| cfg.part_size)).unwrap_or(8 << 20);
    let server = Server { gateway: connect(&access)?, endpoint: access.endpoint };
    Ok((Named { server, s3cfg: s3cfg.unwrap_or_default(), part_size }, warnings))
}

/// An environment variable.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_says_what_its_name_says_of_either_end() {
        let said = |part_size| Settings {
            s3cfg: Some("cfg".into()),
            endpoint: Some("http://h".to_owned()),
            region: Some("r".to_owned()),
            ca: Some("ca".into()),
            profile: Some("p".to_owned()),
            virtual_host: true,
            part_size,
        };
        let there = DestinationArgs {
            destination_endpoint: Some("http://h".to_owned()),
            destination_region: Some("r".to_owned()),
            destination_ca: Some("ca".into()),
            destination_profile: Some("p".to_owned()),
            destination_s3cfg: Some("cfg".into()),
            destination_virtual_host: true,
        };
        assert_eq!(there.settings(Some(7)), Some(said(Some(7))));
        assert_eq!(DestinationArgs::default().settings(Some(7)), None, "the server of the source");
        let here = S3Args {
            s3_endpoint: Some("http://h".to_owned()),
            s3_region: Some("r".to_owned()),
            s3_ca: Some("ca".into()),
            s3_profile: Some("p".to_owned()),
            s3cfg: Some("cfg".into()),
            s3_virtual_host: true,
            part_size: Some(7),
        };
        assert_eq!(settings(&here), said(Some(7)));
    }
}
