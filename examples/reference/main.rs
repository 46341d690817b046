//! Generates `docs/reference/` from the code, or checks that it is current.
//!
//! ```console
//! $ cargo run --example reference            # writes
//! $ cargo run --example reference -- --check # compares
//! ```
//!
//! # Decisions
//!
//! *Generated files are committed.* They can be read and searched in the repository, and the diff of a change shows what its
//! users will see.

mod cli;
mod configuration;
mod errors;
mod http;
mod markdown;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let check = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => false,
        (Some("--check"), None) => true,
        _ => return Err("usage: cargo run --example reference [-- --check]".into()),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let pages = [
        ("configuration.md", configuration::page()?),
        ("cli.md", cli::page()),
        ("http.md", http::page()?),
        ("errors.md", errors::page()?),
    ];
    let mut stale = Vec::new();
    for (name, page) in pages {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|written| written == page) {
            continue;
        }
        if check {
            stale.push(name);
        } else {
            fs::create_dir_all(&folder)?;
            fs::write(&path, page)?;
            writeln!(std::io::stderr(), "written: docs/reference/{name}")?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("docs/reference is out of date: {}; run `make docs`", stale.join(", ")).into())
}
