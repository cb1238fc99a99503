//! The weekly report's chapters in words, tables and charts.

use yakin_domain::performance::Report;
use yakin_domain::performance::changes::{Change, Measure};
use yakin_domain::performance::chapters::{Caller, Group, Timing};

use super::charts;
use super::paper::{Cell, Chapter, Paper, Part};
use super::words::Words;

/// Rows of the longest tables.
const MOST_ROWS: usize = 20;

/// The paper of a week's report, made on this ISO day.
pub fn paper(report: &Report, words: Words, issued_on: String) -> Paper {
    Paper {
        language: words.language(),
        issued_on,
        title: format!(
            "{} {}",
            words.say("週次パフォーマンス分析", "Weekly performance"),
            report.week
        ),
        subtitle: format!("{} – {}", report.first, report.last),
        notice: notice(report, words),
        facts: facts(report, words),
        chapters: vec![
            changes(report, words),
            responses(report, words),
            errors(report, words),
            super::sheet_database::chapter(&report.database, words),
            api(report, words),
        ],
    }
}

fn notice(report: &Report, words: Words) -> Option<String> {
    let c = &report.coverage;
    let text = words.say(
        "この報告書は不完全です。記録のある時間が 80% に満たず、グラフの空白は記録のない時間です",
        "This report is incomplete: less than 80% of the hours were recorded; gaps in charts are hours without data",
    );
    (!c.complete).then(|| format!("{text} ({}/{}, {:.1}%)", c.with_data, c.hours, c.percent))
}

fn facts(report: &Report, words: Words) -> Vec<(String, String)> {
    let (total, coverage) = (&report.total, &report.coverage);
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let requests = i64::try_from(total.requests).unwrap_or(i64::MAX);
    vec![
        fact(words.say("リクエスト", "Requests"), words.count(requests)),
        fact("p50", words.ms(total.p50_ms)),
        fact("p95", words.ms(total.p95_ms)),
        fact("p99", words.ms(total.p99_ms)),
        fact(words.say("4xx の割合", "Share of 4xx"), words.percent(report.errors.client_percent)),
        fact(words.say("5xx の割合", "Share of 5xx"), words.percent(report.errors.server_percent)),
        fact(words.say("1 秒超の割合", "Over 1 s"), words.percent(total.over_1s_percent)),
        fact(words.say("記録のある時間", "Hours recorded"), format!("{:.1}%", coverage.percent)),
    ]
}

fn changes(report: &Report, words: Words) -> Chapter {
    let mut parts = Vec::new();
    if !report.errors.compared {
        parts.push(Part::text(words.say(
            "前の週の記録がないため、比較できません。",
            "There is no week before to compare with.",
        )));
    } else if report.changes.is_empty() {
        parts.push(Part::text(words.say(
            "前の週より悪くなった項目はありません。",
            "Nothing became worse than in the week before.",
        )));
    } else {
        let rows = report.changes.iter().take(MOST_ROWS).map(|c| change(c, words)).collect();
        let names = [
            words.say("対象", "Where"),
            words.say("項目", "What"),
            words.say("前の週", "Before"),
            words.say("今週", "Now"),
            words.say("変化", "Change"),
        ];
        parts.push(Part::table(&names, rows));
    }
    parts.push(Part::note(format!(
        "{} {}% {} {} {}",
        words.say("前の週より", "Told are figures at least"),
        report.change_percent,
        words.say("以上悪く、両週とも", "worse than in the week before, with at least"),
        report.min_requests,
        words.say("件以上あるものを示します。", "requests in both."),
    )));
    let names = [
        words.say("週", "Week"),
        words.say("リクエスト", "Requests"),
        "p95",
        "4xx",
        "5xx",
        words.say("記録のある時間", "Hours recorded"),
    ];
    let rows = report.weeks.iter().map(|w| {
        let requests = i64::try_from(w.requests).unwrap_or(i64::MAX);
        vec![
            Cell::of(&w.week),
            Cell::of(words.count(requests)),
            Cell::of(words.ms(w.p95_ms)),
            Cell::of(words.percent(w.client_percent)),
            Cell::of(words.percent(w.server_percent)),
            Cell::of(format!("{:.1}%", w.coverage_percent)),
        ]
    });
    let mut rows: Vec<Vec<Cell>> = rows.collect();
    let weeks = || report.weeks.iter();
    let picture = |id: &str, values: Vec<Option<f64>>| {
        Cell::picture(charts::small(id, words.say("4週の推移", "Four weeks"), &values))
    };
    rows.push(vec![
        Cell::of(words.say("推移", "Course")),
        picture(
            "w-requests",
            weeks().map(|w| (w.requests > 0).then_some(w.requests as f64)).collect(),
        ),
        picture("w-p95", weeks().map(|w| w.p95_ms.map(f64::from)).collect()),
        picture("w-4xx", weeks().map(|w| w.client_percent).collect()),
        picture("w-5xx", weeks().map(|w| w.server_percent).collect()),
        Cell::default(),
    ]);
    parts.push(Part::heading(words.say("4週の推移", "Four weeks")));
    parts.push(Part::table(&names, rows));
    Chapter { title: words.say("前の週との比較", "What changed").to_owned(), parts }
}

