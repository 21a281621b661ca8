//! What a proof says of a backup, and what everyone may read of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use backup_core::testing::FakeSource;
use backup_core::*;

use crate::{job, newest, plain, take_one};

/// A target that brings back nothing and finds what it was told to find.
#[derive(Debug)]
struct Told(Compare);

type Compare = fn() -> Result<Checked>;

#[async_trait]
impl Target for Told {
    async fn restore(&self, _: &Context, backup: &dyn Stored) -> Result<Restored> {
        for part in &backup.manifest().parts {
            body::drain(backup.read(&part.name).await?).await?;
        }
        Ok(Restored::default())
    }

    async fn compare(&self, _: &Context, _: &dyn Stored) -> Result<Checked> {
        (self.0)()
    }
}

fn equal() -> Result<Checked> {
    Ok(Checked { whole: true, counts: BTreeMap::from([("tables".into(), 3)]), differences: vec![] })
}

fn different() -> Result<Checked> {
    let difference = Difference { what: "table a".into(), expected: "3 rows".into(), found: "2 rows".into() };
    Ok(Checked { differences: vec![difference], ..equal()? })
}

fn equal_in_part() -> Result<Checked> {
    Ok(Checked { whole: false, ..equal()? })
}

fn different_in_part() -> Result<Checked> {
    Ok(Checked { whole: false, ..different()? })
}

#[tokio::test]
async fn a_proof_is_recorded_and_a_difference_takes_it_back() {
    let repo = plain(Memory::default());
    let (cx, id) = (Context::default(), take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id);
    prove(&cx, &repo, &job(), id, &Told(equal)).await.expect("proven");
    assert!(newest(&repo).await.proven.is_some());
    let error = prove(&cx, &repo, &job(), id, &Told(different)).await.expect_err("it differs");
    assert_eq!(error.kind(), Kind::Differs);
    assert!(error.chain().contains("table a: 3 rows in the backup, 2 rows restored"), "{error:?}");
    assert!(newest(&repo).await.proven.is_none());
}

#[tokio::test]
async fn what_could_not_be_told_is_never_a_pass() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let (cx, id) = (Context::default(), take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id);
    let cases: [(Compare, Kind); 5] = [
        (|| Ok(Checked::default()), Kind::Unproven),
        (|| Err(Error::failed("no server")), Kind::Unproven),
        (|| Err(Error::new(Kind::NotFound, "no such table")), Kind::Unproven),
        (|| Err(Error::cancelled()), Kind::Cancelled),
        (|| Err(Error::damaged("a part")), Kind::Damaged),
    ];
    for (nth, (compare, kind)) in cases.into_iter().enumerate() {
        let error = prove(&cx, &repo, &job(), id, &Told(compare)).await.expect_err("it could not be told");
        assert_eq!(error.kind(), kind, "case {nth}");
    }
    let told = newest(&repo).await;
    assert_eq!((told.proven, told.damaged), (None, false), "the target said that it is damaged, and it is not");
    let missing = BackupId::at(jiff::Timestamp::UNIX_EPOCH);
    let error = prove(&cx, &repo, &job(), missing, &Told(equal)).await.expect_err("there is none");
    assert_eq!(error.kind(), Kind::NotFound);
    let part = memory.objects().into_iter().map(|(key, _)| key).find(|key| key.as_str().contains("/parts/")).expect("a part");
    memory.tamper(&part, Some(vec![0; 10]));
    let error = prove(&cx, &repo, &job(), id, &Told(equal)).await.expect_err("it is damaged");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(newest(&repo).await.damaged, "what a proof comes upon is recorded");
    let error = restore(&cx, &repo, &job(), id, &Told(equal)).await.expect_err("it is damaged");
    assert_eq!(error.kind(), Kind::Damaged);
}

#[tokio::test]
async fn a_part_that_is_equal_is_no_proof_and_one_that_differs_takes_it_back() {
    let repo = plain(Memory::default());
    let (cx, id) = (Context::default(), take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id);
    prove(&cx, &repo, &job(), id, &Told(equal_in_part)).await.expect("it is equal");
    assert!(newest(&repo).await.proven.is_none());
    prove(&cx, &repo, &job(), id, &Told(equal)).await.expect("proven");
    prove(&cx, &repo, &job(), id, &Told(equal_in_part)).await.expect("it is equal");
    assert!(newest(&repo).await.proven.is_some(), "the proof of all stays");
    prove(&cx, &repo, &job(), id, &Told(different_in_part)).await.expect_err("it differs");
    assert!(newest(&repo).await.proven.is_none());
}

