//! Builds again when a migration was added: `sqlx::migrate!` reads the folder unseen by cargo.

#[expect(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
