//! Invoices rendered by two children, beside pdfkit drawing the same content in one and in two
//! processes.

use std::time::Instant;

use anyhow::Context;
use futures::future::try_join_all;
use serde_json::Value;
use yakin_render::{Renderer, Settings};

use crate::child::{Took, told};
use crate::report::{Report, Row};
use crate::tools::root;
use crate::world::World;

/// Rendering children of a node, as configured by default.
pub(super) const CHILDREN: usize = 2;
const FONTS: [&str; 2] = [
    "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
    "/usr/share/fonts/opentype/ipaexfont-mincho/ipaexm.ttf",
];

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (own, theirs) = (world.size(600, 10), world.size(60, 2));
    let mut report = Report::default();
    let own_row = yakin(world, own).await?;
    let one = pdfkit(world, theirs, 1).await?;
    let two = pdfkit(world, theirs, CHILDREN).await?;
    let mut row = own_row.beside(one.as_ref()).beside(two.as_ref());
    let times: Vec<f64> = row.ratios.iter().map(|r| r.1).collect();
    if let [_, against_two] = times[..] {
        row = row.aim("≥ 4 × pdfkit with as many processes", against_two >= 4.0);
    }
    report.add(row);
    report.rows.extend([one, two].into_iter().flatten());
    report.note("the sample invoice, A4, two Japanese faces embedded as subsets; fonts loaded before the clock starts");
    Ok(report)
}

/// The data that a built-in document is tried with.
pub(super) fn sample(document: &str) -> anyhow::Result<Value> {
    let file = root().join(format!("templates/documents/{document}/sample.json"));
    let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Renders so many documents by two children; how many a second, and processor milliseconds each.
pub(super) async fn rendered(
    world: &World,
    document: &str,
    documents: usize,
    data: impl Fn(usize, usize) -> Value,
) -> anyhow::Result<(f64, f64)> {
    let settings = Settings { children: CHILDREN, ..Settings::new(&world.tools.yakin) };
    let renderer = Renderer::new(settings)?;
    let some = |each: usize| {
        let (renderer, data) = (&renderer, &data);
        try_join_all((0..CHILDREN).map(move |first| async move {
            for n in 0..each {
                renderer.render(document, &data(first, n)).await?;
            }
            anyhow::Ok(())
        }))
    };
    some(2).await?;
    let (before, begun) = (world.cpu_ms(), Instant::now());
    some(documents / CHILDREN).await?;
    let rate = documents as f64 / begun.elapsed().as_secs_f64();
    Ok((rate, world.cpu_since(before, documents)))
}

async fn yakin(world: &World, documents: usize) -> anyhow::Result<Row> {
    let sample = sample("invoice")?;
    let data = |first: usize, n: usize| {
        let mut data = sample.clone();
        // each its own, as invoices are
        data["number"] = format!("INV-202610-acme-{first}{n:03}").into();
        data
    };
    let (rate, cpu) = rendered(world, "invoice", documents, data).await?;
    Ok(Row::new(format!("Yakin, {CHILDREN} children"), rate, "invoices/s").cpu(cpu))
}

async fn pdfkit(world: &World, each: usize, processes: usize) -> anyhow::Result<Option<Row>> {
    let file = root().join("templates/documents/invoice/sample.json");
    let command = || {
        let mut command = world.tools.node("invoices.cjs")?;
        command.args(FONTS).arg(&file).arg(each.to_string());
        Some(command)
    };
    let commands: Vec<_> = (0..processes).filter_map(|_| command()).collect();
    if commands.is_empty() {
        return Ok(None);
    }
    let before = world.cpu_ms();
    let took: Vec<Took> = try_join_all(commands.into_iter().map(told)).await?;
    let rate: f64 = took.iter().map(|t| each as f64 / t.seconds).sum();
    let s = if processes == 1 { "" } else { "es" };
    let row = Row::new(format!("pdfkit, {processes} process{s}"), rate, "invoices/s");
    Ok(Some(row.cpu(world.cpu_since(before, processes * (each + 1)))))
}
