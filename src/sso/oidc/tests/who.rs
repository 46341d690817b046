//! Which account an identity belongs to.

use proptest::prelude::*;

use crate::id::Id;
use crate::sso::denial::DenialClass;
use crate::sso::matching::{Account, Claimed, Match, Rules, bound, proved, unknown};
use crate::sso::provider::EmailProof;

fn account(email: &str) -> Account {
    Account {
        user_id: Id::MIN,
        email: email.to_owned(),
        is_sso_user: true,
        is_service_account: false,
        is_active: true,
        has_password: false,
        has_identity: false,
    }
}

fn claimed(address: &str) -> Claimed {
    Claimed { address: Some(address.to_owned()), is_verified: true, is_domain_verified: false, is_guest: false }
}

/// The decision, and of a refusal its class.
type Decision = Result<Match, DenialClass>;

fn decision(decided: Match) -> Decision {
    match decided {
        Match::Deny(unmatched) => Err(unmatched.class),
        decided => Ok(decided),
    }
}

/// Decides as a sign-in does: the account is found by the key of the address.
fn decide(claimed: &Claimed, proof: EmailProof, account: Option<&Account>) -> Decision {
    let domains = ["example.com".to_owned(), "xn--bcher-kva.example".to_owned()];
    let rules = Rules { domains: &domains, proof, creates: false };
    match proved(claimed, rules) {
        Err(unmatched) => Err(unmatched.class),
        Ok(address) => {
            let key = |text: &str| crate::users::EmailAddress::parse(text).unwrap().key().to_owned();
            let found = account.filter(|account| key(&account.email) == address.key());
            decision(unknown(address, found, rules))
        }
    }
}

#[test]
fn s_71_an_identity_is_bound_to_the_only_account_with_exactly_its_address() {
    let ada = account("Ada@example.com");
    assert_eq!(decide(&claimed("ada@EXAMPLE.com"), EmailProof::EmailVerified, Some(&ada)), Ok(Match::Bind(Id::MIN)));
    assert_eq!(decide(&claimed("bob@example.com"), EmailProof::EmailVerified, Some(&ada)), Err(DenialClass::NoAccount));
}

#[test]
fn s_73_addresses_that_only_look_alike_are_not_bound() {
    for (stored, address) in [
        ("strauss@example.com", "stra\u{df}@example.com"),
        ("ada@example.com", "\u{ff41}da@example.com"),
        ("ilk@example.com", "\u{131}lk@example.com"),
        ("ada@example.com", "ada+x@example.com"),
        ("ada@example.com", "ada@example.com."),
        ("ada@example.com", " ada@example.com"),
        ("ada@example.com", "ada@example.com\u{200b}"),
        ("ada@example.com", "ada@sub.example.com"),
        ("ada@example.com", "ada@example.com.evil.org"),
        ("ada@example.com", "ada@evil.org"),
        ("ada@example.com", "\"ada\"@example.com"),
        ("ada@example.com", "Ada <ada@example.com>"),
        ("ada@example.com", "ada"),
        ("ada@example.com", ""),
        ("k@example.com", "\u{212a}@example.com"),
        ("a@xn--bcher-kva.example", "a@b\u{fc}cher.example"),
    ] {
        let decision = decide(&claimed(address), EmailProof::EmailVerified, Some(&account(stored)));
        assert!(decision.is_err(), "{stored} {address}: {decision:?}");
    }
}

#[test]
fn s_71_the_provider_must_vouch_for_the_address() {
    let ada = account("ada@example.com");
    let base = Claimed { is_verified: false, ..claimed("ada@example.com") };
    let not_proved = Err(DenialClass::NotProved);
    assert_eq!(decide(&base, EmailProof::EmailVerified, Some(&ada)), not_proved);
    assert_eq!(decide(&Claimed { is_verified: true, ..base.clone() }, EmailProof::XmsEdov, Some(&ada)), not_proved);
    let edov = Claimed { is_domain_verified: true, ..base.clone() };
    assert_eq!(decide(&edov, EmailProof::XmsEdov, Some(&ada)), Ok(Match::Bind(Id::MIN)));
    assert_eq!(decide(&edov, EmailProof::EmailVerified, Some(&ada)), not_proved);
    assert_eq!(decide(&base, EmailProof::Issuer, Some(&ada)), Ok(Match::Bind(Id::MIN)));
    for proof in EmailProof::ALL {
        let guest = Claimed { is_guest: true, is_verified: true, is_domain_verified: true, ..base.clone() };
        assert_eq!(decide(&guest, *proof, Some(&ada)), not_proved);
        let nobody = Claimed { address: None, is_verified: true, is_domain_verified: true, is_guest: false };
        assert_eq!(decide(&nobody, *proof, Some(&ada)), not_proved);
    }
}

#[test]
fn s_71_only_an_account_without_another_way_in_is_bound() {
    let ada = account("ada@example.com");
    let decide = |account: Account| decide(&claimed("ada@example.com"), EmailProof::EmailVerified, Some(&account));
    let deny = Err;
    assert_eq!(decide(Account { has_password: true, ..ada.clone() }), deny(DenialClass::PasswordUser));
    assert_eq!(decide(Account { is_sso_user: false, ..ada.clone() }), deny(DenialClass::PasswordUser));
    assert_eq!(decide(Account { has_identity: true, ..ada.clone() }), deny(DenialClass::NoAccount));
    assert_eq!(decide(Account { is_active: false, ..ada.clone() }), deny(DenialClass::Suspended));
    assert_eq!(decide(Account { is_service_account: true, ..ada }), deny(DenialClass::NoAccount));
}

#[test]
fn s_71_a_bound_identity_signs_in_whatever_its_address_unless_the_account_has_no_access() {
    let ada = Account { has_identity: true, ..account("ada@example.com") };
    assert_eq!(bound(&ada), Match::SignIn(Id::MIN));
    assert_eq!(decision(bound(&Account { is_active: false, ..ada.clone() })), Err(DenialClass::Suspended));
    assert_eq!(decision(bound(&Account { is_service_account: true, ..ada })), Err(DenialClass::Suspended));
}

#[test]
fn s_71_accounts_are_created_only_if_the_provider_does_that() {
    let domains = ["example.com".to_owned()];
    let rules = Rules { domains: &domains, proof: EmailProof::EmailVerified, creates: true };
    let address = proved(&claimed("new@example.com"), rules).unwrap();
    assert_eq!(unknown(address.clone(), None, rules), Match::Create(address.clone()));
    let refused = unknown(address.clone(), None, Rules { creates: false, ..rules });
    assert_eq!(decision(refused), Err(DenialClass::NoAccount));
    let nobody = Rules { domains: &[], ..rules };
    assert_eq!(
        proved(&claimed("new@example.com"), nobody).map_err(|unmatched| unmatched.class),
        Err(DenialClass::NoAccount)
    );
}

proptest! {
    #[test]
    fn s_71_nothing_but_the_address_itself_binds(text in "\\PC{0,40}") {
        let decision = decide(&claimed(&text), EmailProof::EmailVerified, Some(&account("ada@example.com")));
        prop_assert!(text.eq_ignore_ascii_case("ada@example.com") || decision.is_err());
    }
}
