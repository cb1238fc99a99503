//! Status requests beside a working night: so many a second, asked when they are due whether those before them were
//! answered or not; and how much longer the night takes.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use yakin_engine::clock::Clock;
use yakin_engine::days::{after, day_of};

use super::usage::fill;
use crate::measure::percentile;
use crate::product::Product;
use crate::report::{Report, Row};
use crate::world::World;

/// Requests a second, over all connections.
const PER_SECOND: u32 = 2000;
/// Connections that are kept.
const CONNECTIONS: u32 = 16;
/// The night's batch, which is asked about, too.
const BATCH: &str = "BATCH-204";

/// How a night went.
struct Night {
    seconds: f64,
    asked: Asked,
}

/// What became of the requests.
#[derive(Default)]
struct Asked {
    /// From when each was due to its answer's last byte, in milliseconds.
    latencies: Vec<f64>,
    /// Answers that were not 200.
    errors: usize,
    seconds: f64,
}

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let alone = night(world, false).await?;
    let beside = night(world, true).await?;
    let asked = &beside.asked;
    let reached = asked.latencies.len() as f64 / asked.seconds;
    let mut report = Report::default();
    let wanted = f64::from(PER_SECOND);
    // the last ones are under way when the time is over
    let met = asked.errors == 0 && reached >= wanted * 0.99;
    let row = Row::new("requests answered", reached, "a second");
    report.add(row.aim(format!("≥ {PER_SECOND}, no error"), met));
    report.add(Row::new("errors", asked.errors as f64, ""));
    report.add(Row::new("latency p50", percentile(&asked.latencies, 50.0), "ms"));
    report.add(Row::new("latency p99", percentile(&asked.latencies, 99.0), "ms"));
    let bare = Row::new("the night alone", alone.seconds, "s");
    let met = beside.seconds <= alone.seconds * 1.2;
    let row = Row::new("the night with requests", beside.seconds, "s").beside(Some(&bare));
    report.add(row.aim("≤ 1.2 × alone", met));
    report.add(bare);
    report.note(format!(
        "the night is {BATCH} for {} days of {} tenants, one node; {CONNECTIONS} connections, one operator's token; who \
         asks runs on the same machine, with timers of 1 ms. Latency counts from when a request was due",
        days(world),
        tenants(world)
    ));
    Ok(report)
}

fn tenants(world: &World) -> usize {
    world.size(200, 20)
}

fn days(world: &World) -> usize {
    world.size(50, 3)
}

/// A night from a fresh database; requests last at least their time, and as long as it does.
async fn night(world: &World, with_requests: bool) -> anyhow::Result<Night> {
    let (tenants, days) = (tenants(world), days(world));
    let yesterday = after(day_of(Clock::real().now()), -1);
    let database = world.server.migrated("bench_api").await?;
    fill(&database, yesterday, tenants, tenants * 1000).await?;
    let product = Product::new(world, &database, None)?;
    product.configure(&format!("[api]\ncalls_per_second = {}\n", PER_SECOND * 10))?;
    let words = ["token", "create", "bench", "--role", "operator", "--reason", "bench"];
    let made = product.command(&words).output().await.context("making a token")?;
    let token = String::from_utf8(made.stdout).context("the token")?;
    let (mut node, address) = product.serve().await?;
    let first = after(yesterday, 1 - i64::try_from(days)?);
    let dates = format!("{first}..{yesterday}");
    let over = CancellationToken::new();
    let works = async {
        let ran = product.run(&database, BATCH, &["--date", &dates]).await;
        over.cancel();
        ran
    };
    let least = Duration::from_secs(world.size(30, 3) as u64);
    let (ran, asked) = if with_requests {
        tokio::try_join!(works, ask(&address, token.trim(), least, &over))?
    } else {
        (works.await?, Asked::default())
    };
    let done: i64 = database
        .one(&format!("SELECT count(*) FROM yakin.run_tenants WHERE state = 'done' AND run_id IN (SELECT id FROM yakin.runs WHERE batch_id = '{BATCH}')"))
        .await?;
    anyhow::ensure!(done >= (tenants * days) as i64, "only {done} pieces of the night are done");
    node.kill().await?;
    product.close()?;
    world.server.drop(database).await?;
    Ok(Night { seconds: ran.with_follow_ups, asked })
}

async fn ask(
    address: &str,
    token: &str,
    least: Duration,
    over: &CancellationToken,
) -> anyhow::Result<Asked> {
    let request = format!(
        "GET /admin/batch/jobs/{BATCH}/status HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let begun = Instant::now();
    let enough = || begun.elapsed() >= least && over.is_cancelled();
    let all = (0..CONNECTIONS).map(|n| one(address, &request, n, begun, enough));
    let mut asked = Asked::default();
    for part in try_join_all(all).await? {
        asked.latencies.extend(part.latencies);
        asked.errors += part.errors;
    }
    asked.seconds = begun.elapsed().as_secs_f64();
    Ok(asked)
}

/// One connection's share: each request when it is due, or at once when the one before it was answered late.
async fn one(
    address: &str,
    request: &str,
    number: u32,
    begun: Instant,
    enough: impl Fn() -> bool,
) -> anyhow::Result<Asked> {
    let stream = TcpStream::connect(address).await.context("connecting to the node")?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut asked = Asked::default();
    for turn in 0.. {
        let place = f64::from(turn) * f64::from(CONNECTIONS) + f64::from(number);
        let due = begun + Duration::from_secs_f64(place / f64::from(PER_SECOND));
        tokio::time::sleep_until(due.into()).await;
        if enough() {
            break;
        }
        stream.write_all(request.as_bytes()).await.context("asking")?;
        if answer(&mut stream).await? != 200 {
            asked.errors += 1;
        }
        asked.latencies.push(due.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(asked)
}

/// Reads an answer to its end and says its status.
async fn answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<u16> {
    let (mut line, mut status, mut length) = (String::new(), None, None);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.context("reading an answer")? == 0 {
            bail!("the node closed a connection");
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        match text.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse::<usize>().ok();
            }
            Some(_) => {}
            None => status = text.split(' ').nth(1).and_then(|s| s.parse().ok()),
        }
    }
    let mut body = vec![0; length.context("an answer says no length")?];
    stream.read_exact(&mut body).await.context("reading an answer's body")?;
    status.context("an answer has no status")
}
