//! Markdown from plain text.

/// The head of a page.
pub fn head(title: &str, source: &str) -> String {
    format!("# {title}\n\n<!-- Generated from {source} by `make docs`; do not edit. -->\n\n")
}

/// Escapes Markdown, except `code`.
pub fn text(plain: &str) -> String {
    let mut is_code = false;
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c == '`' {
            is_code = !is_code;
        }
        if !is_code && matches!(c, '*' | '<' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Markdown on one line, for a table cell.
pub fn cell(markdown: &str) -> String {
    let words: Vec<&str> = markdown.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
