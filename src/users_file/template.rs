//! Example users files.

use clap::ValueEnum;

/// The formats of the example: those that allow comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TemplateFormat {
    /// YAML, for text editors.
    #[default]
    Yaml,
    /// CSV, for spreadsheets.
    Csv,
}

/// A valid users file that explains every field.
#[must_use]
pub const fn template(format: TemplateFormat) -> &'static str {
    match format {
        TemplateFormat::Yaml => include_str!("template.yaml"),
        TemplateFormat::Csv => include_str!("template.csv"),
    }
}
