//! Renders all pages in all states into `target/pages/`, where `tests/pages/run.sh` and people look at them.

use std::fs;
use std::path::PathBuf;

use super::super::account::{AccountPage, IdentityRow, SessionRow};
use super::super::account_password::PasswordPage;
use super::super::error::ErrorPage;
use super::super::login::{Asked, Login, LoginPage, Person, Step};
use super::super::password::{Forgot, ForgotPage, Link};
use super::super::sign_in::{CookieMissing, HttpsNeeded, Notice, PasswordForm, Problem, Provider, SignIn};
use super::super::sign_out::{SignOut, SignOutPage};
use super::super::sso::{ContinuePage, SsoErrorPage, SsoFailure};
use super::super::*;
use super::super::{account, account_password, guide, invitation, sign_out};

/// The texts that people enter.
struct Names {
    suffix: &'static str,
    organization: String,
    name: String,
    email: String,
    title: String,
    provider: String,
    agent: String,
}

const HOSTILE: &str = "\"><script>alert(1)</script><b id='x'>&amp;{{7*7}}";

fn names() -> [Names; 4] {
    let longest = |word: &str| word.chars().cycle().take(255).collect::<String>();
    let [ordinary, right_to_left] = [
        [
            "",
            "Meridian Hydro",
            "Marit Halvorsen",
            "marit.halvorsen@meridian-hydro.example",
            "Control engineer",
            "Entra ID",
            "Firefox on Windows",
        ],
        ["-rtl", "שירותי מים", "נועה \u{202e}לוי", "נועה@דוגמה.example", "مهندسة", "هوية", "متصفح"],
    ]
    .map(|[suffix, organization, name, email, title, provider, agent]| Names {
        suffix,
        organization: organization.to_owned(),
        name: name.to_owned(),
        email: email.to_owned(),
        title: title.to_owned(),
        provider: provider.to_owned(),
        agent: agent.to_owned(),
    });
    let long = Names {
        suffix: "-long",
        organization: longest("Donaudampfschifffahrtsgesellschaft"),
        name: longest("Wolfeschlegelsteinhausenbergerdorff"),
        email: format!(
            "{}@{}.example",
            longest("a").split_at(64).0,
            longest("long-domain-").split_at(63).0.trim_end_matches('-')
        ),
        title: longest("Vice president of everything "),
        provider: longest("Identity provider ").split_at(64).0.trim().to_owned(),
        agent: longest("Mozilla/5.0 ").split_at(100).0.to_owned(),
    };
    let hostile = Names {
        suffix: "-hostile",
        organization: HOSTILE.to_owned(),
        name: HOSTILE.to_owned(),
        email: "\"<script>alert(1)</script>'\"@example.com".to_owned(),
        title: HOSTILE.to_owned(),
        provider: HOSTILE.to_owned(),
        agent: HOSTILE.to_owned(),
    };
    [ordinary, long, right_to_left, hostile]
}

/// The folder, and the names of the pages that were written.
struct Folder(PathBuf, Vec<String>);

impl Folder {
    fn write(&mut self, name: &str, page: &impl Template) {
        let text = page.render().unwrap();
        assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
        assert!(text.trim_end().ends_with("</html>"), "{name}");
        for forbidden in ["<script", "<b ", " style=", "javascript:", "{{", "{%"] {
            let text = text.replace("{{7*7}}", "");
            assert!(!text.contains(forbidden), "{name}: {forbidden}");
        }
        assert_eq!(text.matches("<h1>").count(), 1, "{name}");
        // Every page has at most 12 KiB.
        assert!(text.len() < 12 * 1024 || name.ends_with("-long"), "{name}: {} bytes", text.len());
        fs::write(self.0.join(format!("{name}.html")), text).unwrap();
        assert!(!self.1.iter().any(|written| written == name), "{name} twice");
        self.1.push(name.to_owned());
    }
}

fn at(time: &str) -> Moment {
    let now = "2026-11-30T09:41:07Z".parse().unwrap();
    Moment { at: format!("2026-11-{time}Z").parse().unwrap(), now }
}

