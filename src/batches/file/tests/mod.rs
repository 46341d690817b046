use super::*;

mod form;
mod random;
mod render;
mod rows;

/// The file of a text that must have the right form.
fn file(text: &str) -> UsersFile {
    match UsersFile::parse("users.yaml", text.to_owned()) {
        Ok(file) => file,
        Err(error) => panic!("{error}"),
    }
}

/// What is said about a text that doesn't.
fn refusal(text: &str) -> String {
    UsersFile::parse("users.yaml", text.to_owned()).expect_err("must be refused").to_string()
}

fn finding(index: usize, field: &str, code: &str, message: &str) -> Finding {
    Finding {
        index,
        field: Some(field.to_owned()).filter(|field| !field.is_empty()),
        code: code.to_owned(),
        message: message.to_owned(),
        other_index: None,
    }
}
