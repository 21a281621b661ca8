//! What every [`Lifecycle`] must pass, and services that exist only in memory.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;

use crate::{Error, Lifecycle, Result, Unit};

/// Checks what [`Lifecycle`] promises. `make` gives another handle on the same units, as another process would have;
/// at least two of them run, and after the last check they run again.
///
/// # Panics
/// If a promise is broken, saying which.
pub async fn lifecycle_contract<L: Lifecycle>(make: impl Fn() -> L) {
    let before = make().running().await.expect("running() answers");
    let runs = async || make().running().await.expect("running() answers");
    let (first, last) = match before.as_slice() {
        [first, .., last] => (std::slice::from_ref(first), std::slice::from_ref(last)),
        _ => unreachable!("the contract needs at least two units that run, not {before:?}"),
    };
    let without_last: Vec<Unit> = before.iter().filter(|unit| *unit != &last[0]).cloned().collect();
    assert_eq!(runs().await, before, "asking what runs changes nothing");

    make().pause(&[]).await.expect("nothing is stopped");
    make().held(&[]).await.expect("nothing is held");
    make().resume(&[]).await.expect("nothing is started");
    assert_eq!(runs().await, before, "an empty list is nobody, not everybody");

    make().pause(&before).await.expect("all are stopped");
    assert_eq!(runs().await, [], "pause() waits until they have stopped");
    make().held(&before).await.expect("nobody started one");
    make().resume(&before).await.expect("all are started");
    assert_eq!(runs().await, before, "resume() waits until they run, and the order is the same");
    make().resume(&before).await.expect("what runs may be resumed");
    assert_eq!(runs().await, before, "resume() twice is as once");

    make().pause(last).await.expect("the last is stopped");
    assert_eq!(runs().await, without_last, "pause() stops nothing else");
    make().resume(&before).await.expect("resume() follows a half pause");
    assert_eq!(runs().await, before, "resume() follows a half pause");

    make().pause(&before).await.expect("all are stopped");
    make().resume(first).await.expect("the first is started");
    assert_eq!(runs().await, first, "resume() starts nothing else");
    make().held(&before).await.expect_err("one was started meanwhile, and held() says so");
    make().resume(&before).await.expect("the others are started");
    assert_eq!(runs().await, before, "all run again");

    for polls in [1, 2] {
        let pausing = make();
        let mut pause = pausing.pause(&before);
        for _ in 0..polls {
            if (&mut pause).now_or_never().is_some() {
                break;
            }
        }
        drop(pause);
        make().resume(&before).await.expect("resume() follows a pause that was dropped");
        assert_eq!(runs().await, before, "resume() follows a pause that was dropped");
    }

    let unknown = [Unit("no unit has this name; \"$(false)\"\n".into())];
    make().resume(&unknown).await.expect_err("a unit that cannot be started is an error, never passed over");
    assert_eq!(runs().await, before, "a unit that is not there changes nothing");
}

/// Services in memory, in start order. Clones share them, as two processes share a machine's.
#[derive(Debug, Clone, Default)]
pub struct Services(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    /// Whether each runs, in start order.
    units: Vec<(Unit, bool)>,
    /// What was done: `pause b`, `held a`, `resume c`.
    calls: Vec<String>,
    /// What goes wrong at such a call, and how many times still.
    faults: BTreeMap<String, (Fault, u32)>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails; what it did before stays done.
    Error,
    /// The call panics.
    Panic,
    /// The call never returns.
    Hang,
}

impl Services {
    /// Services that all run.
    pub fn new(names: &[&str]) -> Self {
        let units = names.iter().map(|name| (Unit((*name).to_owned()), true)).collect();
        Self(Arc::new(Mutex::new(World { units, ..World::default() })))
    }

    /// Starts or stops one behind everybody's back.
    pub fn set(&self, name: &str, runs: bool) {
        self.world().units.iter_mut().filter(|(unit, _)| unit.0 == name).for_each(|unit| unit.1 = runs);
    }

    /// Lets `call` (`pause b`, `held a`, `resume c`, `running`) go wrong so many `times`.
    pub fn break_at(&self, call: &str, fault: Fault, times: u32) {
        self.world().faults.insert(call.to_owned(), (fault, times));
    }

