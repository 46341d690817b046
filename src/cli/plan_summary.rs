//! The summary of a dry run: what an administrator checks before the rows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use muster_client::{PlannedCredential, PlannedUser};

use super::output::{self, users};

/// The number of the most frequent domains that are named, and of the rarest: misspelled domains are rare.
const MOST_FREQUENT: usize = 5;
const RAREST: usize = 10;

/// The numbers of users, by how they sign in, of owners and by domain, and of warnings.
pub(super) fn summary(planned: &[PlannedUser], warnings: usize) -> String {
    let with = |credential: &PlannedCredential| planned.iter().filter(|user| user.credential == *credential).count();
    let credentials = [
        (PlannedCredential::Sso, "with SSO"),
        (PlannedCredential::Password, "with a password"),
        (PlannedCredential::PasswordHash, "with a password hash"),
        (PlannedCredential::None, "without a password"),
    ];
    let mut parts: Vec<String> = credentials
        .iter()
        .map(|(credential, text)| (with(credential), text))
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    let owners = planned.iter().filter(|user| user.permission_level == "owner").count();
    parts.extend((owners > 0).then(|| output::count(owners, "owner")));
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let mut lines = vec![format!("{}{parts}", users(planned.len())), domains(planned)];
    lines.extend(expiry(planned));
    lines.extend(attributes(planned));
    lines.extend((warnings > 0).then(|| output::count(warnings, "warning")));
    lines.join("\n")
}

/// How many accounts expire, and when the first and the last of them do.
fn expiry(planned: &[PlannedUser]) -> Option<String> {
    let times = || planned.iter().filter_map(|user| user.expires_at);
    let (first, last) = (times().min()?.format("%Y-%m-%d"), times().max()?.format("%Y-%m-%d"));
    Some(format!("{} with an expiry, from {first} to {last}", users(times().count())))
}

/// The attributes, with the number of users who have them.
fn attributes(planned: &[PlannedUser]) -> Option<String> {
    let mut users_with: BTreeMap<&str, usize> = BTreeMap::new();
    for key in planned.iter().flat_map(|user| user.attributes.keys()) {
        *users_with.entry(key).or_default() += 1;
    }
    let named: Vec<String> = users_with.iter().map(|(key, users)| format!("{key} ({users})")).collect();
    (!named.is_empty()).then(|| format!("{}: {}", output::count(named.len(), "attribute"), named.join(", ")))
}

fn domains(planned: &[PlannedUser]) -> String {
    let mut users_of: HashMap<String, usize> = HashMap::new();
    for user in planned {
        let domain = user.email.rsplit_once('@').map_or("", |(_, domain)| domain);
        *users_of.entry(domain.to_lowercase()).or_default() += 1;
    }
    let mut domains: Vec<(String, usize)> = users_of.into_iter().collect();
    domains.sort_by(|(a, x), (b, y)| (Reverse(x), a).cmp(&(Reverse(y), b)));
    let named = |domains: &[(String, usize)]| {
        let named: Vec<String> = domains.iter().map(|(domain, users)| format!("{domain} ({users})")).collect();
        named.join(", ")
    };
    let total = domains.len();
    if total <= MOST_FREQUENT + RAREST {
        return format!("{}: {}", output::count(total, "domain"), named(&domains));
    }
    let (frequent, rest) = domains.split_at(MOST_FREQUENT);
    let rarest = rest.get(rest.len().saturating_sub(RAREST)..).unwrap_or(rest);
    format!("{total} domains: {}, …; rarest: {}", named(frequent), named(rarest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email: &str, credential: PlannedCredential, level: &str) -> PlannedUser {
        PlannedUser {
            email: email.to_owned(),
            name: "Ada".to_owned(),
            is_sso_user: credential == PlannedCredential::Sso,
            lastname: None,
            title: None,
            permission_level: level.to_owned(),
            credential,
            expires_at: None,
            attributes: serde_json::Map::new(),
        }
    }

    #[test]
    fn counts_credentials_owners_and_domains() {
        let planned = [
            user("a@example.com", PlannedCredential::Sso, "collaborator"),
            user("b@Example.com", PlannedCredential::Password, "owner"),
            user("c@example.org", PlannedCredential::None, "collaborator"),
        ];
        assert_eq!(
            summary(&planned, 1),
            "3 users: 1 with SSO, 1 with a password, 1 without a password, 1 owner\n\
             2 domains: example.com (2), example.org (1)\n1 warning"
        );
    }

    #[test]
    fn counts_expiries_and_attributes() {
        let planned = ["2027-06-30T23:59:59Z", "2027-02-28T12:00:00Z"].map(|time| PlannedUser {
            expires_at: time.parse().ok(),
            attributes: serde_json::json!({"floor": 3, "team": "x"}).as_object().cloned().unwrap(),
            ..user("a@example.com", PlannedCredential::Sso, "collaborator")
        });
        assert_eq!(
            summary(&planned, 0),
            "2 users: 2 with SSO\n1 domain: example.com (2)\n2 users with an expiry, from 2027-02-28 to 2027-06-30\n\
             2 attributes: floor (2), team (2)"
        );
    }

    #[test]
    fn names_the_most_frequent_and_the_rarest_of_many_domains() {
        let planned: Vec<_> = (0..20)
            .flat_map(|domain| {
                let users = if domain == 7 { 1 } else { 20 - domain };
                (0..users).map(move |i| user(&format!("u{i}@d{domain:02}.com"), PlannedCredential::Sso, "collaborator"))
            })
            .collect();
        assert_eq!(
            domains(&planned),
            "20 domains: d00.com (20), d01.com (19), d02.com (18), d03.com (17), d04.com (16), …; rarest: d11.com (9), \
             d12.com (8), d13.com (7), d14.com (6), d15.com (5), d16.com (4), d17.com (3), d18.com (2), d07.com (1), \
             d19.com (1)"
        );
    }
}
