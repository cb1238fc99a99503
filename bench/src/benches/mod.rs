//! The benches, each a file; this list is what there is.

mod api;
mod backup;
mod documents;
mod due_at_once;
mod fairness;
mod idle;
mod killed;
mod mails;
mod pickup;
mod queue_rate;
mod redis;
mod reports;
mod snapshot;
mod status;
mod usage;

use futures::future::LocalBoxFuture;

use crate::report::Report;
use crate::world::World;

/// A bench.
pub struct Bench {
    pub name: &'static str,
    pub what: &'static str,
    pub run: for<'a> fn(&'a World) -> LocalBoxFuture<'a, anyhow::Result<Report>>,
}

/// All of them, in the order they run.
pub const ALL: &[Bench] = &[
    Bench {
        name: "queue",
        what: "jobs put in, and no-op jobs from claim to finished",
        run: |world| Box::pin(queue_rate::run(world)),
    },
    Bench {
        name: "pickup",
        what: "from putting a job in to its first line of work, at 50 jobs/s",
        run: |world| Box::pin(pickup::run(world)),
    },
    Bench {
        name: "due",
        what: "10,000 jobs due at one second",
        run: |world| Box::pin(due_at_once::run(world)),
    },
    Bench {
        name: "idle",
        what: "memory and processor time of a node that has nothing to do",
        run: |world| Box::pin(idle::run(world)),
    },
    Bench {
        name: "kill",
        what: "kill -9 of a node until its jobs run again",
        run: |world| Box::pin(killed::run(world)),
    },
    Bench {
        name: "fairness",
        what: "a small tenant behind 100,000 jobs of another",
        run: |world| Box::pin(fairness::run(world)),
    },
    Bench {
        name: "snapshot",
        what: "the rate of claims under a held snapshot",
        run: |world| Box::pin(snapshot::run(world)),
    },
    Bench {
        name: "usage",
        what: "BATCH-204, 301, 302 over 1,000 tenants and 10 million rows of a day",
        run: |world| Box::pin(usage::run(world)),
    },
    Bench {
        name: "status",
        what: "DAILY_001 over 200,000 engineers",
        run: |world| Box::pin(status::run(world)),
    },
    Bench {
        name: "documents",
        what: "invoices rendered to PDF",
        run: |world| Box::pin(documents::run(world)),
    },
    Bench {
        name: "reports",
        what: "monthly reports of 1,000 companies",
        run: |world| Box::pin(reports::run(world)),
    },
    Bench {
        name: "mails",
        what: "mails to a relay on this machine",
        run: |world| Box::pin(mails::run(world)),
    },
    Bench {
        name: "api",
        what: "status requests beside a working night",
        run: |world| Box::pin(api::run(world)),
    },
    Bench {
        name: "backup",
        what: "a database of 1 GB into an encrypted set",
        run: |world| Box::pin(backup::run(world)),
    },
];
