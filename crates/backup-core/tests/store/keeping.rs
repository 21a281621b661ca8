//! Backups are verified, pinned, found, opened and deleted.

use std::sync::Arc;

use backup_core::testing::FakeSource;
use backup_core::*;

use crate::{job, listed_and_whole, newest, plain, take_one};

#[tokio::test]
async fn a_pin_stays_until_it_is_taken_away() {
    let repo = plain(Memory::default());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let pin = Record::Pinned { at: jiff::Timestamp::now(), why: Some("before the move".into()) };
    for _ in 0..2 {
        repo.record(&job(), id, &pin).await.expect("pinned");
        assert!(newest(&repo).await.pinned);
    }
    for _ in 0..2 {
        repo.unpin(&job(), id).await.expect("unpinned");
        assert!(!newest(&repo).await.pinned);
    }
    let missing = BackupId::at(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(repo.record(&job(), missing, &pin).await.expect_err("there is none").kind(), Kind::NotFound);
    assert_eq!(repo.unpin(&job(), missing).await.expect_err("there is none").kind(), Kind::NotFound);
}

#[tokio::test]
async fn records_of_the_same_second_stand_side_by_side() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let at = jiff::Timestamp::now();
    for bytes in 0..3 {
        repo.record(&job(), id, &Record::Verified { at, bytes, unsealed: false }).await.expect("recorded");
    }
    let records = memory.objects().iter().filter(|(key, _)| key.file_name().starts_with("verified-")).count();
    assert_eq!(records, 3);
}

#[tokio::test]
async fn a_record_that_is_damaged_counts_for_nothing() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    verify(&Context::default(), &repo, &job(), id, true).await.expect("verified");
    for (key, _) in memory.objects().iter().filter(|(key, _)| key.file_name().starts_with("verified-")) {
        memory.tamper(key, Some(b"{\"record\":\"verif".to_vec()));
    }
    assert!(newest(&repo).await.verified.is_none());
}

#[tokio::test]
async fn a_backup_is_found_by_what_is_known_of_it() {
    let repo = plain(Memory::default());
    let first = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    verify(&Context::default(), &repo, &job(), first, false).await.expect("verified");
    let second = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let find = async |text: &str| which(&repo, &job(), &text.parse().expect("a name for a backup")).await;
    assert_eq!(find("latest").await.expect("found"), second);
    assert_eq!(find("latest-verified").await.expect("found"), first);
    assert_eq!(find(&first.to_string()).await.expect("found"), first);
    assert_eq!(find("latest-proven").await.expect_err("none").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_deletion_that_breaks_off_leaves_no_backup_and_is_swept() {
    use backup_core::testing::{Failing, Failure};
    for nth in 0.. {
        let memory = Memory::default();
        let healthy = plain(memory.clone());
        let id = take_one(&healthy, &FakeSource::with_parts(3)).await.expect("taken").id;
        let sink = Arc::new(Failing::new(memory.clone(), nth, Failure::Before));
        let deleted = Plain::new(sink.clone(), "test").delete(&job(), id).await;
        let listed = listed_and_whole(&healthy).await;
        match deleted {
            Ok(()) => assert!(memory.objects().is_empty()),
            // What is left is a whole backup, a failed attempt, or nothing that anyone lists.
            Err(error) => {
                assert_eq!(error.kind(), Kind::Failed);
                assert!(
                    listed == 1 || healthy.records(&job()).await.expect("records").iter().all(|it| it.state == State::Failed)
                );
                healthy.delete(&job(), id).await.expect("the next one succeeds");
            }
        }
        assert!(memory.objects().is_empty());
        if sink.was_spared() {
            break;
        }
    }
}

#[tokio::test]
async fn the_end_of_a_deletion_that_broke_off_is_swept() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let first = take_one(&repo, &FakeSource::with_parts(3)).await.expect("taken").id;
    take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken");
    for name in ["manifest.json", "attempt.json"] {
        memory.tamper(&format!("pg-app/{first}/{name}").parse().expect("a key"), None);
    }
    let running = repo.begin(&Context::default(), &job()).await.expect("begun");
    repo.sweep(&job()).await.expect("swept");
    assert!(memory.objects().iter().all(|(key, _)| !key.as_str().contains(&first.to_string())), "it is still there");
    assert_eq!(listed_and_whole(&repo).await, 1);
    running.commit(FakeSource::with_parts(0).origin).await.expect("what runs was left alone");
}

#[tokio::test]
async fn an_encrypted_backup_is_verified_without_a_key_and_opened_with_one() {
    let identity = Identity::generate();
    let seal = Seal { recipients: vec![identity.recipient()], ..Seal::default() };
    let blind = Plain { seal, ..plain(Memory::default()) };
    let source = FakeSource::with_parts(3);
    let id = take_one(&blind, &source).await.expect("taken").id;
    let cx = Context::default();
    verify(&cx, &blind, &job(), id, false).await.expect("no key is needed");
    take_one(&blind, &source).await.expect("nor for the next one");
    for unseal in [Unseal::default(), Unseal { identities: vec![Identity::generate()], passphrase: None }] {
        let wrong = Plain { unseal, ..blind.clone() };
        verify(&cx, &wrong, &job(), id, false).await.expect("nor is a wrong one in the way");
        for error in [wrong.open(&job(), id).await.map(drop), verify(&cx, &wrong, &job(), id, true).await.map(drop)] {
            let error = error.expect_err("there is no key that fits");
            assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true), "{error:?}");
        }
    }
    assert!(blind.records(&job()).await.expect("records")[0].verified.is_some(), "a wrong key is no damage");
    let seeing = Plain { unseal: Unseal { identities: vec![identity], passphrase: None }, ..blind };
    assert_eq!(seeing.open(&job(), id).await.expect("opened").manifest().parts.len(), 3);
    assert_eq!(seeing.open_sealed(&job(), id).await.expect("opened").manifest().parts.len(), 0);
    assert_eq!(listed_and_whole(&seeing).await, 2);
}

