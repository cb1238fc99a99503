//! The cache, and whether everything is well.

use serde_json::json;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::PlatformRun;

use super::{Maintenance, Tally};
use crate::delivery::Outside;
use crate::health::{self, Check, Standing};

/// Lets expired keys go.
pub async fn cache(with: &Maintenance, run: &PlatformRun, tally: &mut Tally) -> Result<(), Stop> {
    let Some(cache) = &with.cache else {
        tally.lacks("no cache is configured ([cache] url and prefix)");
        return Ok(());
    };
    tally.configured = true;
    if run.dry_run() {
        // whoever looks at keys lets expired ones go
        return Ok(());
    }
    let walked = cache.walk().await;
    let walked = walked.map_err(|e| Stop::retry(Cause::Network, e.to_string()))?;
    tally.was("cache_keys", walked.before);
    tally.is("cache_keys", walked.after);
    tally.add("cache_expired", walked.expired);
    tally.is("cache_living", walked.living);
    tally.is("cache_without_expiry", walked.without_expiry);
    if walked.without_expiry > 0 {
        let keys = walked.without_expiry;
        run.warn(
            "keys of the cache that never expire",
            json!({"keys": keys, "place": cache.place()}),
        );
    }
    if !walked.whole {
        run.warn("the cache has more keys than time was for", json!({"seen": walked.living}));
    }
    Ok(())
}

/// Looks at all; what is bad makes the run partial, the rest stands in the log.
pub async fn health(with: &Maintenance, run: &PlatformRun, tally: &mut Tally) -> Result<(), Stop> {
    tally.configured = true;
    if run.dry_run() {
        return Ok(());
    }
    let mut checks = health::queue(&run.waiting().await?);
    if let Some(outside) = run.resource::<Outside>() {
        for relay in &outside.relays {
            checks.push(health::relay(&relay.name, &relay.mailer).await);
        }
        if let Some(storage) = &outside.storage {
            checks.push(health::storage(storage).await);
        }
    }
    if let Some(cache) = &with.cache {
        checks.push(health::cache(cache).await);
    }
    checks.extend(with.disks.iter().map(|dir| health::disk(dir)));
    let number = |standing| checks.iter().filter(|c| c.standing == standing).count();
    tally.is("checks", checks.len());
    tally.is("warnings", number(Standing::Warning));
    tally.is("critical", number(Standing::Bad));
    for Check { name, standing, found, mend } in checks {
        match standing {
            Standing::Good => {}
            Standing::Warning => run.warn(format!("{name}: {found}"), json!({"mend": mend})),
            Standing::Bad => tally.tell("health", format!("{name}: {found}; {mend}"), true),
        }
    }
    Ok(())
}
