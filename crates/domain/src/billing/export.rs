//! The accounting file: one row per invoice and tax rate, and a control row at the end. Each invoice is exported
//! once, held ones when a person has released them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde::Deserialize;
use yakin_adapters::storage::Stored;
use yakin_engine::days::Days;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::money::sum;
use super::{BillingEngine, BillingError};

/// `[export]`: how the accounting system reads its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    pub encoding: Encoding,
    pub line_end: LineEnd,
}

/// Of the file's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// With a byte order mark, so that spreadsheets know it.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows' Shift_JIS.
    #[serde(rename = "cp932")]
    Cp932,
}

/// Of the file's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    #[default]
    Crlf,
    Lf,
}

/// The columns, in this order.
pub const COLUMNS: [&str; 16] = [
    "請求書番号",
    "種別",
    "訂正元請求書番号",
    "取引先コード",
    "取引先名",
    "対象期間開始",
    "対象期間終了",
    "発行日",
    "支払期限",
    "通貨",
    "税率",
    "税抜金額",
    "消費税額",
    "税込金額",
    "登録番号",
    "実行番号",
];

/// An invoice's part of one tax rate.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Entry {
    pub tenant_id: i64,
    pub invoice_id: i64,
    pub number: String,
    pub kind: String,
    pub adjusts: Option<String>,
    pub code: String,
    pub name: String,
    pub first: String,
    pub last: String,
    pub issued_on: String,
    pub due_on: String,
    pub currency: String,
    pub tax_rate: Decimal,
    pub taxable: Decimal,
    pub tax: Decimal,
    pub registration_number: Option<String>,
    pub run_id: i64,
}

/// The invoices of an engine's `month` that the accounting system has not got and may get, whichever run issued them (a
/// run that was cancelled exports nothing); as the platform.
pub async fn entries(
    tx: &mut Tx,
    run: i64,
    engine: BillingEngine,
    month: Days,
) -> Result<Vec<Entry>, Stop> {
    Ok(sqlx::query_as(include_str!("export_entries.sql"))
        .bind(run)
        .bind(month.start.to_sqlx())
        .bind(engine.word())
        .fetch_all(tx)
        .await?)
}

/// An accounting file, ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub currency: String,
    /// (tenant, invoice), each once.
    pub invoices: Vec<(i64, i64)>,
    pub control_total: Decimal,
    pub bytes: Vec<u8>,
}

