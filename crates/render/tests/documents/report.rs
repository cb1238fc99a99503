//! The report as other programs read it.

use crate::common::*;
use serde_json::{Value, json};
use yakin_render::RenderError;

fn report(name: &str) -> Value {
    sample_of("report", name)
}

fn with_rows(many: usize, name: impl Fn(usize) -> String) -> Value {
    let mut data = report("sample.json");
    let rows: Vec<Value> =
        (1..=many).map(|n| json!([name(n), format!("{n}"), "–", "–", "–"])).collect();
    data["chapters"][0]["parts"][0]["rows"] = rows.into();
    data
}

#[tokio::test]
async fn a_japanese_report_says_what_is_missing_on_its_cover() {
    let rendered = renderer().render("report", &report("sample.json")).await.unwrap();
    assert_eq!((rendered.pages, rendered.warnings.as_slice()), (1, &[] as &[String]));
    assert_clean("report", &rendered.pdf);
    let pages = pages(&rendered.pdf);
    assert_says(&pages, &["月次利用レポート", "作成日2026年11月2日", "アクメ髙橋工業株式会社御中"]);
    assert_says(&pages, &["2026年10月", "企業コードacme", "ご注意", "10-03, 10-07。合計と平均は"]);
    assert_says(&pages, &["項目当月前月前月との差前年同月", "登録利用者 (月末) 128 121 7 –"]);
    assert_says(
        &pages,
        &["1.利用者とエンジニア", "日ごとの利用した人最大62", "2.よく使われた機能"],
    );
}

#[tokio::test]
async fn an_english_report_addresses_nobody_and_sums_its_last_row() {
    let rendered = renderer().render("report", &report("sample_en.json")).await.unwrap();
    assert_clean("report_en", &rendered.pdf);
    let pages = pages(&rendered.pdf);
    assert_says(
        &pages,
        &["Monthly revenue report", "Made on 2 November 2026", "Sum 12 JPY 1,234,567"],
    );
    let text = pages.concat();
    assert!(!text.contains("御中") && !text.contains("Pleasenote"), "{text}");
}

#[tokio::test]
async fn many_rows_make_pages_that_repeat_the_head_and_long_names_stay_within_them() {
    let data = with_rows(150, |n| match n {
        7 => "とても長い名前の項目が続きます".repeat(8),
        8 => "unbroken".repeat(30),
        _ => format!("第{n}項"),
    });
    let rendered = renderer().render("report", &data).await.unwrap();
    let pages = pages(&rendered.pdf);
    assert!(pages.len() >= 3, "{} pages", pages.len());
    for page in &pages[1..pages.len() - 1] {
        assert!(page.contains("項目当月前月前月との差前年同月"), "{page}");
        assert!(page.starts_with("アクメ髙橋工業株式会社月次利用レポート2026年10月"), "{page}");
    }
    assert_says(&pages, &["第150項150–––", &"unbroken".repeat(30)]);
}

#[tokio::test]
async fn what_others_wrote_is_text_and_nothing_else() {
    let mut data = with_rows(1, |_| "#panic(\"x\") *b* $1$ \u{202e}evil".to_owned());
    data["about"] = "#read(\"/etc/passwd\")".into();
    let rendered = renderer().render("report", &data).await.unwrap();
    assert_says(&pages(&rendered.pdf), &["#panic(\"x\")*b*$1$evil", "#read(\"/etc/passwd\")"]);
}

#[tokio::test]
async fn data_that_breaks_the_contract_is_refused_by_name() {
    let broken = |change: fn(&mut Value)| {
        let mut data = report("sample.json");
        change(&mut data);
        data
    };
    for (data, said) in [
        (broken(|d| d["language"] = "fr".into()), "language is \"fr\""),
        (broken(|d| d["chapters"][0]["parts"][0]["rows"][0] = json!(["a"])), "rows 1 is"),
        (
            broken(|d| d["chapters"][0]["parts"][1]["points"][0][1] = "1.5".into()),
            "expected 0 to 1",
        ),
        (
            broken(|d| d["chapters"][0]["parts"][0]["kind"] = "pie".into()),
            "expected table, series or note",
        ),
        (broken(|d| d["facts"][0] = json!(["a"])), "facts 1 is"),
    ] {
        let error = renderer().render("report", &data).await.unwrap_err();
        assert!(matches!(error, RenderError::Data { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
