//! The page of the HTTP API, from the OpenAPI document that `/openapi.json` serves.

#![allow(clippy::indexing_slicing, reason = "what JSON lacks is null, not a panic")]

use std::error::Error;

use serde_json::{Map, Value};

use crate::markdown::{cell, head, text};

const INTRODUCTION: &str = "\
A server provides this description at `/openapi.json` (OpenAPI) and `/docs/`. Bodies are JSON. Send the API key as
`Authorization: Bearer`, or in the cookie `cli_token`, as the vendor's client does. Every response has the headers
`x-request-id` and `x-trace-id`. All [errors](errors.md) have the same body.

A 503 response has `Retry-After`, in seconds. Lists are paginated: `count` is the maximum page size; pass
`metadata.next_paging_token` as `paging_token` to get the next page. It is null on the last page.
";

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub fn page() -> Result<String, Box<dyn Error>> {
    let document = serde_json::to_value(muster::http::openapi_document())?;
    let paths = document["paths"].as_object().ok_or("no paths")?;
    let mut page = head("HTTP", "the OpenAPI document of `src/http/openapi.rs`") + INTRODUCTION;
    for tag in list(&document["tags"]) {
        page.push_str(&format!("\n## {}\n\n{}.\n", capital(words(&tag["name"])), text(words(&tag["description"]))));
        for (path, item) in paths {
            for method in METHODS {
                let operation = &item[method];
                if list(&operation["tags"]).iter().any(|of| *of == tag["name"]) {
                    add(&mut page, method, path, operation);
                }
            }
        }
    }
    page.push_str("\n## Schemas\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        add_schema(&mut page, name, schema, &document);
    }
    Ok(format!("{}\n", page.trim_end()))
}

fn add(page: &mut String, method: &str, path: &str, operation: &Value) {
    page.push_str(&format!("\n### {} {}\n\n", method.to_uppercase(), text(path)));
    page.push_str(&format!("{}\n", text(words(&operation["summary"]))));
    if let Some(description) = operation["description"].as_str() {
        page.push_str(&format!("\n{}\n", text(description)));
    }
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        page.push_str("\n| parameter | in | type | |\n|---|---|---|---|\n");
        for parameter in parameters {
            let required = if parameter["required"] == Value::Bool(true) { "required: " } else { "" };
            page.push_str(&format!(
                "| `{}` | {} | {} | {required}{} |\n",
                words(&parameter["name"]),
                words(&parameter["in"]),
                kind(&parameter["schema"]),
                cell(&text(words(&parameter["description"]))),
            ));
        }
    }
    if let Some((media, content)) = first(&operation["requestBody"]["content"]) {
        let remark = operation["requestBody"]["description"].as_str().map(|said| format!(". {}", text(said)));
        page.push_str(&format!("\nBody, `{media}`: {}{}\n", kind(&content["schema"]), remark.unwrap_or_default()));
    }
    page.push_str("\n| status | | body |\n|---|---|---|\n");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let body = first(&response["content"]).map(|(media, content)| match media.as_str() {
            "application/json" => kind(&content["schema"]),
            other => format!("`{other}`"),
        });
        let headers: Vec<_> = response["headers"].as_object().into_iter().flatten().collect();
        let headers: Vec<_> = headers.into_iter().map(|(name, _)| format!("`{name}`")).collect();
        let headers = if headers.is_empty() { String::new() } else { format!(" (header {})", headers.join(", ")) };
        page.push_str(&format!(
            "| {status} | {}{headers} | {} |\n",
            cell(&text(words(&response["description"]))),
            body.unwrap_or_default()
        ));
    }
}

fn add_schema(page: &mut String, name: &str, schema: &Value, document: &Value) {
    page.push_str(&format!("\n### {name}\n\n"));
    if let Some(description) = schema["description"].as_str() {
        page.push_str(&format!("{}\n\n", text(description)));
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    collect(schema, document, &mut properties, &mut required);
    if properties.is_empty() {
        page.push_str(&format!("{}\n", kind(schema)));
        return;
    }
    page.push_str("| field | type | |\n|---|---|---|\n");
    for (field, of) in &properties {
        let remark = if required.contains(&field.as_str()) { "" } else { "optional: " };
        let description = cell(&text(words(&of["description"])));
        let remark = if description.is_empty() { remark.trim_end_matches(": ") } else { remark };
        page.push_str(&format!("| `{field}` | {} | {remark}{description} |\n", kind(of)));
    }
}

/// Collects the fields of a schema, including those of schemas that it refers to.
fn collect<'d>(
    schema: &'d Value,
    document: &'d Value,
    properties: &mut Map<String, Value>,
    required: &mut Vec<&'d str>,
) {
    let named = schema["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    for part in named.into_iter().chain(list(&schema["allOf"])) {
        collect(part, document, properties, required);
    }
    properties.extend(schema["properties"].as_object().cloned().into_iter().flatten());
    required.extend(list(&schema["required"]).iter().filter_map(Value::as_str));
}

/// The type of a value, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        let kinds: Vec<_> = list(&schema[several]).iter().map(kind).collect();
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.as_str().unwrap_or("null"))).collect();
        return values.join(", ");
    }
    let names = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        names => list(names).iter().filter_map(Value::as_str).collect(),
    };
    let format = schema["format"].as_str().map(|format| format!(" ({format})")).unwrap_or_default();
    let named = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        "null" => "null".to_owned(),
        other => format!("{other}{format}"),
    };
    if names.is_empty() { "anything".to_owned() } else { names.into_iter().map(named).collect::<Vec<_>>().join(" or ") }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn first(value: &Value) -> Option<(&String, &Value)> {
    value.as_object().and_then(|map| map.iter().next())
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
