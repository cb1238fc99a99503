//! What a night does to nodes, at moments that are the same for the same seed.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use yakin_engine::engine::Engine;

use super::{Node, Site};

/// Numbers that are the same for the same seed.
pub struct Seeded(pub u64);

impl Seeded {
    /// The next one, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Freezes a node until its jobs are rescued, or for a moment: it may hold what the others wait for.
pub async fn freeze(site: &Site, node: &Node, watcher: &Engine) {
    node.signal(Signal::STOP);
    let limit = Instant::now() + Duration::from_secs(2);
    let holds = format!("SELECT EXISTS (SELECT FROM yakin.jobs WHERE node_id = {})", node.id);
    while Instant::now() < limit && site.one::<bool>(&holds).await {
        site.expire_leases(&[node.id]).await;
        let rescue = tokio::time::timeout(Duration::from_secs(1), watcher.watch_step());
        if let Ok(rescued) = rescue.await {
            rescued.expect("rescue");
        }
    }
    node.signal(Signal::CONT);
}
