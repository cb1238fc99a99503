//! Children: bounded, replaced when they hang or die, gone when nobody needs them, shut in.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::*;
use serde_json::json;
use yakin_render::{RenderError, Renderer, Settings};

/// A renderer with a document `endless` and one `small`.
fn with_endless(test: &str, settings: Settings) -> Renderer {
    let files = [("endless/main.typ", ENDLESS), ("small/main.typ", SMALL)];
    Renderer::new(Settings { templates: Some(templates(test, &files)), ..settings }).unwrap()
}

const SMALL: &str = "#set text(font: \"IPAexGothic\")\n小さい #json(bytes(sys.inputs.data)).a";

/// Starts a document that never ends, and waits until a child is at work on it.
async fn hang(renderer: &Renderer) -> (tokio::task::JoinHandle<Result<(), RenderError>>, u32) {
    let working = renderer.clone();
    let task = tokio::spawn(async move { working.render("endless", &json!({})).await.map(|_| ()) });
    let mut child = 0;
    until("a child is busy", || {
        child = renderer.children().first().copied().unwrap_or(0);
        child != 0 && ticks(child).is_some_and(|spent| spent > 30)
    })
    .await;
    (task, child)
}

async fn assert_works(renderer: &Renderer) {
    let rendered = renderer.render("small", &json!({"a": "文書"})).await.unwrap();
    assert_says(&pages(&rendered.pdf), &["小さい文書"]);
}

#[tokio::test]
async fn a_template_without_end_is_killed_in_time_and_the_next_document_works() {
    let limit = Duration::from_secs(3);
    let renderer = with_endless("timeout", Settings { timeout: limit, ..settings() });
    let (task, child) = hang(&renderer).await;
    let error = task.await.unwrap().unwrap_err();
    assert!(matches!(error, RenderError::Timeout { limit: l, .. } if l == limit), "{error}");
    assert!(!error.is_permanent());
    wait_for_end(child);
    assert_eq!(renderer.children(), [] as [u32; 0]);
    let patient = with_endless("timeout_after", settings());
    assert_works(&patient).await;
}

#[tokio::test]
async fn a_child_that_is_killed_is_an_error_and_the_next_document_works() {
    let renderer = with_endless("killed", settings());
    let (task, child) = hang(&renderer).await;
    kill(child);
    let error = task.await.unwrap().unwrap_err();
    assert!(matches!(error, RenderError::Child { .. }) && !error.is_permanent(), "{error:?}");
    assert!(error.to_string().contains("was ended by signal 9"), "{error}");
    assert_works(&renderer).await;
    // one that dies while it waits is noticed before it is asked
    let idle = renderer.children()[0];
    kill(idle);
    wait_for_end(idle);
    assert_works(&renderer).await;
}

#[tokio::test]
async fn a_child_is_reused_and_ends_when_it_is_idle() {
    let idle = Duration::from_millis(300);
    let renderer = with_endless("idle", Settings { idle, ..settings() });
    assert_works(&renderer).await;
    let child = renderer.children()[0];
    assert_works(&renderer).await;
    until("the child is gone", || renderer.children().is_empty()).await;
    wait_for_end(child);
    assert_works(&renderer).await;
    let next = renderer.children()[0];
    until("the next one is gone", || renderer.children().is_empty()).await;
    wait_for_end(next);
}

#[tokio::test]
async fn work_that_nobody_waits_for_ends() {
    let renderer = with_endless("dropped", settings());
    let (task, child) = hang(&renderer).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    wait_for_end(child);
    until("it is no longer counted", || renderer.children().is_empty()).await;
    assert_works(&renderer).await;
    let idle = renderer.children()[0];
    drop(renderer);
    wait_for_end(idle);
}

