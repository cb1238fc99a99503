//! The invoice as other programs read it.

use crate::common::*;
use serde_json::{Value, json};
use yakin_render::RenderError;

/// An invoice of so many lines, each of ¥100 and named by `describe`.
fn with_lines(many: usize, describe: impl Fn(usize) -> String) -> Value {
    let mut data = sample("sample.json");
    let line = |n| {
        json!({"description": describe(n), "quantity": "1", "unit": "式", "unit_price": "100",
            "amount": "100", "tax_rate": "0.10"})
    };
    data["lines"] = (1..=many).map(line).collect();
    let (subtotal, tax) = (many * 100, many * 10);
    data["taxes"] =
        json!([{"rate": "0.10", "taxable": subtotal.to_string(), "tax": tax.to_string()}]);
    data["subtotal"] = subtotal.to_string().into();
    data["tax"] = tax.to_string().into();
    data["total"] = (subtotal + tax).to_string().into();
    data
}

#[tokio::test]
async fn a_japanese_invoice_says_what_the_law_and_the_payer_want() {
    let rendered = renderer().render("invoice", &sample("sample.json")).await.unwrap();
    assert_eq!((rendered.pages, rendered.warnings.as_slice()), (1, &[] as &[String]));
    let pages = pages(&rendered.pdf);
    assert_says(&pages, &["請求書", "請求書番号INV-202610-acme-0001", "発行日2026年11月1日"]);
    assert_says(
        &pages,
        &["アクメ髙橋工業株式会社御中", "大阪府大阪市北区梅田2-4-9", "株式会社サンプル"],
    );
    assert_says(&pages, &["登録番号T9700110012005", "見本銀行本店営業部普通1234567"]);
    assert_says(&pages, &["お支払期限2026年12月1日", "2026年10月1日〜2026年10月31日"]);
    assert_says(&pages, &["ご請求金額（税込）¥63,661", "税率ごとに1回", "1/1"]);
    assert_says(&pages, &["基本料金スタンダード(2026-10-01..2026-10-31)1か月50,00010%50,000"]);
    assert_says(&pages, &["ストレージ超過(50GBまで込み)20.125GB8010%1,610"]);
    assert_says(&pages, &["割引年間契約5%1式▲2,50010%▲2,500"]);
    assert_says(&pages, &["会議室向け飲料(軽減税率対象)24本110※8%2,640", "※は軽減税率の対象"]);
    assert_says(&pages, &["10%55,2825,528", "※8%2,640211", "57,922", "5,739"]);
    let text = pages.concat();
    assert!(!text.contains("改訂") && !text.contains("※10%"), "{text}");
}

#[tokio::test]
async fn an_english_invoice_in_dollars() {
    let rendered = renderer().render("invoice", &sample("sample_en.json")).await.unwrap();
    let pages = pages(&rendered.pdf);
    assert_says(&pages, &["Invoice", "Invoice No. INV-202610-globex-0003", "Revision 1"]);
    assert_says(&pages, &["Registration No. T9700110012005", "1 November 2026", "1 December 2026"]);
    assert_says(&pages, &["Total due (tax included) $1,573.37", "48,210 calls 0.004 10% 192.84"]);
    assert_says(&pages, &["1 lot −12.5 10% −12.50", "10% 1,430.34 143.03"]);
    let text = pages.concat();
    assert!(!text.contains("御中") && !text.contains('※'), "{text}");
}

#[tokio::test]
async fn an_adjustment_names_the_invoice_it_adjusts_and_its_negative_sums() {
    let rendered = renderer().render("invoice", &sample("sample_adjustment.json")).await.unwrap();
    let pages = pages(&rendered.pdf);
    assert_says(&pages, &["修正請求書", "修正する請求書INV-202610-acme-0001", "改訂1"]);
    assert_says(&pages, &["▲¥1,540", "▲3,200回0.510%▲1,600", "10%▲1,400▲140"]);
    let text = pages.concat();
    assert!(!text.contains("お支払期限") && !text.contains("お振込先"), "{text}");
}

#[tokio::test]
async fn many_lines_make_pages_with_numbers_and_the_tables_head() {
    let data = with_lines(120, |n| format!("第{n}回の作業"));
    let rendered = renderer().render("invoice", &data).await.unwrap();
    let pages = pages(&rendered.pdf);
    assert!(pages.len() >= 3, "{} pages", pages.len());
    assert_eq!(rendered.pages, pages.len());
    for (n, page) in pages.iter().enumerate() {
        assert!(page.ends_with(&format!("{}/{}", n + 1, pages.len())), "{page}");
        assert!(n == 0 || page.starts_with("アクメ髙橋工業株式会社御中請求書INV-"), "{page}");
        assert!(!page.contains("回の作業") || page.contains("品目数量単位単価税率金額"), "{page}");
    }
    for n in 1..=120 {
        assert_says(&pages, &[&format!("第{n}回の作業1式10010%100")]);
    }
    assert_says(&pages, &["¥13,200"]);
    assert_clean("many_lines", &rendered.pdf);
}

