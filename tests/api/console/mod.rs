//! The console, as a browser uses it.

mod audit;
mod batches;
mod bulk;
mod changes;
mod groups;
mod import;
mod invitations;
mod keys;
mod overview;
mod people;
mod person;
mod pictures;
mod providers;
mod roles;
mod services;
mod sessions;
mod settings;

pub use crate::pages::{PASSWORD, heading, spawn, title, user};
pub use crate::support::browser::Browser;
pub use crate::support::{Actor, Answer, TestApp};

/// A browser in which an owner has signed in, with the password.
pub async fn owner(app: &TestApp) -> Browser {
    user(app, "ingrid@example.com", "owner").await;
    let browser = Browser::of(app);
    browser.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    browser
}

/// The value of a hidden field of a form.
pub fn hidden<'a>(page: &'a Answer, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    page.text
        .split_once(start.as_str())
        .unwrap_or_else(|| panic!("{name} in {}", page.text))
        .1
        .split_once('"')
        .unwrap()
        .0
}
