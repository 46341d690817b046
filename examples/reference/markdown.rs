//! Plain text as Markdown.

/// What stands at the top of every page.
pub fn head(title: &str, source: &str) -> String {
    format!("# {title}\n\n<!-- Made from {source} by `make docs`: change that, not this. -->\n\n")
}

/// Text in which nothing is Markdown but `code`.
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

/// Markdown on one line, for a cell of a table.
pub fn cell(markdown: &str) -> String {
    let words: Vec<&str> = markdown.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
