//! What `yakin doctor` says of the storage and the keys.

use std::path::Path;

use yakin_domain::health;

use super::doctor::{Checks, Standing};
use super::stores;
use crate::config::Config;

/// Writes, reads and deletes a file in the storage; beside a private database in `data_dir`, that is its folder `files`.
pub async fn storage(checks: &mut Checks, config: &Config, data_dir: Option<&Path>) {
    const NAME: &str = "storage";
    let storage = match stores::storage(config, data_dir) {
        Ok(Some(storage)) => storage,
        Ok(None) => {
            let found = "not configured: documents have no place to lie in";
            let mend = "write [storage] with url = \"file:///…\" or \"s3://…\" into yakin.toml";
            return checks.add(NAME, Standing::Warning, found, mend);
        }
        Err(error) => {
            return checks.add(NAME, Standing::Bad, error.to_string(), "see yakin.example.toml");
        }
    };
    checks.take(health::storage(&storage).await);
}

/// Reads the key file as a node would.
pub fn keys(checks: &mut Checks, config: &Config) {
    const NAME: &str = "keys";
    match stores::keys(config) {
        Ok(None) => checks.add(
            NAME,
            Standing::Warning,
            "not configured: tenants' credentials cannot be sealed",
            "yakin keys init --file FILE, then [keys] master_key_file in yakin.toml",
        ),
        Ok(Some(keys)) => {
            let ids = keys.ids();
            let newest = ids.first().copied().unwrap_or_default();
            checks.add(
                NAME,
                Standing::Good,
                format!("{} in the file, {newest} seals", ids.len()),
                "",
            );
        }
        Err(error) => checks.add(NAME, Standing::Bad, error.to_string(), "see the message"),
    }
}
