//! Finds line and column of a byte, both from 1, columns in characters, without reading the text
//! again.

/// The places of a text that were looked up once.
pub(super) struct Positions {
    /// In order of the offset: one for each line, and one for each [`Self::STEP`] bytes of a long
    /// line.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    offset: usize,
    line: usize,
    column: usize,
}

impl Positions {
    const STEP: usize = 1024;

    pub fn new(text: &str) -> Self {
        let mut here = Mark { offset: 0, line: 1, column: 1 };
        let mut last = here;
        let mut marks = vec![here];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            here.offset += c.len_utf8();
            here.column += 1;
            let next = c == '\n' || (c == '\r' && chars.peek() != Some(&'\n'));
            if next {
                here.line += 1;
                here.column = 1;
            }
            if next || here.offset - last.offset >= Self::STEP {
                marks.push(here);
                last = here;
            }
        }
        Self { marks }
    }

    /// Line and column of the byte at `at`.
    pub fn find(&self, text: &str, at: usize) -> (usize, usize) {
        let after = self.marks.partition_point(|mark| mark.offset <= at);
        match self.marks.get(after.saturating_sub(1)) {
            Some(mark) => {
                let chars = text.get(mark.offset..at).unwrap_or_default().chars().count();
                (mark.line, mark.column + chars)
            }
            None => (1, 1),
        }
    }
}
