//! Random files: rows and their places survive each format, parsing never panics, and no password is printed.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::{collection, option, sample};
use serde_json::{Map, json};

use super::*;

const ALL: [FileFormat; 4] = [FileFormat::Yaml, FileFormat::Json, FileFormat::Ndjson, FileFormat::Csv];

/// Findings of every kind for a file.
fn findings(file: &UsersFile) -> Vec<RowFinding> {
    let mut findings = Vec::new();
    for index in 0..=file.len() {
        for field in ["", "name", "password", "password_hash", "pasword", "a"] {
            for code in ["unknown_field", "other"] {
                // Different messages, since equal findings have few excerpts.
                let found = finding(index, field, code, &format!("message {index}"));
                findings.push(RowFinding { other_index: Some(index / 2), ..found.clone() });
                findings.push(found);
            }
        }
    }
    findings
}

/// Everything that can be printed about a text.
fn all_output(format: FileFormat, text: &str) -> String {
    match parse(format, text) {
        Ok(file) => format!("{}{:?}", file.render(&findings(&file), false), file.locate(&findings(&file))),
        Err(error) => error.to_string(),
    }
}

/// Pieces of all formats, separated by `·`.
const PIECES: &str = "\n·\n  ·\n    ·\r·\r\n·\t· ·- ·-·,·;·:·: ·? ·\"·'·#· # ·[·]·{·}·|·>-·---·...·%·@·/·.·\\·\\u·\\n·&a ·*a ·!x ·!!str ·<<: ·\
    a·name·email·name: ·0·1·1e9·~·true·null·d83d·密·\u{feff}·\u{202e}·\u{1b}[31m·👩‍💻·create_users·create_users:·password·password: ·\
    pasword: ·is_sso_user·\"name\": ·\"password\": ·name,email,is_sso_user\n";

fn soup() -> impl Strategy<Value = String> {
    collection::vec(sample::select(PIECES.split('·').collect::<Vec<_>>()), 0..40).prop_map(|pieces| pieces.concat())
}

/// A YAML scalar: its source and its value.
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
        (1i32..999, sample::select(vec!["", "-"])).prop_map(|(number, sign)| {
            let half = (f64::from(number) + 0.5) * if sign.is_empty() { 1.0 } else { -1.0 };
            written(format!("{sign}{number}.5"), json!(half))
        }),
        any::<bool>().prop_map(|truth| written(truth.to_string(), json!(truth))),
        prop_oneof![Just(""), Just("~"), Just("null")].prop_map(|null| written(null, Value::Null)),
        Just(written("[1, {a: b}]", json!([1, {"a": "b"}]))),
    ]
}

