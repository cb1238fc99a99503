//! What the kernel keeps a child from: much memory, much time, and opening anything.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Standard input, output and error: with them alone open, no file, socket or pipe can be opened.
const OPEN_FILES: u64 = 3;

/// Bounds the address space: what goes beyond it ends the child, not the machine.
pub fn take_memory(bytes: u64) -> io::Result<()> {
    for_good(Resource::As, bytes)?;
    for_good(Resource::Core, 0)
}

/// From here on nothing can be opened, written to disk, or gained by starting a program.
pub fn close_doors() -> io::Result<()> {
    for_good(Resource::Fsize, 0)?;
    for_good(Resource::Nofile, OPEN_FILES)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Allows so much more processor time, in case the parent is frozen and watches no time limit.
pub fn take_time(seconds: u64) -> io::Result<()> {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let spent = Duration::try_from(spent).unwrap_or_default().as_secs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(at_most(maximum, spent + seconds));
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
}

fn for_good(resource: Resource, value: u64) -> io::Result<()> {
    let value = Some(at_most(getrlimit(resource).maximum, value));
    Ok(setrlimit(resource, Rlimit { current: value, maximum: value })?)
}

/// A limit that we were started with may be lower; none can be raised.
fn at_most(maximum: Option<u64>, value: u64) -> u64 {
    maximum.map_or(value, |maximum| maximum.min(value))
}