fn change(change: &Change, words: Words) -> Vec<Cell> {
    let (what, unit) = match change.measure {
        Measure::P95 => ("p95", " ms"),
        Measure::ServerErrors => (words.say("5xx の割合", "Share of 5xx"), "%"),
        Measure::ClientErrors => (words.say("4xx の割合", "Share of 4xx"), "%"),
    };
    let value = |v: f64| format!("{}{unit}", yakin_render::chart::figure(v));
    let all = words.say("サービス全体", "The whole service");
    let place = if change.endpoint.is_empty() { all } else { change.endpoint.as_str() };
    let worse = change.worse_percent.map_or_else(
        || words.say("0 から", "from zero").to_owned(),
        |percent| format!("+{percent:.1}%"),
    );
    vec![
        Cell::of(place),
        Cell::of(what),
        Cell::of(value(change.before)),
        Cell::of(value(change.now)),
        Cell::flagged(worse, true),
    ]
}

fn timing(timing: &Timing, words: Words) -> Vec<Cell> {
    vec![
        Cell::of(words.count(i64::try_from(timing.requests).unwrap_or(i64::MAX))),
        Cell::of(words.ms(timing.p50_ms)),
        Cell::of(words.ms(timing.p95_ms)),
        Cell::of(words.ms(timing.p99_ms)),
        Cell::of(words.percent(timing.over_1s_percent)),
        Cell::of(words.percent(timing.over_3s_percent)),
    ]
}

fn responses(report: &Report, words: Words) -> Chapter {
    let calls = words.say("件数", "Calls");
    let mut names = vec![words.say("時刻", "Hour"), calls, "p50", "p95", "p99", "> 1 s", "> 3 s"];
    let by_hour = report.responses.by_hour.iter().enumerate().map(|(hour, of)| {
        let mut row = vec![Cell::of(format!("{hour:02}:00"))];
        row.extend(timing(of, words));
        row
    });
    let hours = Part::table(&names, by_hour.collect());
    names[0] = words.say("エンドポイント", "Endpoint");
    names.extend([
        words.say("合計時間", "Time in all"),
        words.say("p95 の変化", "p95 change"),
        words.say("4週", "4 weeks"),
    ]);
    let slowest = report.responses.endpoints.iter().take(MOST_ROWS).enumerate();
    let endpoints = slowest.map(|(place, of)| {
        let worse =
            report.changes.iter().any(|c| c.measure == Measure::P95 && c.endpoint == of.endpoint);
        let weeks: Vec<Option<f64>> = of.p95_weeks.iter().map(|w| w.map(f64::from)).collect();
        let mut row = vec![Cell::of(&of.endpoint)];
        row.extend(timing(&of.timing, words));
        row.push(Cell::of(words.time(of.total_ms as f64)));
        row.push(Cell::flagged(words.change(of.p95_before_ms, of.timing.p95_ms), worse));
        row.push(Cell::picture(charts::small(&format!("e-{place}"), &of.endpoint, &weeks)));
        row
    });
    let parts = vec![
        Part::Chart { svg: charts::hours(report, words) },
        Part::note(words.say(
            "99 ms までは正確です。それより長い値は有効数字 2 桁に切り上げて数えるため、百分位は最大 10% 高く出ます。平均、最大、1 秒超と 3 秒超の割合は正確です。",
            "Durations up to 99 ms are exact. Longer ones are counted under the next number of two figures, so percentiles may be up to 10% too high, never too low. Means, maxima and the shares over 1 s and 3 s are exact.",
        )),
        Part::heading(words.say("合計時間の大きいエンドポイント", "Endpoints by time in all")),
        Part::table(&names, endpoints.collect()),
        Part::heading(words.say("時刻別", "By hour of day")),
        Part::Chart { svg: charts::hours_of_day(report, words) },
        hours,
    ];
    Chapter { title: words.say("応答時間", "Response times").to_owned(), parts }
}