/// The files of these entries: one per currency.
pub fn files(entries: &[Entry], form: Form) -> Result<Vec<Export>, Stop> {
    let mut currencies: Vec<&str> = entries.iter().map(|e| e.currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies
        .into_iter()
        .map(|currency| {
            let of: Vec<&Entry> = entries.iter().filter(|e| e.currency == currency).collect();
            file(currency, &of, form)
        })
        .collect()
}

fn file(currency: &str, entries: &[&Entry], form: Form) -> Result<Export, Stop> {
    let mut invoices: Vec<(i64, i64)> =
        entries.iter().map(|e| (e.tenant_id, e.invoice_id)).collect();
    invoices.sort_unstable();
    invoices.dedup();
    let taxable = sum(entries.iter().map(|e| e.taxable)).map_err(overflow)?;
    let tax = sum(entries.iter().map(|e| e.tax)).map_err(overflow)?;
    let control_total = sum([taxable, tax]).map_err(overflow)?;
    let mut rows: Vec<Vec<String>> = vec![COLUMNS.iter().map(|c| (*c).to_owned()).collect()];
    for entry in entries {
        rows.push(row(entry)?);
    }
    let mut control = vec![String::new(); COLUMNS.len()];
    control[0] = "合計".to_owned();
    control[1] = format!("{}件", invoices.len());
    control[9] = currency.to_owned();
    control[11] = taxable.to_string();
    control[12] = tax.to_string();
    control[13] = control_total.to_string();
    rows.push(control);
    let bytes = encode(&rows, form)?;
    Ok(Export { currency: currency.to_owned(), invoices, control_total, bytes })
}

fn overflow(error: BillingError) -> Stop {
    error.into()
}

fn row(entry: &Entry) -> Result<Vec<String>, Stop> {
    let total = sum([entry.taxable, entry.tax]).map_err(overflow)?;
    Ok(vec![
        entry.number.clone(),
        if entry.kind == "adjustment" { "修正" } else { "請求" }.to_owned(),
        entry.adjusts.clone().unwrap_or_default(),
        entry.code.clone(),
        harmless(&entry.name),
        entry.first.clone(),
        entry.last.clone(),
        entry.issued_on.clone(),
        entry.due_on.clone(),
        entry.currency.clone(),
        entry.tax_rate.normalize().to_string(),
        entry.taxable.to_string(),
        entry.tax.to_string(),
        total.to_string(),
        entry.registration_number.clone().unwrap_or_default(),
        entry.run_id.to_string(),
    ])
}

/// A text that a spreadsheet would take for a formula begins with an apostrophe; wide signs count, too.
pub(crate) fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

fn encode(rows: &[Vec<String>], form: Form) -> Result<Vec<u8>, Stop> {
    let terminator = match form.line_end {
        LineEnd::Crlf => csv::Terminator::CRLF,
        LineEnd::Lf => csv::Terminator::Any(b'\n'),
    };
    let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
    let failed = |error: String| Stop::give_up(Cause::Defect, format!("writing CSV: {error}"));
    for row in rows {
        writer.write_record(row).map_err(|e| failed(e.to_string()))?;
    }
    let utf8 = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    match form.encoding {
        Encoding::Utf8 => Ok(["\u{feff}".as_bytes(), &utf8].concat()),
        Encoding::Cp932 => rows.iter().try_for_each(|row| in_cp932(row)).and_then(|()| {
            let text = String::from_utf8(utf8).map_err(|e| failed(e.to_string()))?;
            Ok(encoding_rs::SHIFT_JIS.encode(&text).0.into_owned())
        }),
    }
}

/// Nothing is replaced in silence: a character that CP932 has not is named.
fn in_cp932(row: &[String]) -> Result<(), Stop> {
    for field in row {
        let unknown =
            field.chars().find(|c| encoding_rs::SHIFT_JIS.encode(c.encode_utf8(&mut [0; 4])).2);
        if let Some(unknown) = unknown {
            let why = format!(
                "invoice {}: '{unknown}' (U+{:04X}) in '{field}' does not exist in CP932; export as utf-8, or mend \
                 the name",
                row[0], unknown as u32
            );
            return Err(Stop::give_up(Cause::Data, why));
        }
    }
    Ok(())
}

impl Export {
    /// Where it lies: `302-<run>-…`, `monthly_001-<run>-…`. The digest is part of the name, so that no file is ever
    /// overwritten by another.
    pub fn key(&self, (batch, run): (&str, i64), month: &str, sha256: &str) -> String {
        let digest: String = sha256.chars().take(12).collect();
        let by = batch.trim_start_matches("BATCH-").to_lowercase();
        format!("platform/accounting/{month}/{by}-{run}-{}-{digest}.csv", self.currency)
    }
}

/// Notes a stored export and marks its invoices, each once: somebody else's export of one of them is a retry.
pub async fn record(
    tx: &mut Tx,
    export: &Export,
    key: &str,
    stored: &Stored,
    run: i64,
    at: Timestamp,
) -> Result<(), Stop> {
    let (tenants, invoices): (Vec<i64>, Vec<i64>) = export.invoices.iter().copied().unzip();
    let marked = sqlx::query(
        "UPDATE app.invoices i SET exported_at = $3
           FROM unnest($1::bigint[], $2::bigint[]) AS e (tenant_id, invoice_id)
          WHERE (i.tenant_id, i.invoice_id) = (e.tenant_id, e.invoice_id) AND i.exported_at IS NULL",
    )
    .bind(&tenants)
    .bind(&invoices)
    .bind(at.to_sqlx())
    .execute(&mut *tx)
    .await?;
    if marked.rows_affected() != invoices.len() as u64 {
        let why = "another export took one of these invoices meanwhile";
        return Err(Stop::retry(Cause::LockConflict, why));
    }
    sqlx::query(
        "INSERT INTO app.accounting_exports (run_id, currency, key, invoices, control_total, size_bytes, sha256,
                                             exported_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(run)
    .bind(&export.currency)
    .bind(key)
    .bind(i32::try_from(invoices.len()).unwrap_or(i32::MAX))
    .bind(export.control_total)
    .bind(i64::try_from(stored.size).unwrap_or(i64::MAX))
    .bind(&stored.sha256)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: &str, name: &str, rate: &str, taxable: i64, tax: i64) -> Entry {
        Entry {
            tenant_id: 1,
            invoice_id: number.len() as i64,
            number: number.to_owned(),
            kind: "invoice".to_owned(),
            adjusts: None,
            code: "aoba".to_owned(),
            name: name.to_owned(),
            first: "2026-10-01".to_owned(),
            last: "2026-10-31".to_owned(),
            issued_on: "2026-11-01".to_owned(),
            due_on: "2026-12-01".to_owned(),
            currency: "JPY".to_owned(),
            tax_rate: rate.parse().unwrap(),
            taxable: taxable.into(),
            tax: tax.into(),
            registration_number: Some("T9700110012005".to_owned()),
            run_id: 7,
        }
    }

    #[test]
    fn the_control_row_adds_up_and_an_invoice_of_two_rates_counts_once() {
        let entries = [
            entry("INV-1", "株式会社あおば", "0.10", 45_980, 4_598),
            entry("INV-1", "株式会社あおば", "0.08", 1_000, 80),
        ];
        let files = files(&entries, Form::default()).unwrap();
        assert_eq!((files.len(), files[0].invoices.len()), (1, 1));
        assert_eq!(files[0].control_total, 51_658.into());
        let text = String::from_utf8(files[0].bytes.clone()).unwrap();
        assert!(text.starts_with("\u{feff}請求書番号,種別,"));
        assert!(text.ends_with("\r\n合計,1件,,,,,,,,JPY,,46980,4678,51658,,\r\n"), "{text}");
    }

    #[test]
    fn names_that_look_like_formulas_are_made_harmless() {
        let files = files(&[entry("INV-1", "=1+1", "0.1", 1, 0)], Form::default()).unwrap();
        assert!(String::from_utf8(files[0].bytes.clone()).unwrap().contains(",'=1+1,"));
    }

    #[test]
    fn cp932_is_written_and_what_it_lacks_is_named() {
        let form = Form { encoding: Encoding::Cp932, line_end: LineEnd::Lf };
        let ok = files(&[entry("INV-1", "髙﨑①", "0.1", 1, 0)], form).unwrap();
        let (text, _, wrong) = encoding_rs::SHIFT_JIS.decode(&ok[0].bytes);
        assert!(!wrong && text.contains("髙﨑①"));
        assert!(!ok[0].bytes.contains(&b'\r'));
        let error = files(&[entry("INV-1", "あおば🌿", "0.1", 1, 0)], form).unwrap_err().message();
        assert!(error.contains("INV-1") && error.contains("U+1F33F"), "{error}");
    }
}
