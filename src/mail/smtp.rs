//! The SMTP client.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::config::{Config, ConfigError};

/// The longest time that one message, or the check of `muster doctor`, may take. Shorter than a lease.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Replies about muster's own credentials (RFC 4954): they say nothing about the message.
const AUTHENTICATION: [u16; 4] = [530, 534, 535, 538];

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// Sends messages through the SMTP server of the settings.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// The host and port, for people.
    server: String,
    /// The address of this server, without a trailing slash.
    public_url: String,
    /// The host of `public_url`, for `Message-ID`.
    host: String,
}

/// A message that was not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    reason: String,
    /// Whether a later attempt would end in the same way.
    pub is_permanent: bool,
}

impl SendError {
    pub(super) fn permanent(reason: &str) -> Self {
        Self { reason: shortened(reason), is_permanent: true }
    }

    pub(super) fn transient(reason: &str) -> Self {
        Self { reason: shortened(reason), is_permanent: false }
    }
}

/// A message to send.
pub(super) struct Outgoing<'a> {
    /// The same in each attempt, so that a mail program recognizes a second copy.
    pub(super) id: String,
    pub(super) to: &'a str,
    pub(super) subject: &'static str,
    pub(super) body: String,
}

impl Mailer {
    /// Reads the settings; `None` if mail is not configured.
    ///
    /// # Errors
    /// A malformed setting. The message does not repeat the URL, which has a password.
    pub fn new(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(url) = config.mail_url()? else { return Ok(None) };
        let mistake = |message: &str| ConfigError::starting(message.to_owned());
        let malformed = || {
            mistake("`mail.url` must be smtp://USER:PASSWORD@HOST:587 (with STARTTLS) or smtps://USER:PASSWORD@HOST")
        };
        let url = Url::parse(url.expose().trim()).map_err(|_| malformed())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
            return Err(malformed());
        }
        let tls_parameters = || {
            TlsParameters::new(host.clone())
                .map_err(|error| ConfigError::starting(format!("TLS to the server of `mail.url`: {error}")))
        };
        let plaintext = config.mail.plaintext;
        if plaintext && !is_loopback(&host) {
            return Err(mistake("`mail.plaintext` is only for a server on this machine, such as smtp://127.0.0.1:25"));
        }
        let (port, tls) = match (url.scheme(), plaintext) {
            ("smtp", true) => (587, Tls::None),
            ("smtp", false) => (587, Tls::Required(tls_parameters()?)),
            ("smtps", false) => (465, Tls::Wrapper(tls_parameters()?)),
            ("smtps", true) => return Err(mistake("`mail.plaintext` requires a `mail.url` with smtp://")),
            _ => return Err(malformed()),
        };
        let port = url.port().unwrap_or(port);
        let from: Mailbox = config.mail.from.parse().map_err(|_| {
            mistake(
                "`mail.from` must be an e-mail address, such as muster@example.org or `muster <muster@example.org>`",
            )
        })?;
        let public_url = config.server.public_url.trim_end_matches('/').to_owned();
        let own_host =
            Url::parse(&public_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(port)
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .hello_name(hello(&own_host));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        if !url.username().is_empty() {
            let user = decoded(url.username()).map_err(|_| malformed())?;
            let password = decoded(url.password().unwrap_or_default()).map_err(|_| malformed())?;
            transport = transport.credentials(Credentials::new(user, password));
        }
        let server = format!("{host}:{port}");
        Ok(Some(Self { transport: transport.build(), from, server, public_url, host: own_host }))
    }

    /// The host and port of the SMTP server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Sends a message that says that mail works.
    ///
    /// # Errors
    /// The reply of the server, or why there was none.
    pub async fn send_test(&self, to: &str) -> Result<(), SendError> {
        let body = format!("Hello,\r\n\r\nmuster at\r\n{}\r\ncan send mail.\r\n", self.public_url);
        let id = format!("test-{:032x}", rand::random::<u128>());
        self.send(Outgoing { id, to, subject: "Test message of muster", body }).await
    }

    pub(super) async fn send(&self, outgoing: Outgoing<'_>) -> Result<(), SendError> {
        let message = self.message(outgoing)?;
        within(TIMEOUT, async { self.transport.send(message).await.map(|_| ()) }).await
    }

    /// Connects, with TLS, and authenticates.
    ///
    /// # Errors
    /// Why that failed.
    pub async fn check(&self, timeout: Duration) -> Result<(), SendError> {
        let is_ready = within(timeout, async { self.transport.test_connection().await });
        match is_ready.await? {
            true => Ok(()),
            false => Err(SendError { reason: "the server is not ready".to_owned(), is_permanent: false }),
        }
    }