fn yaml_key() -> impl Strategy<Value = Written> {
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
    let text = collection::vec("[a-z]{1,6}", 1..4).prop_map(|lines| {
        written(format!("|\n      {}", lines.join("\n      ")), json!(format!("{}\n", lines.join("\n"))))
    });
    let pairs = |value: BoxedStrategy<Written>| {
        collection::vec((yaml_key(), value), 1..6).prop_map(|mut pairs| {
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
    file.document.text.get(span.clone()).unwrap()
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

/// Any JSON, a few levels deep.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::String),
        "[a-z@. ]{0,12}".prop_map(Value::String),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            collection::vec((json_key(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn json_key() -> impl Strategy<Value = String> {
    prop_oneof![sample::select(UserField::NEW_USER).prop_map(|field| field.as_str().to_owned()), any::<String>()]
}

/// A user whose fields are text or flags, as a table can hold them.
fn user() -> impl Strategy<Value = Map<String, Value>> {
    // U+001A at the end of a file is not part of the last cell.
    let text = || {
        prop_oneof![Just(String::new()), "[a-z0-9,;\t\"'\r\n# ]{0,8}", any::<String>()]
            .prop_map(|text| text.replace('\u{1a}', ""))
    };
    (text(), text(), text(), any::<bool>(), option::of(any::<bool>()), text()).prop_map(
        |(name, email, password, sso, change, title)| {
            let mut user = Map::new();
            for (field, text) in [("name", name), ("email", email), ("password", password), ("title", title)] {
                if !text.is_empty() {
                    user.insert(field.to_owned(), json!(text));
                }
            }
            user.insert("is_sso_user".to_owned(), json!(sso));
            if let Some(change) = change {
                user.insert("must_change_password".to_owned(), json!(change));
            }
            user
        },
    )
}

const COLUMNS: [&str; 6] = ["title", "name", "must_change_password", "password", "is_sso_user", "email"];

fn cell(value: Option<&Value>, delimiter: &str, quote: bool) -> String {
    let text = match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if quote || text.contains(['"', '\n', '\r']) || text.contains(delimiter) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn table(users: &[Map<String, Value>], delimiter: &str, end: &str, quote: bool) -> String {
    let mut text = COLUMNS.join(delimiter);
    for user in users {
        text.push_str(end);
        let cells: Vec<_> = COLUMNS.iter().map(|column| cell(user.get(*column), delimiter, quote)).collect();
        text.push_str(&cells.join(delimiter));
    }
    text
}

/// Only a password keeps the blanks around it, and the apostrophe before a formula.
fn without_blanks(user: Map<String, Value>) -> Value {
    let trimmed = |(name, value): (String, Value)| match value.as_str() {
        Some(text) if crate::users::trim(text).is_empty() => None,
        Some(text) if name != "password" => Some((name, json!(formula::unescape(crate::users::trim(text))))),
        _ => Some((name, value)),
    };
    user.into_iter().filter_map(trimmed).collect()
}

proptest! {
    #[test]
    fn yaml_survives_parsing(entries in collection::vec(entry(), 0..8)) {
        let text = write(&entries);
        let file = file(&text);
        prop_assert_eq!(file.len(), entries.len());
        for (row, entry) in file.rows.iter().zip(&entries) {
            check(&file, row, entry);
        }
        prop_assert!(!file.render(&findings(&file), true).is_empty());
    }

    #[test]
    fn a_password_in_yaml_is_never_printed(
        flow in any::<bool>(), cut in 0usize..200, piece in soup(), remove in 0usize..4, quote in sample::select(vec!["", "'", "\""]),
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
        // The piece must not turn the password into a key or a name.
        let piece = piece.replace('?', "").replace("name:", "");
        text.replace_range(cut..end, piece.get(..piece.floor_char_boundary(6)).unwrap());
        // A password without its key is not recognized.
        prop_assume!(text.matches("password").count() >= 2);
        let output = all_output(FileFormat::Yaml, &text);
        prop_assert!(!output.contains("S3CRET"), "{}\n{}", text, output);
    }

    #[test]
    fn json_survives_parsing(rows in collection::vec(json_value(), 0..6), pretty in any::<bool>(), object in any::<bool>()) {
        let due = Value::Array(rows.clone());
        let whole = if object { json!({"create_users": due}) } else { due.clone() };
        let text = if pretty { serde_json::to_string_pretty(&whole).unwrap() } else { whole.to_string() };
        let file = parse(FileFormat::Json, &text).unwrap();
        prop_assert_eq!(file.rows().cloned().collect::<Value>(), due.clone());
        for row in &file.rows {
            prop_assert_eq!(&serde_json::from_str::<Value>(&text[row.span.clone()]).unwrap(), &row.value);
            for field in &row.fields {
                prop_assert_eq!(&serde_json::from_str::<String>(&text[field.key.clone()]).unwrap(), field.name.as_ref());
                let value: Value = serde_json::from_str(&text[field.value.clone()]).unwrap();
                prop_assert_eq!(&value, &row.value[field.name.as_ref()]);
            }
        }
        prop_assume!(!rows.is_empty());
        let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
        prop_assert_eq!(super::rows(FileFormat::Ndjson, &lines.join("\n\r\n")), due);
    }

    #[test]
    fn json_is_accepted_exactly_if_serde_json_accepts_it(soup in soup()) {
        for text in [soup.clone(), format!("[{soup}]"), format!("[{{\"a\": {soup}}}]"), format!("[\"{soup}\"]")] {
            let ours = parse(FileFormat::Json, &text);
            match serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) {
                Ok(Value::Array(rows)) if ours.is_ok() => {
                    prop_assert_eq!(ours.unwrap().rows().cloned().collect::<Vec<_>>(), rows);
                }
                Ok(Value::Array(_)) => {
                    prop_assert!(ours.unwrap_err().to_string().contains("duplicate key"), "{}", text);
                }
                Ok(_) => {}
                Err(_) => prop_assert!(ours.is_err(), "{}", text),
            }
        }
    }

    #[test]
    fn csv_survives_parsing(
        users in collection::vec(user(), 0..6), end in sample::select(vec!["\n", "\r\n"]),
        delimiter in sample::select(vec![",", ";", "\t"]), quote in any::<bool>(),
    ) {
        let text = table(&users, delimiter, end, quote);
        let file = parse(FileFormat::Csv, &text).unwrap();
        let due: Vec<Value> = users.iter().cloned().map(without_blanks).collect();
        prop_assert_eq!(file.rows().cloned().collect::<Vec<_>>(), due);
        for (row, user) in file.rows.iter().zip(&users) {
            for field in &row.fields {
                let due = cell(user.get(field.name.as_ref()), delimiter, quote);
                prop_assert_eq!(&text[field.value.clone()], due);
            }
        }
        for delimiter in [",", "\n"] {
            parse(FileFormat::Csv, &table(&users, ",", delimiter, true)).ok();
        }
    }

    #[test]
    fn a_cell_of_muster_is_read_back(text in "'{0,2}[=+@a-]?\\PC{0,3}") {
        let escaped = formula::escape(text.clone());
        prop_assert_eq!(formula::unescape(&escaped), text);
    }

    #[test]
    fn any_text_is_parsed_or_rejected(text in any::<String>(), soup in soup()) {
        for format in ALL {
            for text in [
                &text,
                &soup,
                &format!("create_users:\n- {soup}"),
                &format!("name,email,is_sso_user\n{soup}"),
                &format!("[{{{soup}}}]"),
            ] {
                let output = all_output(format, text);
                let raw = output.chars().find(|c| c.is_control() && *c != '\n');
                prop_assert_eq!(raw, None);
            }
        }
    }

    #[test]
    fn a_password_in_json_and_csv_is_never_printed(
        place in 0usize..200, piece in soup(), remove in 0usize..4, quoted in any::<bool>(), format in 1usize..4,
    ) {
        let secret = if quoted { "\"S3CRET x\"" } else { "S3CRET x" };
        let mut text = match ALL[format] {
            FileFormat::Csv => format!(
                "name,email,password,is_sso_user,title\nAnn,a@b.c,{secret},false,x\nBob,b@b.c,{secret},true,\n"
            ),
            _ => "{\"name\":\"Ann\",\"password\":\"S3CRET x\",\"email\":\"a@b.c\"}\n\
                  {\"password\":\"S3CRET x\",\"is_sso_user\":true,\"name\":\"Bob\"}\n".to_owned(),
        };
        if ALL[format] == FileFormat::Json {
            text = format!("[{}]", text.trim_end().replace('\n', ",\n"));
        }
        let place = place % text.len();
        let end = (place + remove).min(text.len());
        // The piece must not turn the password into a key or another column.
        let piece = piece.replace("name", "").replace("email", "").replace("is_sso_user", "");
        text.replace_range(place..end, piece.get(..piece.floor_char_boundary(6)).unwrap());
        prop_assume!(text.matches("password").count() >= if ALL[format] == FileFormat::Csv { 1 } else { 2 });
        let output = all_output(ALL[format], &text);
        prop_assert!(!output.contains("S3CRET"), "{}\n{}", text, output);
    }
}
