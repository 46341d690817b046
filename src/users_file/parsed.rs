//! What the readers of all formats have in common: what comes of a text, and the keys of its top
//! level.

use std::ops::Range;

use super::error::Problem;
use super::hide::{self, Hidden};
use super::{Contents, Row};

/// Problems after which reading ends.
const PROBLEMS: usize = 100;
/// Users in one file. No server takes more in one batch (`batch.max_users` is bounded alike), and
/// the memory for a file of nothing but empty users is bounded.
const ROWS: usize = 100_000;

/// How deep values can be nested: a users file is three levels deep. The bound keeps every recursion
/// over values small.
pub(super) const DEPTH: usize = 32;

/// What came of a text: rows, or problems.
pub(super) struct Parsed {
    pub rows: Vec<Row>,
    pub hidden: Vec<Hidden>,
    pub problems: Vec<Problem>,
}

/// The problem that ends the reading.
pub(super) type Read<T> = Result<T, Box<Problem>>;

/// What was found out about a text beside its rows.
pub(super) struct Notes {
    pub contents: &'static Contents,
    pub hidden: Vec<Hidden>,
    pub problems: Vec<Problem>,
}

impl Notes {
    pub const fn new(contents: &'static Contents) -> Self {
        Self { contents, hidden: Vec::new(), problems: Vec::new() }
    }

    /// Keeps a problem that leaves the rest readable, unless there are too many.
    pub fn note(&mut self, problem: Problem) -> Read<()> {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
            return Ok(());
        }
        Err(Box::new(Problem::new("too many problems: the rest of the file was not read", problem.span)))
    }

    /// Replaces a piece of the text by stars wherever it would be shown.
    pub fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.hidden.push(hide::value(span));
        }
    }

    pub fn into_parsed(self, rows: Vec<Row>) -> Parsed {
        let Self { mut hidden, problems, .. } = self;
        hide::tidy(&mut hidden);
        Parsed { rows, hidden, problems }
    }
}

/// Adds a row, up to the most that a file can have.
pub(super) fn push(rows: &mut Vec<Row>, row: Row) -> Read<()> {
    if rows.len() == ROWS {
        let problem = Problem::new("a file has up to 100000 users, and here begins one more", row.span);
        return Err(Box::new(problem.help("split it into several files")));
    }
    rows.push(row);
    Ok(())
}

/// The keys beside and around the list, of which there should be none.
#[derive(Default)]
pub(super) struct TopLevel {
    /// Where the key of the list stands.
    pub list: Option<Range<usize>>,
    /// Other names, and where; a name that can't be printed is empty.
    pub others: Vec<(String, Range<usize>)>,
}

impl TopLevel {
    /// Whether they are those of a user, who stands where the list should be.
    pub fn is_a_user(&self, contents: &Contents) -> bool {
        let known = |name: &str| contents.field(name).is_some();
        let list = self.list.is_some() || self.others.iter().any(|(name, _)| is_near(name) && !known(name));
        !list && self.others.iter().any(|(name, _)| known(name))
    }

    /// Notes what is wrong with them. `missing` and `expected` say so when there is no list in the
    /// file that begins at `start`.
    pub fn judge(self, start: usize, missing: &str, expected: String, notes: &mut Notes) -> Read<()> {
        let list = notes.contents.list;
        if self.list.is_none() {
            let near = self.others.iter().find(|(name, _)| is_near(name)).or(self.others.first());
            let (name, key) = near.map_or(("", start..start), |(name, key)| (name.as_str(), key.clone()));
            return notes.note(if is_near(name) {
                unknown(name, key).help(format!("did you mean `{list}`?"))
            } else {
                Problem::new(missing, key).help(expected)
            });
        }
        for (name, key) in self.others {
            notes.note(unknown(&name, key).help(format!("a users file has no key but `{list}`")))?;
        }
        Ok(())
    }
}

fn unknown(key: &str, place: Range<usize>) -> Problem {
    Problem::new(if key.is_empty() { "unknown key".to_owned() } else { format!("unknown key `{key}`") }, place)
}

/// Something that is there for the second time.
pub(super) fn twice(what: &str, place: Range<usize>, first: Range<usize>) -> Problem {
    Problem::new(format!("{what} is given twice"), place).other(first, "first given here")
}

/// Whether somebody who wrote this key meant that of the list.
fn is_near(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("user") || key.contains("create")
}
