//! Workloads that are scaled to 0 and back.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Doing, Error, Event, Lifecycle, Monitor, Result, Unit};
use tokio::time::{Instant, sleep};

use crate::access::Access;
use crate::api::Api;
use crate::client::{Client, Refusal};
use crate::objects::Scale;
use crate::stopped::Stopped;
use crate::workload::{Namespace, Workload};

/// How long it waits for pods to go, and for replicas to be ready.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long an API that does not answer is asked again where nothing is waited for.
const BRIEF: Duration = Duration::from_secs(30);

/// How long it waits between two looks.
const POLL: Duration = Duration::from_secs(1);

/// How many looks a further try to bring back is worth.
const LOOKS: u32 = 5;

/// How many pods an error names.
const NAMED: usize = 5;

/// Workloads of one namespace, as a [`Lifecycle`]: stopped is what has no replicas and no pod.
///
/// A unit is `deployment/web=3 in shop at https://10.96.0.1`, so that whoever reads the journal knows how many replicas there
/// were and where. Workloads that have none run not: they stay as they are. What somebody scales up or down meanwhile keeps
/// the number that it was given, with a warning; while the work is under way that is an error of [`held`](Lifecycle::held).
///
/// An API that does not answer, or answers 429 or 5xx, is asked again until the time is over; any other refusal is an error
/// at once. Every wait tells what it waits for, and ends when its future is dropped.
#[derive(Debug)]
pub struct Workloads {
    api: Api,
    workloads: Vec<Workload>,
    monitor: Arc<dyn Monitor>,
    patience: Duration,
    poll: Duration,
    /// Until when what was stopped is waited for. One time for all tries to bring it back.
    back: Mutex<Option<Instant>>,
}

