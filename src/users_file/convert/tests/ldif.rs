use super::*;

const OPENLDAP: &str = "\
version: 1

# The root.
dn: dc=example,dc=com
objectClass: dcObject
o: Example

dn: uid=ada,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ada
cn: Ada Lovelace
sn: Lovelace
givenName: Ada
mail: ada@exam
 ple.com
title:: Q291bnRlc3M=
# A comment that
 continues.
userPassword: {CRYPT}$2b$10$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq
jpegPhoto:< file:///tmp/ada.jpg

dn:: dWlkPcWBdWthc3osb3U9cGVvcGxlLGRjPWV4YW1wbGUsZGM9Y29t
objectclass: person
cn:: xYF1a2Fzeg==
sn: Wa
mail: lukasz@example.com
mail: l@example.com
userPassword:: e1NTSEF9SkZaRnMwb0h6eGJNd2tTSm1ZVmVJOE1uVER5LzI3NmE=

dn: cn=staff,dc=example,dc=com
objectClass: groupOfNames
member: uid=ada,ou=people,dc=example,dc=com

dn: uid=nobody,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
sn: Nobody
";

fn entry(lines: &str) -> String {
    format!("dn: uid=a,dc=example\nobjectClass: inetOrgPerson\nmail: a@example.com\ngivenName: A\n{lines}\n")
}

/// The sign-in of an entry with these lines.
fn hash(lines: &str) -> Option<String> {
    let (rows, notes) = converted(Source::Ldif, &entry(lines));
    let hash = rows[0].get("password_hash").map(|hash| hash.as_str().unwrap().to_owned());
    assert_eq!(hash.is_none(), notes.len() == 1, "{notes:?}");
    hash
}

fn note(lines: &str) -> String {
    let (_, notes) = converted(Source::Ldif, &entry(lines));
    let [note] = &notes[..] else { panic!("{notes:?}") };
    note.strip_prefix("a@example.com: has no password until one is set: ").unwrap_or(note).to_owned()
}

