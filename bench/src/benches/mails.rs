//! Mails to a relay on this machine that takes all: REALTIME_002 from its outbox, each mail marked and
//! recorded; the adapter alone; nodemailer, pooled, which records nothing.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use futures::future::try_join_all;
use yakin_adapters::Answer;
use yakin_adapters::mail::{Mail, Mailer, Relay};
use yakin_engine::clock::Clock;

use crate::child::{Took, Worker, told};
use crate::product::Product;
use crate::report::{Report, Row};
use crate::sink;
use crate::world::World;

/// Connections at once, nodemailer's usual number.
const CONNECTIONS: usize = 5;

/// What one node should send in a second.
const A_SECOND: f64 = 2_000.0;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let mails = world.size(10_000, 200);
    let mut report = Report::default();
    let peer = nodemailer(world, mails).await?;
    let mut row = batch(world, mails).await?.beside(peer.as_ref());
    if let Some(times) = row.ratios.first().map(|r| r.1) {
        let met = times >= 1.5 && row.value >= A_SECOND;
        row = row.aim("≥ 1.5 × nodemailer, ≥ 2,000 a second", met);
    }
    report.add(row);
    report.add(adapter(world, mails).await?.beside(peer.as_ref()));
    report.rows.extend(peer);
    report.note(format!(
        "{mails} mails without attachments; CPU with the sink's. REALTIME_002 commits once a mail (its mark, with the \
         outcome of the one before), so that a crash leaves at most one of an attempt uncertain; 100 tenants, 8 attempts at once"
    ));
    Ok(report)
}

/// A sink and its port.
async fn start_sink(world: &World) -> anyhow::Result<(Worker, u16)> {
    let mut sink = Worker::start(world.tools.this(&[sink::COMMAND])).await?;
    let port = sink.line().await?.parse().context("the sink's port")?;
    Ok((sink, port))
}

/// It took exactly these.
async fn end_sink(sink: Worker, wanted: usize) -> anyhow::Result<()> {
    let taken = sink.end().await?.started as usize;
    anyhow::ensure!(taken == wanted, "the sink took {taken} mails of {wanted}");
    Ok(())
}

async fn nodemailer(world: &World, mails: usize) -> anyhow::Result<Option<Row>> {
    let (sink, port) = start_sink(world).await?;
    let Some(mut command) = world.tools.node("mails.cjs") else {
        sink.kill().await?;
        return Ok(None);
    };
    command.args([port.to_string(), mails.to_string()]);
    let before = world.cpu_ms();
    let took: Took = told(command).await?;
    let row = Row::new("nodemailer, pool of 5", mails as f64 / took.seconds, "mails/s");
    let row = row.cpu(world.cpu_since(before, mails));
    // one more made the first connection
    end_sink(sink, mails + 1).await?;
    Ok(Some(row))
}

async fn adapter(world: &World, mails: usize) -> anyhow::Result<Row> {
    let (sink, port) = start_sink(world).await?;
    let relay = Relay::new(
        format!("smtp+plain://127.0.0.1:{port}"),
        "請求センター <billing@yakin.example>",
    );
    let mailer = Arc::new(Mailer::new(relay)?);
    let now = Clock::real().now();
    let (before, begun) = (world.cpu_ms(), Instant::now());
    try_join_all((0..CONNECTIONS).map(|first| {
        let mailer = mailer.clone();
        async move {
            let sender = tokio::spawn(async move {
                let session = mailer.session().await;
                let mut session =
                    session.map_err(|answer| anyhow::anyhow!("no session: {answer:?}"))?;
                for n in (first..mails).step_by(CONNECTIONS) {
                    let letter = mailer.compose(&Mail {
                        message_id: format!("bench-{n}"),
                        to: format!("mail{n}@tenant.example"),
                        subject: format!("件名 {n}"),
                        text: format!("本文 {n}\n").repeat(20),
                        html: None,
                        attachments: Vec::new(),
                        headers: Vec::new(),
                        date: now,
                    })?;
                    let answer = session.send(&letter).await;
                    anyhow::ensure!(matches!(answer, Answer::Sent { .. }), "{answer:?}");
                }
                Ok(())
            });
            sender.await?
        }
    }))
    .await?;
    let rate = mails as f64 / begun.elapsed().as_secs_f64();
    let row = Row::new("Yakin's adapter alone, 5 connections", rate, "mails/s");
    let row = row.cpu(world.cpu_since(before, mails));
    mailer.close().await;
    end_sink(sink, mails).await?;
    Ok(row)
}

async fn batch(world: &World, mails: usize) -> anyhow::Result<Row> {
    let (sink, port) = start_sink(world).await?;
    let database = world.server.migrated("bench_mails").await?;
    let now = Clock::real().now();
    let due = now.saturating_sub(jiff::SignedDuration::from_hours(1))?;
    database
        .sql(format!(
            "INSERT INTO app.tenants (tenant_id, code, name, created_on, platform_relay)
             SELECT n, 't' || n, '株式会社' || n, '2020-01-01', true FROM generate_series(1, 100) AS n;
             INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, subject,
                                         body, due_at, expires_at, created_at)
             SELECT 1 + n % 100, 'notification', n, 'email', 'mail' || n || '@tenant.example', 'tenant', 2,
                    '件名 ' || n, repeat('本文 ' || n || E'\\n', 20), '{due}', '{now}'::timestamptz + interval '1 day',
                    '{now}'
               FROM generate_series(1, {mails}) AS n"
        ))
        .await?;
    database.quiet().await?;
    let product = Product::new(world, &database, Some(port))?;
    let ran = product.run(&database, "REALTIME_002", &[]).await?;
    let row = Row::new("Yakin, REALTIME_002", mails as f64 / ran.seconds, "mails/s");
    product.close()?;
    world.server.drop(database).await?;
    end_sink(sink, mails).await?;
    Ok(row.cpu(ran.cpu_ms as f64 / mails as f64))
}
