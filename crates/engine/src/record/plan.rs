//! The plan of a dry run: what would have been written and done, with a hash that names exactly this plan.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Sums the effects of several transactions: rows by table, and the acts that would have followed.
pub fn sum(effects: &[Value]) -> Value {
    let mut rows: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut acts = Vec::new();
    for effect in effects {
        for (table, changes) in effect["rows"].as_object().into_iter().flatten() {
            for (kind, n) in changes.as_object().into_iter().flatten() {
                *rows.entry(table).or_default().entry(kind).or_default() += n.as_i64().unwrap_or(0);
            }
        }
        acts.extend(effect["acts"].as_array().into_iter().flatten().cloned());
    }
    json!({"rows": rows, "acts": acts})
}

/// SHA-256 of the plan's canonical JSON, in hex.
pub fn hash(plan: &Value) -> String {
    hex::encode(Sha256::digest(plan.to_string()))
}
