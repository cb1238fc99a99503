//! The child: reads requests from standard input, writes answers to standard output, ends with its
//! input. It reads the fonts, then gives up everything it could open.

mod compose;
mod fonts;
mod limits;
mod trouble;
mod world;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use serde::Deserialize;

use crate::message::{self, Answer, Request, Setup};
use fonts::Fonts;
use world::World;

/// How many documents a result of the typesetter is kept for, in hope of a similar one.
const KEEP_RESULTS: usize = 4;

/// The child's main loop: returns when its input ends between two documents, and ends the process
/// when it ends within one. Call it first thing in `main`, before a runtime and its files.
pub fn child() -> io::Result<()> {
    let messages = listen();
    let Ok(setup) = messages.recv() else { return Ok(()) };
    let setup: Setup = header(&message::parts(&setup?)?)?;
    limits::take_memory(setup.memory_bytes)?;
    let fonts = Fonts::load(&setup.fonts);
    limits::close_doors()?;
    let mut world = World::new(fonts).map_err(|error| io::Error::other(format!("{error:?}")))?;
    while let Ok(request) = messages.recv() {
        limits::take_time(setup.cpu_seconds)?;
        let request = request?;
        let parts = message::parts(&request)?;
        let (data, files) = parts[1..].split_last().ok_or_else(|| broken("data"))?;
        let asked: Request = header(&parts)?;
        if files.len() != asked.files.len() {
            return Err(broken("as many files as names"));
        }
        let data = std::str::from_utf8(data).map_err(|_| broken("data in UTF-8"))?;
        let (answer, pdf) = compose::answer(&mut world, &asked, files, data);
        // after errors, too: they leave as much behind
        typst::comemo::evict(KEEP_RESULTS);
        reply(&answer, &pdf)?;
    }
    Ok(())
}

/// Reads on beside the work, so that a child whose parent is gone ends in the middle of it. (A
/// death signal of the parent would come when the *thread* ends that started the child.)
fn listen() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let message = match message::read(&mut input) {
                Ok(Some(message)) => Ok(message),
                Ok(None) => std::process::exit(0),
                Err(error) => Err(error),
            };
            // an error is the last message: the main loop ends with it
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

fn header<T: for<'a> Deserialize<'a>>(parts: &[&[u8]]) -> io::Result<T> {
    Ok(serde_json::from_slice(parts.first().copied().unwrap_or_default())?)
}

fn reply(answer: &Answer, pdf: &[u8]) -> io::Result<()> {
    let message = match answer {
        Answer::Done { .. } => message::encode(answer, &[pdf])?,
        _ => message::encode(answer, &[])?,
    };
    let mut output = io::stdout().lock();
    output.write_all(&message)?;
    output.flush()
}

fn broken(expected: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a request without {expected}"))
}
