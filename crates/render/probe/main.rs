//! The tests' stand-in for `yakin`: becomes a rendering child, or renders one of the documents
//! `PROBE DOCUMENT DATA.json OUT.pdf [TIMES]` and says how long it took.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use yakin_render::{CHILD_COMMAND, Renderer, Settings};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [command] if *command == CHILD_COMMAND => yakin_render::child().map_err(Into::into),
        [document, data, out] => render(document, Path::new(data), Path::new(out), "1"),
        [document, data, out, times] => render(document, Path::new(data), Path::new(out), times),
        _ => Err(format!("usage: {CHILD_COMMAND} | DOCUMENT DATA.json OUT.pdf [TIMES]").into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the first document's and the others' milliseconds, and the child's time and memory.
#[tokio::main]
async fn render(
    document: &str,
    data: &Path,
    out: &Path,
    times: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut data: serde_json::Value = serde_json::from_slice(&std::fs::read(data)?)?;
    let templates = std::env::var_os("PROBE_TEMPLATES").map(Into::into);
    let renderer =
        Renderer::new(Settings { templates, ..Settings::new(std::env::current_exe()?) })?;
    let begun = Instant::now();
    let rendered = renderer.render(document, &data).await?;
    std::fs::write(out, &rendered.pdf)?;
    println!("first {:.1} ms, {} bytes", begun.elapsed().as_secs_f64() * 1e3, rendered.pdf.len());
    println!("{} pages {:?}", rendered.pages, rendered.warnings);
    let times: u32 = times.parse()?;
    let begun = Instant::now();
    for n in 1..times {
        data["number"] = format!("INV-202610-acme-{n:04}").into();
        renderer.render(document, &data).await?;
    }
    if times > 1 {
        let each = begun.elapsed().as_secs_f64() * 1e3 / f64::from(times - 1);
        let about =
            |file| std::fs::read_to_string(format!("/proc/{}/{file}", renderer.children()[0]));
        let status = about("status")?;
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
        // nanoseconds on a processor
        let spent: f64 = about("schedstat")?.split(' ').next().unwrap_or("").parse()?;
        let spent = spent / 1e6 / f64::from(times);
        println!("others {each:.1} ms each, {spent:.1} ms of processor time on average; {peak}");
    }
    Ok(())
}
