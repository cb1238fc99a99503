//! What `yakin doctor` says of the weekly maintenance: the owner's login, and the cache.

use yakin_domain::health;
use yakin_domain::maintenance::Maintenance;

use super::doctor::{Checks, Standing};
use super::stores;
use crate::place::Place;

/// Whether indexes can be rebuilt from here, whether the cache answers, and whether the folders are there.
pub async fn maintenance(checks: &mut Checks, place: &Place) {
    const NAME: &str = "maintenance";
    let with = match stores::maintenance(place) {
        Ok(with) => with,
        Err(error) => {
            return checks.add(NAME, Standing::Bad, error.to_string(), "see yakin.example.toml");
        }
    };
    match with.check_owner().await {
        None => {
            let found = "not configured: no index is rebuilt, no table analysed";
            let mend = "write [database] maintenance_url into yakin.toml; see yakin.example.toml";
            checks.add(NAME, Standing::Warning, found, mend);
        }
        Some(Ok(bytes)) => {
            let mb = bytes / 1_000_000;
            checks.add(NAME, Standing::Good, format!("may rebuild the indexes of {mb} MB"), "");
        }
        Some(Err(text)) => checks.add(NAME, Standing::Bad, text, "see the message"),
    }
    folders(checks, &with);
    match &with.cache {
        Some(cache) => checks.take(health::cache(cache).await),
        None => checks.add("cache", Standing::Good, "none is configured ([cache])", ""),
    }
}

fn folders(checks: &mut Checks, with: &Maintenance) {
    for dir in with.logs.iter().chain(&with.temp).filter(|dir| !dir.is_dir()) {
        let found = format!("{} is no folder", dir.display());
        checks.add(
            "folders",
            Standing::Bad,
            found,
            "make it, or take it out of [maintenance] or [log]",
        );
    }
}
