//! Examples of users files, to begin with.

use clap::ValueEnum;

/// The formats that there are examples of: those that people write, and that can hold comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TemplateFormat {
    /// For text editors.
    #[default]
    Yaml,
    /// For spreadsheets.
    Csv,
}

/// A users file with every field explained, whose users could be created as they are.
#[must_use]
pub const fn template(format: TemplateFormat) -> &'static str {
    match format {
        TemplateFormat::Yaml => include_str!("template.yaml"),
        TemplateFormat::Csv => include_str!("template.csv"),
    }
}