fn sign_in(names: &Names) -> SignIn<'_> {
    SignIn {
        frame: Frame::default(),
        organization_name: Some(&names.organization),
        asks_organization: false,
        organization: "",
        email: "",
        return_to: "",
        notice: None,
        problem: None,
        providers: &[],
        password_form: PasswordForm::Shown,
    }
}

fn sign_in_pages(folder: &mut Folder, names: &Names) {
    let page = |name: &str| format!("sign-in{name}{}", names.suffix);
    let provider = |unreachable_since| Provider {
        title: names.provider.to_string(),
        start: "sso/meridian/entra/start".to_owned(),
        unreachable_since,
    };
    let providers = [provider(None), Provider { title: "Google".to_owned(), ..provider(Some(at("30T08:12:00"))) }];
    folder.write(&page(""), &sign_in(names));
    folder.write(&page("-providers"), &SignIn { providers: &providers, ..sign_in(names) });
    for (name, password_form) in
        [("-sso-required", PasswordForm::Disclosed), ("-sso-required-owners", PasswordForm::Absent)]
    {
        folder.write(&page(name), &SignIn { providers: &providers, password_form, ..sign_in(names) });
    }
    let refused = SignIn {
        providers: &providers,
        password_form: PasswordForm::Disclosed,
        problem: Some(Problem::Refused),
        email: &names.email,
        ..sign_in(names)
    };
    folder.write(&page("-sso-required-refused"), &refused);
    folder.write(&page("-return"), &SignIn { return_to: "/login/x?a=\"b\"", ..sign_in(names) });
    let several =
        SignIn { organization_name: None, asks_organization: true, organization: "meridian", ..sign_in(names) };
    folder.write(&page("-organizations"), &several);
    folder.write(&page("-organizations-empty"), &SignIn { organization: "", ..several });
    for (name, problem) in [
        ("-refused", Problem::Refused),
        ("-throttled", Problem::Throttled { wait: "30 seconds".to_owned() }),
        ("-busy", Problem::Busy),
    ] {
        folder.write(&page(name), &SignIn { problem: Some(problem), email: &names.email, ..sign_in(names) });
    }
    for (name, notice) in [("-ended", Notice::SessionEnded), ("-again", Notice::Confirm)] {
        let email = if notice == Notice::Confirm { names.email.as_str() } else { "" };
        folder.write(&page(name), &SignIn { notice: Some(notice), email, ..sign_in(names) });
    }
}

fn password_pages(folder: &mut Folder, names: &Names) {
    let page = |name: &str| format!("password{name}{}", names.suffix);
    let frame = Frame::default;
    let link = || Link {
        frame: frame(),
        organization_name: &names.organization,
        email: &names.email,
        min_length: 12,
        rejected: None,
        is_busy: false,
        is_recovery: false,
        sets_password: true,
    };
    folder.write(&page("-link"), &link());
    let reason =
        "Too easy to guess: common, a pattern, or your name or address; use several unrelated words.".to_owned();
    folder.write(&page("-link-rejected"), &Link { rejected: Some(reason.clone()), ..link() });
    folder.write(&page("-link-busy"), &Link { is_busy: true, ..link() });
    folder.write(&page("-link-recovery"), &Link { is_recovery: true, sets_password: false, ..link() });
    folder.write(&page("-link-recovery-password"), &Link { is_recovery: true, ..link() });
    let form = |wait| Forgot::Form { email: &names.email, asks_organization: false, organization: "", wait };
    folder.write(&page("-forgot"), &ForgotPage { frame: frame(), state: form(None) });
    folder
        .write(&page("-forgot-throttled"), &ForgotPage { frame: frame(), state: form(Some("10 minutes".to_owned())) });
    let page_of = || PasswordPage {
        frame: frame(),
        email: &names.email,
        min_length: 12,
        must_change: false,
        api_keys: 3,
        revoke_api_keys: true,
        return_to: "/login/x",
        problem: None,
    };
    folder.write(&page("-change"), &page_of());
    folder.write(&page("-must-change"), &PasswordPage { must_change: true, api_keys: 0, ..page_of() });
    for (name, problem) in [
        ("-change-wrong", account_password::Problem::WrongPassword),
        ("-change-rejected", account_password::Problem::Rejected(reason)),
        ("-change-throttled", account_password::Problem::Throttled { wait: "30 seconds".to_owned() }),
        ("-change-busy", account_password::Problem::Busy),
    ] {
        folder.write(&page(name), &PasswordPage { problem: Some(problem), api_keys: 1, ..page_of() });
    }
}