#[tokio::test]
async fn damage_of_what_is_beside_the_parts_is_recorded_too() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let (cx, id) = (Context::default(), take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id);
    verify(&cx, &repo, &job(), id, true).await.expect("verified");
    memory.tamper(&format!("pg-app/{id}/manifest.json").parse().expect("a key"), Some(b"{}".to_vec()));
    assert_eq!(prove(&cx, &repo, &job(), id, &Told(equal)).await.expect_err("damaged").kind(), Kind::Damaged);
    assert!(memory.objects().iter().any(|(key, _)| key.file_name().starts_with("damaged-")));
}

/// A sealed backup, what opens it, and where it lies.
async fn sealed_backup() -> (Memory, Plain, Plain, BackupId) {
    let (memory, identity) = (Memory::default(), Identity::generate());
    let blind = Plain { seal: Seal { recipients: vec![identity.recipient()], ..Seal::default() }, ..plain(memory.clone()) };
    let seeing = Plain { unseal: Unseal { identities: vec![identity], passphrase: None }, ..blind.clone() };
    let id = take_one(&blind, &FakeSource::with_parts(3)).await.expect("taken").id;
    (memory, blind, seeing, id)
}

/// Nothing that lies in the open names what is inside, or counts it.
fn tells_nothing(memory: &Memory) {
    for (key, bytes) in memory.objects().iter().filter(|(key, _)| key.file_name().ends_with(".json")) {
        let text = String::from_utf8_lossy(bytes);
        for secret in ["part 1", "part 2", "table", "rows", "a secret"] {
            assert!(!text.contains(secret), "{key} tells of {secret:?}: {text}");
        }
    }
}

#[tokio::test]
async fn without_a_key_it_could_not_be_told() {
    let (_, blind, _, id) = sealed_backup().await;
    let error = prove(&Context::default(), &blind, &job(), id, &Told(equal)).await.expect_err("there is no key");
    assert_eq!((error.kind(), error.hint().is_some()), (Kind::Unproven, true), "{error:?}");
}

#[tokio::test]
async fn records_of_a_sealed_backup_tell_nothing_of_what_is_inside() {
    let (memory, _, seeing, id) = sealed_backup().await;
    let cx = Context::default();
    prove(&cx, &seeing, &job(), id, &Told(equal)).await.expect("proven");
    assert!(newest(&seeing).await.proven.is_some(), "it is proven all the same");
    prove(&cx, &seeing, &job(), id, &Told(different)).await.expect_err("it differs");
    assert!(newest(&seeing).await.proven.is_none(), "that it differs is told all the same");
    tells_nothing(&memory);

    let draft = seeing.begin(&cx, &job()).await.expect("begun");
    draft.abort(&Error::failed("a secret")).await;
    assert_eq!(newest(&seeing).await.why.as_deref(), Some("failed: why was told to who ran it"));
    tells_nothing(&memory);
}

#[tokio::test]
async fn damage_that_only_a_key_shows_is_recorded_without_names() {
    let (memory, _, seeing, id) = sealed_backup().await;
    // The second part's file in place of the third's, all digests of stored bytes right: only the plain ones are not.
    let object = |name: &str| -> Key { format!("pg-app/{id}/{name}").parse().expect("a key") };
    let mut manifest = seeing.open_sealed(&job(), id).await.expect("opened").manifest().clone();
    let [.., from, to] = manifest.files.as_mut_slice() else { panic!("it has files") };
    (to.size, to.sha256) = (from.size, from.sha256);
    let bytes = memory.objects().into_iter().find(|(key, _)| *key == object(from.key.as_str())).expect("it is there").1;
    memory.tamper(&object(to.key.as_str()), Some(bytes.to_vec()));
    let sums: String = manifest.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.key)).collect();
    (manifest.sums.size, manifest.sums.sha256) = (sums.len() as u64, Sha256::of(&sums));
    memory.tamper(&object("SHA256SUMS"), Some(sums.into_bytes()));
    memory.tamper(&object("manifest.json"), Some(manifest.to_bytes().expect("bytes")));
    let cx = Context::default();
    verify(&cx, &seeing, &job(), id, false).await.expect("what is stored is what was written");
    let error = verify(&cx, &seeing, &job(), id, true).await.expect_err("what is inside is not");
    assert_eq!(error.kind(), Kind::Damaged);
    let why = newest(&seeing).await.why.expect("why");
    assert!(why.contains("parts/00002.sql.zst.age"), "{why}");
    tells_nothing(&memory);
}
