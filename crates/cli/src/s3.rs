//! The options of S3 servers.

use std::path::PathBuf;

use backup_core::{Error, Result};
use clap::Args;

/// Which S3 server, and how. Keys are never options: they come from files and the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct S3Args {
    /// The URL of the S3 server of s3://…, HTTP or HTTPS [default: AWS_ENDPOINT_URL, that of the profile, or ~/.s3cfg]
    #[arg(long, value_name = "URL", global = true)]
    pub s3_endpoint: Option<String>,
    /// The region that requests are signed for [default: AWS_REGION, AWS_DEFAULT_REGION, that of the profile, or us-east-1]
    #[arg(long, value_name = "NAME", global = true)]
    pub s3_region: Option<String>,
    /// Trust the certificates in this file (PEM) instead of the machine's [default: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE", global = true)]
    pub s3_ca: Option<PathBuf>,
    /// Take the keys of this profile in ~/.aws/credentials or ~/.aws/config [default: the keys of AWS_ACCESS_KEY_ID, else AWS_PROFILE]
    #[arg(long, value_name = "NAME", global = true)]
    pub s3_profile: Option<String>,
    /// Take server and keys from this configuration of s3cmd
    #[arg(long, value_name = "FILE", global = true)]
    pub s3cfg: Option<PathBuf>,
    /// Ask for buckets as hosts, BUCKET.HOST/KEY, instead of HOST/BUCKET/KEY
    #[arg(long, global = true)]
    pub s3_virtual_host: bool,
    /// Store what is bigger in parts of this size, from 5M to 5G: 8M unless it is given
    #[arg(long, value_name = "SIZE", value_parser = size, global = true)]
    pub part_size: Option<u64>,
}

/// Bytes, as a number that K, M or G may follow.
fn size(text: &str) -> Result<u64> {
    let bad = || Error::usage(format!("{text:?} is no size")).with_hint("write a number, or one and K, M or G");
    let cut = |(letters, shift): ([char; 2], u32)| text.strip_suffix(letters).map(|number| (number, shift));
    let letters = [(['k', 'K'], 10), (['m', 'M'], 20), (['g', 'G'], 30)];
    let (number, shift) = letters.into_iter().find_map(cut).unwrap_or((text, 0));
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_maybe_a_letter() {
        for (text, bytes) in [("7", 7), ("8M", 8 << 20), ("5g", 5 << 30), ("64K", 64 << 10)] {
            assert_eq!(size(text).ok(), Some(bytes), "{text}");
        }
        for bad in ["", "M", "-1", "8MB", "8 M", "1.5G", "ä", "99999999999G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
