//! The page of the error codes, from their declaration in `src/error.rs`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::markdown::head;

const SOURCE: &str = include_str!("../../src/error.rs");

const INTRODUCTION: &str = "\
All error responses have the same body:

```json
{\"error\": {\"code\": \"batch_rejected\", \"detail\": \"…\", \"rows\": [], \"request_id\": \"req_01m8…\"}}
```

`code` is one of the codes below and never changes its meaning. `detail` is one line for people and may change. `rows`
lists the findings on each row and field of a rejected list. `request_id` identifies the request in the server log.

| code | status | meaning | what to do |
|---|---|---|---|
";

pub fn page() -> Result<String, Box<dyn std::error::Error>> {
    let advice = advice();
    let block = SOURCE.split_once("\ncodes! {\n").and_then(|(_, rest)| rest.split_once("\n}"));
    let (block, _) = block.ok_or("src/error.rs has no `codes!` block in the expected format")?;
    let mut page = head("Errors", "`src/error.rs`") + INTRODUCTION;
    let mut meaning = Vec::new();
    for line in block.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            meaning.push(words);
            continue;
        }
        let code = line.split('"').nth(1).ok_or_else(|| format!("not a code: {line}"))?;
        let status = line.trim_end_matches(';').rsplit(", ").next().unwrap_or_default();
        let what_to_do = advice.get(code).ok_or_else(|| format!("the table of src/error.rs lacks `{code}`"))?;
        writeln!(page, "| `{code}` | {status} | {} | {what_to_do} |", meaning.join(" "))?;
        meaning.clear();
    }
    Ok(page)
}

/// What the client should do about each code, from the table in the module documentation.
fn advice() -> BTreeMap<&'static str, &'static str> {
    let mut advice = BTreeMap::new();
    for line in SOURCE.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let mut cells = line.trim_end_matches(" |").split(" | ");
        if let (Some(codes), Some(_), Some(what_to_do)) = (cells.next(), cells.next(), cells.next()) {
            // The cell has codes in backticks, and sometimes a remark.
            let codes = codes.split_once(" (").map_or(codes, |(codes, _)| codes);
            advice.extend(codes.split(", ").map(|code| (code.trim_matches('`'), what_to_do)));
        }
    }
    advice
}
