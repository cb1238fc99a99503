//! Charts in a document: their Japanese text is the PDF's text, in the document's face.

use crate::common::*;
use serde_json::json;
use yakin_render::chart::{Plate, Series, Theme, bars, heat, lines, ranking, spark};
use yakin_render::{Renderer, Settings};

/// A document that is nothing but charts, one under the other.
const MAIN: &str = r#"#import "/shared/fonts.typ": gothic
#set text(font: gothic, lang: "ja")
#set page(paper: "a4", margin: 18mm)
#let data = json(bytes(sys.inputs.data))
#for chart in data.charts [#image(bytes(chart), format: "svg", width: 100%)]
"#;

fn charts() -> Vec<String> {
    let theme = Theme::print();
    let plate = |id: &str| Plate::new(id, "応答時間", "毎時の応答時間", "データなし").of("ミリ秒");
    let wave = |base: f64, from: usize| -> Vec<Option<f64>> {
        (0..168)
            .map(|n| {
                let swing = (n as f64 / 24.0 * std::f64::consts::TAU).sin() + 1.2;
                (!(60 + from..71).contains(&n)).then_some(base * swing)
            })
            .collect()
    };
    let days = ["月", "火", "水", "木", "金", "土", "日"].map(str::to_owned);
    let hours: Vec<String> = (0..168)
        .map(|n| if n % 24 == 0 { format!("{}曜", days[n / 24]) } else { String::new() })
        .collect();
    let week = [Series::new("p50", wave(80.0, 0)), Series::new("p95", wave(310.0, 0))];
    let shares = [
        Series::new(
            "4xx",
            vec![Some(1.2), Some(1.4), None, Some(0.9), Some(1.1), Some(0.4), Some(0.3)],
        ),
        Series::new(
            "5xx",
            vec![Some(0.1), Some(0.3), None, Some(0.1), Some(0.0), Some(0.0), Some(0.2)],
        ),
    ];
    let cells: Vec<Vec<Option<f64>>> =
        (0..7).map(|d| (0..24).map(|h| wave(900.0, 0)[d * 24 + h]).collect()).collect();
    let hour_names: Vec<String> =
        (0..24).map(|h| if h % 3 == 0 { h.to_string() } else { String::new() }).collect();
    let names = [
        ("GET /api/v1/engineers", Some(48_210.0)),
        ("POST /api/v1/approaches/{id}/deliveries/再送信", Some(12_000.0)),
        ("</text><script>alert(1)</script> #panic(1)", Some(900.0)),
        ("計測なし", None),
    ];
    let names: Vec<(String, Option<f64>)> =
        names.map(|(name, value)| (name.to_owned(), value)).to_vec();
    vec![
        lines(&plate("a"), &theme, &hours, &week),
        bars(&plate("b").of("%").sized(680.0, 170.0), &theme, &days, &shares),
        heat(&plate("c").of("回"), &theme, &days, &hour_names, &cells),
        ranking(&plate("d").of("回").sized(680.0, 110.0), &theme, &names),
        spark(&plate("e").sized(200.0, 30.0), &theme, &wave(1.0, 0)),
    ]
}

#[tokio::test]
async fn their_text_is_found_in_the_pdf_in_the_documents_face() {
    let folder = templates("charts", &[("charts/main.typ", MAIN)]);
    let renderer =
        Renderer::new(Settings { templates: Some(folder.clone()), ..settings() }).unwrap();
    let charts = charts();
    let rendered = renderer.render("charts", &json!({"charts": charts})).await.unwrap();
    assert_eq!(rendered.warnings, [] as [String; 0]);
    let pages = pages(&rendered.pdf);
    assert_says(
        &pages,
        &["ミリ秒", "月曜", "日曜", "p95", "データなし", "5xx", "48,210", "計測なし"],
    );
    assert_says(&pages, &["</text><script>alert(1)"]);
    let fonts = piped("pdffonts", &["-"], &rendered.pdf);
    assert!(fonts.contains("IPAexGothic"), "{fonts}");
    assert_clean("charts_clean", &rendered.pdf);
    std::fs::write(folder.join("charts.pdf"), &rendered.pdf).unwrap();
    std::fs::write(folder.join("charts.html"), charts.concat()).unwrap();
}
