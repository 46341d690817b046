//! Rebuilds when a migration changes: cargo does not see that `sqlx::migrate!` reads the directory.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
