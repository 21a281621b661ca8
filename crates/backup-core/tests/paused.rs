//! Every ending of the bracket, once for a backup (Resume) and once for a restore (Hold).

use std::future::{pending, ready};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backup_core::journal::Phase;
use backup_core::testing_lifecycle::{Fault, Services};
use backup_core::{Context, Error, Journal, Kind, Lifecycle, OnFailure, Recorder, Result, Unit, paused, recover, resume};
use futures_util::FutureExt;
use tempfile::TempDir;

const BOTH: [OnFailure; 2] = [OnFailure::Resume, OnFailure::Hold];

/// Services a, b and c, of which c did not run before, and a journal.
struct Stage {
    services: Services,
    lifecycle: Arc<dyn Lifecycle>,
    journal: Arc<Journal>,
    folder: TempDir,
    told: Arc<Recorder>,
    cx: Context,
    committed: AtomicBool,
}

fn open(folder: &Path) -> Result<Arc<Journal>> {
    Ok(Arc::new(Journal::open(folder, &"pg".parse()?)?))
}

impl Stage {
    fn new() -> Self {
        let services = Services::new(&["a", "b", "c"]);
        services.set("c", false);
        let folder = tempfile::tempdir().expect("a folder");
        let told = Arc::new(Recorder::default());
        Stage {
            lifecycle: Arc::new(services.clone()),
            journal: open(folder.path()).expect("a journal"),
            cx: Context::new(told.clone()),
            committed: AtomicBool::new(false),
            services,
            folder,
            told,
        }
    }

    /// Does `work` while all is paused; what it says is then committed.
    async fn run(&self, on_failure: OnFailure, work: impl Future<Output = Result<&'static str>>) -> Result<&'static str> {
        let commit = |said| {
            assert_eq!(self.services.up(), [""; 0], "committed while all is stopped");
            self.committed.store(true, Ordering::SeqCst);
            ready(Ok(said))
        };
        paused(&self.cx, &self.lifecycle, &self.journal, on_failure, work, commit).await
    }

    /// The beginning of the names of the journal's files.
    fn stem(&self) -> String {
        let lock = std::fs::read_dir(self.folder.path()).expect("a folder").next().expect("a lock").expect("a lock").path();
        lock.file_stem().expect("a name").to_string_lossy().into_owned()
    }

    fn phase(&self) -> Option<Phase> {
        self.journal.entry().expect("a readable entry").map(|entry| entry.phase)
    }

    #[track_caller]
    fn is_back(&self) {
        assert_eq!(self.services.up(), ["a", "b"], "what ran before runs, and nothing else");
        assert_eq!(self.phase(), None, "the entry is struck");
    }

    /// All is stopped and stays so, through recover(), until resume().
    #[track_caller]
    fn is_held(&self) {
        assert_eq!((self.services.up(), self.phase()), (vec![], Some(Phase::Working)));
        let error = recover(&self.cx, &self.lifecycle, &self.journal).now_or_never().expect("at once").expect_err("it is held");
        assert_eq!(error.kind(), Kind::StillPaused);
        assert_eq!(self.services.up(), [""; 0]);
    }

    /// After work that broke off: brought back with that very error, or held with it behind.
    async fn ended(&self, on_failure: OnFailure, error: &Error, kind: Kind, text: &str) {
        assert!(!self.committed.load(Ordering::SeqCst), "nothing is committed");
        assert!(error.chain().contains(text), "{}", error.chain());
        match on_failure {
            OnFailure::Resume => {
                assert_eq!(error.kind(), kind);
                self.is_back();
            }
            OnFailure::Hold => {
                assert_eq!(error.kind(), Kind::StillPaused);
                self.is_held();
                let entry = resume(&self.cx, &self.lifecycle, &self.journal).await.expect("resumed").expect("something was");
                assert_eq!(entry.units.len(), 2);
                self.is_back();
            }
        }
        assert_eq!(resume(&self.cx, &self.lifecycle, &self.journal).await.expect("nothing is left"), None);
    }

    async fn all_tasks(&self) {
        self.cx.tasks.close();
        self.cx.tasks.wait().await;
    }
}

async fn well() -> Result<&'static str> {
    Ok("done")
}

#[tokio::test]
async fn success() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let work = async {
            assert_eq!((stage.services.up(), stage.phase()), (vec![], Some(Phase::Working)));
            well().await
        };
        assert_eq!(stage.run(on_failure, work).await.expect("all is well"), "done");
        stage.is_back();
        let calls = ["running", "pause b", "pause a", "held a", "held b", "resume a", "resume b"];
        assert_eq!(stage.services.calls(), calls);
        let story: Vec<String> = stage.told.story().iter().map(|told| told[..6].to_owned()).collect();
        assert_eq!(story, ["Paused", "Resume"]);
    }
}