fn session(names: &Names, id: &str, is_this: bool) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        browser: names.agent.clone(),
        network: Some("203.0.113.0/24".to_owned()),
        since: at("29T07:58:30"),
        last_seen: at("30T09:02:00"),
        until: at("30T19:58:30"),
        method: "with password",
        is_this,
    }
}

fn account_pages(folder: &mut Folder, names: &Names) {
    let page = |name: &str| format!("account{name}{}", names.suffix);
    let session = |id, is_this| session(names, id, is_this);
    let account = || AccountPage {
        frame: Frame::default(),
        name: names.name.clone(),
        email: &names.email,
        user_id: "usr_01m8ke8gj6ewcrj1nttepf7kr7".to_owned(),
        organization_name: &names.organization,
        is_owner: true,
        is_sso_user: false,
        is_bound_to_sso: false,
        password_set: Some(at("09T08:15:55")),
        api_keys: 3,
        sessions: vec![
            session("ses_1", true),
            SessionRow {
                browser: "Safari on iPhone".to_owned(),
                network: None,
                since: at("28T18:20:00"),
                ..session("ses_2", false)
            },
            SessionRow { since: at("27T10:00:00"), ..session("ses_3", false) },
        ],
        identities: Vec::new(),
        linkable: Vec::new(),
        notice: None,
    };
    folder.write(&page("-owner"), &account());
    folder.write(&page("-sso-required"), &AccountPage { is_bound_to_sso: true, ..account() });
    let sso = || AccountPage {
        is_owner: false,
        is_sso_user: true,
        password_set: None,
        api_keys: 0,
        sessions: vec![SessionRow { method: "through the identity provider", ..session("ses_1", true) }],
        identities: vec![
            IdentityRow {
                id: None,
                provider: &names.provider,
                linked: at("09T10:31:02"),
                last_used: Some(at("30T09:41:00")),
                email_seen: None,
            },
            IdentityRow {
                id: None,
                provider: "Google",
                linked: at("09T10:31:02"),
                last_used: None,
                email_seen: Some(&names.email),
            },
        ],
        ..account()
    };
    folder.write(&page("-collaborator-sso"), &sso());
    folder.write(
        &page("-password-changed"),
        &AccountPage { notice: Some(account::Notice::PasswordChanged), ..account() },
    );
    let linked = || IdentityRow {
        id: Some("sid_1".to_owned()),
        provider: &names.provider,
        linked: at("30T09:41:00"),
        last_used: None,
        email_seen: Some(&names.email),
    };
    folder.write(
        &page("-linked"),
        &AccountPage {
            notice: Some(account::Notice::Linked),
            identities: vec![linked()],
            linkable: vec![account::Linkable { name: "google", title: &names.provider }],
            ..account()
        },
    );
    folder.write(
        &page("-unlinked"),
        &AccountPage {
            notice: Some(account::Notice::Unlinked),
            linkable: vec![account::Linkable { name: "entra", title: &names.provider }],
            ..account()
        },
    );
    folder.write(
        &page("-session-ended"),
        &AccountPage { notice: Some(account::Notice::SessionEnded), api_keys: 1, ..account() },
    );
    folder.write(
        &page("-sessions-ended"),
        &AccountPage {
            notice: Some(account::Notice::OtherSessionsEnded),
            sessions: vec![session("ses_1", true)],
            ..account()
        },
    );
}