#[test]
fn entries_of_people_are_read_and_others_skipped() {
    let due = json!([
        {"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "title": "Countess", "is_sso_user": false, "password_hash": BCRYPT},
        {"name": "Łukasz", "email": "lukasz@example.com", "is_sso_user": false},
    ]);
    let notes = [
        "lukasz@example.com: has 2 e-mail addresses, of which the first is used; has no password until one is set: muster \
         does not support `{SSHA}` hashes",
        "uid=nobody,ou=people,dc=example,dc=com: left out: no e-mail address",
    ];
    for export in [OPENLDAP.to_owned(), OPENLDAP.replace('\n', "\r\n"), OPENLDAP.trim_end().to_owned()] {
        let (rows, found) = converted(Source::Ldif, &export);
        assert_eq!((rows, &found[..]), (due.clone(), &notes.map(str::to_owned)[..]));
    }
    let (rows, notes) = with(Options { sso: Some(true), ..options(Source::Ldif) }, OPENLDAP);
    assert_eq!((rows[0].get("password_hash"), &rows[0]["is_sso_user"], notes.len()), (None, &json!(true), 2));
}

#[test]
fn each_scheme_of_a_directory_becomes_a_hash_of_muster() {
    let argon2 = format!("$argon2id$v=19$m=65536,t=2,p=1${SALT}${TAG}");
    assert_eq!(hash(&format!("userPassword: {{ARGON2}}{argon2}")).as_deref(), Some(&*argon2));
    for scheme in ["CRYPT", "BCRYPT", "BLF-CRYPT", "crypt"] {
        assert_eq!(hash(&format!("userPassword: {{{scheme}}}{BCRYPT}")).as_deref(), Some(BCRYPT));
    }
    assert_eq!(hash(&format!("userPassword: {BCRYPT}")).as_deref(), Some(BCRYPT));
    let pbkdf2 = hash(&format!("userPassword: {{PBKDF2-SHA256}}60000${SALT}${}", TAG.replace('+', ".")));
    assert_eq!(pbkdf2, Some(format!("$pbkdf2-sha256$i=60000${SALT}${TAG}")));
    assert_eq!(hash(&format!("userPassword: {{SSHA}}abc\nuserPassword: {{CRYPT}}{BCRYPT}")).as_deref(), Some(BCRYPT));
}

#[test]
fn other_passwords_are_named_and_not_shown() {
    assert_eq!(note("sn: A"), "the export has no `userPassword`");
    assert_eq!(note("userPassword: hunter2"), "the export has it in plain text, which is not used");
    assert_eq!(note("userPassword:: aHVudGVyMg=="), "the export has it in plain text, which is not used");
    assert_eq!(note("userPassword:: //4="), "its `userPassword` is not text");
    for scheme in ["{SSHA}", "{MD5}", "{CRYPT}", "{SASL}", "{SSHA512}"] {
        assert_eq!(
            note(&format!("userPassword: {scheme}hunter2")),
            format!("muster does not support `{scheme}` hashes")
        );
    }
    assert_eq!(note("userPassword: {CRYPT}$6$hunter2$hunter2"), "muster does not support `$6$` hashes");
    assert!(!note("userPassword: {hunter2}hunter2").contains("hunter2"));
}

#[test]
fn disabled_accounts_of_each_directory_are_recognized() {
    for lines in ["userAccountControl: 514", "nsAccountLock: TRUE", "pwdAccountLockedTime: 000001010000Z"] {
        assert_eq!(note(lines), "a@example.com: left out: disabled");
    }
    for lines in ["userAccountControl: 512", "nsAccountLock: false", "pwdAccountLockedTime: 20260101000000Z"] {
        assert_eq!(note(lines), "the export has no `userPassword`");
    }
    let (rows, _) = converted(Source::Ldif, &entry(&format!("pwdReset: TRUE\nuserPassword: {BCRYPT}")));
    assert_eq!(rows[0]["must_change_password"], json!(true));
}

#[test]
fn an_export_of_active_directory_is_read() {
    let export = "\
dn: CN=Ada Lovelace,OU=Staff,DC=corp,DC=example
changetype: add
objectClass: top
objectClass: person
objectClass: user
cn: Ada Lovelace
sAMAccountName: ada
userAccountControl: 66048
mail: ada@example.com

dn: CN=PC1,OU=Staff,DC=corp,DC=example
changetype: add
objectClass: user
objectClass: computer

dn: CN=Partner,OU=Staff,DC=corp,DC=example
changetype: add
objectClass: person
objectClass: contact
mail: partner@example.org

dn: CN=Cut,OU=Staff,DC=corp,DC=example
changetype: add
objectClass: user
mail:: %%%
";
    let (rows, notes) = with(Options { sso: Some(true), ..options(Source::Ldif) }, export);
    assert_eq!(rows, json!([{"name": "Ada Lovelace", "email": "ada@example.com", "is_sso_user": true}]));
    assert_eq!(
        notes,
        [
            "partner@example.org: left out: a contact, not an account",
            "CN=Cut,OU=Staff,DC=corp,DC=example: left out: its `mail` is not text",
        ]
    );
}

#[test]
fn the_output_of_ldapsearch_is_read_if_the_search_is_complete() {
    let output = |result: &str| {
        format!(
            "# extended LDIF\n#\n# LDAPv3\n\n# ada\n{}\n\n# search reference\nref: ldap://b.example\n\n# search result\nsearch: 2\nresult: {result}\ntext: x\n\n# numResponses: 2\n",
            entry("sn: A")
        )
    };
    assert_eq!(converted(Source::Ldif, &output("0 Success")).0.as_array().unwrap().len(), 1);
    assert_eq!(
        broken(Source::Ldif, &output("4 Size limit exceeded")),
        ":18 the search failed or reached a limit, so that the export is incomplete"
    );
}

#[test]
fn a_broken_export_is_rejected_with_its_line() {
    for (text, due) in [
        (&*entry("hunter2"), ":5 not LDIF: expected `attribute: value`"),
        (
            "dn: a\nchangetype: modify\nreplace: mail\n",
            ":2 a change (`changetype: modify`) is no entry; export the entries",
        ),
        ("dn: a\nchangetype: delete\n", ":2 a change (`changetype: delete`) is no entry; export the entries"),
        ("version: 2\n", ":1 unknown version of LDIF; expected 1"),
        ("mail: a@example.com\n", ":1 not LDIF: expected `dn:`"),
        ("{\"users\": [\n]}", ":1 not LDIF: expected `dn:`"),
        ("name,email\nAda,a@example.com\n", ":1 not LDIF: expected `attribute: value`"),
        ("dn: a\n\n hunter2\n", ":3 not LDIF: a continued line after an empty one"),
        ("", "contains no LDIF entries"),
        ("version: 1\n", "contains no LDIF entries"),
        ("dn: cn=x\nobjectClass: groupOfNames\n", "contains no entries of people, such as `objectClass: person`"),
    ] {
        assert_eq!(broken(Source::Ldif, text), due, "{text}");
    }
}