#[tokio::test]
async fn nothing_runs() {
    for on_failure in BOTH {
        let stage = Stage::new();
        ["a", "b"].into_iter().for_each(|name| stage.services.set(name, false));
        assert_eq!(stage.run(on_failure, well()).await.expect("all is well"), "done");
        assert_eq!((stage.services.up(), stage.phase()), (vec![], None));
    }
}

#[tokio::test]
async fn the_work_fails() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let error = stage.run(on_failure, async { Err(Error::damaged("a bad sector")) }).await.expect_err("it fails");
        stage.ended(on_failure, &error, Kind::Damaged, "a bad sector").await;
    }
}

#[tokio::test]
async fn the_work_panics() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let error = stage.run(on_failure, async { panic!("index out of {}", "bounds") }).await.expect_err("it panics");
        stage.ended(on_failure, &error, Kind::Failed, "panicked: index out of bounds").await;
    }
}

#[tokio::test]
async fn the_work_is_cancelled() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let work = async {
            stage.cx.cancel.cancel();
            pending().await
        };
        let error = stage.run(on_failure, work).await.expect_err("it is cancelled");
        stage.ended(on_failure, &error, Kind::Cancelled, "interrupted").await;
    }
}

#[tokio::test]
async fn somebody_starts_a_unit_meanwhile() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let work = async {
            stage.services.set("b", true);
            well().await
        };
        let error = stage.run(on_failure, work).await.expect_err("the work is worth nothing");
        stage.services.set("b", on_failure == OnFailure::Resume);
        stage.ended(on_failure, &error, Kind::Failed, "b was started meanwhile").await;
    }
}

#[tokio::test]
async fn nobody_can_say_whether_a_unit_was_started() {
    for (on_failure, fault) in BOTH.into_iter().zip([Fault::Error, Fault::Panic]) {
        let stage = Stage::new();
        stage.services.break_at("held b", fault, 1);
        let error = stage.run(on_failure, well()).await.expect_err("it cannot be told");
        stage.ended(on_failure, &error, Kind::Failed, "held b").await;
    }
}

#[tokio::test]
async fn the_commit_fails() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let commit = async |()| Err::<(), _>(Error::failed("no space left on device"));
        let error = paused(&stage.cx, &stage.lifecycle, &stage.journal, on_failure, ready(Ok(())), commit).await;
        stage.ended(on_failure, &error.expect_err("it fails"), Kind::Failed, "no space left on device").await;
    }
}

#[tokio::test]
async fn a_cancel_comes_too_late_for_the_commit() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let commit = async |()| {
            stage.cx.cancel.cancel();
            tokio::task::yield_now().await;
            Ok("committed")
        };
        let done = paused(&stage.cx, &stage.lifecycle, &stage.journal, on_failure, ready(Ok(())), commit).await;
        assert_eq!(done.expect("it is committed"), "committed");
        stage.is_back();
    }
}

#[tokio::test]
async fn a_pause_that_fails_halfway() {
    for (on_failure, fault) in BOTH.into_iter().flat_map(|on_failure| [(on_failure, Fault::Error), (on_failure, Fault::Panic)])
    {
        let stage = Stage::new();
        stage.services.break_at("pause a", fault, 1);
        let error = stage.run(on_failure, async { unreachable!("the work must not begin") }).await.expect_err("it fails");
        assert!(error.chain().starts_with("failed to stop a, b: "), "{}", error.chain());
        assert_eq!(error.kind(), Kind::Failed);
        // Also under Hold: the work has not begun, so there is no half restore to keep from anybody.
        stage.is_back();
    }
}

#[tokio::test]
async fn a_pause_that_is_cancelled_halfway() {
    for on_failure in BOTH {
        let stage = Stage::new();
        stage.services.break_at("pause a", Fault::Hang, 1);
        let run = stage.run(on_failure, async { unreachable!("the work must not begin") });
        let (done, ()) = tokio::join!(run, async {
            while !stage.services.calls().contains(&"pause a".to_owned()) {
                tokio::task::yield_now().await;
            }
            assert_eq!((stage.services.up(), stage.phase()), (vec!["a".to_owned()], Some(Phase::Pausing)));
            stage.cx.cancel.cancel();
        });
        assert_eq!(done.expect_err("it is cancelled").kind(), Kind::Cancelled);
        stage.is_back();
    }
}

