//! `yakin` itself on a bench's database: a folder with its configuration, runs in the foreground.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::server::Database;
use crate::world::World;

/// No run of a bench takes longer.
const LIMIT: Duration = Duration::from_secs(1800);

/// An issuer and a storage; the port of a relay, when there is one.
fn configuration(folder: &str, relay: Option<u16>) -> String {
    let relay = relay.map_or_else(String::new, |port| {
        format!(
            "[[mail]]\nname = \"sink\"\nrate_per_minute = 100000000\n\
             relay = {{ url = \"smtp+plain://127.0.0.1:{port}\", from = \"Yakin <billing@yakin.example>\" }}\n"
        )
    });
    format!(
        "[storage]\nurl = \"file://{folder}/files\"\n\
         [issuer]\nname = \"夜勤株式会社\"\naddress = \"東京都中央区1-1\"\n\
         registration_number = \"T9700110012005\"\nbank_account = \"見本銀行 本店 普通 1234567\"\n{relay}"
    )
}

/// `yakin`, configured.
pub struct Product<'a> {
    world: &'a World,
    folder: PathBuf,
    url: String,
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// From the run's start to its end, by the ledger.
    pub seconds: f64,
    /// The same with what follows it: documents, files.
    pub with_follow_ups: f64,
    /// Processor milliseconds of all, server included.
    pub cpu_ms: u64,
}

impl<'a> Product<'a> {
    /// Configures it for this database.
    pub fn new(
        world: &'a World,
        database: &Database,
        relay: Option<u16>,
    ) -> anyhow::Result<Product<'a>> {
        let name = format!("yakin-bench-product-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).context("making a folder for yakin")?;
        let text = configuration(&folder.display().to_string(), relay);
        std::fs::write(folder.join("yakin.toml"), text).context("writing yakin.toml")?;
        Ok(Product { world, folder, url: database.url("yakin_engine") })
    }

    /// Adds to the configuration.
    pub fn configure(&self, more: &str) -> anyhow::Result<()> {
        let file = std::fs::File::options().append(true).open(self.folder.join("yakin.toml"));
        file.and_then(|mut file| file.write_all(more.as_bytes())).context("adding to yakin.toml")
    }

    /// `yakin`, with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.world.tools.yakin);
        command.args(words).env("DATABASE_URL", &self.url).current_dir(&self.folder);
        command.kill_on_drop(true);
        command
    }

    /// A serving node, and where it answers; it ends with what is returned.
    pub async fn serve(&self) -> anyhow::Result<(Child, String)> {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting yakin serve")?;
        let stdout = child.stdout.take().context("the node has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = tokio::time::timeout(Duration::from_secs(60), async {
            while let Some(line) = lines.next_line().await? {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let (Some("serving"), Some(at)) =
                    (said["message"].as_str(), said["address"].as_str())
                {
                    return Ok(at.to_owned());
                }
            }
            bail!("yakin serve ended at once")
        });
        let address = address.await.context("yakin serve does not begin")??;
        // what it says later is read, so that it need not wait for a reader
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((child, address))
    }

    /// Runs a batch in the foreground until it and its follow-ups have ended.
    pub async fn run(
        &self,
        database: &Database,
        batch: &str,
        words: &[&str],
    ) -> anyhow::Result<Ran> {
        let mut command = self.command(&["run", batch, "--reason", "bench"]);
        command.args(words).stdout(Stdio::null());
        let (before, begun) = (self.world.cpu_ms(), Instant::now());
        let ended = tokio::time::timeout(LIMIT, command.status()).await;
        let ended = ended.with_context(|| format!("{batch} takes too long"))??;
        let took = begun.elapsed().as_secs_f64();
        let cpu_ms = self.world.cpu_ms().saturating_sub(before);
        let last = format!("FROM yakin.runs WHERE batch_id = '{batch}' ORDER BY id DESC LIMIT 1");
        let story: String = database
            .one(&format!("SELECT concat_ws(': ', coalesce(outcome, state), reason) {last}"))
            .await?;
        if !ended.success() {
            bail!("{batch} ended with {ended}: {story}");
        }
        let seconds = database
            .one(&format!("SELECT extract(epoch FROM real_ended - real_started)::float8 {last}"))
            .await?;
        Ok(Ran { seconds, with_follow_ups: took, cpu_ms })
    }

    /// Forgets the folder with what was stored.
    pub fn close(self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.folder).context("removing yakin's folder")
    }
}
