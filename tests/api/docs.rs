//! The OpenAPI description and its page.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::TestApp;

/// A file of the API browser as browsers read it, with its type.
async fn file(app: &TestApp, path: &str) -> (String, String) {
    let response = app.anonymous().request("GET", path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, encoding) = (header("content-type").unwrap(), header("content-encoding"));
    let bytes = response.bytes().await.unwrap();
    let mut text = String::new();
    match encoding.as_deref() {
        Some("gzip") => GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap(),
        encoding => {
            assert_eq!(encoding, None, "{path}");
            (&*bytes).read_to_string(&mut text).unwrap()
        }
    };
    (kind, text)
}

#[tokio::test]
async fn the_openapi_description_is_served_and_describes_every_error() {
    let app = TestApp::spawn().await;
    let answer = app.anonymous().get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["operationId"].is_string(), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            // The reference leaves out operations whose tag is not declared.
            let of_operation = operation["tags"].as_array().unwrap();
            assert!(of_operation.len() == 1 && tags.contains(&&of_operation[0]), "{method} {path}: {of_operation:?}");
            // Pages report errors as HTML.
            let is_page = operation["responses"]["200"]["content"]["text/html"].is_object();
            for (status, response) in operation["responses"].as_object().unwrap() {
                if is_page {
                    assert!(response["content"]["text/html"].is_object(), "{method} {path} {status}");
                } else if status.starts_with('4') || status.starts_with('5') {
                    let schema = &response["content"]["application/json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/ErrorBody", "{method} {path} {status}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_page_loads_no_external_resources() {
    let app = TestApp::spawn().await;
    // Through the redirect from the path without the slash.
    let (kind, page) = file(&app, "/docs").await;
    assert!(kind.starts_with("text/html"), "{kind}");
    let mut loaded = 0;
    for piece in page.split(['"', '\'']) {
        assert!(!piece.starts_with("http") && !piece.starts_with("//"), "{piece}");
        let relative = piece.strip_prefix("./").unwrap_or(piece);
        if relative.ends_with(".js") || relative.ends_with(".css") {
            let (kind, text) = file(&app, &format!("/docs/{relative}")).await;
            assert!(kind.starts_with("text/") && !text.is_empty(), "{relative}: {kind}");
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "{page}");
    let missing = app.anonymous().get("/docs/nope").await;
    assert_eq!((missing.status, missing.error()["code"].as_str()), (404, Some("not_found")));
    let (_, settings) = file(&app, "/docs/swagger-initializer.js").await;
    assert!(settings.contains("/openapi.json"), "{settings}");
    assert!(settings.contains(r#""validatorUrl": "none""#), "{settings}");
    assert!(!settings.contains("https://"), "{settings}");
}
