//! The OpenAPI document as a page to read: no script, one file.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

const STYLE: &str = include_str!("reader.css");

/// The page.
pub fn page(document: &Value) -> String {
    let info = &document["info"];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(&info["title"])) " API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav { (contents(document)) }
                main {
                    h1 { (text(&info["title"])) " API " small { (text(&info["version"])) } }
                    p { (prose(&info["description"])) }
                    p { "The same as " a href="/openapi.json" { "openapi.json" } "." }
                    @for tag in document["tags"].as_array().into_iter().flatten() {
                        section {
                            h2 id=(text(&tag["name"])) { (text(&tag["name"])) }
                            p { (text(&tag["description"])) }
                            @for one in operations(document, text(&tag["name"])) { (operation(&one)) }
                        }
                    }
                    section { h2 id="schemas" { "schemas" } (schemas(document)) }
                }
            }
        }
    };
    markup.into_string()
}

struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    said: &'a Value,
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn operations<'a>(document: &'a Value, tag: &str) -> Vec<Operation<'a>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, said)| Operation { path, method, said })
    });
    all.filter(|o| o.said["tags"][0] == tag).collect()
}

fn contents(document: &Value) -> Markup {
    html! {
        @for tag in document["tags"].as_array().into_iter().flatten() {
            @let name = text(&tag["name"]);
            h3 { a href={ "#" (name) } { (name) } }
            ul {
                @for one in operations(document, name) {
                    li { a href={ "#" (one.anchor()) } title=(one.anchor()) { (text(&one.said["summary"])) } }
                }
            }
        }
        h3 { a href="#schemas" { "schemas" } }
    }
}

fn operation(one: &Operation<'_>) -> Markup {
    let said = one.said;
    html! {
        article id=(one.anchor()) {
            h3 { span class={ "method " (one.method) } { (one.method.to_uppercase()) } " " code { (one.path) } }
            p { b { (text(&said["summary"])) } }
            @if said["description"].is_string() { p { (prose(&said["description"])) } }
            @if let Some(role) = said["x-role"].as_str() {
                p class="role" {
                    "A token of " b { (role) } " or more"
                    @if said["x-scope"] == "tenants" { "; also one for some tenants only" }
                    "."
                }
            }
            @if let Some(parameters) = said["parameters"].as_array() {
                table {
                    tr { th { "parameter" } th { "in" } th { "what" } }
                    @for p in parameters {
                        tr {
                            td { code { (text(&p["name"])) } @if p["required"] == true { " *" } }
                            td { (text(&p["in"])) }
                            td { (prose(&p["description"])) " " span class="type" { (kind(&p["schema"])) } }
                        }
                    }
                }
            }
            @if let Some(body) = said["requestBody"]["content"]["application/json"].as_object() {
                p { "Body: " (named(&body["schema"])) }
                @if let Some(example) = example(body.get("example")) { pre { (example) } }
            }
            table {
                tr { th { "answer" } th { "what" } }
                @for (status, answer) in said["responses"].as_object().into_iter().flatten() {
                    tr {
                        td { code { (status) } }
                        td {
                            (prose(&answer["description"]))
                            @for (media, content) in answer["content"].as_object().into_iter().flatten() {
                                " " span class="type" { (media) } " " (named(&content["schema"]))
                                @if let Some(example) = example(content.get("example")).filter(|_| status.starts_with('2')) {
                                    details { summary { "example" } pre { (example) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn schemas(document: &Value) -> Markup {
    html! {
        @for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            details id={ "schema-" (name) } {
                summary { code { (name) } }
                @if let Some(what) = schema["description"].as_str() { p { (what) } }
                pre { (serde_json::to_string_pretty(schema).unwrap_or_default()) }
            }
        }
    }
}

fn named(schema: &Value) -> Markup {
    let name = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next());
    html! {
        @match name {
            Some(name) => a href={ "#schema-" (name) } { (name) },
            None => span class="type" { (kind(schema)) },
        }
    }
}

/// An example as one would type it.
fn example(given: Option<&Value>) -> Option<String> {
    match given? {
        Value::String(text) => Some(text.clone()),
        other => serde_json::to_string_pretty(other).ok(),
    }
}

/// A text in which `words` between backquotes are code.
fn prose(value: &Value) -> Markup {
    html! {
        @for (n, part) in text(value).split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn kind(schema: &Value) -> String {
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    };
    match schema["format"].as_str() {
        Some(format) => format!("{kind} ({format})"),
        None => kind,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
