//! The base URL of the server.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::Error;

/// The URL of the server: scheme, host, port and an optional path prefix.
#[derive(Clone)]
pub(crate) struct Base(Url);

impl Base {
    /// Parses a URL like the vendor's client: the default scheme is `http`, and a path is a prefix. Trailing slashes are
    /// ignored. Errors do not contain the URL, because it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let absolute = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&absolute).map_err(|error| {
            Error::Config(format!("invalid server URL: {error}; expected, for example, `https://muster.example.org`"))
        })?;
        let reject = |reason: &str| Err(Error::Config(format!("invalid server URL: {reason}")));
        match () {
            () if !matches!(url.scheme(), "http" | "https") => reject("the scheme must be `http` or `https`"),
            () if !url.username().is_empty() || url.password().is_some() => {
                reject("must not contain a user name or password")
            }
            () if url.query().is_some() || url.fragment().is_some() => reject("must not contain a query or fragment"),
            () => Ok(Self(url)),
        }
    }

    /// The URL of an endpoint. `path` begins with a slash.
    pub(crate) fn join(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether requests are encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether requests stay on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str) -> String {
        Base::parse(base).unwrap().join("/api/v2/userinfo/", &[]).to_string()
    }

    fn rejection(base: &str) -> String {
        Base::parse(base).err().unwrap().to_string()
    }

    #[test]
    fn trailing_slashes_are_ignored_and_a_path_is_a_prefix() {
        assert_eq!(joined("https://m.example.org"), "https://m.example.org/api/v2/userinfo/");
        assert_eq!(joined("https://m.example.org//"), "https://m.example.org/api/v2/userinfo/");
        assert_eq!(joined("https://m.example.org/a%20b/"), "https://m.example.org/a%20b/api/v2/userinfo/");
    }

    #[test]
    fn the_default_scheme_is_http() {
        assert_eq!(joined("localhost:8080"), "http://localhost:8080/api/v2/userinfo/");
        assert_eq!(joined(" 127.0.0.1:8080/x "), "http://127.0.0.1:8080/x/api/v2/userinfo/");
    }

    #[test]
    fn queries_are_form_encoded() {
        let url = Base::parse("h").unwrap().join("/p", &[("email", "a+b@x.y".to_owned()), ("name", "N N".to_owned())]);
        assert_eq!(url.as_str(), "http://h/p?email=a%2Bb%40x.y&name=N+N");
    }

    #[test]
    fn an_invalid_url_is_rejected_without_repeating_it() {
        assert_eq!(
            rejection(""),
            "invalid server URL: empty host; expected, for example, `https://muster.example.org`"
        );
        assert_eq!(
            rejection("http://u:hunter2@h:port"),
            "invalid server URL: invalid port number; expected, for example, `https://muster.example.org`"
        );
        assert_eq!(rejection("ftp://h"), "invalid server URL: the scheme must be `http` or `https`");
        assert_eq!(rejection("https://u:hunter2@h"), "invalid server URL: must not contain a user name or password");
        assert_eq!(rejection("https://h/?a=b"), "invalid server URL: must not contain a query or fragment");
    }

    #[test]
    fn loopback_addresses_are_recognized() {
        for base in ["localhost:1", "http://a.localhost", "127.1.2.3", "http://[::1]:8080", "http://[::ffff:127.0.0.1]"]
        {
            assert!(Base::parse(base).unwrap().is_loopback(), "{base}");
        }
        for base in ["example.org", "localhost.example.org", "10.0.0.1", "http://[2001:db8::1]"] {
            assert!(!Base::parse(base).unwrap().is_loopback(), "{base}");
        }
    }

    #[test]
    fn the_url_displays_without_a_trailing_slash() {
        assert_eq!(Base::parse("localhost:8080/").unwrap().to_string(), "http://localhost:8080");
    }
}
