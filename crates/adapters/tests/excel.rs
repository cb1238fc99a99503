//! Workbooks as openpyxl reads them.
#![allow(clippy::unwrap_used)] // a test may fail

use std::process::Command;

use jiff::civil::date;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use yakin_adapters::excel::{Cell, Sheet, workbook};

/// Each cell as [type, value, number format, whether Excel keeps it from being a formula].
fn read(name: &str, bytes: &[u8]) -> Value {
    let path = std::env::temp_dir().join(format!("yakin-excel-{}-{name}.xlsx", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    const READ: &str = "import json, sys, openpyxl\n\
        book = openpyxl.load_workbook(sys.argv[1])\n\
        print(json.dumps([[s.title, s.freeze_panes, [[[c.data_type, str(c.value), c.number_format, bool(c.quotePrefix)]\n\
        for c in row] for row in s.iter_rows()]] for s in book.worksheets]))";
    let out = Command::new("/usr/bin/python3").args(["-c", READ]).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn sheet(rows: Vec<Vec<Cell>>) -> Sheet {
    Sheet { name: "表/1".to_owned(), head: vec!["項目".to_owned(), "値".to_owned()], rows }
}

#[test]
fn numbers_days_and_texts_are_read_as_what_they_are() {
    let rows = vec![
        vec![Cell::Text("a".to_owned()), Cell::Integer(1_234_567)],
        vec![Cell::Empty, Cell::Decimal(Decimal::new(-1250, 2))],
        vec![Cell::Date(date(2026, 10, 31)), Cell::Percent(Decimal::new(125, 1))],
        vec![Cell::Integer(i64::MAX), Cell::Decimal(Decimal::MAX)],
    ];
    let book = read("kinds", &workbook("t", date(2026, 11, 2), &[sheet(rows)]).unwrap());
    assert_eq!((&book[0][0], &book[0][1]), (&json!("表 1"), &json!("A2")));
    let cells = &book[0][2];
    assert_eq!(cells[1][1], json!(["n", "1234567", "#,##0", false]));
    assert_eq!(cells[2][1], json!(["n", "-12.5", "#,##0.00", false]));
    assert_eq!(cells[3][0], json!(["d", "2026-10-31 00:00:00", "yyyy-mm-dd", false]));
    assert_eq!(cells[3][1], json!(["n", "0.125", "#,##0.0%", false]));
    assert_eq!(cells[4][0][1], "9223372036854775807");
    assert_eq!(cells[4][1][1], Decimal::MAX.to_string());
}

#[test]
fn what_begins_like_a_formula_is_a_text_that_stays_one() {
    let texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "a=1", "control\u{1}led"];
    let rows = texts.map(|t| vec![Cell::Text(t.to_owned())]).to_vec();
    let book = read("formulas", &workbook("t", date(2026, 11, 2), &[sheet(rows)]).unwrap());
    for (n, text) in texts.iter().enumerate() {
        let cell = &book[0][2][n + 1][0];
        let kept = text.replace('\u{1}', "");
        assert_eq!((&cell[0], &cell[1]), (&json!("s"), &json!(kept)));
        assert_eq!(cell[3], json!(n < 6), "{text}");
    }
}

#[test]
fn the_same_sheets_give_the_same_bytes_and_many_rows_their_workbook() {
    let rows = |many: i64| {
        (0..many).map(|n| vec![Cell::Integer(n), Cell::Text("行".to_owned())]).collect()
    };
    let make =
        || workbook("題", date(2026, 11, 2), &[sheet(rows(3)), sheet(rows(20_000))]).unwrap();
    let bytes = make();
    assert_eq!(bytes, make());
    let book = read("many", &bytes);
    assert_eq!((&book[1][0], book[1][2].as_array().unwrap().len()), (&json!("表 1 2"), 20_001));
    assert_eq!(book[1][2][20_000][0][1], "19999");
    assert!(workbook("t", date(2026, 11, 2), &[sheet(rows(100_001))]).is_err());
}
