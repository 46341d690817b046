//! Request bodies in memory: one budget for all of them, and wiping.
//!
//! # Decisions
//!
//! *Memory is taken from the budget as it is used*, not by `Content-Length`: an announced body costs nothing. A request
//! that would exceed the budget is rejected at once. Waiting would hold the part that it has already.
//!
//! *What is parsed from a body counts, too.* Creating a list of users holds up to [`COPIES`] copies of its texts: the body,
//! its fields, the parameters of the statement, the response. Short texts cost more than their length, so each row counts
//! `ROW` in addition. The part of a list is returned when its operation ends, that of any other body when it is parsed.
//!
//! *The last part of the budget is reserved for short bodies*, so that long lists do not make single changes fail.
//!
//! *Bodies are wiped*, because they can contain passwords. What the HTTP library read from the socket and serde_json's
//! buffer for escaped texts can't be. Wiping a long body takes milliseconds, so it is done on a thread that serves no requests.
//!
//! *A long body whose length was announced is read into memory of that length.* Growing would copy and wipe it again and again,
//! on a thread that serves requests. The system provides the memory as it is written.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use zeroize::Zeroize;

use crate::error::{Error, Result};

/// The longest body of a request without a list, in bytes.
pub const SHORT: usize = 64 * 1024;

/// The memory for a body and everything that is made of it, as a multiple of its length.
pub const COPIES: usize = 4;

/// The memory for a row of a list in addition to its texts, in bytes.
const ROW: usize = 1024;

/// The number of rows that are taken from the budget together.
const ROWS_AT_ONCE: usize = 64;

/// One part of so many is reserved for short bodies.
const RESERVED: usize = 16;

/// When to retry a request that exceeded the budget: when the bodies of stalled clients have timed out.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The memory that all request bodies may take together.
#[derive(Debug)]
pub struct BodyBudget {
    limit: usize,
    used: AtomicUsize,
}

impl BodyBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// The least budget with which a body of `length` bytes and a list of `rows` are accepted.
    #[must_use]
    pub const fn least(length: usize, rows: usize) -> usize {
        let needed = length.saturating_mul(COPIES).saturating_add(rows.saturating_mul(ROW));
        needed.saturating_add(needed.div_ceil(RESERVED - 1))
    }

    /// The bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize, is_reserved: bool) -> Result<()> {
        let limit = if is_reserved { self.limit } else { self.limit - self.limit / RESERVED };
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| {
            let message = "too many long requests at once (setting `server.body_budget`); nothing was written";
            Error::overloaded(message, RETRY_AFTER)
        })
    }
}

/// A part of the budget, returned when dropped.
#[derive(Debug)]
pub struct BodyShare {
    budget: Arc<BodyBudget>,
    taken: usize,
    /// Rows that are taken already, but not parsed yet.
    rows_ahead: usize,
}

impl BodyShare {
    /// Takes memory for one more row of a list.
    ///
    /// # Errors
    /// `overloaded`.
    pub(crate) fn take_row(&mut self) -> Result<()> {
        if self.rows_ahead == 0 {
            self.take(ROW * ROWS_AT_ONCE)?;
            self.rows_ahead = ROWS_AT_ONCE;
        }
        self.rows_ahead -= 1;
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let taken = self.taken.saturating_add(bytes);
        self.budget.take(bytes, taken <= SHORT * COPIES)?;
        self.taken = taken;
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Why a text is not JSON, for people: names other encodings and formats, of which a parser only says that it expected
/// something else.
pub(crate) fn why_not_json(text: &[u8], error: &serde_json::Error) -> String {
    let first_line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default().to_ascii_lowercase();
    let has = |part: &[u8]| first_line.windows(part.len()).any(|window| window == part);
    let in_bytes: &[u8] = text.get(..2).unwrap_or_default();
    if text.starts_with(b"\xef\xbb\xbf") {
        "it begins with a byte order mark; send UTF-8 without one".to_owned()
    } else if [b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| in_bytes == *mark) || in_bytes.contains(&0) {
        "it looks like UTF-16; send UTF-8".to_owned()
    } else if first_line.first().is_some_and(u8::is_ascii_alphabetic) && has(b"email") && (has(b",") || has(b";")) {
        "it looks like CSV; `muster user batch-create -f FILE` takes it, this API takes JSON".to_owned()
    } else {
        error.to_string()
    }
}

/// The body of a request, wiped when dropped.
pub struct RequestBody {
    text: Text,
    share: BodyShare,
    /// The announced length, which can be wrong.
    announced: usize,
}

/// A text that is wiped when dropped.
#[derive(Default)]
struct Text(Vec<u8>);

/// Wipes a text. The rest of its memory never had any: writing to it would make the system provide it.
fn wipe(text: &mut [u8]) {
    text.zeroize();
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.0.len() > SHORT
            && let Ok(runtime) = Handle::try_current()
        {
            let mut text = std::mem::take(&mut self.0);
            drop(runtime.spawn_blocking(move || wipe(&mut text)));
        }
        wipe(&mut self.0);
    }
}

impl RequestBody {
    /// An empty body, of which `announced` bytes are expected.
    #[must_use]
    pub fn new(budget: &Arc<BodyBudget>, announced: usize) -> Self {
        let share = BodyShare { budget: Arc::clone(budget), taken: 0, rows_ahead: 0 };
        Self { text: Text::default(), share, announced }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `overloaded` when the budget is used up.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let text = &mut self.text.0;
        let length = text.len() + bytes.len();
        self.share.take(bytes.len().saturating_mul(COPIES))?;
        if length > text.capacity() {
            // `Vec` would leave the old text in memory.
            let announced = if length > SHORT { self.announced } else { 0 };
            let mut longer = Vec::with_capacity(length.max(announced).max(text.capacity().saturating_mul(2)));
            longer.extend_from_slice(text);
            wipe(&mut std::mem::replace(text, longer));
        }
        text.extend_from_slice(bytes);
        Ok(())
    }

    /// The text, which is wiped when its last clone is dropped, and the part of the budget.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, BodyShare) {
        (Bytes::from_owner(self.text), self.share)
    }
}

impl Deref for RequestBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text.0
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("length", &self.text.0.len()).field("share", &self.share).finish()
    }
}
