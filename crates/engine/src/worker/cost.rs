//! What an attempt costs this process: CPU time of its polls, and resident memory at its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::queue::settle::Settlement;

/// Nanoseconds of CPU so far.
#[derive(Debug, Default)]
pub struct Cost(AtomicU64);

impl Cost {
    /// Puts the figures into a settlement.
    pub(crate) fn onto(&self, settlement: Settlement) -> Settlement {
        let cpu_ms = i64::try_from(self.0.load(Ordering::Relaxed) / 1_000_000).ok();
        Settlement { cpu_ms, memory_bytes: resident_bytes(), ..settlement }
    }
}

/// Memory is looked up at most so often: attempts that take nothing end by the thousand.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Resident memory of this process, from `/proc/self/statm`, as of now or a moment ago.
pub fn resident_bytes() -> Option<i64> {
    static LAST: Mutex<Option<(Instant, Option<i64>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match *last {
        Some((at, bytes)) if at.elapsed() < LOOK_EVERY => bytes,
        _ => {
            let bytes = read_resident_bytes();
            *last = Some((Instant::now(), bytes));
            bytes
        }
    }
}

fn read_resident_bytes() -> Option<i64> {
    let pages: i64 =
        std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}

/// A future whose polls are metered.
pub(crate) struct Metered<F> {
    pub work: Pin<Box<F>>,
    pub cost: Arc<Cost>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let before = thread_nanos();
        let polled = self.work.as_mut().poll(context);
        self.cost.0.fetch_add(thread_nanos().saturating_sub(before), Ordering::Relaxed);
        polled
    }
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}
