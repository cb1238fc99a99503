//! Examples in the OpenAPI document: each body and each answer gets one, made from what its schema says of itself.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::problem::Problem;

/// Schemas may lie so deep in each other.
const DEEPEST: usize = 12;

/// Gives each body and each answer of the document its example, where it has none yet.
pub fn give(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            for (kind, content) in operation.get_mut("requestBody").into_iter().flat_map(contents) {
                example(kind, content, &schemas);
            }
            let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
            for (status, answer) in answers.into_iter().flatten() {
                for (kind, content) in contents(answer) {
                    match problem(path, status) {
                        Some(problem) if kind == "application/problem+json" => {
                            content["example"] = problem;
                        }
                        _ => example(kind, content, &schemas),
                    }
                }
            }
        }
    }
}

fn contents(of: &mut Value) -> impl Iterator<Item = (&str, &mut Value)> {
    let contents = of.get_mut("content").and_then(Value::as_object_mut);
    contents.into_iter().flatten().map(|(kind, content)| (kind.as_str(), content))
}

fn example(kind: &str, content: &mut Value, schemas: &Value) {
    if content.get("example").is_some() {
        return;
    }
    content["example"] = match kind {
        "application/pdf" => json!("%PDF-1.7 …"),
        "application/x-tar" => json!("yakin-evidence-2026-10/MANIFEST.csv …"),
        "text/html" => json!("<!DOCTYPE html><html lang=\"en\">…</html>"),
        "text/event-stream" => json!(
            "id: 7\nevent: run\ndata: {\"batch_id\":\"BATCH-204\",\"data\":{\"run_id\":118,\"state\":\"ended\"}}\n\n"
        ),
        "text/plain" => json!("# TYPE yakin_nodes gauge\nyakin_nodes 2\n"),
        "application/openmetrics-text" => {
            json!("# TYPE yakin_nodes gauge\nyakin_nodes 2\n# EOF\n")
        }
        _ => sample(&content["schema"], schemas, 0),
    };
}

/// A problem of that status.
fn problem(path: &str, status: &str) -> Option<Value> {
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let problem = match status {
        StatusCode::BAD_REQUEST => Problem::malformed("limit is 0, expected 1 to 500"),
        StatusCode::UNAUTHORIZED if path.starts_with("/api/cron") => {
            Problem::unsigned("x-vercel-signature does not fit the body")
        }
        StatusCode::UNAUTHORIZED => Problem::unauthorized(),
        StatusCode::FORBIDDEN => {
            Problem::forbidden("token 'ci' is viewer's; this takes operator's")
        }
        StatusCode::NOT_FOUND => Problem::not_found("no run 4711; `yakin runs` lists them"),
        StatusCode::CONFLICT => Problem::conflict("run 118 of BATCH-204 is open"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("a body may have 65536 bytes"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::media_type("Content-Type is 'text/plain', expected application/json")
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            Problem::refused("reason: it is empty; say why, it stands in the audit")
        }
        StatusCode::TOO_MANY_REQUESTS => Problem::too_many(std::time::Duration::from_secs(1)),
        StatusCode::SERVICE_UNAVAILABLE => {
            Problem::unavailable("the database does not answer as it should; try again")
        }
        StatusCode::INTERNAL_SERVER_ERROR => Problem::defect(),
        _ => return None,
    };
    // a problem is texts and a number: it always can be written
    serde_json::to_value(problem).ok()
}

/// A value of that schema: its example, or one put together from its parts.
fn sample(schema: &Value, schemas: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let within = |schema: &Value| sample(schema, schemas, depth + 1);
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return example.clone();
    }
    if let Some(known) =
        schema["const"].as_str().map(Value::from).or(schema["enum"].get(0).cloned())
    {
        return known;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return within(&schemas[name]);
    }
    if let Some(all) = schema["allOf"].as_array() {
        let parts = all.iter().map(within).filter_map(|part| part.as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    for choice in ["oneOf", "anyOf"] {
        let mut choices = schema[choice].as_array().into_iter().flatten();
        if let Some(one) = choices.find(|one| one["type"] != "null") {
            return within(one);
        }
    }
    match kind(schema) {
        "object" => {
            let parts = schema["properties"].as_object().into_iter().flatten();
            Value::Object(parts.map(|(name, part)| (name.clone(), within(part))).collect())
        }
        "array" => match schema.get("items") {
            Some(items) => json!([within(items)]),
            None => json!([]),
        },
        "string" => json!("…"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => Value::Object(Map::new()),
    }
}

/// What a schema is, where it may also be null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ => "",
    }
}