#[tokio::test]
async fn a_passphrase_opens_and_another_is_told_in_one_line() {
    let passphrase = |text: &str| Some(Passphrase::new(text).expect("a passphrase"));
    let seal = Seal { passphrase: passphrase("correct horse"), ..Seal::default() };
    let memory = Memory::default();
    let blind = Plain { seal, ..plain(memory.clone()) };
    let id = take_one(&blind, &FakeSource::with_parts(2)).await.expect("taken").id;
    let wrong = Plain { unseal: Unseal { identities: vec![], passphrase: passphrase("battery staple") }, ..blind.clone() };
    let error = wrong.open(&job(), id).await.map(drop).expect_err("another passphrase");
    assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true), "{error:?}");
    let right = Plain { unseal: Unseal { identities: vec![], passphrase: passphrase("correct horse") }, ..blind.clone() };
    right.open(&job(), id).await.expect("opened");
    let key: Key = format!("pg-app/{id}/key.age").parse().expect("a key");
    let mut bytes = memory.objects().into_iter().find(|(at, _)| *at == key).expect("the key is stored").1.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    memory.tamper(&key, Some(bytes));
    let error = right.open(&job(), id).await.map(drop).expect_err("the key is damaged");
    assert_eq!(error.kind(), Kind::Damaged, "{error:?}");
    // Whoever has an identity that fits needs neither the key nor the right passphrase.
    let identity = Identity::generate();
    let both = Plain { seal: Seal { recipients: vec![identity.recipient()], ..blind.seal.clone() }, ..blind };
    let id = take_one(&both, &FakeSource::with_parts(2)).await.expect("taken").id;
    let other = Identity::generate();
    let unseal = |identities| Unseal { identities, passphrase: passphrase("battery staple") };
    let fits = Plain { unseal: unseal(vec![other.clone(), identity]), ..both.clone() };
    verify(&Context::default(), &fits, &job(), id, true).await.expect("an identity fits");
    let error = Plain { unseal: unseal(vec![other]), ..both }.open(&job(), id).await.map(drop).expect_err("nothing fits");
    assert!(error.chain().contains("the passphrase does not open the backup"), "{error:?}");
}