fn groups(groups: &[Group], words: Words) -> Part {
    let names = [
        words.say("エンドポイント", "Endpoint"),
        words.say("応答コード", "Status"),
        words.say("前の週", "Before"),
        words.say("今週", "Now"),
    ];
    let rows = groups.iter().map(|g| {
        vec![
            Cell::of(&g.endpoint),
            Cell::of(g.status.to_string()),
            Cell::of(words.count(g.before)),
            Cell::of(words.count(g.count)),
        ]
    });
    Part::table(&names, rows.collect())
}

fn errors(report: &Report, words: Words) -> Chapter {
    let of = &report.errors;
    let mut parts = vec![
        Part::text(format!(
            "4xx {} ({}), 5xx {} ({})",
            words.count(of.client_errors),
            words.percent(of.client_percent),
            words.count(of.server_errors),
            words.percent(of.server_percent),
        )),
        Part::Chart { svg: charts::errors(report, words) },
    ];
    if !of.groups.is_empty() {
        parts.push(Part::heading(words.say("多いエラー", "Most frequent")));
        parts.push(groups(&of.groups, words));
    }
    for (title, found, in_all) in [
        (words.say("新しいエラー", "New"), &of.new, of.new_in_all),
        (words.say("なくなったエラー", "Vanished"), &of.vanished, of.vanished_in_all),
    ] {
        if !found.is_empty() {
            parts.push(Part::heading(format!("{title} ({in_all})")));
            parts.push(groups(found, words));
        }
    }
    Chapter { title: words.say("エラー", "Errors").to_owned(), parts }
}

fn callers(first: &str, prefix: &str, callers: &[Caller], words: Words) -> Part {
    let names = [
        first,
        words.say("呼び出し", "Calls"),
        words.say("拒否", "Rejected"),
        "5xx",
        words.say("月〜日", "Mon–Sun"),
    ];
    let rows = callers.iter().enumerate().map(|(place, of)| {
        let days: Vec<Option<f64>> = of.days.iter().map(|n| Some(*n as f64)).collect();
        vec![
            Cell::of(&of.name),
            Cell::of(words.count(of.calls)),
            Cell::of(words.count(of.rejected)),
            Cell::of(words.count(of.server_errors)),
            Cell::picture(charts::small(&format!("{prefix}-{place}"), &of.name, &days)),
        ]
    });
    Part::table(&names, rows.collect())
}

fn api(report: &Report, words: Words) -> Chapter {
    let of = &report.api;
    let peak = of.peak_minute.as_deref().map_or_else(
        || words.nothing(),
        |minute| format!("{minute} ({})", words.count(of.peak_minute_calls)),
    );
    let parts = vec![
        Part::text(format!(
            "{}: {} · {}: {peak} · {}: {} ({})",
            words.say("呼び出し", "Calls"),
            words.count(of.calls),
            words.say("最も多かった 1 分", "Busiest minute"),
            words.say("拒否 (429, 403)", "Rejected (429, 403)"),
            words.count(of.rejected),
            words.percent(of.rejected_percent),
        )),
        Part::Chart { svg: charts::calls(report, words) },
        Part::heading(words.say("企業別", "By company")),
        Part::Chart { svg: charts::companies(report, words) },
        callers(words.say("企業", "Company"), "c", &of.companies, words),
        Part::note(format!(
            "{}: {} · {}: {}",
            words.say("企業数", "Companies"),
            of.companies_in_all,
            words.say("企業の分からない呼び出し", "Calls of no known company"),
            words.count(of.without_company),
        )),
        Part::heading(words.say("エンドポイント別", "By endpoint")),
        callers(words.say("エンドポイント", "Endpoint"), "a", &of.endpoints, words),
    ];
    Chapter { title: words.say("API の利用", "API use").to_owned(), parts }
}
