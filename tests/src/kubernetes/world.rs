//! What the stand-in's cluster holds, and the controllers that work on it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// A workload: what is wanted, what the controllers have made of it so far.
#[derive(Debug, Clone)]
pub struct Object {
    /// `Deployment`, `StatefulSet` or `DeploymentConfig`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How many replicas are wanted.
    pub replicas: u32,
    /// Counts changes of what is wanted.
    pub generation: i64,
    /// The generation that the controller has seen.
    pub observed: i64,
    /// Counts all changes, those of the status too.
    pub version: u64,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Whether its rollout is paused.
    pub is_paused: bool,
    /// Whether its pods never become ready.
    pub is_broken: bool,
    /// Whether its pods never end.
    pub is_stuck: bool,
    /// Whether it is being deleted.
    pub is_deleted: bool,
    /// What the scale says of its pods.
    pub selector: String,
    wait: u32,
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Whether it has ended by itself: it stays in lists, and nothing of it runs.
    pub has_ended: bool,
    is_going: bool,
    is_ready: bool,
    wait: u32,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// By kind in lower case and name: `deployment/web`.
    pub objects: BTreeMap<String, Object>,
    /// What scales by itself: name, kind and name of the target, least number.
    pub autoscalers: Vec<(String, String, Option<u32>)>,
    /// Verbs with resources that nobody may: `update deployments/scale`.
    pub forbidden: Vec<String>,
    /// The token that is known.
    pub token: String,
    /// What goes wrong: at requests that have this in them, how, and how often still.
    pub faults: VecDeque<(String, super::Fault, u32)>,
    /// How many items a page holds at most.
    pub page: usize,
    /// Whether each list begins with an empty page that has a next one.
    pub empty_first: bool,
    /// Ticks until a controller sees a change, and until a pod is ready or gone.
    pub lag: u32,
    /// Somebody writes to the status between each read and write, so many times still.
    pub meddling: u32,
    /// What was asked: `GET /apis/…`.
    pub asked: Vec<String>,
    made: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            autoscalers: Vec::new(),
            forbidden: Vec::new(),
            token: super::TOKEN.to_owned(),
            faults: VecDeque::new(),
            page: 100,
            empty_first: false,
            lag: 3,
            meddling: 0,
            asked: Vec::new(),
            made: 0,
        }
    }
}

impl World {
    /// Adds a workload whose replicas all run.
    pub fn add(&mut self, what: &str, replicas: u32) {
        let (kind, name) = what.split_once('/').expect("kind/name");
        let kind = ["Deployment", "StatefulSet", "DeploymentConfig"]
            .into_iter()
            .find(|known| known.to_ascii_lowercase() == kind)
            .expect("a kind that is known");
        let pods = (0..replicas).map(|number| Pod { is_ready: true, ..Pod::new(format!("{name}-{number}")) }).collect();
        let object = Object {
            kind,
            name: name.to_owned(),
            replicas,
            generation: 1,
            observed: 1,
            version: 1000,
            pods,
            is_paused: false,
            is_broken: false,
            is_stuck: false,
            is_deleted: false,
            selector: format!("app={name},tier in (back,front)"),
            wait: 0,
        };
        self.objects.insert(what.to_owned(), object);
    }

    /// Scales as `kubectl scale` does.
    pub fn scale(&mut self, what: &str, replicas: u32) {
        let lag = self.lag;
        self.objects.get_mut(what).expect("it is there").scale(replicas, lag);
    }

    /// One step of all controllers.
    pub(super) fn tick(&mut self) {
        let (lag, mut made) = (self.lag, self.made);
        for object in self.objects.values_mut() {
            object.tick(lag, &mut made);
        }
        self.made = made;
    }
}

impl Pod {
    fn new(name: String) -> Self {
        Self { name, has_ended: false, is_going: false, is_ready: false, wait: 0 }
    }

    /// One that has ended and was not removed.
    pub fn ended(name: &str) -> Self {
        Self { has_ended: true, ..Self::new(name.to_owned()) }
    }
}

