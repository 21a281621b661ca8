//! Damage of every kind, everywhere, is told and never read as if it were whole.

use std::sync::Arc;

use backup_core::testing::{FakeSource, body_contract};
use backup_core::*;

use crate::{job, plain, resealed, take_one};

type Damage = (&'static str, fn(Vec<u8>) -> Option<Vec<u8>>);

const DAMAGES: [Damage; 8] = [
    ("its first byte flipped", |bytes| flipped(bytes, 0, 1)),
    ("a byte in the middle flipped", |bytes| flipped(bytes, 1, 2)),
    ("its last byte flipped", |bytes| flipped(bytes, 1, 1)),
    ("its last byte cut off", |mut bytes| bytes.pop().map(|_| bytes)),
    ("half of it cut off", |mut bytes| {
        bytes.truncate(bytes.len() / 2);
        Some(bytes)
    }),
    ("nothing in it", |_| Some(Vec::new())),
    ("a byte more", |mut bytes| {
        bytes.push(b'\n');
        Some(bytes)
    }),
    ("removed", |_| None),
];

fn flipped(mut bytes: Vec<u8>, part: usize, of: usize) -> Option<Vec<u8>> {
    if bytes.is_empty() {
        return Some(vec![0]);
    }
    let at = (bytes.len() * part / of).min(bytes.len() - 1);
    bytes[at] ^= 0x10;
    Some(bytes)
}

async fn damaged_everywhere(seal: Seal, unseal: Unseal) {
    let memory = Memory::default();
    let repo = Plain { seal, unseal, ..plain(memory.clone()) };
    let source = FakeSource::with_parts(4);
    let id = take_one(&repo, &source).await.expect("taken").id;
    let cx = Context::default();
    for (key, bytes) in memory.objects() {
        let is_attempt = key.file_name() == "attempt.json";
        let is_manifest = key.file_name() == "manifest.json";
        for (how, damage) in DAMAGES {
            let damaged = damage(bytes.to_vec());
            if damaged.as_deref() == Some(&bytes[..]) || (damaged.is_none() && how != "removed") {
                continue;
            }
            memory.tamper(&key, damaged);
            let what = format!("{key} with {how}");
            for unseal in [false, true] {
                let verified = verify(&cx, &repo, &job(), id, unseal).await;
                let kind = verified.as_ref().err().map(Error::kind);
                let expected = match how {
                    "removed" if is_manifest => Some(Kind::NotFound),
                    "removed" if is_attempt => None,
                    _ => Some(Kind::Damaged),
                };
                assert_eq!(kind, expected, "{what}: {verified:?}");
                if !is_manifest && let Err(error) = verified {
                    let name = key.as_str().rsplit('/').next().expect("a name");
                    assert!(error.chain().contains(name), "{what} is not named: {error:?}");
                    assert!(!error.chain().contains("; and "), "{what}: {error:?}");
                    let record = repo.records(&job()).await.expect("records").remove(0);
                    assert!(record.verified.is_none() && record.why.is_some(), "{what} is listed as good");
                }
            }
            reads_are_whole_or_fail(&repo, id, &source, &what).await;
            memory.tamper(&key, Some(bytes.to_vec()));
        }
    }
    verify(&cx, &repo, &job(), id, true).await.expect("nothing is damaged any more");
}

async fn reads_are_whole_or_fail(repo: &Plain, id: BackupId, source: &FakeSource, what: &str) {
    let stored = match repo.open(&job(), id).await {
        Ok(stored) => stored,
        Err(error) => return assert!(matches!(error.kind(), Kind::Damaged | Kind::NotFound), "{what}: {error:?}"),
    };
    for (name, bytes) in &source.parts {
        let read = match stored.read(name).await {
            Ok(body) => body_contract(body).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(read) => assert!(read == *bytes, "{what}: a quiet end that is not whole"),
            Err(error) => assert_eq!(error.kind(), Kind::Damaged, "{what}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn of_parts_compressed_with_zstd() {
    damaged_everywhere(Seal::default(), Unseal::default()).await;
}

#[tokio::test]
async fn of_parts_compressed_with_gzip() {
    damaged_everywhere(Seal { compression: Compression::Gzip(6), ..Seal::default() }, Unseal::default()).await;
}

#[tokio::test]
async fn of_parts_as_they_are() {
    damaged_everywhere(Seal { compression: Compression::None, ..Seal::default() }, Unseal::default()).await;
}

#[tokio::test]
async fn of_parts_that_are_encrypted() {
    let identity = Identity::generate();
    let seal = Seal { recipients: vec![identity.recipient()], ..Seal::default() };
    damaged_everywhere(seal, Unseal { identities: vec![identity], passphrase: None }).await;
}

#[tokio::test]
async fn all_that_is_damaged_is_counted() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let id = take_one(&repo, &FakeSource::with_parts(9)).await.expect("taken").id;
    for (key, _) in memory.objects() {
        if key.as_str().contains("/parts/") {
            memory.tamper(&key, None);
        }
    }
    let error = verify(&Context::default(), &repo, &job(), id, false).await.expect_err("damaged");
    assert!(error.chain().ends_with("parts/00004.sql.zst is missing; and 4 more"), "{error:?}");
}

#[tokio::test]
async fn of_a_part_in_several_files_each_is_named() {
    let memory = Memory::default();
    let repo = Plain { seal: Seal { compression: Compression::None, ..Seal::default() }, ..plain(memory.clone()) };
    let source = FakeSource::with_parts(3);
    let mut manifest = take_one(&repo, &source).await.expect("taken");
    let [_, (_, first), (_, second)] = source.parts.as_slice() else { panic!("it has three parts") };
    let bytes = [&first[..], &second[..]].concat();
    let last = manifest.parts.pop().expect("a part");
    let part = manifest.parts.last_mut().expect("a part");
    part.files.extend(last.files);
    (part.size, part.sha256) = (bytes.len() as u64, Sha256::of(&bytes));
    let object = |name: &str| format!("pg-app/{}/{name}", manifest.id).parse().expect("a key");
    memory.tamper(&object("manifest.json"), Some(manifest.to_bytes().expect("bytes")));
    let cx = Context::default();
    verify(&cx, &repo, &job(), manifest.id, true).await.expect("whole");
    for name in ["parts/00001.sql", "parts/00002.sql"] {
        memory.tamper(&object(name), Some(b"x".to_vec()));
    }
    let error = verify(&cx, &repo, &job(), manifest.id, true).await.expect_err("damaged");
    assert!(error.chain().contains("parts/00001.sql is") && error.chain().contains("parts/00002.sql is"), "{error:?}");
}

#[tokio::test]
async fn every_byte_of_what_lies_beside_the_parts_counts() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let (cx, at) = (Context::default(), jiff::Timestamp::now());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    verify(&cx, &repo, &job(), id, true).await.expect("verified");
    for record in [
        Record::Pinned { at, why: None },
        Record::Proven { at, checked: Checked::default() },
        Record::Damaged { at, what: "nothing".into() },
    ] {
        repo.record(&job(), id, &record).await.expect("recorded");
    }
    // A lease is like any other of these; none is put in an attempt as short as this one.
    let objects = memory.objects();
    let attempt = objects.iter().find(|(key, _)| key.file_name() == "attempt.json").expect("an attempt").1.to_vec();
    memory.tamper(&format!("pg-app/{id}/lease-0001.json").parse().expect("a key"), Some(attempt));
    for file in ["attempt.json", "lease-0001.json", "pin.json", "verified-", "proof-", "damaged-"] {
        let (key, bytes) =
            memory.objects().into_iter().find(|(key, _)| key.file_name().starts_with(file)).expect("it is there");
        for at in 0..bytes.len() {
            memory.tamper(&key, flipped(bytes.to_vec(), at, bytes.len()));
            let found = repo.open_sealed(&job(), id).await.expect("opened").verify(&cx, false).await;
            let error = found.expect_err("it is flipped");
            assert_eq!(error.kind(), Kind::Damaged, "byte {at} of {key}");
            assert!(error.chain().contains(key.file_name()), "{error:?}");
        }
        memory.tamper(&key, Some(bytes.to_vec()));
    }
    verify(&cx, &repo, &job(), id, false).await.expect("nothing is damaged any more");
}

#[tokio::test]
async fn a_file_that_nobody_listed_is_a_warning() {
    let memory = Memory::default();
    let recorder = Arc::new(Recorder::default());
    let repo = plain(memory.clone());
    let id = take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id;
    let other = format!("pg-app/{id}/parts/other").parse().expect("a key");
    memory.put(&other, body::from_bytes("x")).await.expect("stored");
    verify(&Context::new(recorder.clone()), &repo, &job(), id, false).await.expect("all that counts is whole");
    assert!(recorder.story().iter().any(|line| line.contains("Warning") && line.contains("parts/other")));
}

#[tokio::test]
async fn a_sink_that_fails_is_no_damage() {
    use backup_core::testing::{Failing, Failure};
    let memory = Memory::default();
    let id = take_one(&plain(memory.clone()), &FakeSource::with_parts(2)).await.expect("taken").id;
    // The manifest, the first part, its body.
    for (nth, how) in [(0, Failure::Before), (1, Failure::Before), (1, Failure::Halfway)] {
        let repo = plain(Failing::new(memory.clone(), nth, how));
        let error = verify(&Context::default(), &repo, &job(), id, true).await.expect_err("the sink failed");
        assert_eq!(error.kind(), Kind::Failed, "call {nth}: {error:?}");
    }
    assert_eq!(plain(memory).records(&job()).await.expect("records")[0].why, None);
}

#[tokio::test]
async fn a_manifest_from_outside_leads_nowhere_else() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let manifest = take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken");
    let key: Key = format!("pg-app/{}/manifest.json", manifest.id).parse().expect("a key");
    let text = String::from_utf8(manifest.to_bytes().expect("bytes")).expect("text");
    memory.tamper(&key, Some(resealed(&text)));
    repo.open(&job(), manifest.id).await.expect("the same again");
    let other_id = "20010101T000000Z";
    for (from, to, kind) in [
        ("parts/00001.sql.zst", "../../other/20010101T000000Z/parts/00001.sql.zst", Kind::Damaged),
        ("parts/00001.sql.zst", "/etc/passwd", Kind::Damaged),
        ("parts/00001.sql.zst", "parts/.hidden", Kind::Damaged),
        ("parts/00001.sql.zst", "manifest.json", Kind::Damaged),
        ("parts/00001.sql.zst", "parts/00000.sql.zst", Kind::Damaged),
        ("parts/00001.sql.zst", "parts/00002.sql.zst", Kind::Damaged),
        ("\"SHA256SUMS\"", "\"../SHA256SUMS\"", Kind::Damaged),
        ("\"format\": 1", "\"format\": 2", Kind::Failed),
        ("\"format\": 1", "\"format\": -1", Kind::Damaged),
        ("\"pg-app\"", "\"other\"", Kind::Damaged),
        (&manifest.id.to_string(), other_id, Kind::Damaged),
        ("\"size\": 37000", "\"size\": 18446744073709551616", Kind::Damaged),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        memory.tamper(&key, Some(resealed(&changed)));
        let error = repo.open(&job(), manifest.id).await.map(drop).expect_err(to);
        assert_eq!(error.kind(), kind, "{from} as {to}: {error:?}");
        let error = verify(&Context::default(), &repo, &job(), manifest.id, false).await.expect_err(to);
        assert_eq!(error.kind(), kind, "{from} as {to}: {error:?}");
    }
    let unknown = text.replace("\"compression\": \"zstd\"", "\"compression\": \"zstd:9\"");
    memory.tamper(&key, Some(resealed(&unknown)));
    assert!(repo.open(&job(), manifest.id).await.is_err(), "a compression that is none");
}
