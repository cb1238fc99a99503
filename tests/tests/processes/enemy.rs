//! Nodes that are killed and frozen while they work, at moments that are the same for the same seed.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use yakin_engine::engine::Engine;

use crate::common::{Node, Site};

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

/// Two nodes of a site, one that watches over them, and who of them fell.
pub struct UnderFire<'a> {
    site: &'a Site,
    watcher: Engine,
    pub nodes: Vec<Node>,
    dead: Vec<i64>,
    frozen: usize,
}

impl<'a> UnderFire<'a> {
    pub async fn begin(site: &'a Site) -> Self {
        let watcher = site.watcher().await;
        let nodes = vec![site.serve().await, site.serve().await];
        UnderFire { site, watcher, nodes, dead: Vec::new(), frozen: 0 }
    }

    /// How many were killed, and how many frozen.
    pub fn fallen(&self) -> (usize, usize) {
        (self.dead.len(), self.frozen)
    }

    /// Lets time pass: tries that wait are due, and what dead nodes held is rescued.
    pub async fn pass(&self) {
        tokio::task::yield_now().await;
        self.site.come_to_the_next_try().await;
        self.site.expire_leases(&self.dead).await;
        self.watcher.watch_step().await.expect("rescue");
    }

    /// Kills a node; a new one takes its place.
    pub async fn kill(&mut self, at: usize) {
        let node = self.nodes.swap_remove(at);
        self.dead.push(node.id);
        node.kill();
        self.nodes.push(self.site.serve().await);
    }

    /// Freezes a node until its jobs are rescued, or for a moment: it may hold what the others wait for.
    pub async fn freeze(&mut self, at: usize) {
        let node = &self.nodes[at];
        node.signal(Signal::STOP);
        let limit = Instant::now() + Duration::from_secs(2);
        let holds = format!("SELECT EXISTS (SELECT FROM yakin.jobs WHERE node_id = {})", node.id);
        while Instant::now() < limit && self.site.one::<bool>(&holds).await {
            self.site.expire_leases(&[node.id]).await;
            let rescue = tokio::time::timeout(Duration::from_secs(1), self.watcher.watch_step());
            if let Ok(rescued) = rescue.await {
                rescued.expect("rescue");
            }
        }
        node.signal(Signal::CONT);
        self.frozen += 1;
    }

    /// Tells those that live to stop, as an operator does; gives how many were killed, and how many frozen.
    pub async fn end(self) -> (usize, usize) {
        let fallen = self.fallen();
        for mut node in self.nodes {
            assert_eq!(node.terminate(20).await.code(), Some(0));
            assert_eq!(node.stderr(), "");
        }
        self.watcher.leave().await.expect("leave");
        fallen
    }
}
