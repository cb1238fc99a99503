//! Figures of a bench: a table for people, JSON for machines.

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::benches::Bench;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    /// Processor time of workers, clients and server together, per job.
    pub cpu_ms_per_job: Option<f64>,
    /// How many times the other figure this one is.
    pub ratios: Vec<(String, f64)>,
    pub aim: Option<Aim>,
}

/// What the figure should be, and whether it is.
#[derive(Clone, Debug, Serialize)]
pub struct Aim {
    pub text: String,
    pub met: bool,
}

impl Row {
    /// A figure.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Row {
        Row { what: what.into(), value, unit, cpu_ms_per_job: None, ratios: Vec::new(), aim: None }
    }

    /// Adds the processor time per job.
    pub fn cpu(mut self, ms_per_job: f64) -> Row {
        self.cpu_ms_per_job = Some(ms_per_job);
        self
    }

    /// Sets it beside another figure of the same run.
    pub fn beside(mut self, other: Option<&Row>) -> Row {
        if let Some(other) = other.filter(|o| o.value > 0.0) {
            self.ratios.push((other.what.clone(), self.value / other.value));
        }
        self
    }

    /// Says what it should be.
    pub fn aim(mut self, text: impl Into<String>, met: bool) -> Row {
        self.aim = Some(Aim { text: text.into(), met });
        self
    }
}

/// The figures of a bench.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub rows: Vec<Row>,
    /// What a reader must know of how they came about.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
struct Kept<'a> {
    bench: &'a str,
    what: &'a str,
    quick: bool,
    load_before: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// Adds a figure.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints the table and keeps the JSON in `target/bench/<name>.json`.
    pub fn show(&self, bench: &Bench, load: &str, quick: bool) -> anyhow::Result<()> {
        let size = if quick { ", quick: sizes too small to tell speed" } else { "" };
        println!("\n{}: {} (load before: {load}{size})", bench.name, bench.what);
        println!("{}", self.table());
        self.notes.iter().for_each(|note| println!("  note: {note}"));
        let folder = folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let (name, what) = (bench.name, bench.what);
        let kept = Kept { bench: name, what, quick, load_before: load, report: self };
        let file = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&kept)?;
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    fn table(&self) -> String {
        let head = ["", "value", "CPU ms/job", "beside", "aim"].map(str::to_owned);
        let lines: Vec<[String; 5]> =
            std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max();
        let widths: Vec<usize> = (0..5).map(|c| width(c).unwrap_or(0)).collect();
        let text = |line: &[String; 5]| {
            let [what, value, cpu, beside, aim] = line;
            let (a, b, c, d) = (widths[0], widths[1], widths[2], widths[3]);
            format!("  {what:a$}  {value:>b$}  {cpu:>c$}  {beside:d$}  {aim}").trim_end().to_owned()
        };
        lines.iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

fn cells(row: &Row) -> [String; 5] {
    let ratios = row.ratios.iter().map(|(to, times)| format!("{times:.2} × {to}"));
    let aim = row.aim.as_ref().map(|aim| {
        let met = if aim.met { "met" } else { "MISSED" };
        format!("{}: {met}", aim.text)
    });
    [
        row.what.clone(),
        format!("{} {}", number(row.value), row.unit),
        row.cpu_ms_per_job.map(|ms| format!("{ms:.3}")).unwrap_or_default(),
        ratios.collect::<Vec<_>>().join(", "),
        aim.unwrap_or_default(),
    ]
}

/// Three figures that mean something, thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let mut apart = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| crate::tools::root().join("target")).join("bench")
}