    /// What runs.
    pub fn up(&self) -> Vec<String> {
        self.world().units.iter().filter(|unit| unit.1).map(|unit| unit.0.0.clone()).collect()
    }

    /// What was done so far: `pause b`, `held a`, `resume c`.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step, before which a future can be dropped, and at which something may go wrong.
    async fn step(&self, call: String) -> Result<()> {
        tokio::task::yield_now().await;
        let fault = {
            let mut world = self.world();
            let fault = world.faults.get_mut(&call).filter(|fault| fault.1 > 0).map(|(fault, times)| {
                *times -= 1;
                *fault
            });
            world.calls.push(call.clone());
            fault
        };
        match fault {
            None => Ok(()),
            Some(Fault::Error) => Err(Error::failed(format!("{call} fails"))),
            Some(Fault::Panic) => unreachable!("{call} panics"),
            Some(Fault::Hang) => pending().await,
        }
    }

    fn turn(&self, unit: &Unit, runs: bool) -> Result<()> {
        let mut world = self.world();
        let found = world.units.iter_mut().find(|(known, _)| known == unit);
        found.map(|found| found.1 = runs).ok_or_else(|| Error::failed(format!("there is no unit {unit}")))
    }
}

#[async_trait]
impl Lifecycle for Services {
    async fn running(&self) -> Result<Vec<Unit>> {
        self.step("running".to_owned()).await?;
        Ok(self.world().units.iter().filter(|unit| unit.1).map(|unit| unit.0.clone()).collect())
    }

    async fn pause(&self, units: &[Unit]) -> Result<()> {
        for unit in units.iter().rev() {
            self.step(format!("pause {unit}")).await?;
            self.turn(unit, false)?;
        }
        Ok(())
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        for unit in units {
            self.step(format!("held {unit}")).await?;
            if self.world().units.iter().any(|(known, runs)| known == unit && *runs) {
                return Err(Error::failed(format!("{unit} was started meanwhile")));
            }
        }
        Ok(())
    }

    async fn resume(&self, units: &[Unit]) -> Result<()> {
        for unit in units {
            self.step(format!("resume {unit}")).await?;
            self.turn(unit, true)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn services_in_memory_keep_the_contract() {
        let services = Services::new(&["a", "b", "c"]);
        services.set("b", false);
        lifecycle_contract(|| services.clone()).await;
        assert_eq!(services.up(), ["a", "c"]);
    }

    /// Breaks one promise each.
    #[derive(Debug, Clone)]
    struct Careless(Services, &'static str);

    #[async_trait]
    impl Lifecycle for Careless {
        async fn running(&self) -> Result<Vec<Unit>> {
            let mut units = self.0.running().await?;
            if self.1 == "order" && self.0.calls().len() > 10 {
                units.reverse();
            }
            Ok(units)
        }
        async fn pause(&self, units: &[Unit]) -> Result<()> {
            let all = self.0.running().await?;
            self.0.pause(if self.1 == "stops all" { &all } else { units }).await
        }
        async fn held(&self, units: &[Unit]) -> Result<()> {
            if self.1 == "looks away" { Ok(()) } else { self.0.held(units).await }
        }
        async fn resume(&self, units: &[Unit]) -> Result<()> {
            match self.1 {
                "starts all" => self.0.resume(&["a", "b", "c"].map(|name| Unit(name.into()))).await,
                "passes over" => self.0.resume(units).await.or(Ok(())),
                "once" if units.iter().any(|unit| self.0.up().contains(&unit.0)) => Err(Error::failed("it runs already")),
                _ => self.0.resume(units).await,
            }
        }
    }

    #[tokio::test]
    async fn the_contract_finds_the_careless() {
        let services = Services::new(&["a", "b", "c"]);
        lifecycle_contract(|| Careless(services.clone(), "of nothing")).await;
        for careless in ["order", "stops all", "looks away", "starts all", "passes over", "once"] {
            let services = Services::new(&["a", "b", "c"]);
            let checked = std::panic::AssertUnwindSafe(lifecycle_contract(|| Careless(services.clone(), careless)));
            assert!(checked.catch_unwind().await.is_err(), "{careless} was not found");
        }
    }
}