fn sign_out_pages(folder: &mut Folder, names: &Names) {
    let frame = Frame::default;
    folder.write(
        &format!("sign-out{}", names.suffix),
        &SignOutPage { frame: frame(), state: SignOut::Ask { email: &names.email } },
    );
    for (name, logout) in
        [("-provider", Some("https://idp.example/logout?client_id=muster")), ("-provider-stays", None)]
    {
        let state = SignOut::Done { provider: Some(sign_out::Provider { title: &names.provider, logout }) };
        folder.write(&format!("sign-out{name}{}", names.suffix), &SignOutPage { frame: frame(), state });
    }
}

fn login_pages(folder: &mut Folder, names: &Names) {
    let asked = || Asked {
        code: "BDWP-HQPK".to_owned(),
        machine: Some(&names.name),
        program: Some(&names.agent),
        network: Some("203.0.113.0/24".to_owned()),
        requested: Some(at("30T09:38:07")),
        until: at("30T09:48:07"),
        path: "/login/otp_x",
    };
    let person = || Person { name: names.name.clone(), email: &names.email, is_owner: true };
    let approve = |is_elsewhere, is_unticked| Step::Approve { is_elsewhere, is_unticked };
    for (name, step) in [
        ("approve", approve(false, false)),
        ("elsewhere", approve(true, false)),
        ("unticked", approve(true, true)),
        ("again", Step::SignInAgain),
    ] {
        let state = Login::Open { request: asked(), person: Some(person()), step };
        folder.write(&format!("login-{name}{}", names.suffix), &LoginPage { frame: Frame::default(), state });
    }
    let state = Login::Open { request: asked(), person: None, step: Step::SignIn };
    folder.write(&format!("login-sign-in{}", names.suffix), &LoginPage { frame: Frame::default(), state });
}

fn sso_and_invitation_pages(folder: &mut Folder, names: &Names) {
    for (name, failure) in [
        ("denied", SsoFailure::Denied),
        ("provider-error", SsoFailure::ProviderError),
        ("unreachable", SsoFailure::Unreachable),
        ("no-public-url", SsoFailure::NoPublicUrl),
        ("bad-state", SsoFailure::BadState),
        ("expired-flow", SsoFailure::ExpiredFlow),
        ("bad-token", SsoFailure::BadToken),
        ("clock", SsoFailure::Clock { difference: "4 minutes".to_owned() }),
        ("no-account", SsoFailure::NoAccount),
        ("password-user", SsoFailure::PasswordUser),
        ("not-proved", SsoFailure::NotProved),
        ("already-linked", SsoFailure::AlreadyLinked),
        ("suspended", SsoFailure::Suspended),
        ("off", SsoFailure::Off),
        ("wrong-tenant", SsoFailure::WrongTenant),
    ] {
        let page = SsoErrorPage {
            frame: Frame::default(),
            is_link: name == "already-linked",
            failure,
            email: Some(&names.email),
            provider: &names.provider,
            start: "sso/meridian/entra/start".to_owned(),
            another: "sso/meridian/entra/start?another=1".to_owned(),
            sign_in: "sign-in".to_owned(),
            request_id: "req_01m8ke8gj6ewcrj1nttepf7kr7".to_owned(),
        };
        folder.write(&format!("sso-{name}{}", names.suffix), &page);
    }
    let (frame, location) = (Frame::default(), "https://idp.example/authorize?state=x&nonce=y");
    let page = ContinuePage { frame, provider: &names.provider, location };
    folder.write(&format!("sso-continue{}", names.suffix), &page);
    let page = || invitation::Page {
        frame: Frame::default(),
        organization_name: &names.organization,
        email: &names.email,
        name: &names.name,
        lastname: "",
        title: &names.title,
        min_length: 12,
        problem: None,
    };
    folder.write(&format!("invitation{}", names.suffix), &page());
    for (name, problem) in [
        ("rejected", invitation::Problem::Password("Shorter than 12 characters.".to_owned())),
        ("wrong", invitation::Problem::Other("Name: must not be empty.".to_owned())),
    ] {
        let page = invitation::Page { problem: Some(problem), ..page() };
        folder.write(&format!("invitation-{name}{}", names.suffix), &page);
    }
    let accepted = invitation::Accepted { frame: Frame::default(), email: &names.email };
    folder.write(&format!("invitation-accepted{}", names.suffix), &accepted);
}

