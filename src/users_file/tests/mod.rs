use super::*;

mod csv;
mod form;
mod formats;
mod json;
mod random;
mod random_formats;
mod render;
mod rows;

/// Parses a valid users file.
fn file(text: &str) -> UsersFile {
    match UsersFile::parse("users.yaml", text.to_owned(), FileFormat::Yaml) {
        Ok(file) => file,
        Err(error) => panic!("{error}"),
    }
}

/// The errors of an invalid users file.
fn refusal(text: &str) -> String {
    UsersFile::parse("users.yaml", text.to_owned(), FileFormat::Yaml).expect_err("must be refused").to_string()
}

fn finding(index: usize, field: &str, code: &str, message: &str) -> RowFinding {
    RowFinding {
        index,
        field: Some(field.to_owned()).filter(|field| !field.is_empty()),
        code: code.to_owned(),
        message: message.to_owned(),
        other_index: None,
    }
}

/// Title, position and help of every error, without the excerpt.
fn said(text: &str) -> String {
    let keep = |line: &&str| line.starts_with("error") || line.contains("-->") || line.contains("= help");
    let lines: Vec<&str> = text.lines().filter(keep).map(str::trim).collect();
    lines.join("\n").replace("--> users.yaml:", "--> ").replace("--> users:", "--> ")
}

/// Parses the rows of a valid users file in another format.
fn rows_as(format: FileFormat, text: &str) -> Value {
    match UsersFile::parse("users", text.to_owned(), format) {
        Ok(file) => file.rows().cloned().collect(),
        Err(error) => panic!("{error}"),
    }
}

/// The errors of an invalid users file in another format.
fn refusal_as(format: FileFormat, text: &str) -> String {
    UsersFile::parse("users", text.to_owned(), format).expect_err("must be refused").to_string()
}
