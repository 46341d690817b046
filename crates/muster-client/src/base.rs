//! Where the server is.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::Error;

/// The server's address: scheme, host, port and possibly a path that all requests begin with.
#[derive(Clone)]
pub(crate) struct Base(Url);

impl Base {
    /// Reads an address as the vendor's client does (a missing scheme is `http`, a path is a
    /// prefix), with trailing slashes dropped rather than doubled.
    ///
    /// The text is not repeated in errors: it may hold a password before an `@`, which is one
    /// of the things refused.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let absolute = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&absolute).map_err(|error| {
            Error::Config(format!(
                "the server's address can't be read ({error}); it looks like `https://muster.example.org`"
            ))
        })?;
        let refuse = |what: &str| Err(Error::Config(format!("the server's address must not have {what}")));
        match () {
            () if !matches!(url.scheme(), "http" | "https") => refuse("another scheme than `http` or `https`"),
            () if !url.username().is_empty() || url.password().is_some() => refuse("a user name or password in it"),
            () if url.query().is_some() || url.fragment().is_some() => refuse("a `?` or `#` in it"),
            () => Ok(Self(url)),
        }
    }

    /// The address of one endpoint; `path` begins with a slash.
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

    fn refusal(base: &str) -> String {
        Base::parse(base).err().unwrap().to_string()
    }

    #[test]
    fn trailing_slashes_are_not_doubled_and_a_path_is_a_prefix() {
        assert_eq!(joined("https://m.example.org"), "https://m.example.org/api/v2/userinfo/");
        assert_eq!(joined("https://m.example.org//"), "https://m.example.org/api/v2/userinfo/");
        assert_eq!(joined("https://m.example.org/a%20b/"), "https://m.example.org/a%20b/api/v2/userinfo/");
    }

    #[test]
    fn an_address_without_scheme_is_http() {
        assert_eq!(joined("localhost:8080"), "http://localhost:8080/api/v2/userinfo/");
        assert_eq!(joined(" 127.0.0.1:8080/x "), "http://127.0.0.1:8080/x/api/v2/userinfo/");
    }

    #[test]
    fn queries_are_form_encoded() {
        let url = Base::parse("h").unwrap().join("/p", &[("email", "a+b@x.y".to_owned()), ("name", "N N".to_owned())]);
        assert_eq!(url.as_str(), "http://h/p?email=a%2Bb%40x.y&name=N+N");
    }

    #[test]
    fn what_is_no_server_address_is_refused_without_repeating_it() {
        assert_eq!(
            refusal(""),
            "the server's address can't be read (empty host); it looks like `https://muster.example.org`"
        );
        assert_eq!(
            refusal("http://u:hunter2@h:port"),
            "the server's address can't be read (invalid port number); it looks like `https://muster.example.org`"
        );
        assert_eq!(refusal("ftp://h"), "the server's address must not have another scheme than `http` or `https`");
        assert_eq!(refusal("https://u:hunter2@h"), "the server's address must not have a user name or password in it");
        assert_eq!(refusal("https://h/?a=b"), "the server's address must not have a `?` or `#` in it");
    }

    #[test]
    fn loopback_is_known_in_all_its_spellings() {
        for base in ["localhost:1", "http://a.localhost", "127.1.2.3", "http://[::1]:8080", "http://[::ffff:127.0.0.1]"]
        {
            assert!(Base::parse(base).unwrap().is_loopback(), "{base}");
        }
        for base in ["example.org", "localhost.example.org", "10.0.0.1", "http://[2001:db8::1]"] {
            assert!(!Base::parse(base).unwrap().is_loopback(), "{base}");
        }
    }

    #[test]
    fn it_is_shown_without_trailing_slash() {
        assert_eq!(Base::parse("localhost:8080/").unwrap().to_string(), "http://localhost:8080");
    }
}
