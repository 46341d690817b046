//! Pagination.

use serde::{Deserialize, Deserializer, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub results: Vec<T>,
    /// Metadata of the page. The vendor's API may omit it or send `null`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: PageMetadata,
}

/// Metadata of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMetadata {
    /// Number of items on all pages, if the server counts them.
    #[serde(default)]
    pub total: Option<i64>,
    /// Token of the next page, to be sent with the same filter and count; `None` on the last page.
    #[serde(default)]
    pub next_paging_token: Option<String>,
}

/// Deserializes `null` as the default value, for `#[serde(default, deserialize_with = …)]`.
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
    fn metadata_may_be_complete_null_or_missing() {
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
