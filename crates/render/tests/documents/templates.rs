//! Operators' templates: they replace files one by one, and what is wrong in them is said by place.

use std::path::Path;

use crate::common::*;
use serde_json::{Value, json};
use yakin_render::{RenderError, Renderer, Settings};

fn with(folder: &Path) -> Renderer {
    Renderer::new(Settings { templates: Some(folder.to_owned()), ..settings() }).unwrap()
}

/// The error of a template `odd` that is this text.
async fn refused(test: &str, text: &str) -> RenderError {
    let folder = templates(test, &[("odd/main.typ", text)]);
    with(&folder).render("odd", &json!({})).await.unwrap_err()
}

#[tokio::test]
async fn all_built_in_samples_are_rendered_without_a_warning() {
    let checked = renderer().check().await.unwrap();
    let samples: Vec<&str> = checked.iter().map(|c| c.sample.as_str()).collect();
    assert_eq!(
        samples,
        [
            "invoice/sample.json",
            "invoice/sample_adjustment.json",
            "invoice/sample_en.json",
            "performance/sample.json",
            "performance/sample_en.json",
            "report/sample.json",
            "report/sample_en.json"
        ]
    );
    for one in &checked {
        assert!(one.rendered.pdf.starts_with(b"%PDF-1.7"));
        assert_eq!(one.rendered.warnings.len(), 0, "{}", one.sample);
        let pages = if one.sample.starts_with("invoice/") { 1..=1 } else { 1..=9 };
        assert!(pages.contains(&one.rendered.pages), "{}: {}", one.sample, one.rendered.pages);
    }
}

#[tokio::test]
async fn an_operator_replaces_one_file_and_adds_documents() {
    let labels =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/documents/invoice/labels.toml");
    let labels = std::fs::read_to_string(labels).unwrap().replace("\"請求書\"", "\"御請求書\"");
    let folder = templates(
        "operator",
        &[
            ("invoice/labels.toml", &labels),
            ("invoice/.labels.toml.swp", "of an editor"),
            (
                "thanks/main.typ",
                "#import \"/shared/fonts.typ\": mincho\n#set text(font: mincho)\nお礼",
            ),
            ("thanks/sample.json", "{}"),
        ],
    );
    let renderer = with(&folder);
    let rendered = renderer.render("invoice", &sample("sample.json")).await.unwrap();
    assert_says(&pages(&rendered.pdf), &["御請求書", "ご請求金額"]);
    let checked = renderer.check().await.unwrap();
    assert_eq!(checked.last().map(|c| c.document.as_str()), Some("thanks"));
    // an edited file counts from the next document on
    std::fs::write(folder.join("invoice/labels.toml"), labels.replace("御請求書", "ご請求書"))
        .unwrap();
    let rendered = renderer.render("invoice", &sample("sample.json")).await.unwrap();
    assert_says(&pages(&rendered.pdf), &["ご請求書"]);
}

#[tokio::test]
async fn a_broken_template_is_named_with_file_line_and_column() {
    let folder = templates("broken", &[("invoice/main.typ", "= Title\n\n  #let x = nothing\n")]);
    let renderer = with(&folder);
    let place =
        format!("{}:3:12: unknown variable: nothing", folder.join("invoice/main.typ").display());
    for error in [
        renderer.render("invoice", &sample("sample.json")).await.unwrap_err(),
        renderer.check().await.unwrap_err(),
    ] {
        assert!(matches!(error, RenderError::Template { .. }) && error.is_permanent(), "{error:?}");
        assert!(error.to_string().contains(&place), "{error}");
    }
}

#[tokio::test]
async fn an_error_in_a_built_in_file_names_the_caller_too() {
    let text = "#import \"/shared/format.typ\": number\n#number(\"x\")\n";
    let error = refused("caller", text).await.to_string();
    assert!(error.contains("shared/format.typ:"), "{error}");
    assert!(error.contains("from ") && error.contains("odd/main.typ:2:2"), "{error}");
}

#[tokio::test]
async fn a_wrong_table_of_labels_is_named() {
    let folder = templates("labels", &[("invoice/labels.toml", "[ja]\ntitle = \"x\ny = 1\n")]);
    let error = with(&folder).render("invoice", &sample("sample.json")).await.unwrap_err();
    assert!(matches!(error, RenderError::Template { .. }), "{error:?}");
    assert!(error.to_string().contains("invoice/labels.toml:2:"), "{error}");
}

#[tokio::test]
async fn a_template_sees_its_own_files_only() {
    for (test, text, wanted) in [
        ("outside", "#read(\"/etc/passwd\")", "etc/passwd"),
        ("above", "#read(\"../../../etc/passwd\")", "odd/main.typ:1:"),
        ("package", "#import \"@preview/tables:0.1.0\": *", "files of its own folder only"),
        ("clock", "#datetime.today()", "odd/main.typ:1:"),
        ("deep", "#let f(n) = f(n + 1)\n#f(0)", "maximum function call depth exceeded"),
        ("while", "#let on = 1 == 1\n#while on { }", "infinite"),
    ] {
        let error = refused(test, text).await;
        assert!(matches!(error, RenderError::Template { .. }), "{error:?}");
        assert!(error.to_string().contains(wanted), "{test}: {error}");
    }
}

#[tokio::test]
async fn a_font_that_is_missing_is_named_with_its_cure() {
    let error = refused("font", "#set text(font: \"Hiragino Mincho\")\nx").await;
    assert!(matches!(error, RenderError::Font { .. }) && error.is_permanent(), "{error:?}");
    let text = error.to_string();
    for wanted in ["the font hiragino mincho", "IPAexGothic, IPAexMincho", "fonts-ipaexfont"] {
        assert!(text.contains(wanted), "{text}");
    }
    let bare = Settings { fonts: vec![folder("no_fonts")], ..settings() };
    let error = Renderer::new(bare).unwrap().render("invoice", &sample("sample.json")).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("found (none)") && text.contains("no_fonts"), "{text}");
}

#[tokio::test]
async fn an_unknown_document_and_a_missing_sample_are_named() {
    for document in ["receipt", "../invoice", "", "shared", "shared/../invoice"] {
        let error = renderer().render(document, &Value::Null).await.unwrap_err();
        assert!(matches!(error, RenderError::Unknown { .. }), "{error:?}");
        assert!(error.to_string().contains("expected one of invoice"), "{error}");
    }
    let folder = templates("sampleless", &[("odd/main.typ", "x")]);
    let error = with(&folder).check().await.unwrap_err().to_string();
    assert!(error.contains("expected sample.json beside main.typ"), "{error}");
    let settings = Settings { templates: Some(folder.join("nowhere")), ..settings() };
    let error = Renderer::new(settings).err().unwrap().to_string();
    assert!(error.contains("nowhere is not there"), "{error}");
}
