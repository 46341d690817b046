use super::*;

mod csv;
mod formats;
mod json;
mod other_kind;
mod random;
mod render;
mod sheet;
mod xlsx;
mod yaml;
mod yaml_errors;

fn parse(format: FileFormat, text: &str) -> Result<UsersFile, FileError> {
    UsersFile::parse("users", text.to_owned(), format)
}

/// Parses a valid YAML file.
fn file(text: &str) -> UsersFile {
    parse(FileFormat::Yaml, text).unwrap_or_else(|error| panic!("{error}"))
}

/// The rows of a valid file.
fn rows(format: FileFormat, text: &str) -> Value {
    parse(format, text).unwrap_or_else(|error| panic!("{error}")).rows().cloned().collect()
}

/// The errors of an invalid file, with excerpts.
fn errors(format: FileFormat, text: &str) -> String {
    parse(format, text).expect_err("must be rejected").to_string()
}

/// The title, positions and help of every error, without excerpts.
fn summary(errors: &str) -> String {
    let parts = ["error", "-->", ":::", "= help"];
    let keep = |line: &&str| parts.iter().any(|part| line.trim_start().starts_with(part));
    let lines: Vec<&str> = errors.lines().filter(keep).map(str::trim).collect();
    lines.join("\n").replace("--> users:", "--> ").replace("::: users:", "::: ")
}

/// One error of a [`summary`]; an empty `help` is absent.
fn error(title: &str, place: &str, help: &str) -> String {
    let help = if help.is_empty() { String::new() } else { format!("\n= help: {help}") };
    format!("error: {title}\n--> {place}{help}")
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
