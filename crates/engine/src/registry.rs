//! The catalogue a node runs: batches with their types erased, found by id or slug.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::batch::{Batch, Ended};
use crate::outcome::{Cause, Outcome, Stop};
use crate::run::{PlatformRun, TenantRun};
use crate::spec::{NeedDays, Overlap, Period, Schedule, Scope, Spec};

/// A batch behind one type.
pub trait AnyBatch: Send + Sync {
    fn spec(&self) -> &'static Spec;
    fn prepare<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Outcome>;
    fn roster<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Result<Vec<i64>, Stop>>;
    fn tenant<'a>(&'a self, run: &'a TenantRun) -> BoxFuture<'a, Outcome>;
    fn global<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Outcome>;
    fn finish<'a>(&'a self, run: &'a PlatformRun, ended: &'a Ended) -> BoxFuture<'a, Outcome>;
    fn follow_up<'a>(
        &'a self,
        run: &'a TenantRun,
        name: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Outcome>;
}

struct Erased<B>(std::marker::PhantomData<B>);

fn params<P: DeserializeOwned>(value: &Value) -> Result<P, Stop> {
    serde_json::from_value(value.clone()).map_err(|e| {
        Stop::give_up(Cause::Data, format!("the run's parameters do not fit the batch: {e}"))
    })
}

impl<B: Batch> AnyBatch for Erased<B> {
    fn spec(&self) -> &'static Spec {
        const { &B::SPEC }
    }
    fn prepare<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { B::prepare(run, &params(run.params())?).await })
    }
    fn roster<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Result<Vec<i64>, Stop>> {
        Box::pin(async move { B::roster(run, &params(run.params())?).await })
    }
    fn tenant<'a>(&'a self, run: &'a TenantRun) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { B::tenant(run, &params(run.params())?).await })
    }
    fn global<'a>(&'a self, run: &'a PlatformRun) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { B::global(run, &params(run.params())?).await })
    }
    fn finish<'a>(&'a self, run: &'a PlatformRun, ended: &'a Ended) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { B::finish(run, &params(run.params())?, ended).await })
    }
    fn follow_up<'a>(
        &'a self,
        run: &'a TenantRun,
        name: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { B::follow_up(run, name, payload).await })
    }
}

/// Puts a batch into a catalogue's list.
pub fn entry<B: Batch>() -> Arc<dyn AnyBatch> {
    Arc::new(Erased::<B>(std::marker::PhantomData))
}

/// A checked set of batches.
#[derive(Clone)]
pub struct Registry {
    by_id: Arc<BTreeMap<&'static str, Arc<dyn AnyBatch>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

/// A topic has one batch, which works for the tenants that something arrived for, whenever that is.
fn check_arrivals(
    spec: &Spec,
    topic: &str,
    others: &BTreeMap<&'static str, Arc<dyn AnyBatch>>,
) -> Result<(), String> {
    let fits = spec.scope == Scope::EachTenant && spec.overlap == Overlap::Allow;
    if !fits || spec.window.is_some() || spec.period != Period::None {
        return Err(format!(
            "{}: a batch that waits for arrivals works for each tenant, side by side, at any hour, on no period",
            spec.id
        ));
    }
    match others.values().find(|b| b.spec().schedule == spec.schedule) {
        Some(other) => {
            Err(format!("{} and {}: both wait for arrivals of {topic}", other.spec().id, spec.id))
        }
        None => Ok(()),
    }
}

impl Registry {
    /// Checks ids, slugs, schedules and needs; a mistake in a spec stops the node before it starts.
    pub fn new(entries: Vec<Arc<dyn AnyBatch>>) -> Result<Registry, String> {
        let mut by_id: BTreeMap<&'static str, Arc<dyn AnyBatch>> = BTreeMap::new();
        for entry in entries {
            let spec = entry.spec();
            if by_id.values().any(|b| b.spec().slug == spec.slug) || by_id.contains_key(spec.id) {
                return Err(format!(
                    "{}: id or slug '{}' stands twice in the catalogue",
                    spec.id, spec.slug
                ));
            }
            if let Schedule::Cron(fields) = spec.schedule {
                crate::schedule::cron::Plan::parse(fields)
                    .map_err(|e| format!("{}: {e}", spec.id))?;
            }
            if let Schedule::Arrivals(topic) = spec.schedule {
                check_arrivals(spec, topic, &by_id)?;
            }
            by_id.insert(spec.id, entry);
        }
        for batch in by_id.values() {
            let spec = batch.spec();
            for need in spec.needs {
                let Some(needed) = by_id.get(need.batch) else {
                    if need.hard {
                        return Err(format!(
                            "{} needs {}, which is not in the catalogue",
                            spec.id, need.batch
                        ));
                    }
                    continue;
                };
                if needed.spec().period == Period::None && need.days == NeedDays::Same {
                    return Err(format!(
                        "{} needs {}, which works on no period",
                        spec.id, need.batch
                    ));
                }
            }
        }
        Ok(Registry { by_id: Arc::new(by_id) })
    }

    /// The same catalogue with one batch alone: for a command that works on nothing else.
    pub fn only(&self, id: &str) -> Registry {
        let by_id =
            self.by_id.iter().filter(|(k, _)| **k == id).map(|(k, b)| (*k, b.clone())).collect();
        Registry { by_id: Arc::new(by_id) }
    }

    /// All batches in order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn AnyBatch>> {
        self.by_id.values()
    }

    /// The ids this node knows.
    pub fn ids(&self) -> Vec<String> {
        self.by_id.keys().map(|id| (*id).to_owned()).collect()
    }

    /// The batch of exactly that id.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn AnyBatch>> {
        self.by_id.get(id)
    }

    /// The batch that a person means by id or slug; otherwise a message with the nearest names.
    pub fn find(&self, name: &str) -> Result<&Arc<dyn AnyBatch>, String> {
        let found =
            self.all().find(|b| b.spec().id.eq_ignore_ascii_case(name) || b.spec().slug == name);
        found.ok_or_else(|| {
            let names = self.all().flat_map(|b| [b.spec().id, b.spec().slug]);
            format!("unknown batch '{name}'{}; `yakin catalogue` lists all", nearest(name, names))
        })
    }
}

/// " — did you mean …?" with up to three names that look like `name`, or nothing.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    let mut close: Vec<(usize, &str)> = names
        .map(|n| (strsim::damerau_levenshtein(&lower, &n.to_lowercase()), n))
        .filter(|(distance, n)| {
            *distance <= 3.max(lower.len() / 3) || n.to_lowercase().contains(&lower)
        })
        .collect();
    close.sort();
    close.truncate(3);
    if close.is_empty() {
        return String::new();
    }
    format!(" — did you mean {}?", close.iter().map(|(_, n)| *n).collect::<Vec<_>>().join(", "))
}

/// Whether a batch of this spec has jobs per tenant.
pub fn has_tenants(spec: &Spec) -> bool {
    spec.scope == Scope::EachTenant
}
