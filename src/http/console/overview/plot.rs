//! Curves and bars as paths of SVG, in a box of 300 by 100 that the page stretches.

use std::fmt::Write;

/// The size of the box, in tenths.
const WIDTH: i64 = 3000;
const HEIGHT: i64 = 1000;

/// The share of its place that a bar leaves free: 1 of so many parts.
const GAP: i64 = 3;

/// The height of the lowest bar, which can be seen.
const LOWEST: i64 = 10;

/// The end of the scale for values up to `most`: a round number, the half of which is round, too.
pub(super) fn scale(most: i64) -> i64 {
    let ends = (0..18).flat_map(|power| [2, 4, 6, 8, 10].map(|digit| digit * 10_i64.pow(power)));
    ends.into_iter().find(|end| *end >= most).unwrap_or(i64::MAX)
}

/// A line through values.
pub(super) fn line(values: &[i64], end: i64) -> String {
    let last = i64::try_from(values.len()).unwrap_or(i64::MAX).saturating_sub(1).max(1);
    let points = (0..).zip(values).map(|(place, value)| {
        let command = if place == 0 { 'M' } else { 'L' };
        format!("{command}{} {}", tenths(place * WIDTH / last), tenths(HEIGHT - height(*value, end)))
    });
    points.collect()
}

/// What is below a line.
pub(super) fn area(line: &str) -> String {
    format!("{line}V100H0Z")
}

/// Bars of values, each on top of the bar of the value below it.
pub(super) fn bars(values: &[i64], below: &[i64], end: i64) -> String {
    let place = WIDTH / i64::try_from(values.len()).unwrap_or(i64::MAX).max(1);
    let (width, margin) = (place - place / GAP, place / GAP / 2);
    let mut path = String::new();
    for (n, (value, below)) in (0..).zip(values.iter().zip(below)) {
        if *value > 0 {
            let bottom = HEIGHT - bar(*below, end);
            let (left, high) = (n * place + margin, bar(*value, end));
            // Writing to a string does not fail.
            let _ = write!(
                path,
                "M{} {}v-{}h{}v{}z",
                tenths(left),
                tenths(bottom),
                tenths(high),
                tenths(width),
                tenths(high)
            );
        }
    }
    path
}

fn bar(value: i64, end: i64) -> i64 {
    if value > 0 { height(value, end).max(LOWEST) } else { 0 }
}

fn height(value: i64, end: i64) -> i64 {
    (value.clamp(0, end).saturating_mul(HEIGHT)) / end.max(1)
}

/// A number of tenths as a decimal.
fn tenths(number: i64) -> String {
    match number % 10 {
        0 => (number / 10).to_string(),
        rest => format!("{}.{rest}", number / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number_whose_half_is_round() {
        for (most, end) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (5, 6),
            (10, 10),
            (11, 20),
            (45, 60),
            (950, 1_000),
            (5_214, 6_000),
            (1_000_000, 1_000_000),
        ] {
            assert_eq!(scale(most), end, "{most}");
        }
        assert_eq!(scale(i64::MAX), i64::MAX);
    }

    #[test]
    fn a_line_goes_from_the_left_edge_to_the_right_one() {
        assert_eq!(line(&[0, 5, 10], 10), "M0 100L150 50L300 0");
        assert_eq!(line(&[1, 1, 2, 3], 6), "M0 83.4L100 83.4L200 66.7L300 50");
        assert_eq!(area(&line(&[0, 5, 10], 10)), "M0 100L150 50L300 0V100H0Z");
        assert_eq!((line(&[3], 6), line(&[], 2)), ("M0 50".to_owned(), String::new()));
        // Never outside of the box.
        assert_eq!(line(&[-1, 20], 10), "M0 100L300 0");
    }

    #[test]
    fn bars_stand_on_those_below_and_none_is_too_low_to_be_seen() {
        assert_eq!(bars(&[5, 0, 10], &[0, 0, 0], 10), "M16.6 100v-50h66.7v50zM216.6 100v-100h66.7v100z");
        assert_eq!(bars(&[1], &[500], 1_000), "M50 50v-1h200v1z");
        assert_eq!(bars(&[0, 0], &[1, 2], 10), "");
    }
}
