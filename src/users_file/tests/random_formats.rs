//! Random files of the other formats: rows round-trip, positions are correct, parsing does not panic, and no secret is
//! printed.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

/// Any JSON, a few levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::String),
        "[a-z@. ]{0,12}".prop_map(Value::String),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(UserField::NEW_USER).prop_map(|field| field.as_str().to_owned()), any::<String>()]
}

/// A user whose fields are text or flags, the only values that a table can contain.
fn user() -> impl Strategy<Value = Map<String, Value>> {
    let text = || prop_oneof![Just(String::new()), "[a-z0-9,;\t\"'\r\n# ]{0,8}", any::<String>()];
    (text(), text(), text(), any::<bool>(), prop::option::of(any::<bool>()), text()).prop_map(
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

fn parse(format: FileFormat, text: &str) -> Result<UsersFile, FileError> {
    UsersFile::parse("users", text.to_owned(), format)
}

fn findings(file: &UsersFile) -> Vec<RowFinding> {
    let fields = ["", "name", "password", "password_hash", "is_sso_user", "x"];
    let finding = |index| fields.map(|field| RowFinding { other_index: Some(0), ..finding(index, field, "c", "m") });
    (0..=file.len()).flat_map(finding).collect()
}

fn all_output(format: FileFormat, text: &str) -> String {
    match parse(format, text) {
        Ok(file) => file.render(&findings(&file), false),
        Err(error) => error.to_string(),
    }
}

/// Pieces of all formats, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d83d",
        "\\n",
        "\n",
        "\r",
        "\r\n",
        "\t",
        " ",
        ";",
        "#",
        "'",
        "-",
        "0",
        "1e9",
        ".",
        "true",
        "null",
        "/",
        "name",
        "email",
        "password",
        "is_sso_user",
        "\"name\": ",
        "\"password\": ",
        "name,email,is_sso_user\n",
        "create_users",
        "密",
        "\u{feff}",
        "\u{202e}",
        "\u{1b}[31m",
        "a",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

const ALL: [FileFormat; 4] = [FileFormat::Yaml, FileFormat::Json, FileFormat::Ndjson, FileFormat::Csv];

proptest! {
    #[test]
    fn json_survives(rows in prop::collection::vec(value(), 0..6), pretty in any::<bool>(), object in any::<bool>()) {
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
        prop_assert_eq!(rows_as(FileFormat::Ndjson, &lines.join("\n\r\n")), due);
    }

    #[test]
    fn json_is_what_serde_json_takes(soup in soup()) {
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
    fn tables_survive(
        users in prop::collection::vec(user(), 0..6), end in prop::sample::select(vec!["\n", "\r\n"]),
        delimiter in prop::sample::select(vec![",", ";", "\t"]), quote in any::<bool>(),
    ) {
        let text = table(&users, delimiter, end, quote);
        let file = parse(FileFormat::Csv, &text).unwrap();
        let due: Vec<Value> = users.iter().cloned().map(Value::Object).collect();
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
    fn any_text_is_read_or_refused(text in any::<String>(), soup in soup()) {
        for format in ALL {
            for text in [&text, &soup, &format!("name,email,is_sso_user\n{soup}"), &format!("[{{{soup}}}]")] {
                let output = all_output(format, text);
                let raw = output.chars().find(|c| c.is_control() && *c != '\n');
                prop_assert_eq!(raw, None);
            }
        }
    }

    #[test]
    fn a_password_is_never_printed(
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
        // The inserted text must not turn the password into a key or a column name.
        let piece = piece.replace("name", "").replace("email", "").replace("is_sso_user", "");
        text.replace_range(place..end, piece.get(..piece.floor_char_boundary(6)).unwrap());
        prop_assume!(text.matches("password").count() >= if ALL[format] == FileFormat::Csv { 1 } else { 2 });
        let output = all_output(ALL[format], &text);
        prop_assert!(!output.contains("S3CRET"), "{}\n{}", text, output);
    }
}
