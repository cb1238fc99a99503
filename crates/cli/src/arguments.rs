//! The command line. Help texts teach: each command says what it is for, with examples.

mod access;
mod stores;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use access::{Audit, Evidence, Token};
pub use stores::{Backup, MasterKeys, Reports};

/// Yakin (夜勤), the night shift: runs every scheduled batch on time, once, per tenant, and keeps the proof.
#[derive(Parser, Debug)]
#[command(name = "yakin", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Begin with:\n  yakin demo                a night over thirty tenants, on a private PostgreSQL\n  yakin timetable           what runs tonight, planned and actual\n  yakin doctor              checks configuration, database, rights and tools\n\nExit codes: 0 done · 1 failed · 2 usage or configuration · 3 partial"
)]
pub struct Arguments {
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration file [default: yakin.toml, if there is one].
    #[arg(long, global = true, env = "YAKIN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database; without one, a private PostgreSQL in YAKIN_DATA is used.
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// Why, for the audit.
#[derive(Args, Debug, Clone)]
pub struct Why {
    /// Why you do this; it stands in the audit.
    #[arg(long)]
    pub reason: String,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Lives one night of a 1st over thirty sample tenants, then keeps serving.
    Demo(Demo),
    /// Runs a node: plans, works, answers the admin API, /metrics and /healthz.
    #[command(
        after_help = "Examples:\n  yakin serve\n  yakin serve --roles work --listen 0.0.0.0:8640"
    )]
    Serve(Serve),
    /// Brings the database to this version's schema (safe to repeat, and for two at once).
    Migrate,
    /// Fills an empty database with uneven Japanese tenants and their logs.
    #[command(after_help = "Example:\n  yakin sample --tenants 30 --engineers 3000 --seed 7")]
    Sample(Sample),
    /// Checks configuration, database, rights, tools and disk; says how to mend what is wrong.
    Doctor,
    /// Opens psql on the database, or passes ARGS to it.
    #[command(after_help = "Example:\n  yakin psql -- -c 'SELECT count(*) FROM yakin.runs'")]
    Psql {
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Lists all batches: schedule, next firing, last outcome.
    Catalogue,
    /// Shows one batch: its specification, parameters and overrides.
    Show { batch: String },
    /// Overrides a batch's setting; all nodes take it at once. An empty value removes the override.
    #[command(
        after_help = "Examples:\n  yakin set BATCH-302 timeout=7200 --reason 'month end is large'\n  yakin set BATCH-506 enabled=false --reason 'session store is being moved'\n  yakin set BATCH-506 schedule='20 * * * *' --reason 'spread the load'\n  yakin set BATCH-506 schedule= --reason 'back to the specification'"
    )]
    Set {
        batch: String,
        /// enabled, schedule, timeout, attempts, expected, severity
        #[arg(value_name = "KEY=VALUE")]
        setting: String,
        #[command(flatten)]
        why: Why,
    },
    /// Shows the firings of a day, planned and actual.
    Timetable {
        /// The day [default: today in Tokyo].
        #[arg(long)]
        date: Option<String>,
    },
    /// Runs a batch now, through the queue, and waits for its end.
    #[command(
        after_help = "Examples:\n  yakin run BATCH-204 --date 2026-10-31\n  yakin run tenant-usage-aggregation --date 2026-10-01..2026-10-31\n  yakin run BATCH-302 --date 2026-10-01 --tenant aoba --dry-run\n  yakin run BATCH-006 --param batch_size=5000"
    )]
    Run(Run),
    /// Lists the newest runs.
    Runs {
        batch: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: i64,
    },
    /// Shows a run: tenants, reasons, log lines, the plan of a dry run.
    RunShow { run: i64 },
    /// Runs an ended run again; with --failed, only the tenants that failed or were blocked.
    Rerun {
        run: i64,
        #[arg(long)]
        failed: bool,
        #[arg(long, default_value = "rerun by hand")]
        reason: String,
    },
    /// Stops an open run: what has not begun is cancelled, what runs is told to stop.
    Cancel {
        run: i64,
        #[command(flatten)]
        why: Why,
    },
    /// Approves a run that waits for a second person, or a held invoice.
    #[command(
        after_help = "Examples:\n  yakin approve 118 --reason 'agreed with finance'\n  yakin approve INV-202610-aoba-0001 --reason 'new plan since October'"
    )]
    Approve {
        #[arg(value_name = "RUN|INVOICE")]
        subject: String,
        #[command(flatten)]
        why: Why,
    },
    /// Rejects a waiting run (it is cancelled) or a held invoice (it becomes void).
    Reject {
        #[arg(value_name = "RUN|INVOICE")]
        subject: String,
        #[command(flatten)]
        why: Why,
    },
    /// Releases a blocked tenant of an ended run: its piece runs again with the block lifted, on the record.
    Unblock {
        run: i64,
        #[arg(long, required = true)]
        tenant: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Holds a firing: it does not start until released.
    #[command(
        after_help = "Example:\n  yakin hold BATCH-302 '2026-12-01 02:00' --reason 'prices are being checked'"
    )]
    Hold(Firing),
    /// Releases a held firing; if its time has passed it starts now.
    Release(Firing),
    /// Bypasses a firing: it never runs.
    Bypass(Firing),
    /// Moves a firing to another instant; it still runs once.
    #[command(
        after_help = "Example:\n  yakin move BATCH-302 '2026-12-01 02:00' '2026-12-01 04:30' --reason 'after the import'"
    )]
    Move {
        batch: String,
        due: String,
        to: String,
        #[command(flatten)]
        why: Why,
    },
    /// A tenant's share of a queue: its turns, and how many of its jobs run at once.
    #[command(
        after_help = "Examples:\n  yakin lane default --tenant aoba-joho weight=3 --reason 'gold plan'\n  yakin lane heavy --tenant aoba-joho cap=1 --reason 'its reports fill the disk'\n  yakin lane heavy --tenant aoba-joho cap= --reason 'mended'"
    )]
    Lane {
        queue: String,
        /// The tenant's code.
        #[arg(long)]
        tenant: String,
        /// weight=1..100 (usual: 1) or cap=1..1000 (cap= lifts it).
        share: String,
        #[command(flatten)]
        why: Why,
    },
    /// Pauses a queue: running attempts end, no new one begins.
    Pause {
        queue: String,
        #[command(flatten)]
        why: Why,
    },
    /// Resumes a paused queue.
    Resume {
        queue: String,
        #[command(flatten)]
        why: Why,
    },
    /// Stops everything on all nodes: no firing starts, no job is claimed.
    StopAll(Why),
    /// Undoes stop-all.
    ResumeAll(Why),
    /// Dead letters: jobs that gave up and wait for a person.
    Dead {
        #[command(subcommand)]
        act: Dead,
    },
    /// Lists open alerts.
    Alerts {
        /// Also those resolved.
        #[arg(long)]
        all: bool,
    },
    /// What ran in the last 24 hours, what did not, and what waits for a person: the morning's report, now.
    Morning,
    /// Takes an alert on: it reminds nobody any more. `yakin alerts` shows its number.
    Acknowledge {
        alert: i64,
        #[command(flatten)]
        why: Why,
    },
    /// Lists the nodes that live, or were heard of within a day.
    Nodes,
    /// Tells a node to end what it runs, begin nothing, and leave.
    Drain {
        node: i64,
        #[command(flatten)]
        why: Why,
    },
    /// Lists who did what, when and why; `audit verify` shows that it stands as it was written.
    #[command(args_conflicts_with_subcommands = true)]
    Audit {
        #[arg(long, default_value_t = 50)]
        limit: i64,
        #[command(subcommand)]
        act: Option<Audit>,
    },
    /// Writes an auditor's package of a month: what ran, invoices, acts and backups as CSV, with a manifest of digests.
    #[command(
        after_help = "Examples:\n  yakin evidence --month 2026-10\n  yakin evidence --month 2026-10 --into /srv/audit/2026-10\n\nThe manifest's last line notes where the audit's chain stood:\n  yakin audit verify --head NUMBER:DIGEST    shows later that nothing before it was changed"
    )]
    Evidence(Evidence),
    /// Tokens of the admin API.
    Token {
        #[command(subcommand)]
        act: Token,
    },
    /// Backup sets: what there is, what is proven, and the way back.
    Backup {
        #[command(subcommand)]
        act: Backup,
    },
    /// Reports: which there are, of whom and of what, and where their files lie.
    Reports {
        #[command(subcommand)]
        act: Reports,
    },
    /// Keys: those that tenants' credentials are sealed with, and those of backups. Needs no database.
    Keys {
        #[command(subcommand)]
        act: MasterKeys,
    },
    /// Prints completions for a shell.
    Completions { shell: clap_complete::Shell },
    #[command(name = "__supervise-postgres", hide = true)]
    SupervisePostgres { dir: PathBuf },
    #[command(name = "render-child", hide = true)]
    RenderChild,
}

