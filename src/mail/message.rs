//! The texts of messages.

use chrono::{DateTime, Utc};

use super::Kind;

/// What a message is made of.
pub(super) struct Content<'a> {
    pub(super) kind: Kind,
    /// The name of the organization.
    pub(super) organization: &'a str,
    /// The address of this server.
    pub(super) public_url: &'a str,
    /// The link, and when it expires.
    pub(super) link: Option<(&'a str, DateTime<Utc>)>,
    /// When what the message is about happened.
    pub(super) at: DateTime<Utc>,
}

/// The subject.
pub(super) const fn subject(kind: Kind) -> &'static str {
    match kind {
        Kind::Link => "Set your password",
        Kind::Reset => "Reset your password",
        Kind::PasswordChanged => "A new password was set",
        Kind::Recovery => "A recovery link was used",
    }
}

/// The text, with `\r\n` line breaks.
pub(super) fn body(content: &Content<'_>) -> String {
    let Content { kind, organization, public_url, link, at } = content;
    let (link, until) = link.map_or(("", String::new()), |(link, expires_at)| (link, time(expires_at)));
    let at = time(*at);
    let text = match kind {
        Kind::Link => format!(
            "Hello,\n\nyou have an account at {organization}:\n{public_url}\n\nSet your password with this link:\n\n{link}\n\n\
             The link works once, until {until}. If you did not expect this message, ask an administrator of {organization}.\n"
        ),
        Kind::Reset => format!(
            "Hello,\n\nsomebody, probably you, asked for a new password for your account at {organization}:\n{public_url}\n\n\
             Set it with this link:\n\n{link}\n\nThe link works once, until {until}. If you did not ask for it, ignore this message: \
             your password stays as it is.\n"
        ),
        Kind::PasswordChanged => format!(
            "Hello,\n\na new password was set at {at} for your account at {organization}:\n{public_url}\n\nAll other sessions were \
             ended. If that was not you, ask an administrator of {organization} immediately to suspend the account.\n"
        ),
        Kind::Recovery => format!(
            "Hello,\n\na recovery link of the operator of the server was used at {at} to sign in to {organization}:\n{public_url}\n\n\
             Such a link skips single sign-on and a second factor. The audit log says for whom it was: the action session.start \
             with the method recovery.\n"
        ),
    };
    text.replace('\n', "\r\n")
}

/// A time in words of which a mail program makes no link.
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_39_each_kind_has_a_subject_and_a_text_and_only_links_have_a_link() {
        let expires_at: DateTime<Utc> = "2026-12-03T10:00:00Z".parse().unwrap();
        for kind in Kind::ALL.iter().copied() {
            let has_link = matches!(kind, Kind::Link | Kind::Reset);
            let content = Content {
                kind,
                organization: "Example",
                public_url: "https://muster.example.org",
                link: has_link.then_some(("https://muster.example.org/password/aml_x", expires_at)),
                at: "2026-11-30T10:00:00Z".parse().unwrap(),
            };
            let text = body(&content);
            assert_eq!(text.contains("\r\n\r\nhttps://muster.example.org/password/aml_x\r\n\r\n"), has_link, "{text}");
            assert_eq!(text.contains("until 2026-12-03 10:00 UTC"), has_link, "{text}");
            assert_eq!(text.contains("at 2026-11-30 10:00 UTC"), !has_link, "{text}");
            assert!(text.contains("Example") && text.lines().all(|line| line.len() < 300), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
            assert_eq!(text.contains(" account at Example:\r\nhttps://muster.example.org\r\n"), kind != Kind::Recovery);
            assert!(!subject(kind).is_empty());
        }
    }
}
