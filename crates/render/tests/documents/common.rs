//! What the tests share: settings, samples, operators' folders, and other programs' look at a PDF.

#![allow(dead_code, clippy::panic)] // each test file uses its part; a test may fail

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use yakin_render::{Renderer, Settings};

/// For what must come: a machine under load is slow, not wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn settings() -> Settings {
    Settings { timeout: PATIENCE, ..Settings::new(env!("CARGO_BIN_EXE_render-probe")) }
}

pub fn renderer() -> Renderer {
    Renderer::new(settings()).unwrap()
}

/// One of the invoice's samples.
pub fn sample(name: &str) -> Value {
    sample_of("invoice", name)
}

/// A document's sample.
pub fn sample_of(document: &str, name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/documents");
    serde_json::from_slice(&std::fs::read(folder.join(document).join(name)).unwrap()).unwrap()
}

/// An empty folder of this test's own.
pub fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("render").join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// An operator's folder with these files, such as `loop/main.typ`.
pub fn templates(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = folder(test);
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A template that is never done: typst stops a `while` without end, not this.
pub const ENDLESS: &str =
    "#for a in range(100000) { for b in range(100000) { for c in range(100000) { } } }";

/// What a program prints that gets the PDF as its standard input.
pub fn piped(program: &str, arguments: &[&str], pdf: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}; Debian has it in poppler-utils"));
    let mut input = child.stdin.take().unwrap();
    let bytes = pdf.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Its text in the order it was written, without any white space, page by page.
pub fn pages(pdf: &[u8]) -> Vec<String> {
    let text = piped("pdftotext", &["-raw", "-", "-"], pdf);
    let pages = text.split('\u{c}').map(|p| p.chars().filter(|c| !c.is_whitespace()).collect());
    pages.filter(|page: &String| !page.is_empty()).collect()
}

/// Fails where the text of the pages lacks one of these.
pub fn assert_says(pages: &[String], wanted: &[&str]) {
    let all = pages.concat();
    for text in wanted {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(all.contains(&text), "{text} is missing in {all}");
    }
}

/// Fails unless qpdf finds nothing to say about it.
pub fn assert_clean(test: &str, pdf: &[u8]) {
    let path = folder(test).join("document.pdf");
    std::fs::write(&path, pdf).unwrap();
    let output = Command::new("qpdf").arg("--check").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && output.stderr.is_empty(), "{said} {output:?}");
    assert!(said.contains("No syntax or stream encoding errors found"), "{said}");
}

/// Waits until something is so, giving way to others.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for the end of a process.
pub fn wait_for_end(id: u32) {
    let Some(pid) = Pid::from_raw(id as i32) else { panic!("{id} is no process id") };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let mut handles = [PollFd::new(&handle, PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut handles, Some(&patience)).unwrap(), 1, "process {id} goes on");
}

pub fn kill(id: u32) {
    kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL).unwrap();
}

/// The processor time a process has used, in ticks; none when it is gone.
pub fn ticks(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

/// The processes that this one has started.
pub fn children_of(id: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(&id.to_string()) {
            found.push(child);
        }
    }
    found
}
