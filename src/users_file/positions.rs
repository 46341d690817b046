//! Maps byte offsets to lines and columns, both from 1, columns in characters.

/// An index with one entry for each [`Self::STEP`] bytes, so that lookups don't depend on the length of lines.
pub(super) struct Positions {
    marks: Vec<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    offset: usize,
    line: usize,
    column: usize,
}

impl Mark {
    /// Moves forward to the offset `to`.
    fn advance(mut self, text: &str, to: usize) -> Self {
        let rest = text.as_bytes().get(self.offset..).unwrap_or_default();
        let next = rest.iter().skip(1).map(Some).chain([None]);
        for (byte, next) in rest.iter().zip(next).take(to.saturating_sub(self.offset)) {
            if *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n')) {
                self.line += 1;
                self.column = 1;
            } else if byte & 0b1100_0000 != 0b1000_0000 {
                // The first byte of a character.
                self.column += 1;
            }
        }
        Self { offset: to, ..self }
    }
}

impl Positions {
    const STEP: usize = 1024;

    pub fn new(text: &str) -> Self {
        let mut here = Mark { offset: 0, line: 1, column: 1 };
        let mut marks = vec![here];
        while here.offset < text.len() {
            here = here.advance(text, text.floor_char_boundary(here.offset + Self::STEP));
            marks.push(here);
        }
        Self { marks }
    }

    /// The line and column of an offset.
    pub fn find(&self, text: &str, at: usize) -> (usize, usize) {
        let after = self.marks.partition_point(|mark| mark.offset <= at);
        let here = self.marks.get(after.saturating_sub(1)).map(|mark| mark.advance(text, at));
        here.map_or((1, 1), |here| (here.line, here.column))
    }
}