impl Workloads {
    /// `workloads` of `namespace`, in the order in which they are to be started; `monitor` is told what is waited for.
    ///
    /// The namespace is that of `access` if none is given, and `default` if there is none either.
    pub fn new(
        access: Access,
        namespace: Option<Namespace>,
        workloads: impl IntoIterator<Item = Workload>,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Self> {
        let namespace = match namespace.or_else(|| access.namespace.clone()) {
            Some(namespace) => namespace,
            None => "default".parse()?,
        };
        let mut once: Vec<Workload> = Vec::new();
        for workload in workloads {
            if !once.contains(&workload) {
                once.push(workload);
            }
        }
        let api = Api { client: Arc::new(Client::new(access)?), namespace };
        Ok(Self { api, workloads: once, monitor, patience: PATIENCE, poll: POLL, back: Mutex::new(None) })
    }

    /// Whether `unit` is of such a lifecycle, of whatever cluster.
    pub fn knows(unit: &Unit) -> bool {
        Stopped::parse(unit).is_ok()
    }

    /// Waits so long for pods to go, and again for replicas to be ready, instead of 10 minutes.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Looks so often instead of every second.
    pub fn with_poll(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Gives each request up after `time` instead of 15 seconds.
    pub fn with_request_time(mut self, time: Duration) -> Result<Self> {
        let client = Arc::into_inner(self.api.client).ok_or_else(|| Error::failed("requests are under way"))?;
        self.api.client = Arc::new(client.with_time(time));
        Ok(self)
    }

    fn brief(&self) -> Instant {
        Instant::now() + BRIEF.min(self.patience)
    }

    /// Until when this try to bring back may wait.
    fn back(&self) -> Instant {
        let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *back.get_or_insert_with(|| Instant::now() + self.patience);
        until.max(Instant::now() + self.poll * LOOKS)
    }

    /// Where `unit` is; another cluster is an error.
    fn find(&self, unit: &Unit) -> Result<(Api, Stopped)> {
        let stopped = Stopped::parse(unit)?;
        let here = self.api.client.server().to_string();
        if stopped.server != here {
            return Err(Error::failed(format!("{stopped} was stopped at {}, and this is {here}", stopped.server))
                .with_hint("do it where it was stopped, or name that cluster with KUBECONFIG"));
        }
        Ok((Api { client: self.api.client.clone(), namespace: stopped.namespace.clone() }, stopped))
    }

    /// Asks until there is an answer, a refusal that stays, or the time is over.
    async fn patiently<T, F>(&self, until: Instant, ask: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let mut is_told = false;
        loop {
            match ask().await {
                Err(refusal) if refusal.passes && Instant::now() + self.poll < until => {
                    if !std::mem::replace(&mut is_told, true) {
                        self.monitor.on(Event::Warning { what: &format!("{}; asking again", refusal.error.chain()) });
                    }
                    sleep(self.poll).await;
                }
                answered => return answered,
            }
        }
    }

    /// Gives a workload the replicas that `wanted` says, if any, in view of those that it has. Returns its scale before.
    async fn scale(
        &self,
        api: &Api,
        workload: &Workload,
        until: Instant,
        wanted: impl Fn(u32) -> Option<u32>,
    ) -> Result<Scale> {
        loop {
            let scale = self.patiently(until, || api.scale(workload)).await?;
            let Some(replicas) = wanted(scale.replicas) else { return Ok(scale) };
            match self.patiently(until, || api.set(workload, &scale, replicas)).await {
                Ok(()) => return Ok(scale),
                // Somebody else was quicker, or its status has changed: the number is looked at again.
                Err(refusal) if refusal.code == 409 && Instant::now() < until => sleep(self.poll).await,
                Err(refusal) => return Err(refusal.error),
            }
        }
    }

    /// Waits until no pod of what was stopped is left.
    async fn gone(&self, unit: &Unit, until: Instant) -> Result<()> {
        let (api, stopped) = self.find(unit)?;
        let mut last = String::new();
        loop {
            // In this order: pods can still appear while the controller has not seen the last change.
            let progress = self.patiently(until, || api.progress(&stopped.workload)).await?;
            let pods = self.pods(&api, &stopped, until).await?;
            if progress.wanted > 0 {
                return Err(self.started(&api, &stopped, &format!("it is to have {} replicas", progress.wanted)).await);
            }
            if pods.is_empty() && progress.is_current {
                return Ok(());
            }
            let what = match pods.len() {
                0 => format!("wait until the cluster has seen that {stopped} is to stop"),
                _ => format!("wait until the pods of {stopped} are gone: {}", listed(&pods)),
            };
            if Instant::now() + self.poll >= until {
                let message = format!("{stopped} does not stop within {:?}: failed to {what}", self.patience);
                return Err(Error::failed(message).with_hint("look at its pods, or give it more time"));
            }
            self.stage(&mut last, what);
            sleep(self.poll).await;
        }
    }

    async fn pods(&self, api: &Api, stopped: &Stopped, until: Instant) -> Result<Vec<String>> {
        let scale = self.patiently(until, || api.scale(&stopped.workload)).await?;
        let selector = scale.selector().doing(|| format!("find the pods of {stopped}"))?;
        Ok(self.patiently(until, || api.pods(selector)).await?)
    }

    /// Somebody has started it. Who, if that can be seen.
    async fn started(&self, api: &Api, stopped: &Stopped, how: &str) -> Error {
        let autoscalers = api.autoscalers().await.unwrap_or_default();
        let who = autoscalers.iter().find(|autoscaler| autoscaler.is_of(&stopped.workload));
        let hint = match who {
            Some(autoscaler) => format!("horizontalpodautoscaler/{} scales it: suspend that meanwhile", autoscaler.name()),
            None => "look for who scales it: a person, a pipeline, an operator".to_owned(),
        };
        Error::failed(format!("somebody started {stopped} meanwhile: {how}")).with_hint(hint)
    }

    /// Gives what has no replicas its former number. Whether that was a change.
    async fn raise(&self, api: &Api, stopped: &Stopped, until: Instant) -> Result<bool> {
        let former = |now| (now == 0).then_some(stopped.replicas);
        let before = self.scale(api, &stopped.workload, until, former).await?.replicas;
        if before != 0 && before != stopped.replicas {
            let what = format!("{stopped} has {before} replicas already, {} before; it stays so", stopped.replicas);
            self.monitor.on(Event::Warning { what: &what });
        }
        Ok(before == 0)
    }

    /// Waits until as many replicas are ready as there are to be.
    async fn ready(&self, unit: &Unit, mut is_raised: bool, until: Instant) -> Result<()> {
        let (api, stopped) = self.find(unit)?;
        let mut last = String::new();
        let mut looks = 0;
        loop {
            let progress = self.patiently(until, || api.progress(&stopped.workload)).await?;
            if progress.wanted == 0 {
                // A change of the pause that this follows has arrived only now.
                is_raised |= self.raise(&api, &stopped, until).await?;
            } else if progress.is_current && progress.ready >= progress.wanted {
                // Twice, unless our own change has ruled out that one of the pause is still under way.
                looks += 1;
                if is_raised || looks > 1 {
                    return Ok(());
                }
            }
            let paused = if progress.is_paused { " (its rollout is paused)" } else { "" };
            let what = format!("wait until {stopped} is ready: {} of {} replicas{paused}", progress.ready, progress.wanted);
            if progress.is_deleted || Instant::now() + self.poll >= until {
                let why = if progress.is_deleted { "it is being deleted".to_owned() } else { format!("failed to {what}") };
                let message = format!("{stopped} was scaled up and does not run within {:?}: {why}", self.patience);
                return Err(Error::failed(message).with_hint("look at its pods and their logs"));
            }
            if progress.ready < progress.wanted {
                self.stage(&mut last, what);
            }
            sleep(self.poll).await;
        }
    }

    /// Tells what is waited for, once for each change.
    fn stage(&self, last: &mut String, what: String) {
        if *last != what {
            self.monitor.on(Event::Stage { what: &what });
            *last = what;
        }
    }

    /// Warns of autoscalers that cannot be seen, and refuses those that would start what has no replicas.
    async fn look_for_autoscalers(&self, running: &[&Workload], until: Instant) -> Result<()> {
        let found = match self.patiently(until, || self.api.autoscalers()).await {
            Ok(found) => found,
            Err(refusal) if [403, 404].contains(&refusal.code) => {
                let what = format!("whether an autoscaler would start it meanwhile cannot be seen: {}", refusal.error.chain());
                self.monitor.on(Event::Warning { what: &what });
                return Ok(());
            }
            Err(refusal) => return Err(refusal.error),
        };
        for autoscaler in found.iter().filter(|autoscaler| autoscaler.starts_from_nothing()) {
            if let Some(workload) = running.iter().find(|workload| autoscaler.is_of(workload)) {
                let (name, namespace) = (autoscaler.name(), &self.api.namespace);
                let message = format!("horizontalpodautoscaler/{name} scales {workload} in {namespace} up from 0 too");
                return Err(
                    Error::failed(message).with_hint("give it a minReplicas of 1 or more: then it leaves alone what has 0")
                );
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Lifecycle for Workloads {
    async fn running(&self) -> Result<Vec<Unit>> {
        let until = self.brief();
        let (mut units, mut running) = (Vec::new(), Vec::new());
        for workload in &self.workloads {
            let scale = self.patiently(until, || self.api.scale(workload)).await?;
            let namespace = self.api.namespace.clone();
            if scale.replicas == 0 {
                continue;
            }
            // Before anything is stopped: without it nobody can say when it has stopped.
            scale.selector().doing(|| format!("find the pods of {workload} in {namespace}"))?;
            let server = self.api.client.server().to_string();
            units.push(Stopped { workload: workload.clone(), replicas: scale.replicas, namespace, server }.unit());
            running.push(workload);
        }
        if !running.is_empty() {
            self.look_for_autoscalers(&running, until).await?;
        }
        Ok(units)
    }

    async fn pause(&self, units: &[Unit]) -> Result<()> {
        let until = Instant::now() + self.patience;
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for unit in units.iter().rev() {
            let (api, stopped) = self.find(unit)?;
            self.scale(&api, &stopped.workload, until, |now| (now != 0).then_some(0)).await?;
        }
        for unit in units.iter().rev() {
            self.gone(unit, until).await?;
        }
        Ok(())
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        let until = self.brief();
        for unit in units {
            let (api, stopped) = self.find(unit)?;
            let replicas = self.patiently(until, || api.scale(&stopped.workload)).await?.replicas;
            if replicas > 0 {
                return Err(self.started(&api, &stopped, &format!("it is to have {replicas} replicas")).await);
            }
            let pods = self.pods(&api, &stopped, until).await?;
            if !pods.is_empty() {
                return Err(self.started(&api, &stopped, &format!("there are pods: {}", listed(&pods))).await);
            }
        }
        Ok(())
    }

    async fn resume(&self, units: &[Unit]) -> Result<()> {
        let until = self.back();
        // One that cannot be started is no reason to leave the others stopped.
        let mut failed = None;
        let mut raised = Vec::new();
        for unit in units {
            let begun = async {
                let (api, stopped) = self.find(unit)?;
                self.raise(&api, &stopped, until).await
            };
            match begun.await {
                Ok(is_raised) => raised.push((unit, is_raised)),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        for (unit, is_raised) in raised {
            if let Err(error) = self.ready(unit, is_raised, until).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Some of `pods`, and how many more there are.
fn listed(pods: &[String]) -> String {
    let named: Vec<&str> = pods.iter().take(NAMED).map(String::as_str).collect();
    let more = match pods.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}
