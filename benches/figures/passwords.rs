//! Creating users with passwords, compared with bare hashing.

use super::{Served, paired, with_passwords};
use crate::Line;
use crate::baseline::{Hashes, libsodium};

const MANY: usize = 2_000;

pub fn lines() -> Vec<Line> {
    let mut served = Served::start();
    let mut hashes = Hashes::new();
    served.create(&with_passwords("warm", 100));
    let mut measure = |users: usize| {
        paired(
            &mut served,
            |_, _| hashes.run(users).as_secs_f64(),
            |served, pair| served.create(&with_passwords(&format!("p{users}-{pair}"), users)).as_secs_f64(),
        )
    };
    let few = measure(500);
    let many = measure(MANY);
    let rate = |seconds: f64| MANY as f64 / seconds;
    let sodium = libsodium(MANY)
        .map_or_else(|| "not installed".to_owned(), |elapsed| format!("{:.1}/s", rate(elapsed.as_secs_f64())));
    vec![
        Line::at_most(
            "500 password users over HTTP, time / bare argon2id",
            few.ratio,
            1.06,
            "",
            format!("{:.3} ({:.2} s / {:.2} s)", few.ratio, few.b, few.a),
        ),
        Line::at_least(
            "2,000 password users over HTTP, rate / bare argon2id",
            1.0 / many.ratio,
            0.97,
            format!("{:.3} ({:.1}/s / {:.1}/s)", 1.0 / many.ratio, rate(many.b), rate(many.a)),
        ),
        Line::reference("  the same hashes with libsodium's crypto_pwhash, on all cores", sodium),
    ]
}