    fn message(&self, Outgoing { id, to, subject, body }: Outgoing<'_>) -> Result<Message, SendError> {
        let to = recipient(to).ok_or_else(|| SendError::permanent("mail can't be sent to this address"))?;
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.host)))
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|error| SendError::permanent(&error.to_string()))?;
        // RFC 3834: automatic replies, such as those of people on leave, are not sent.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(message)
    }
}

/// An address as SMTP servers know it: the domain in ASCII (RFC 5890), since not all accept UTF-8.
fn recipient(address: &str) -> Option<Address> {
    let (user, domain) = address.rsplit_once('@')?;
    Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, SendError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(|error| {
            let is_ours = error.status().is_some_and(|code| AUTHENTICATION.contains(&u16::from(code)));
            SendError { reason: shortened(&error.to_string()), is_permanent: error.is_permanent() && !is_ours }
        }),
        Err(_) => {
            let reason = format!("the server did not respond within {} seconds", timeout.as_secs());
            Err(SendError { reason, is_permanent: false })
        }
    }
}

/// One line of what a server said.
fn shortened(reason: &str) -> String {
    let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(LONGEST_REASON).collect()
}

fn hello(host: &str) -> ClientId {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Omits the credentials.
impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn with(url: &str, from: &str, plaintext: bool) -> Result<Option<Mailer>, String> {
        let mut config = Config::built_in().unwrap();
        config.server.public_url = "https://muster.example.org/sub/".to_owned();
        config.mail.url = Secret::new(url);
        config.mail.from = from.to_owned();
        config.mail.plaintext = plaintext;
        Mailer::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn s_39_tls_is_required_unless_the_server_is_on_this_machine() {
        for (url, plaintext, server) in [
            ("smtp://mail.example.org", false, "mail.example.org:587"),
            ("smtp://ada:hunter2@mail.example.org:2525", false, "mail.example.org:2525"),
            ("smtps://ada%40example.org:hunter2@mail.example.org/", false, "mail.example.org:465"),
            ("smtp://127.0.0.1:25", true, "127.0.0.1:25"),
            ("smtp://[::1]:25", true, "::1:25"),
            ("smtp://localhost", true, "localhost:587"),
        ] {
            let mailer = with(url, "muster@example.org", plaintext).unwrap().unwrap();
            assert_eq!((mailer.server(), mailer.public_url()), (server, "https://muster.example.org/sub"), "{url}");
            assert!(!format!("{mailer:?}").contains("hunter2"));
        }
        assert!(with("", "", false).unwrap().is_none());
        for (url, plaintext) in [
            ("mail.example.org", false),
            ("http://mail.example.org", false),
            ("smtp://", false),
            ("smtp://mail.example.org/inbox", false),
            ("smtp://mail.example.org?starttls=no", false),
            ("smtp://mail.example.org:99999", false),
            ("smtp://mail.example.org", true),
            ("smtps://localhost", true),
        ] {
            let why = with(url, "muster@example.org", plaintext).unwrap_err();
            assert!(why.starts_with("`mail.") && !why.contains("99999"), "{url}: {why}");
        }
        let why = with("smtp://ada:hunter2@x y", "muster@example.org", false).unwrap_err();
        assert!(why.starts_with("`mail.url` must be") && !why.contains("hunter2"), "{why}");
    }

    #[test]
    fn s_39_the_sender_is_an_address_and_headers_can_not_be_injected() {
        for from in ["", "muster", "a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org"] {
            assert!(with("smtp://mail.example.org", from, false).unwrap_err().starts_with("`mail.from`"), "{from:?}");
        }
        let mailer = with("smtp://mail.example.org", "muster <muster@example.org>", false).unwrap().unwrap();
        let message = |to: &str| {
            mailer.message(Outgoing {
                id: "mail_1".to_owned(),
                to,
                subject: "Set",
                body: "Z\u{fc}rich\r\n.\r\n".to_owned(),
            })
        };
        let sent = String::from_utf8(message("ada@example.com").unwrap().formatted()).unwrap();
        for header in [
            "From: muster <muster@example.org>\r\n",
            "To: ada@example.com\r\n",
            "Message-ID: <mail_1@muster.example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(sent.contains(header), "{header}: {sent}");
        }
        assert!(sent.is_ascii(), "{sent}");
        let sent = message("ada@b\u{fc}cher.example").unwrap();
        assert_eq!(sent.envelope().to()[0].to_string(), "ada@xn--bcher-kva.example");
        for to in ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com>", "", "ada@example.com,eve@example.com"]
        {
            assert_eq!(message(to).unwrap_err(), SendError::permanent("mail can't be sent to this address"), "{to:?}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(shortened("a\r\nb"), "a  b");
        assert_eq!(shortened(&"x".repeat(1000)).len(), 300);
    }
}