fn pages_without_names(folder: &mut Folder) {
    let frame = Frame::default;
    let check = CookieMissing {
        frame: frame(),
        here: "http://muster.internal:8080",
        other_address: Some("https://muster.example.org"),
        keeps_session: false,
    };
    folder.write("sign-in-check", &check);
    let plain =
        CookieMissing { frame: frame(), here: "https://muster.example.org", other_address: None, keeps_session: true };
    folder.write("sign-in-check-cookies", &plain);
    folder.write("https-needed", &HttpsNeeded { frame: frame(), https_address: Some("https://muster.example.org") });
    folder.write("https-needed-unknown", &HttpsNeeded { frame: frame(), https_address: None });
    folder.write("password-forgot-sent", &ForgotPage { frame: frame(), state: Forgot::Sent });
    folder.write("password-forgot-no-mail", &ForgotPage { frame: frame(), state: Forgot::NoMail });
    for (name, state) in [
        ("unknown", Login::Unknown),
        ("expired", Login::Expired),
        ("already-approved", Login::AlreadyApproved),
        ("denied", Login::Voided),
        ("approved", Login::Approved),
    ] {
        folder.write(&format!("login-{name}"), &LoginPage { frame: frame(), state });
    }
    let request = Asked {
        code: format!("otp_{}", "x7Kq".repeat(17)),
        machine: None,
        program: None,
        network: None,
        requested: None,
        until: at("30T09:48:07"),
        path: "/login/otp_x",
    };
    let state = Login::Open { request, person: None, step: Step::CommandLine };
    folder.write("login-command-line", &LoginPage { frame: frame(), state });
    folder.write("sign-out-done", &SignOutPage { frame: frame(), state: SignOut::Done { provider: None } });
    let expired = "The link has expired; ask for a new one.";
    for (name, heading, detail, is_transient, is_signed_in) in [
        ("error-not-found", "Page not found", "There is no page at this address.", false, true),
        (
            "error-internal",
            "Something went wrong",
            "Internal error; see the server log for this request ID.",
            false,
            true,
        ),
        (
            "error-busy",
            "Please try again in a moment",
            "The database can’t be reached; nothing was written.",
            true,
            false,
        ),
        ("error-link", "This link can’t be used", expired, false, false),
    ] {
        let request_id = Some("req_01m8ke8gj6ewcrj1nttepf7kr7".to_owned());
        let (frame, detail) = (frame(), detail.to_owned());
        folder.write(name, &ErrorPage { frame, heading, detail, is_transient, is_signed_in, request_id });
    }
    folder.write("guide-api-keys", &guide::ApiKeys { frame: frame() });
}

/// Requirement U-103: names appear as text, whatever they contain.
#[test]
fn previews_of_all_pages_in_all_states() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    // Only the pages: pictures of them may be beside them.
    for file in fs::read_dir(&path).into_iter().flatten() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "html") {
            fs::remove_file(file).unwrap();
        }
    }
    fs::create_dir_all(path.join("assets")).unwrap();
    for asset in [&assets::STYLESHEET, &assets::ICON] {
        fs::write(path.join(&asset.path), asset.content).unwrap();
    }
    let mut folder = Folder(path, Vec::new());
    for names in names() {
        sign_in_pages(&mut folder, &names);
        password_pages(&mut folder, &names);
        account_pages(&mut folder, &names);
        sign_out_pages(&mut folder, &names);
        login_pages(&mut folder, &names);
        sso_and_invitation_pages(&mut folder, &names);
    }
    pages_without_names(&mut folder);
    let hostile = fs::read_to_string(folder.0.join("account-owner-hostile.html")).unwrap();
    assert!(hostile.contains("<bdi>&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;"), "{hostile}");
}
