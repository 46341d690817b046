//! Lists come in pages.

use serde::{Deserialize, Deserializer, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub results: Vec<T>,
    /// How to go on. The vendor's API may leave it out or send `null`, which is read as nothing known.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: PageMetadata,
}

/// What a page tells about its list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMetadata {
    /// Rows on all pages together, where the server counts them.
    #[serde(default)]
    pub total: Option<i64>,
    /// Asks for the next page, with the same filter and count; `None` on the last one.
    #[serde(default)]
    pub next_paging_token: Option<String>,
}

/// Reads `null` as the default, for `#[serde(default, deserialize_with = …)]`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_may_be_whole_null_or_missing() {
        let read = |text| serde_json::from_str::<Page<u8>>(text).unwrap().metadata;
        assert_eq!(
            read(r#"{"results":[1],"metadata":{"total":2,"next_paging_token":"t"}}"#),
            PageMetadata { total: Some(2), next_paging_token: Some("t".to_owned()) }
        );
        assert_eq!(
            read(r#"{"results":[],"metadata":{"total":null,"next_paging_token":null}}"#),
            PageMetadata::default()
        );
        assert_eq!(read(r#"{"results":[],"metadata":null}"#), PageMetadata::default());
        assert_eq!(read(r#"{"results":[]}"#), PageMetadata::default());
    }
}
