//! What is measured: processor time of process trees, memory, instants, percentiles.

use std::collections::HashMap;

use anyhow::Context;
use rustix::process::{getpid, set_child_subreaper};
use rustix::time::{ClockId, clock_gettime};

/// The machine's monotonic clock in nanoseconds: the same for all processes.
pub fn monotonic() -> i64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// The machine's load averages, as they stand beside the figures.
pub fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("reading the load")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// Processor milliseconds used so far by a process and all it has started, those that ended
/// included.
pub fn cpu_ms(root: u32) -> u64 {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let all = processes();
    let ticks: u64 = tree(&all, root).iter().filter_map(|id| all.get(id)).map(|p| p.ticks).sum();
    ticks * 1000 / ticks_per_second
}

/// Resident memory of one process in MB (10^6 bytes).
pub fn resident_mb(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/statm");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let pages = text.split(' ').nth(1).and_then(|p| p.parse::<u64>().ok());
    let bytes = pages.context("statm has no second field")? * rustix::param::page_size() as u64;
    Ok(bytes as f64 / 1e6)
}

/// Makes this process the parent of what its children leave behind, so that [`cpu_ms`] counts them too: rendering
/// children end with their node, which waits for none of them.
pub fn keep_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

struct Process {
    parent: u32,
    /// Its own, and those of children it has waited for.
    ticks: u64,
}

fn processes() -> HashMap<u32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| Some((id, process(id)?))).collect()
}

fn process(id: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // the name in brackets may hold anything
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|f| f.parse::<u64>().ok()).sum();
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn tree(all: &HashMap<u32, Process>, root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|(_, p)| p.parent == parent).map(|(id, _)| *id));
        at += 1;
    }
    found
}

/// The value below which `percent` of the values lie; 0 of none.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The middle of the values.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The most memory that this process has had resident since it was asked to forget, in MB (10^6 bytes).
pub fn peak_resident_mb(forget: bool) -> anyhow::Result<f64> {
    if forget {
        std::fs::write("/proc/self/clear_refs", "5").context("forgetting the peak of memory")?;
    }
    let status = std::fs::read_to_string("/proc/self/status").context("reading the peak")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kib.context("no VmHWM in /proc/self/status")? * 1024.0 / 1e6)
}