#[tokio::test]
async fn foreign_text_is_printed_and_not_obeyed() {
    let hostile = [
        "#import \"x\": *",
        "#panic(1) #sys.inputs",
        "$ x^2 $ a_b *c* _d_ `e` ~ ---",
        "\\ \\u{41} ] ) } [ ( {",
        "</text> <label> @ref // c /* d */",
        "= h - i + j / k: l",
        "髙﨑 𠮟る 祐德 ～―①㈱",
        "\"quoted\" 'single' \" + \"",
        "{{data}} %s ${x} `rm -rf`",
    ];
    let mut data = with_lines(hostile.len() + 3, |n| match n {
        10 => "A".repeat(300),
        11 => "長い説明".repeat(100),
        12 => "line 1\nline 2\r\nline 3\u{0}\u{7}\u{202e}abc".to_owned(),
        _ => hostile[n - 1].to_owned(),
    });
    data["recipient"]["name"] = "#eval(\"1\") \\ $髙﨑$ 株式会社".into();
    data["issuer"]["address"] = "[#x] 1-2-3\n*4階*".into();
    data["lines"][0]["unit"] = "#unit-of-a-very-long-name".into();
    let rendered = renderer().render("invoice", &data).await.unwrap();
    let pages = pages(&rendered.pdf);
    assert_says(&pages, &hostile);
    assert_says(&pages, &["#eval(\"1\") \\ $髙﨑$ 株式会社御中", "[#x] 1-2-3*4階*", "line 3abc"]);
    let text = pages.concat();
    assert_eq!(text.matches("長い説明").count(), 100);
    assert!(text.matches('A').count() >= 300, "{text}");
    assert_clean("foreign_text", &rendered.pdf);
}

#[tokio::test]
async fn what_no_font_can_show_is_said() {
    let data =
        with_lines(2, |n| if n == 1 { "𠮷田の寿司🍣".to_owned() } else { "plain".to_owned() });
    let rendered = renderer().render("invoice", &data).await.unwrap();
    assert_eq!(rendered.warnings, ["no font has a glyph for 🍣 (U+1F363), 𠮷 (U+20BB7)"]);
    assert_says(&pages(&rendered.pdf), &["田の寿司", "plain"]);
    assert_clean("no_glyph", &rendered.pdf);
}

#[tokio::test]
async fn the_same_data_gives_the_same_bytes_in_every_child() {
    let data = sample("sample.json");
    let first = renderer().render("invoice", &data).await.unwrap();
    let other = renderer();
    let different = other.render("invoice", &sample("sample_en.json")).await.unwrap();
    let second = other.render("invoice", &data).await.unwrap();
    assert!(first == second, "two children wrote different bytes");
    assert_ne!(first.pdf, different.pdf);
    assert_clean("same_bytes", &first.pdf);
    let about = piped("pdfinfo", &["-isodates", "-"], &first.pdf);
    for wanted in ["請求書 INV-202610-acme-0001", "株式会社サンプル", "2026-11-01T00:00:00+09"]
    {
        assert!(about.contains(wanted), "{about}");
    }
    let fonts = piped("pdffonts", &["-"], &first.pdf);
    assert!(fonts.contains("IPAexGothic") && fonts.contains("IPAexMincho"), "{fonts}");
    assert!(fonts.lines().skip(2).all(|font| font.contains(" yes yes yes ")), "{fonts}");
}

#[tokio::test]
async fn data_that_breaks_the_contract_is_refused_by_name() {
    let renderer = renderer();
    let cases: &[(&str, Value, &str)] = &[
        ("/total", json!("63662"), "subtotal and tax are not the total: 63,661 is not 63,662"),
        ("/lines/0/amount", json!("49999"), "the lines' sum is not the subtotal"),
        ("/taxes/1/taxable", json!("2639"), "taxable amounts' sum is not the subtotal"),
        ("/lines/0/tax_rate", json!("0.08"), "lines' sum of rate 0.10 is not its taxable amount"),
        ("/total", json!(63661), "total is 63661, expected a text"),
        ("/total", json!("63,661"), "total is \"63,661\", expected a plain decimal"),
        (
            "/lines/1/quantity",
            json!("1e5"),
            "line 2, quantity is \"1e5\", expected a plain decimal",
        ),
        ("/issued_on", json!("2026-02-30"), "issued_on is 2026-02-30: no such day"),
        ("/issued_on", json!("yesterday"), "issued_on is \"yesterday\", expected a day"),
        ("/period/first", json!("1/10"), "period.first is \"1/10\", expected a day"),
        ("/recipient/name", json!(null), "recipient.name is none, expected a text"),
        ("/currency", json!("EUR"), "currency is \"EUR\", expected one of JPY, USD"),
        ("/language", json!("fr"), "language is \"fr\", expected ja or en"),
        ("/kind", json!("receipt"), "kind is \"receipt\", expected invoice or adjustment"),
    ];
    for (pointer, value, wanted) in cases {
        let mut data = sample("sample.json");
        *data.pointer_mut(pointer).unwrap() = value.clone();
        let error = renderer.render("invoice", &data).await.unwrap_err();
        assert!(matches!(error, RenderError::Data { .. }) && error.is_permanent(), "{error:?}");
        assert!(error.to_string().contains(wanted), "{pointer}: {error}");
    }
    let mut half = sample("sample.json");
    for (pointer, value) in
        [("/lines/4/amount", "2640.5"), ("/taxes/1/taxable", "2640.5"), ("/subtotal", "57922.5")]
    {
        *half.pointer_mut(pointer).unwrap() = value.into();
    }
    half["total"] = "63661.5".into();
    let error = renderer.render("invoice", &half).await.unwrap_err().to_string();
    assert!(error.contains("has more than 0 digits behind the point"), "{error}");
}

#[tokio::test]
async fn data_has_a_longest_length() {
    let mut data = sample("sample.json");
    data["padding"] = "x".repeat(yakin_render::MAX_DATA_BYTES).into();
    let error = renderer().render("invoice", &data).await.unwrap_err();
    assert!(
        matches!(&error, RenderError::Data { message, .. } if message.contains("at most")),
        "{error}"
    );
}
