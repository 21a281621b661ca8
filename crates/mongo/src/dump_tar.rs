//! A backup as one file: the `.tar.gz` of mongodump's folder, as `mongodump` and `tar -czf` make it.

use std::sync::Arc;

use async_compression::tokio::bufread::GzipEncoder;
use backup_core::manifest::StoredPart;
use backup_core::{Body, Error, Name, Result, Stored, body};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader};

use crate::facts::PartFacts;

/// A record of a tar, in bytes.
const RECORD: usize = 512;

/// Sizes up to this fit into a header; larger ones stand before it.
const LARGEST: u64 = (1 << 33) - 1;

/// Paths up to this many bytes fit into a header.
const LONGEST: usize = 100;

/// A file of the folder, and the parts that it is made of.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    path: String,
    size: u64,
    parts: Vec<Name>,
}

/// The gzipped tar of a backup: `dump/DB/COLL.bson` and what else mongodump writes, with the folders before what is in them.
///
/// Read from where the backup lies, at the pace of whoever reads; nothing is staged. A part that is not what was stored breaks it.
pub fn dump_tar(backup: Arc<dyn Stored>) -> Result<Body> {
    let members = members(&backup.manifest().parts)?;
    let time = u64::try_from(backup.manifest().started.as_second()).unwrap_or_default();
    let tar = body::piped(move |mut out| async move {
        let mut folders: Vec<String> = Vec::new();
        for member in &members {
            for (end, _) in member.path.match_indices('/') {
                let folder = member.path.get(..=end).unwrap_or_default();
                if !folders.iter().any(|known| known == folder) {
                    out.write_all(&header(folder, 0, time, b'5')).await?;
                    folders.push(folder.to_owned());
                }
            }
            write(&*backup, member, time, &mut out).await?;
        }
        out.write_all(&[0; 2 * RECORD]).await?;
        out.shutdown().await?;
        Ok(())
    });
    Ok(body::sound(GzipEncoder::new(BufReader::with_capacity(body::CHUNK, tar))))
}

/// The files in the order of their first parts.
fn members(parts: &[StoredPart]) -> Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for part in parts {
        let path = format!("dump/{}", PartFacts::from_facts(&part.name, &part.facts)?.file);
        match members.last_mut().filter(|last| last.path == path) {
            Some(last) => {
                last.size = last.size.checked_add(part.size).ok_or_else(|| Error::damaged(format!("{path} is too large")))?;
                last.parts.push(part.name.clone());
            }
            None => members.push(Member { path, size: part.size, parts: vec![part.name.clone()] }),
        }
    }
    Ok(members)
}

async fn write(backup: &dyn Stored, member: &Member, time: u64, out: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    out.write_all(&header(&member.path, member.size, time, b'0')).await?;
    let mut written = 0;
    for part in &member.parts {
        let mut body = BufReader::with_capacity(body::CHUNK, backup.read(part).await?);
        written += tokio::io::copy_buf(&mut body, out).await?;
    }
    if written != member.size {
        return Err(Error::damaged(format!("{} has {written} bytes, and the manifest says {}", member.path, member.size)));
    }
    out.write_all(&padding(member.size)).await?;
    Ok(())
}

/// What fills the last record.
fn padding(size: u64) -> Vec<u8> {
    let over = usize::try_from(size % RECORD as u64).unwrap_or_default();
    vec![0; if over == 0 { 0 } else { RECORD - over }]
}

/// The header of a member (ustar); before it what does not fit into one (pax).
fn header(path: &str, size: u64, time: u64, kind: u8) -> Vec<u8> {
    let mut extended = Vec::new();
    if path.len() > LONGEST {
        extended.extend(record("path", path));
    }
    if size > LARGEST {
        extended.extend(record("size", &size.to_string()));
    }
    let mut headers = Vec::new();
    if !extended.is_empty() {
        headers.extend(plain("dump/PaxHeaders", extended.len() as u64, time, b'x'));
        headers.extend(&extended);
        headers.extend(padding(extended.len() as u64));
    }
    headers.extend(plain(path, size.min(LARGEST), time, kind));
    headers
}

/// A record of pax: its length, which counts itself, a blank, what it says, and a newline.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

fn plain(path: &str, size: u64, time: u64, kind: u8) -> Vec<u8> {
    let mut header = Vec::with_capacity(RECORD);
    let mut field = |bytes: &[u8], width: usize| {
        let end = header.len() + width;
        header.extend(bytes.iter().take(width));
        header.resize(end, 0);
    };
    let octal = |number: u64, digits: usize| format!("{number:0digits$o}").into_bytes();
    field(path.as_bytes(), LONGEST);
    field(&octal(if kind == b'5' { 0o755 } else { 0o644 }, 7), 8);
    field(&octal(0, 7), 8);
    field(&octal(0, 7), 8);
    field(&octal(size, 11), 12);
    field(&octal(time, 11), 12);
    // The checksum counts as blanks while it is made.
    field(b"        ", 8);
    field(&[kind], 1);
    field(b"", 100);
    field(b"ustar\x0000", 8);
    field(b"root", 32);
    field(b"root", 32);
    field(b"", RECORD - 329);
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(place) = header.get_mut(148..148 + sum.len()) {
        place.copy_from_slice(sum.as_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_collection_are_one_file_in_their_order() {
        let part = |file: &str, range: Option<u32>, size: u64| {
            let mut facts = PartFacts::new(crate::facts::Content::Documents, file.to_owned());
            facts.range = range;
            let name = range.map_or_else(|| file.to_owned(), |range| format!("{file}#{range:04}"));
            let part = serde_json::json!({ "name": name, "size": size, "sha256": "0".repeat(64), "files": [], "facts": facts });
            serde_json::from_value::<StoredPart>(part).expect("a part")
        };
        let parts = [part("app/a.bson", Some(0), 3), part("app/a.bson", Some(1), 4), part("app/b.bson", None, 5)];
        let found = members(&parts).expect("members");
        let found: Vec<_> = found.iter().map(|member| (member.path.as_str(), member.size, member.parts.len())).collect();
        assert_eq!(found, [("dump/app/a.bson", 7, 2), ("dump/app/b.bson", 5, 1)]);
        assert!(members(&[part("app/a.bson", Some(0), u64::MAX), part("app/a.bson", Some(1), 1)]).is_err());
    }

    #[test]
    fn a_header_is_a_record_with_its_sum_and_long_names_stand_before_it() {
        let short = header("dump/app/users.bson", 7, 1_700_000_000, b'0');
        assert_eq!((short.len(), &short[124..136], &short[257..265]), (512, &b"00000000007\0"[..], &b"ustar\x0000"[..]));
        let long = header(&format!("dump/{}", "a".repeat(200)), 1 << 34, 0, b'0');
        assert_eq!((long.len(), long[156]), (3 * 512, b'x'));
        let said = String::from_utf8_lossy(&long[512..1024]).into_owned();
        assert!(said.starts_with("215 path=dump/aaa") && said.contains("\n20 size=17179869184\n"), "{said}");
        assert_eq!(padding(512).len() + padding(0).len() + padding(1).len(), 511);
    }
}
