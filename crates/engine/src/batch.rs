//! What a batch is to the engine: a specification, and the phases it has.

use std::future::Future;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outcome::{Cause, Done, Outcome, Stop};
use crate::run::{PlatformRun, TenantRun};
use crate::spec::Spec;

/// A batch. A phase that is not written out does nothing.
pub trait Batch: Send + Sync + 'static {
    /// Its parameters, as the spec's `params` describe them.
    type Params: DeserializeOwned + Send + Sync + 'static;
    /// Its specification.
    const SPEC: Spec;

    /// Set-based work for all tenants before the tenants' pieces: writes staging keyed by run.
    fn prepare(_run: &PlatformRun, _params: &Self::Params) -> impl Future<Output = Outcome> + Send {
        async { Ok(Done::default()) }
    }

    /// The tenants this run is for; asked after `prepare`.
    fn roster(
        run: &PlatformRun,
        _params: &Self::Params,
    ) -> impl Future<Output = Result<Vec<i64>, Stop>> + Send {
        run.open_tenants()
    }

    /// One tenant's piece, as that tenant.
    fn tenant(_run: &TenantRun, _params: &Self::Params) -> impl Future<Output = Outcome> + Send {
        async { Ok(Done::default()) }
    }

    /// The work of a global batch.
    fn global(_run: &PlatformRun, _params: &Self::Params) -> impl Future<Output = Outcome> + Send {
        async { Ok(Done::default()) }
    }

    /// What is left when all tenants ended.
    fn finish(
        _run: &PlatformRun,
        _params: &Self::Params,
        _ended: &Ended,
    ) -> impl Future<Output = Outcome> + Send {
        async { Ok(Done::default()) }
    }

    /// A job that an earlier transaction of this batch inserted with [`crate::tx::Tx::follow_up`].
    fn follow_up(
        _run: &TenantRun,
        name: &str,
        _payload: &Value,
    ) -> impl Future<Output = Outcome> + Send {
        let stop =
            Stop::give_up(Cause::Defect, format!("{} has no follow-up '{name}'", Self::SPEC.id));
        async { Err(stop) }
    }
}

/// How a run's tenants ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pub done: Vec<i64>,
    pub blocked: Vec<i64>,
    pub failed: Vec<i64>,
}

impl Ended {
    /// All tenants of the run.
    pub fn total(&self) -> usize {
        self.done.len() + self.blocked.len() + self.failed.len()
    }
}
