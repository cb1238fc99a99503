//! Each batch's page (`docs/batches/<ID>.md`) repeats the facts of its spec word for word.
//! `UPDATE_DOCS=1 cargo nextest run -p yakin-tests` writes the block anew.

use std::time::Duration;

use yakin_engine::outcome::Cause;
use yakin_engine::schedule::cron;
use yakin_engine::spec::{
    Approval, Backoff, CatchUp, NeedDays, Overlap, Period, Phase, Priority, Retry, Schedule, Scope,
    Spec,
};

use crate::source::root;

const OPEN: &str = "<!-- facts -->";
const CLOSE: &str = "<!-- /facts -->";

#[test]
fn every_batch_has_a_page_with_its_facts() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut wrong = Vec::new();
    for batch in yakin_catalogue::all() {
        let spec = batch.spec();
        let path = root().join(format!("docs/batches/{}.md", spec.id));
        let Ok(page) = std::fs::read_to_string(&path) else {
            wrong.push(format!(
                "docs/batches/{}.md is missing: write what the batch does and what to do",
                spec.id
            ));
            continue;
        };
        let heading = format!("# {} {} · {}", spec.id, spec.slug, spec.title);
        if page.lines().next() != Some(heading.as_str()) {
            wrong.push(format!(
                "docs/batches/{}.md begins with another line than '{heading}'",
                spec.id
            ));
        }
        let wanted = with_facts(&page, &facts(spec));
        if wanted == page {
            continue;
        }
        if update {
            std::fs::write(&path, wanted).expect("writing a page");
        } else {
            wrong.push(format!("docs/batches/{}.md: its facts are not those of the spec", spec.id));
        }
    }
    let how = "UPDATE_DOCS=1 cargo nextest run -p yakin-tests";
    assert!(wrong.is_empty(), "{}\n({how} rewrites the facts)", wrong.join("\n"));
}

#[test]
fn no_page_describes_a_batch_that_is_not_there() {
    let known: Vec<String> =
        yakin_catalogue::all().iter().map(|b| format!("{}.md", b.spec().id)).collect();
    for entry in std::fs::read_dir(root().join("docs/batches")).expect("docs/batches") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "docs/batches/{name} belongs to no batch of the catalogue");
    }
}

/// The page with this block of facts; a page without one gets it before its first section.
fn with_facts(page: &str, facts: &str) -> String {
    let block = format!("{OPEN}\n{facts}{CLOSE}");
    let split =
        page.split_once(OPEN).and_then(|(before, rest)| Some((before, rest.split_once(CLOSE)?.1)));
    if let Some((before, after)) = split {
        return format!("{before}{block}{after}");
    }
    let at = page.find("\n## ").map_or(page.len(), |at| at + 1);
    format!("{}{block}\n\n{}", &page[..at], &page[at..])
}