#[tokio::test]
async fn a_child_ends_in_the_middle_of_its_work_when_its_parent_is_killed() {
    let folder = templates("orphan", &[("endless/main.typ", ENDLESS)]);
    let data = folder.join("data.json");
    std::fs::write(&data, "{}").unwrap();
    let mut parent = Command::new(env!("CARGO_BIN_EXE_render-probe"))
        .args(["endless".as_ref(), data.as_os_str(), folder.join("out.pdf").as_os_str()])
        .env("PROBE_TEMPLATES", &folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = 0;
    until("the child is busy", || {
        child = children_of(parent.id()).first().copied().unwrap_or(0);
        child != 0 && ticks(child).is_some_and(|spent| spent > 30)
    })
    .await;
    kill(parent.id());
    parent.wait().unwrap();
    wait_for_end(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_documents_at_once_share_two_children() {
    let renderer = with_endless("many", settings());
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (renderer, text) = (renderer.clone(), format!("number {n}"));
            tokio::spawn(async move {
                let rendered = renderer.render("small", &json!({ "a": text })).await.unwrap();
                (text, rendered.pdf, renderer.children())
            })
        })
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for task in tasks {
        let (text, pdf, children) = task.await.unwrap();
        assert_eq!(pages(&pdf), [format!("小さい{text}").replace(' ', "")]);
        assert!(children.len() <= 2, "{children:?}");
        seen.extend(children);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn a_child_can_open_nothing_and_knows_nothing() {
    let renderer = with_endless("shut_in", settings());
    assert_works(&renderer).await;
    let about = |file: &str| {
        std::fs::read_to_string(format!("/proc/{}/{file}", renderer.children()[0])).unwrap()
    };
    let limits = about("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max open files"), "3");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max address space"), (3_u64 << 29).to_string());
    assert!(limit("Max cpu time").parse::<u64>().unwrap() < 100, "{limits}");
    let environment = about("environ");
    let names: Vec<&str> =
        environment.split('\0').filter_map(|e| e.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(names, ["RAYON_NUM_THREADS", "RUST_MIN_STACK"]);
    assert!(about("status").contains("NoNewPrivs:\t1"));
    // beside its pipes only what this process, too, was given by whoever started it
    let inherited = kept_open(std::process::id());
    let open: Vec<_> = open_files(renderer.children()[0]);
    assert!(open.len() >= 3, "{open:?}");
    let own: Vec<_> =
        open.into_iter().filter(|(n, to)| *n > 2 && !inherited.contains(to)).collect();
    assert!(own.is_empty(), "{own:?}");
}

/// What a process has open: the number and what it leads to.
fn open_files(id: u32) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().flatten();
    entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, std::fs::read_link(entry.path()).ok()?))
        })
        .collect()
}

/// What a process has open and leaves open for the programs it starts.
fn kept_open(id: u32) -> Vec<PathBuf> {
    let kept = |number: u32| {
        let about = std::fs::read_to_string(format!("/proc/{id}/fdinfo/{number}")).ok()?;
        let flags = about.lines().find_map(|l| l.strip_prefix("flags:"))?.trim().to_owned();
        const CLOSED_ON_EXEC: u32 = 0o2_000_000;
        Some(u32::from_str_radix(&flags, 8).ok()? & CLOSED_ON_EXEC == 0)
    };
    let files = open_files(id).into_iter();
    files.filter(|(number, _)| kept(*number) == Some(true)).map(|(_, to)| to).collect()
}

#[tokio::test]
async fn a_template_that_wants_too_much_memory_loses_its_child_only() {
    let hog = "#(\"x\" * 2000000000).len()";
    let files = [("hog/main.typ", hog), ("small/main.typ", SMALL)];
    let folder = templates("hog", &files);
    let renderer = Renderer::new(Settings { templates: Some(folder), ..settings() }).unwrap();
    let error = renderer.render("hog", &json!({})).await.unwrap_err();
    assert!(matches!(error, RenderError::Child { .. }), "{error:?}");
    assert!(error.to_string().contains("memory allocation"), "{error}");
    assert_works(&renderer).await;
}

#[tokio::test]
async fn a_program_that_is_no_child_is_an_error() {
    for (program, wanted) in [
        ("/nowhere/yakin", "could not be started from /nowhere/yakin"),
        ("/bin/false", "ended with code 1"),
    ] {
        let program = program.into();
        let renderer = Renderer::new(Settings { program, ..settings() }).unwrap();
        let error = renderer.render("invoice", &sample("sample.json")).await.unwrap_err();
        assert!(matches!(error, RenderError::Child { .. }), "{error:?}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
