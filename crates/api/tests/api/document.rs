//! The OpenAPI document: complete, and its reader.

use serde_json::Value;

use crate::common::Site;

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_says_what_it_is_takes_and_answers() {
    let site = Site::new().await;
    let document = site.get("/openapi.json", "").await.good();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(said["operationId"].as_str().unwrap().to_owned()),
                "{what}: its id stands twice"
            );
            assert!(!said["summary"].as_str().unwrap().is_empty(), "{what}");
            assert_eq!(said["tags"].as_array().unwrap().len(), 1, "{what}");
            let answers = said["responses"].as_object().unwrap();
            assert!(answers.keys().any(|s| s.starts_with('2')), "{what}");
            for (status, answer) in answers.iter().filter(|(s, _)| s.starts_with(['4', '5'])) {
                let content = answer["content"].as_object().unwrap();
                assert!(content.contains_key("application/problem+json"), "{what} {status}");
            }
            if path.starts_with("/admin") {
                assert!(said["security"][0]["token"].is_array(), "{what} has no security");
                for status in ["401", "403", "429", "503"] {
                    assert!(answers.contains_key(status), "{what} lacks {status}");
                }
            }
            for parameter in said["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["schema"].is_object(), "{what} {parameter}");
            }
        }
    }
    // every reference leads somewhere
    let known = document["components"]["schemas"].as_object().unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(known.contains_key(name), "{reference} leads nowhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_body_and_each_answer_has_an_example_that_fits_its_schema() {
    let site = Site::new().await;
    let document = site.get("/openapi.json", "").await.good();
    let (mut examples, mut wrong) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            let body = said.get("requestBody").map(|body| ("body", body));
            let answers = said["responses"].as_object().unwrap();
            let answers = answers.iter().map(|(status, answer)| (status.as_str(), answer));
            for (part, holder) in body.into_iter().chain(answers) {
                for (kind, content) in holder["content"].as_object().into_iter().flatten() {
                    let what = format!("{method} {path} {part} {kind}");
                    let Some(example) = content.get("example") else {
                        wrong.push(format!("{what}: no example"));
                        continue;
                    };
                    examples += 1;
                    // a schema's references are the document's
                    let mut schema = content["schema"].clone();
                    schema["components"] = document["components"].clone();
                    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
                    let options = jsonschema::options().should_validate_formats(true);
                    let schema = options.build(&schema).unwrap();
                    wrong.extend(schema.iter_errors(example).map(|e| format!("{what}: {e}")));
                    let status = &example["status"];
                    if kind.contains("problem") && status.as_u64() != part.parse().ok() {
                        wrong.push(format!("{what}: a problem of status {status}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(examples > 300, "{examples}");
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.clone());
            }
            map.values().for_each(|v| collect(v, found));
        }
        Value::Array(all) => all.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_shows_every_operation_and_loads_nothing() {
    let site = Site::new().await;
    let document = site.get("/openapi.json", "").await.good();
    let page = site.get("/docs", "").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.text.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for loaded in ["<script", "src=", "http://", "https://"] {
        assert!(!page.text.contains(loaded), "{loaded}");
    }
}