/// A spec as a table of two columns.
fn facts(spec: &Spec) -> String {
    let mut rows = vec![
        (
            "Schedule",
            format!("{} · catch-up: {}", schedule(spec.schedule), catch_up(spec.catch_up)),
        ),
        ("Period", period(spec.period).to_owned()),
        ("Starts", window(spec)),
        ("Last retry", deadline(spec)),
        ("Scope", scope(spec)),
    ];
    for need in spec.needs {
        let days = match need.days {
            NeedDays::Same => "the same period",
            NeedDays::EveryDay => "every day of the period",
            NeedDays::LastDay => "the last day of the period",
        };
        let hard = if need.hard { "then skipped" } else { "then goes on without" };
        rows.push((
            "Needs",
            format!("{} of {days}; waits up to {}, {hard}", need.batch, time(need.wait)),
        ));
    }
    for lock in spec.locks {
        rows.push((
            "Lock",
            format!("`{}`, {}", lock.name, if lock.exclusive { "alone" } else { "shared" }),
        ));
    }
    rows.push(("Overlap", overlap(spec.overlap).to_owned()));
    rows.push(("Queue", format!("{}, priority {}", spec.queue.name(), priority(spec.priority))));
    rows.push((
        "Timeout",
        format!("{} per attempt; expected at most {}", time(spec.timeout), time(spec.expected)),
    ));
    rows.push(("Attempts", attempts(&spec.retry)));
    for (cause, retry) in spec.retry_by_cause {
        // a job whose worker vanished goes back at once, whatever the delays
        let told = if *cause == Cause::Lost {
            format!("{}, at once", retry.attempts)
        } else {
            attempts(retry)
        };
        rows.push(("… by cause", format!("{}: {told}", cause.word())));
    }
    rows.push(("Severity", spec.severity.word().to_owned()));
    if spec.approval == Approval::SecondPerson {
        rows.push(("Approval", "a second person, before it starts".to_owned()));
    }
    for param in spec.params {
        let default = param.default.map_or("must be given".to_owned(), |d| format!("default {d}"));
        let text =
            format!("`{}`: {} ({}; {default})", param.name, param.help, param.kind.expected());
        rows.push(("Parameter", text));
    }
    let rows: String = rows.iter().map(|(name, text)| format!("| {name} | {text} |\n")).collect();
    format!("| From its spec | |\n|---|---|\n{rows}")
}

fn schedule(schedule: Schedule) -> String {
    match schedule {
        Schedule::Cron(_) | Schedule::Interval(_) => format!("`{}`", cron::text(schedule)),
        Schedule::Arrivals(topic) => format!("at once when {topic} arrive"),
        Schedule::Manual => "by a person only".to_owned(),
    }
}

fn catch_up(rule: CatchUp) -> &'static str {
    match rule {
        CatchUp::Latest => "the newest missed firing only",
        CatchUp::Every => "every missed firing, in order",
        CatchUp::None => "none, missed is missed",
    }
}

fn period(period: Period) -> &'static str {
    match period {
        Period::None => "none: works on what stands at its start",
        Period::Day => "the day of the firing",
        Period::DayBefore => "the day before",
        Period::WeekBefore => "the week before, Monday to Sunday",
        Period::MonthBefore => "the month before",
    }
}

fn window(spec: &Spec) -> String {
    let hm = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    spec.window.map_or("at any hour".to_owned(), |w| {
        format!("{}–{}", hm(w.from_minute), hm(w.until_minute))
    })
}

fn deadline(spec: &Spec) -> String {
    match (spec.deadline, spec.window) {
        (Some(after), _) => format!("{} after it was due", time(after)),
        (None, Some(_)) => "until the end of these hours".to_owned(),
        (None, None) => "a day after it was due".to_owned(),
    }
}

fn scope(spec: &Spec) -> String {
    let mut text = match spec.scope {
        Scope::Global => "once for all tenants".to_owned(),
        Scope::EachTenant => "each tenant on its own".to_owned(),
    };
    for (phase, words) in
        [(Phase::Prepare, "after one `prepare`"), (Phase::Finish, "then one `finish`")]
    {
        if spec.has(phase) {
            text.push_str(&format!(", {words}"));
        }
    }
    text
}

fn overlap(rule: Overlap) -> &'static str {
    match rule {
        Overlap::Forbid => "due while a run is open: skipped and recorded",
        Overlap::Queue => "due while a run is open: waits its turn",
        Overlap::Allow => "runs side by side",
    }
}

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Highest => "highest",
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
    }
}

fn attempts(retry: &Retry) -> String {
    let delays: Vec<String> = (1..retry.attempts).map(|n| time(retry.delay(n))).collect();
    match (delays.split_first(), retry.backoff) {
        (None, _) => "1".to_owned(),
        (Some((first, rest)), Backoff::Fixed) if !rest.is_empty() => {
            format!("{}, {first} apart", retry.attempts)
        }
        _ => format!("{}, after {}", retry.attempts, delays.join(", ")),
    }
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        s if s >= 120 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
