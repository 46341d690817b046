//! Long lists without hashing: rate compared with `INSERT … SELECT`, and memory.

use super::{Served, paired, with_rows};
use crate::Line;
use crate::baseline::{Rows, insert_select, settle};

pub fn lines() -> Vec<Line> {
    let mut lines = measure(
        Rows::Sso,
        10_000,
        0.5,
        ["10,000 SSO users over HTTP, rows/s / INSERT … SELECT in psql", "  peak memory above idle"],
    );
    lines.truncate(1);
    lines.extend(measure(
        Rows::Sso,
        100_000,
        0.7,
        ["100,000 SSO users over HTTP, rows/s / INSERT … SELECT in psql", "  peak memory above idle"],
    ));
    lines.extend(measure(
        Rows::Hashed,
        100_000,
        0.7,
        ["100,000 users with password_hash, rows/s / INSERT … SELECT in psql", "  peak memory above idle"],
    ));
    lines
}

fn measure(rows: Rows, users: usize, limit: f64, what: [&'static str; 2]) -> Vec<Line> {
    let mut served = Served::start();
    let idle = served.idle_memory();
    served.create(&with_rows(rows, "warm", users));
    insert_select(&served.database, rows, users, 99);
    // Vacuum before each run. Otherwise the pending entries of the search index that one side leaves behind would be merged
    // during the other side's run.
    let times = paired(
        &mut served,
        |served, pair| {
            settle(&served.database);
            insert_select(&served.database, rows, users, pair).as_secs_f64()
        },
        |served, pair| {
            settle(&served.database);
            served.create(&with_rows(rows, &format!("h{pair}"), users)).as_secs_f64()
        },
    );
    let peak = served.resident("VmHWM") - idle;
    let rate = |seconds: f64| users as f64 / seconds;
    vec![
        Line::at_least(
            what[0],
            1.0 / times.ratio,
            limit,
            format!("{:.2} ({:.0}/s / {:.0}/s)", 1.0 / times.ratio, rate(times.b), rate(times.a)),
        ),
        Line::at_most(what[1], peak as f64, 250.0, " MiB", format!("{peak} MiB (idle {idle} MiB)")),
    ]
}
