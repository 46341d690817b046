//! Random files: rows round-trip through YAML, positions are correct, parsing does not panic, and no secret is printed.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

/// The source text of a scalar, and its value.
#[derive(Debug, Clone)]
struct Written {
    source: String,
    value: Value,
}

fn written(source: impl Into<String>, value: Value) -> Written {
    Written { source: source.into(), value }
}

/// Scalars for both block and flow style.
fn scalar() -> impl Strategy<Value = Written> {
    prop_oneof![
        "p[a-z0-9@.]{0,12}".prop_map(|text| written(text.clone(), json!(text))),
        "\\PC{0,12}".prop_map(|text| written(format!("'{}'", text.replace('\'', "''")), json!(text))),
        any::<String>().prop_map(|text| written(json!(text).to_string(), json!(text))),
        any::<i64>().prop_map(|number| written(number.to_string(), json!(number))),
        (1i32..999, prop::sample::select(vec!["", "-"])).prop_map(|(number, sign)| {
            let half = (f64::from(number) + 0.5) * if sign.is_empty() { 1.0 } else { -1.0 };
            written(format!("{sign}{number}.5"), json!(half))
        }),
        any::<bool>().prop_map(|truth| written(truth.to_string(), json!(truth))),
        prop_oneof![Just(""), Just("~"), Just("null")].prop_map(|null| written(null, Value::Null)),
        Just(written("[1, {a: b}]", json!([1, {"a": "b"}]))),
    ]
}

fn key() -> impl Strategy<Value = Written> {
    prop_oneof![
        "[a-z_]{1,8}".prop_map(|text| written(text.clone(), json!(text))),
        "[0-9]{1,3}".prop_map(|text| written(text.clone(), json!(text))),
        "\\PC{0,8}".prop_map(|text| written(json!(text).to_string(), json!(text))),
    ]
}

#[derive(Debug, Clone)]
enum Entry {
    Block(Vec<(Written, Written)>),
    Flow(Vec<(Written, Written)>),
    Scalar(Written),
}

fn entry() -> impl Strategy<Value = Entry> {
    let text = prop::collection::vec("[a-z]{1,6}", 1..4).prop_map(|lines| {
        written(format!("|\n      {}", lines.join("\n      ")), json!(format!("{}\n", lines.join("\n"))))
    });
    let pairs = |value: BoxedStrategy<Written>| {
        prop::collection::vec((key(), value), 1..6).prop_map(|mut pairs| {
            let mut seen = std::collections::HashSet::new();
            pairs.retain(|(key, _)| seen.insert(key.value.to_string()));
            pairs
        })
    };
    prop_oneof![
        4 => pairs(prop_oneof![8 => scalar(), 1 => text].boxed()).prop_map(Entry::Block),
        2 => pairs(scalar().boxed()).prop_map(Entry::Flow),
        1 => scalar().prop_map(Entry::Scalar),
    ]
}

fn write(entries: &[Entry]) -> String {
    let mut text = "create_users:\n".to_owned();
    if entries.is_empty() {
        text = "create_users: []\n".to_owned();
    }
    for entry in entries {
        let line = |(key, value): &(Written, Written)| format!("{}: {}", key.source, value.source);
        let row = match entry {
            Entry::Block(pairs) => pairs.iter().map(line).collect::<Vec<_>>().join("\n    "),
            Entry::Flow(pairs) => format!("{{{}}}", pairs.iter().map(line).collect::<Vec<_>>().join(", ")),
            Entry::Scalar(scalar) => scalar.source.clone(),
        };
        writeln!(text, "  - {row}").unwrap();
    }
    text
}

fn slice<'a>(file: &'a UsersFile, span: &Range<usize>) -> &'a str {
    file.text.get(span.clone()).unwrap()
}

