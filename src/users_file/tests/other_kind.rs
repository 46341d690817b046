//! Files of other kinds.

use super::*;

/// The message about a file with these contents.
fn message(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let error = UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default())
        .expect_err("not a users file")
        .to_string();
    error.replace(path.to_str().unwrap(), "FILE")
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn binary_files_and_other_encodings_are_recognized_in_every_format() {
    let csv = "name,email,password,is_sso_user\nZoë,zoe@example.com,hunter2,true\n";
    let [le, be]: [fn(u16) -> [u8; 2]; 2] = [u16::to_le_bytes, u16::to_be_bytes];
    let marked = format!("\u{feff}{csv}");
    let zip = |name: &str| [b"PK\x03\x04\x14\0\0\0\x08\0hunter2", name.as_bytes(), b"\xff\0\0\0PK\x01\x02"].concat();
    let damaged = "is damaged or incomplete; open the workbook in a spreadsheet program and save it again";
    let utf_16 = "looks like UTF-16; save the file as UTF-8";
    for (content, due) in [
        (zip("xl/workbook.xml"), damaged),
        (zip("xl/workbook.bin"), "looks like a binary Excel workbook (.xlsb); save the workbook as .xlsx"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0".to_vec(),
            "looks like an old Excel workbook (.xls); save the workbook as .xlsx",
        ),
        (
            zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
            "looks like an OpenDocument spreadsheet; save the spreadsheet as .xlsx",
        ),
        (zip("users.csv"), "looks like a zip archive; unpack it first"),
        (b"PK\x03\x04".to_vec(), "looks like a zip archive; unpack it first"),
        (b"\x1f\x8b\x08\0\0".to_vec(), "is compressed with gzip; decompress it first"),
        (utf16(&marked, le), utf_16),
        (utf16(&marked, be), utf_16),
        (utf16(csv, le), utf_16),
        (utf16(csv, be), utf_16),
        (utf16("№,имя,name,email,is_sso_user\n", le), utf_16),
        (utf16("[]", le), utf_16),
    ] {
        for name in ["users.csv", "users.yaml", "users.json", "users.ndjson"] {
            assert_eq!(message(name, &content), format!("`FILE` {due}"));
        }
    }
}

#[test]
fn an_export_of_another_system_is_recognized() {
    for (system, name, contents) in [
        (
            "keycloak",
            "Keycloak",
            &[
                r#"{"realm":"staff","users":[{"username":"a","email":"a@example.com","credentials":[]}]}"#,
                r#"[{"id": "1", "username": "hunter2", "emailVerified": true}]"#,
                r#"{"realm":"staff","roles":{},"users":["#,
            ][..],
        ),
        (
            "kratos",
            "Ory Kratos",
            &[
                r#"[{"id": "1", "schema_id": "default", "traits": {"email": "a@example.com"}, "credentials": {}}]"#,
                r#"{"id": "1", "traits": {"email": "a@example.com"}}"#,
            ],
        ),
        (
            "okta",
            "Okta",
            &[
                r#"[{"id": "00u1", "status": "ACTIVE", "profile": {"login": "a@example.com"}, "credentials": {"password": {}}}]"#,
            ],
        ),
        (
            "entra",
            "Microsoft Entra",
            &[
                "version:v1.0\nName [displayName] Required,User name [userPrincipalName] Required,Initial password \
             [passwordProfile] Required,Block sign in (Yes/No) [accountEnabled] Required\nAda,ada@example.com,hunter2,No\n",
                "userPrincipalName,displayName,surname,mail,givenName\na@example.com,A,B,a@example.com,A\n",
                "\"userPrincipalName\";\"displayName\"\n\"a@example.com\";\"A\"\n",
            ],
        ),
        (
            "google",
            "Google Workspace",
            &[
                "First Name [Required],Last Name [Required],Email Address [Required],Password [Required]\nA,B,a@example.com,hunter2\n",
            ],
        ),
        (
            "auth0",
            "Auth0",
            &[
                "{\"email\": \"a@example.com\", \"name\": \"A\", \"email_verified\": true}\n{\"email\": \"b@example.com\"}\n",
                r#"[{"email": "a@example.com", "passwordHash": "hunter2"}]"#,
            ],
        ),
        (
            "ldif",
            "an LDAP directory (LDIF)",
            &[
                "version: 1\n\ndn: uid=a,ou=people,dc=example\nuid: a\nuserPassword:: hunter2\n",
                "# export\ndn: uid=a,ou=people,dc=example\nobjectClass: person\nobjectClass: top\n",
                "dn:: dWlkPWE=\nuid: a\n",
            ],
        ),
    ] {
        for content in contents {
            let due = format!(
                "`FILE` looks like an export from {name}; convert it with `muster user convert --from {system} FILE`"
            );
            let suffixes =
                if content.starts_with(['{', '[']) { ["json", "ndjson", "txt"] } else { ["csv", "tsv", "ldif"] };
            for suffix in suffixes {
                assert_eq!(message(&format!("export.{suffix}"), content.as_bytes()), due, "{content}");
            }
        }
    }
}

#[test]
fn a_users_file_of_another_format_is_recognized() {
    let csv = "looks like CSV; use `--format csv`";
    for (name, content, due) in [
        ("users", "name,email,is_sso_user\nAda,ada@example.com,true\n", csv),
        ("users.txt", "# notes\nEmail;Name\nada@example.com;Ada\n", csv),
        ("users.yaml", "name\temail\tis_sso_user\nAda\tada@example.com\ttrue\n", csv),
        ("users.json", "name,email\n", csv),
        ("users.csv", "# notes\ncreate_users: []\n", "looks like YAML; use `--format yaml`"),
        ("users.csv", "---\ncreate_users:\n- name: Ada\n", "looks like YAML; use `--format yaml`"),
        ("users.csv", "[\n{\"name\": \"Ada\"}]", "looks like JSON; use `--format json`"),
        ("users.csv", "{\"name\": \"Ada\"}\n\n{\"name\": \"Bo\"}\n", "looks like JSON lines; use `--format ndjson`"),
        ("users.csv", "<!DOCTYPE html>\n<table>", "looks like HTML or XML; save the table as CSV in UTF-8"),
        ("users", " <?xml version=\"1.0\"?>", "looks like HTML or XML; save the table as CSV in UTF-8"),
    ] {
        assert_eq!(message(name, content.as_bytes()), format!("`FILE` {due}"), "{content}");
    }
}

#[test]
fn a_list_of_users_is_never_taken_for_another_kind() {
    for (format, text) in [
        (FileFormat::Json, r#"[{"name": "A", "email": "a", "is_sso_user": true, "traits": {}, "realm": 1}]"#),
        (FileFormat::Json, r#"[{"name": "A", "title": "\"traits\": \"realm\": x"}]"#),
        (FileFormat::Yaml, "create_users:\n- name: dn\n  title: name,email\n"),
        (FileFormat::Csv, "name,email,is_sso_user\n<,{,true\n"),
    ] {
        parse(format, text).unwrap_or_else(|error| panic!("{error}"));
    }
    // Mistakes in a list are reported at their places.
    for (format, text, due) in [
        (FileFormat::Json, r#"[{"name": "A", "title": "realm", "users": 1,}]"#, "trailing comma"),
        (FileFormat::Csv, "name,email,is_sso_user,realm\nA,a,true,x\n", "unknown column `realm`"),
        (FileFormat::Yaml, "create_users:\n- name: 'A\n", "unclosed quote"),
    ] {
        let text = errors(format, text);
        assert!(text.contains(due), "{text}");
    }
}