#[derive(Args, Debug, Clone)]
pub struct Demo {
    /// End after the night instead of serving on.
    #[arg(long)]
    pub exit: bool,
    #[arg(long, default_value_t = 30)]
    pub tenants: u32,
    #[arg(long, default_value_t = 3000)]
    pub engineers: u32,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// No tenant lacks a day, none fails, none is held.
    #[arg(long)]
    pub without_faults: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Serve {
    /// plan, work, api: what this node does.
    #[arg(long, value_delimiter = ',', default_values = ["plan", "work", "api"])]
    pub roles: Vec<String>,
    /// Where the admin API, /metrics, /healthz and /readyz answer.
    #[arg(long, env = "YAKIN_LISTEN")]
    pub listen: Option<String>,
    /// Live in the database's virtual time instead of the machine's.
    #[arg(long, value_name = "SINCE")]
    pub r#virtual: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct Sample {
    #[arg(long, default_value_t = 30)]
    pub tenants: u32,
    /// Over all tenants.
    #[arg(long, default_value_t = 3000)]
    pub engineers: u32,
    /// How many days of logs before the present month [default: the whole month before].
    #[arg(long)]
    pub days: Option<u32>,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// About how many log rows [default: by the number of tenants].
    #[arg(long)]
    pub log_rows: Option<u64>,
    /// No tenant lacks a day, none fails, none is held.
    #[arg(long)]
    pub without_faults: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Run {
    /// Id or slug.
    pub batch: String,
    /// Any day of the period, or a range D..D of days [default: the period due today].
    #[arg(long, value_name = "D[..D]")]
    pub date: Option<String>,
    /// Only this tenant; may be given more than once.
    #[arg(long)]
    pub tenant: Vec<String>,
    /// A parameter of the batch; `yakin show BATCH` lists them.
    #[arg(long, value_name = "KEY=VALUE")]
    pub param: Vec<String>,
    /// Plan only: same code, nothing written, nothing sent.
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, default_value = "started by hand")]
    pub reason: String,
}

#[derive(Args, Debug, Clone)]
pub struct Firing {
    pub batch: String,
    /// When it is due, in Tokyo time: '2026-11-01 02:00'.
    pub due: String,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Subcommand, Debug, Clone)]
pub enum Dead {
    /// Groups them by cause.
    List,
    /// Shows those of a group (or one, by number).
    Show {
        #[arg(value_name = "GROUP|NUMBER")]
        which: String,
    },
    /// Runs them again.
    Requeue {
        #[arg(value_name = "GROUP|NUMBER")]
        which: String,
        #[command(flatten)]
        why: Why,
    },
    /// Decides that they are not wanted.
    Discard {
        #[arg(value_name = "GROUP|NUMBER")]
        which: String,
        #[command(flatten)]
        why: Why,
    },
}