fn check(file: &UsersFile, row: &FileRow, entry: &Entry) {
    let pairs = match entry {
        Entry::Block(pairs) | Entry::Flow(pairs) => pairs,
        Entry::Scalar(scalar) => {
            assert_eq!(row.value, scalar.value);
            assert_eq!(slice(file, &row.span), scalar.source);
            return;
        }
    };
    let map: Map<String, Value> =
        pairs.iter().map(|(key, value)| (key.value.as_str().unwrap().to_owned(), value.value.clone())).collect();
    assert_eq!(row.value, Value::Object(map));
    assert_eq!(row.fields.len(), pairs.len());
    for (key, value) in pairs {
        let field = row.fields.iter().find(|field| key.value == field.name.as_ref()).unwrap();
        assert_eq!(slice(file, &field.key), key.source);
        let source = value.source.strip_prefix("|\n").unwrap_or(&value.source).trim_start();
        assert_eq!(slice(file, &field.value), source);
    }
    let source = slice(file, &row.span);
    if matches!(entry, Entry::Flow(_)) {
        assert!(source.starts_with('{') && source.ends_with('}'), "{source}");
    } else {
        assert!(source.starts_with(&pairs[0].0.source), "{source}");
    }
}

/// Findings of every kind for a file.
fn findings(file: &UsersFile) -> Vec<RowFinding> {
    let mut findings = Vec::new();
    for index in 0..=file.len() {
        for field in ["", "name", "password", "pasword", "a"] {
            for code in ["unknown_field", "other"] {
                let found = finding(index, field, code, "message");
                findings.push(RowFinding { other_index: Some(index / 2), ..found.clone() });
                findings.push(found);
            }
        }
    }
    findings
}

/// Everything that can be printed about a text.
fn all_output(text: &str) -> String {
    match UsersFile::parse("users.yaml", text.to_owned(), FileFormat::Yaml) {
        Ok(file) => file.render(&findings(&file), false),
        Err(error) => error.to_string(),
    }
}

fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "create_users:",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "name: ",
        "password: ",
        "pasword: ",
        "a",
        "&a ",
        "*a ",
        "!x ",
        "!!str ",
        "|",
        ">-",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ": ",
        "? ",
        "\"",
        "'",
        "#",
        " # ",
        "\t",
        "---",
        "...",
        "%",
        "@",
        "\\",
        "<<: ",
        "密",
        "\u{1b}[31m",
        "\r",
        "\r\n",
        "\u{feff}",
        "\u{202e}",
        "👩‍💻",
        "~",
        "1",
        "true",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn rows_and_places_survive(entries in prop::collection::vec(entry(), 0..8)) {
        let text = write(&entries);
        let file = file(&text);
        prop_assert_eq!(file.len(), entries.len());
        for (row, entry) in file.rows.iter().zip(&entries) {
            check(&file, row, entry);
        }
        prop_assert!(!file.render(&findings(&file), true).is_empty());
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), soup in soup()) {
        for text in [text, soup.clone(), format!("create_users:\n- {soup}")] {
            let output = all_output(&text);
            let raw = output.chars().find(|c| c.is_control() && *c != '\n');
            prop_assert_eq!(raw, None);
        }
    }

    #[test]
    fn a_password_is_never_printed(
        flow in any::<bool>(), cut in 0usize..200, piece in soup(), remove in 0usize..4, quote in prop::sample::select(vec!["", "'", "\""]),
    ) {
        let password = format!("{quote}S3CRET x{quote}");
        let rows = if flow {
            format!("- {{name: Ann, password: {password}, email: a@b.c}}\n- {{\"password\":{password},\"name\":\"Bob\"}}\n")
        } else {
            format!("- name: Ann\n  password: {password}\n  email: a@b.c\n- password: {password}\n  name: \"Bob\"\n")
        };
        let mut text = format!("create_users:\n{rows}");
        let cut = cut % text.len();
        let end = (cut + remove).min(text.len());
        // The inserted text must not turn the password into a key or a name.
        let piece = piece.replace('?', "").replace("name:", "");
        text.replace_range(cut..end, piece.get(..piece.floor_char_boundary(6)).unwrap());
        // Without its key, the password is an ordinary name.
        prop_assume!(text.matches("password").count() >= 2);
        let output = all_output(&text);
        prop_assert!(!output.contains("S3CRET"), "{}\n{}", text, output);
    }
}
