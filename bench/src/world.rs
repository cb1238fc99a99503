//! What every bench has: the server, the tools, the sizes, processor time of all that takes part.

use anyhow::Context;

use crate::measure::cpu_ms;
use crate::server::Server;
use crate::tools::Tools;

/// See the module.
pub struct World {
    pub server: Server,
    pub tools: Tools,
    pub quick: bool,
}

impl World {
    /// Looks at what `scripts/bench` prepared.
    pub async fn open(quick: bool) -> anyhow::Result<World> {
        let (server, tools) = (Server::from_environment()?, Tools::find()?);
        server.empty("bench_probe").await.context("trying the server")?;
        Ok(World { server, tools, quick })
    }

    /// Leaves the server as it was found.
    pub async fn close(&self) -> anyhow::Result<()> {
        let probe = self.server.empty("bench_probe").await?;
        self.server.drop(probe).await
    }

    /// `whole`, or `small` when it only matters that everything runs.
    pub fn size(&self, whole: usize, small: usize) -> usize {
        if self.quick { small } else { whole }
    }

    /// Processor milliseconds so far of this program with all it has started, and of the server.
    pub fn cpu_ms(&self) -> u64 {
        cpu_ms(std::process::id()) + cpu_ms(self.server.process)
    }

    /// Processor milliseconds per job since `before`.
    pub fn cpu_since(&self, before: u64, jobs: usize) -> f64 {
        self.cpu_ms().saturating_sub(before) as f64 / jobs as f64
    }
}