#[tokio::test]
async fn nobody_can_say_what_runs() {
    for (on_failure, fault) in BOTH.into_iter().zip([Fault::Error, Fault::Panic]) {
        let stage = Stage::new();
        stage.services.break_at("running", fault, 1);
        stage.run(on_failure, well()).await.expect_err("it fails");
        stage.is_back();
        assert_eq!(stage.services.calls(), ["running"], "nothing is stopped that could not be brought back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_once() {
    for (on_failure, fault) in BOTH.into_iter().flat_map(|on_failure| [(on_failure, Fault::Error), (on_failure, Fault::Panic)])
    {
        let stage = Stage::new();
        stage.services.break_at("resume b", fault, 1);
        assert_eq!(stage.run(on_failure, well()).await.expect("all is well"), "done");
        stage.is_back();
        assert!(stage.told.story().iter().any(|told| told.contains("trying again")), "{:?}", stage.told.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_for_good() {
    for on_failure in BOTH {
        let stage = Stage::new();
        stage.services.break_at("resume b", Fault::Error, u32::MAX);
        let error = stage.run(on_failure, well()).await.expect_err("b stays down");
        assert_eq!(error.kind(), Kind::StillPaused);
        assert_eq!(error.chain(), "still stopped and cannot be started: a, b: resume b fails");
        assert!(error.hint().is_some());
        assert_eq!(stage.phase(), Some(Phase::Resuming), "the entry stays");
        assert!(stage.committed.load(Ordering::SeqCst), "the work was done and counts");

        let again = stage.run(on_failure, async { unreachable!("nothing begins on top of it") }).await.expect_err("refused");
        assert_eq!((again.kind(), again.hint()), (Kind::StillPaused, Some("resume first")));

        stage.services.break_at("resume b", Fault::Error, 0);
        recover(&stage.cx, &stage.lifecycle, &stage.journal).await.expect("b is mended").expect("something was left");
        stage.is_back();
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_outranks_the_error_before_it() {
    let stage = Stage::new();
    stage.services.break_at("resume b", Fault::Error, u32::MAX);
    let error = stage.run(OnFailure::Resume, async { Err(Error::damaged("a bad sector")) }).await.expect_err("both fail");
    assert_eq!(error.kind(), Kind::StillPaused);
    assert_eq!(error.chain(), "still stopped and cannot be started: a, b: resume b fails: a bad sector");
    assert!(error.hint().is_some_and(|hint| hint.contains("by hand")));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_cut_the_resume_short() {
    for on_failure in BOTH {
        let stage = Stage::new();
        stage.services.break_at("resume a", Fault::Error, 3);
        let (done, ()) = tokio::join!(stage.run(on_failure, well()), async {
            while !stage.services.calls().contains(&"resume a".to_owned()) {
                tokio::task::yield_now().await;
            }
            stage.cx.cancel.cancel();
        });
        done.expect("the work was done and all is back");
        stage.is_back();
    }
}

#[tokio::test]
async fn a_future_dropped_at_work_is_brought_back_by_a_task_that_holds_the_job() {
    for on_failure in BOTH {
        let stage = Stage::new();
        assert!(stage.run(on_failure, pending()).now_or_never().is_none(), "it never ends");
        assert_eq!(stage.phase(), None, "running() had not answered");

        let mut run = Box::pin(stage.run(on_failure, pending()));
        while (&mut run).now_or_never().is_none() && stage.phase() != Some(Phase::Working) {
            tokio::task::yield_now().await;
        }
        drop(run);
        let Stage { services, lifecycle, journal, folder, cx, .. } = stage;
        drop(journal);
        cx.tasks.close();
        if on_failure == OnFailure::Resume {
            assert_eq!(open(folder.path()).expect_err("the task holds it").kind(), Kind::Busy);
            cx.tasks.wait().await;
            assert_eq!(services.up(), ["a", "b"]);
            assert_eq!(open(folder.path()).expect("free").entry().expect("readable"), None, "the task struck the entry");
        } else {
            cx.tasks.wait().await;
            let journal = open(folder.path()).expect("free at once");
            assert_eq!(services.up(), [""; 0]);
            recover(&cx, &lifecycle, &journal).await.expect_err("it is held");
            resume(&cx, &lifecycle, &journal).await.expect("resumed").expect("something was held");
            assert_eq!(services.up(), ["a", "b"]);
        }
    }
}

/// Work with a few places to stop at.
async fn in_steps() -> Result<&'static str> {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    Ok("done")
}

#[tokio::test]
async fn a_future_dropped_at_any_point() {
    for on_failure in BOTH {
        for polls in 0.. {
            let stage = Stage::new();
            let mut run = Box::pin(stage.run(on_failure, in_steps()));
            let mut ended = false;
            for _ in 0..polls {
                ended = (&mut run).now_or_never().is_some();
                // The way back is a task of its own and goes on between two polls.
                tokio::task::yield_now().await;
            }
            drop(run);
            stage.all_tasks().await;
            match stage.phase() {
                Some(Phase::Working) if on_failure == OnFailure::Hold => stage.is_held(),
                _ => stage.is_back(),
            }
            if ended {
                assert!(polls > 10, "there were points to drop it at");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_cancel_at_any_point() {
    for on_failure in BOTH {
        let (mut cancelled, mut well) = (0, 0);
        for polls in 0..40 {
            let stage = Stage::new();
            let (done, ()) = tokio::join!(stage.run(on_failure, in_steps()), async {
                for _ in 0..polls {
                    tokio::task::yield_now().await;
                }
                stage.cx.cancel.cancel();
            });
            match done.map_err(|error| error.kind()) {
                Ok(_) => well += 1,
                Err(Kind::Cancelled) => cancelled += 1,
                Err(Kind::StillPaused) if on_failure == OnFailure::Hold => {
                    stage.is_held();
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            }
            stage.is_back();
        }
        assert!(cancelled > 3 && well > 3, "{cancelled} cancelled, {well} well");
    }
}

#[tokio::test]
async fn a_bracket_in_a_bracket_is_refused_and_the_outer_one_keeps_its_entry() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let inner = async {
            let error = stage.run(OnFailure::Resume, async { unreachable!("not nested") }).await.expect_err("refused");
            assert_eq!(error.kind(), Kind::StillPaused);
            assert_eq!(stage.phase(), Some(Phase::Working));
            well().await
        };
        stage.run(on_failure, inner).await.expect("the outer one is well");
        stage.is_back();
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_nothing() {
    for on_failure in BOTH {
        let stage = Stage::new();
        std::fs::create_dir(stage.folder.path().join(format!(".{}.json.partial", stage.stem()))).expect("a folder in its way");
        let error = stage.run(on_failure, well()).await.expect_err("it cannot be written down");
        assert!(error.to_string().starts_with("failed to write down what is stopped"), "{error}");
        assert_eq!(stage.services.calls(), ["running"]);
        stage.is_back();
    }
}

/// Services whose pause puts a folder where the next entry would be written.
#[derive(Debug)]
struct Meddling(Services, PathBuf);

#[async_trait]
impl Lifecycle for Meddling {
    async fn running(&self) -> Result<Vec<Unit>> {
        self.0.running().await
    }
    async fn pause(&self, units: &[Unit]) -> Result<()> {
        std::fs::create_dir(&self.1).expect("a folder in its way");
        self.0.pause(units).await
    }
    async fn held(&self, units: &[Unit]) -> Result<()> {
        self.0.held(units).await
    }
    async fn resume(&self, units: &[Unit]) -> Result<()> {
        self.0.resume(units).await
    }
}

#[tokio::test]
async fn a_journal_that_fails_after_the_pause_lets_no_work_begin() {
    for on_failure in BOTH {
        let stage = Stage::new();
        let meddling = Meddling(stage.services.clone(), stage.folder.path().join(format!(".{}.json.partial", stage.stem())));
        let stage = Stage { lifecycle: Arc::new(meddling), ..stage };
        let error = stage.run(on_failure, async { unreachable!("the work must not begin") }).await.expect_err("no mark");
        assert!(error.to_string().starts_with("failed to write down what is stopped"), "{error}");
        assert_eq!(stage.services.calls()[..3], ["running", "pause b", "pause a"]);
        stage.is_back();
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_struck_is_told_and_outranks_no_error() {
    let ends: [fn() -> Result<&'static str>; 2] = [|| Ok("done"), || Err(Error::damaged("a bad sector"))];
    for end in ends {
        let stage = Stage::new();
        let entry = stage.folder.path().join(format!("{}.json", stage.stem()));
        let work = async {
            std::fs::remove_file(&entry).expect("an entry");
            std::fs::create_dir(&entry).expect("a folder in its place");
            end()
        };
        let error = stage.run(OnFailure::Resume, work).await.expect_err("the entry stays");
        assert_eq!(stage.services.up(), ["a", "b"], "what ran before runs all the same");
        assert_eq!(stage.journal.entry().expect_err("it is no entry").kind(), Kind::StillPaused);
        match end() {
            Ok(_) => assert!(error.to_string().starts_with("failed to strike what was stopped"), "{error}"),
            Err(_) => {
                assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Damaged, "a bad sector"));
                assert!(stage.told.story().iter().any(|told| told.contains("failed to strike what was stopped")));
            }
        }
    }
}