impl Object {
    pub(super) fn scale(&mut self, replicas: u32, lag: u32) {
        if self.replicas != replicas {
            self.replicas = replicas;
            self.generation += 1;
            self.version += 1;
            self.wait = lag;
        }
    }

    fn tick(&mut self, lag: u32, made: &mut u32) {
        if self.wait > 0 {
            self.wait -= 1;
        } else if self.observed < self.generation {
            self.observed = self.generation;
            self.version += 1;
        }
        let before = self.pods.len();
        let is_stuck = self.is_stuck;
        self.pods.retain_mut(|pod| {
            pod.wait = pod.wait.saturating_sub(1);
            !pod.is_going || pod.wait > 0 || is_stuck
        });
        self.version += (before - self.pods.len()) as u64;
        if self.observed == self.generation {
            let wanted = self.replicas as usize;
            let mut live: Vec<&mut Pod> = self.pods.iter_mut().filter(|pod| !pod.is_going && !pod.has_ended).collect();
            let missing = wanted.saturating_sub(live.len());
            for pod in live.iter_mut().skip(wanted) {
                (pod.is_going, pod.is_ready, pod.wait) = (true, false, lag);
                self.version += 1;
            }
            for _ in 0..missing {
                *made += 1;
                self.pods.push(Pod { wait: lag, ..Pod::new(format!("{}-new{made}", self.name)) });
            }
        }
        for pod in self.pods.iter_mut().filter(|pod| !pod.is_going && !pod.is_ready && !pod.has_ended) {
            if pod.wait == 0 && !self.is_broken {
                pod.is_ready = true;
                self.version += 1;
            }
        }
    }

    /// How many of its pods are ready.
    pub fn ready(&self) -> usize {
        self.pods.iter().filter(|pod| pod.is_ready).count()
    }

    pub(super) fn metadata(&self, namespace: &str) -> Value {
        let mut metadata = json!({"name": self.name, "namespace": namespace, "uid": "1f1f", "generation": self.generation,
            "resourceVersion": self.version.to_string(), "creationTimestamp": "2024-11-20T10:15:00Z"});
        if self.is_deleted {
            metadata["deletionTimestamp"] = json!("2024-11-21T10:15:00Z");
        }
        metadata
    }

    pub(super) fn whole(&self, namespace: &str) -> Value {
        let ready = self.ready();
        let live = self.pods.iter().filter(|pod| !pod.is_going && !pod.has_ended).count();
        // As the API has it: what is 0 is left out of the status.
        let mut status = json!({"observedGeneration": self.observed});
        for (name, number) in [("replicas", live), ("readyReplicas", ready), ("availableReplicas", ready)] {
            if number > 0 {
                status[name] = json!(number);
            }
        }
        let group = if self.kind == "DeploymentConfig" { "apps.openshift.io/v1" } else { "apps/v1" };
        let mut spec = json!({"replicas": self.replicas, "selector": {"matchLabels": {"app": self.name}}});
        if self.is_paused {
            spec["paused"] = json!(true);
        }
        json!({"kind": self.kind, "apiVersion": group, "metadata": self.metadata(namespace), "spec": spec, "status": status})
    }

    pub(super) fn scale_object(&self, namespace: &str) -> Value {
        // As the API has it: no number where it is 0.
        let spec = if self.replicas == 0 { json!({}) } else { json!({"replicas": self.replicas}) };
        let live = self.pods.iter().filter(|pod| !pod.is_going && !pod.has_ended).count();
        let mut metadata = self.metadata(namespace);
        metadata.as_object_mut().expect("an object").remove("generation");
        let (version, status) = if self.kind == "DeploymentConfig" {
            let status = json!({"replicas": live, "selector": {"app": self.name}, "targetSelector": self.selector});
            ("extensions/v1beta1", status)
        } else {
            ("autoscaling/v1", json!({"replicas": live, "selector": self.selector}))
        };
        json!({"kind": "Scale", "apiVersion": version, "metadata": metadata, "spec": spec, "status": status})
    }
}
