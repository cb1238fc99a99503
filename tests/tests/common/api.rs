//! The admin API of a node: a configuration with a cron secret, tokens by the command line, and something to look at.

use std::process::Command;

use jiff::civil::date;

use super::{Node, Site, tell, until};

/// The secret of `/api/cron` in tests.
pub const CRON_SECRET: &str = "a secret of sixteen letters";

impl Site {
    /// Three tenants, a cron secret, and more calls a second than any test makes.
    pub async fn with_api() -> Site {
        let site = Site::with_sample(3).await;
        std::fs::write(site.dir.join("cron.secret"), CRON_SECRET).expect("secret");
        site.configure("[api]\ncron_secret_file = \"cron.secret\"\ncalls_per_second = 100000\n");
        site
    }

    /// A token by the command line.
    pub fn token(&self, role: &str) -> String {
        let told =
            tell(self.command(&["token", "create", role, "--role", role, "--reason", "a test"]));
        assert_eq!(told.code, 0, "{}", told.err);
        told.out.trim().to_owned()
    }

    /// A run, a dry run with its plan, a dead letter of each tenant's piece, and its alert.
    pub async fn something_to_look_at(&self) {
        let run = self.start("BATCH-204", date(2026, 10, 30)).await;
        assert_eq!(self.outcome(run).await, "succeeded");
        let told = tell(self.command(&[
            "run",
            "BATCH-204",
            "--date",
            "2026-10-29",
            "--dry-run",
            "--reason",
            "a test",
        ]));
        assert_eq!(told.code, 0, "{}", told.err);
        self.sql(&format!(
            "INSERT INTO yakin.dead_letters (tenant_id, job_id, job, batch_id, run_id, kind, cause, error, fingerprint,
                                             attempts, died_at)
             SELECT tenant_id, -tenant_id, '{{}}', 'BATCH-204', {run}, 'tenant', 'data', 'a test', '0123456789', 3,
                    clock_timestamp() FROM app.tenants"
        ))
        .await;
        until("the watch has seen the dead letters", 30, async || {
            self.one("SELECT EXISTS (SELECT FROM yakin.alerts WHERE rule = 'dead_letter')").await
        })
        .await;
        until("tonight's firing is planned", 30, async || {
            self.one("SELECT EXISTS (SELECT FROM yakin.firings WHERE batch_id = 'BATCH-204' AND state = 'planned')")
                .await
        })
        .await;
    }

    /// A program that is told where the node answers, and with what it may be asked.
    pub fn asking(&self, program: &str, node: &Node) -> Command {
        let mut command = self.command_of(program);
        let folder = super::binary().parent().expect("the build folder").to_owned();
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths: Vec<_> = std::iter::once(folder).chain(std::env::split_paths(&paths)).collect();
        assert!(
            paths.iter().any(|p| p.join(program).is_file()),
            "{program} is not on PATH: install it, or run scripts/test, which does"
        );
        command.env("PATH", std::env::join_paths(paths).expect("PATH"));
        command.env("API", format!("http://{}", node.address));
        command.env("YAKIN_CRON_SECRET", CRON_SECRET);
        command
    }
}
