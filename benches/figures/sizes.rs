//! Scaling with the length of the list and with the size of the tables.

use std::fmt::Write;

use super::{Served, list, median, paired, with_rows};
use crate::Line;
use crate::baseline::{Rows, fill, forget_users, settle};

const SHORT: usize = 1_000;
const LONG: usize = 100_000;
const BATCH: usize = 10_000;
const FULL: usize = 1_000_000;

pub fn lines() -> Vec<Line> {
    vec![by_length(), by_table()]
}

fn by_length() -> Line {
    let mut served = Served::start();
    served.create(&with_rows(Rows::Sso, "warm", LONG));
    served.create(&with_rows(Rows::Sso, "warmer", SHORT));
    settle(&served.database);
    let micros = |seconds: f64, users: usize| seconds * 1e6 / users as f64;
    let times = paired(
        &mut served,
        |served, pair| {
            let time = |n| served.create(&with_rows(Rows::Sso, &format!("s{pair}-{n}"), SHORT)).as_secs_f64();
            micros(median((0..21).map(time).collect()), SHORT)
        },
        |served, pair| micros(served.create(&with_rows(Rows::Sso, &format!("l{pair}"), LONG)).as_secs_f64(), LONG),
    );
    Line::at_most(
        "time per row of a batch of 100,000 / of 1,000",
        times.ratio,
        1.2,
        "",
        format!("{:.2} ({:.1} µs / {:.1} µs)", times.ratio, times.b, times.a),
    )
}

fn by_table() -> Line {
    let mut both = (Served::start(), Served::start());
    fill(&both.1.database, FULL);
    both.0.create(&spread(90));
    both.1.create(&spread(90));
    settle(&both.0.database);
    let times = paired(
        &mut both,
        |(empty, _), pair| {
            forget_users(&empty.database);
            empty.create(&spread(pair)).as_secs_f64()
        },
        |(_, full), pair| full.create(&spread(pair)).as_secs_f64(),
    );
    Line::at_most(
        "10,000 users into a table of 1,000,000, time / into an empty one",
        times.ratio,
        1.3,
        "",
        format!("{:.2} ({:.0} ms / {:.0} ms)", times.ratio, times.b * 1e3, times.a * 1e3),
    )
}

/// Users whose addresses are spread evenly over the alphabet, like those in the full table, so that most of them are inserted
/// into different pages of the index.
fn spread(round: usize) -> String {
    list(BATCH, |body, n| {
        let mut bits = ((round as u64) << 32 | n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        write!(body, r#"{{"name":"Ada","email":"{bits:016x}-{round}@example.com","is_sso_user":true}}"#).unwrap();
    })
}
