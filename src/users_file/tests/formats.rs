//! Reading files, their metadata, and the examples, in all formats.

use std::io::Write as _;

use serde_json::json;

use super::*;

fn stored(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(content).unwrap();
    (folder, path)
}

#[test]
fn the_format_comes_from_the_name_unless_it_is_specified() {
    for (name, format) in [
        ("u.yaml", Some(FileFormat::Yaml)),
        ("u.YML", Some(FileFormat::Yaml)),
        ("u.Json", Some(FileFormat::Json)),
        ("u.ndjson", Some(FileFormat::Ndjson)),
        ("u.x.JSONL", Some(FileFormat::Ndjson)),
        ("u.CSV", Some(FileFormat::Csv)),
        ("u.txt", None),
        ("csv", None),
        ("-", None),
    ] {
        assert_eq!(FileFormat::of(Path::new(name)), format, "{name}");
    }
    let content = b"name,email,is_sso_user\nAnn,ann@example.com,true\n";
    for (name, format) in [("u.csv", None), ("u.txt", Some(FileFormat::Csv)), ("u.json", Some(FileFormat::Csv))] {
        let (_folder, path) = stored(name, content);
        assert_eq!(UsersFile::read(&path, format, Contents::CREATED).unwrap().len(), 1, "{name}");
    }
    let (_folder, path) = stored("u.txt", b"create_users: []\n");
    assert_eq!(UsersFile::read(&path, None, Contents::CREATED).unwrap().len(), 0);
}

#[test]
fn a_file_has_its_name_and_the_digest_of_its_bytes() {
    let content = "\u{feff}[]\r\n";
    let (_folder, path) = stored("Users März.json", content.as_bytes());
    let file = UsersFile::read(&path, None, Contents::CREATED).unwrap();
    assert_eq!(file.name(), Some("Users März.json"));
    assert_eq!(file.sha256(), "50056c08ce479cc2f54c4d6595a4264bdf32bf84f2995d59ff3bd513897ab414");
    let text = UsersFile::parse("u", content.to_owned(), FileFormat::Json).unwrap();
    assert_eq!((text.name(), text.sha256()), (None, file.sha256()));
    let abc = UsersFile::parse("u", "create_users: []".to_owned(), FileFormat::Yaml).unwrap();
    assert_eq!(abc.sha256(), "b52b03e6f6f213182656b8e2d7b7e9db7179366189f6eda4778d4ffe25276144");
}

#[test]
fn text_that_is_not_utf_8_is_rejected_in_every_format() {
    let (_folder, path) = stored("u.csv", b"name,email,password,is_sso_user\nJos\xe9,jose@example.com,hunter2,false\n");
    let text = UsersFile::read(&path, None, Contents::CREATED).expect_err("not UTF-8").to_string();
    assert!(text.starts_with("error: invalid UTF-8\n") && text.contains("u.csv:2:4\n"), "{text}");
    assert!(text.contains("2 | Jos\u{fffd},jose@example.com,*******,false\n"), "{text}");
    let (_folder, path) = stored("u.json", b"[{\"password\": \"hunter2\xe9\"}]");
    let text = UsersFile::read(&path, None, Contents::CREATED).expect_err("not UTF-8").to_string();
    assert!(text.contains("u.json:1:23\n") && text.contains("1 | [{\"password\": **********}]\n"), "{text}");
    let utf16: Vec<u8> = "\u{feff}name,email\nhunter2".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for name in ["u.csv", "u.json", "u.ndjson", "u.yaml"] {
        let (_folder, path) = stored(name, &utf16);
        let text = UsersFile::read(&path, None, Contents::CREATED).expect_err("not UTF-8").to_string();
        assert!(
            text.contains(":1:1\n") && text.ends_with("= help: the file seems to be UTF-16; save it as UTF-8"),
            "{text}"
        );
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn a_file_has_a_limited_number_of_users() {
    let user = |row: &str| row.repeat(100_000);
    for (format, head, row, end) in [
        (FileFormat::Yaml, "create_users:\n", "- {}\n", "- {}\n"),
        (FileFormat::Json, "[", "{},", "{}]"),
        (FileFormat::Ndjson, "", "{}\n", "{}\n"),
        (FileFormat::Csv, "name,email,is_sso_user\n", "x,,\n", "x,,\n"),
    ] {
        let text = refusal_as(format, &format!("{head}{}{end}", user(row)));
        assert!(text.starts_with("error: a file can have at most 100000 users\n"), "{text}");
        assert!(text.ends_with("= help: split it into several files"), "{text}");
    }
}

#[test]
fn a_hash_in_place_of_a_password_is_shown_at_the_password() {
    for (format, text, place) in [
        (FileFormat::Yaml, "create_users:\n- {name: A, password: hunter2}", "2:23"),
        (FileFormat::Json, "[{\"name\": \"A\", \"password\": \"hunter2\"}]", "1:28"),
        (FileFormat::Ndjson, "{\"name\": \"A\", \"password\": \"hunter2\"}", "1:27"),
        (FileFormat::Csv, "name,email,password,password_hash,is_sso_user\nA,a,hunter2,,false\n", "2:5"),
        (FileFormat::Csv, "name,email,password,is_sso_user\nA,a,hunter2,false\n", "2:5"),
    ] {
        let file = UsersFile::parse("users", text.to_owned(), format).unwrap();
        let output = file.render(&[finding(0, "password_hash", "hash", "is wrong")], false);
        assert!(output.starts_with("error[hash]: password_hash: is wrong\n"), "{output}");
        assert!(output.contains(&format!("--> users:{place}\n")) && !output.contains("hunter"), "{output}");
    }
    let text = "[{\"password\": \"x\", \"password_hash\": \"y\"}]";
    let file = UsersFile::parse("users", text.to_owned(), FileFormat::Json).unwrap();
    let output = file.render(&[finding(0, "password_hash", "c", "m")], false);
    assert!(output.contains("--> users:1:37\n"), "{output}");
}

#[test]
fn a_new_password_in_the_wrong_place_is_hidden() {
    for (format, text) in [
        (FileFormat::Yaml, "create_users:\n- {name: A, must_change_password: hunter2, permission_level: owner}"),
        (FileFormat::Json, "[{\"must_change_password\": \"hunter2\", \"permission_level\": \"owner\"}]"),
        (FileFormat::Csv, "name,email,must_change_password,is_sso_user,permission_level\nA,a,hunter2,yes,owner\n"),
    ] {
        let file = UsersFile::parse("users", text.to_owned(), format).unwrap();
        let output = file.render(&[finding(0, "must_change_password", "c", "m")], false);
        assert!(!output.contains("hunter") && output.contains("*******"), "{output}");
        assert_eq!(output.contains("owner"), format != FileFormat::Csv, "{output}");
        let file = UsersFile::parse("users", text.replace("\"hunter2\"", "true").replace("hunter2", "true"), format);
        let output = file.unwrap().render(&[finding(0, "must_change_password", "c", "m")], false);
        assert!(output.contains("true") && output.contains("owner") && !output.contains('*'), "{output}");
    }
    let text = refusal("create_users:\n- name: Ann\n  must_change_password: hunter2: x\n");
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn the_examples_are_valid_and_equal() {
    let hash = |rows: &Value| rows[2]["password_hash"].as_str().unwrap().to_owned();
    let rows = rows_as(FileFormat::Csv, template(TemplateFormat::Csv));
    let hashed = hash(&rows);
    assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && hashed.len() == 97, "{hashed}");
    assert_eq!(
        rows,
        json!([
            {"name": "Ann", "email": "ann@example.com", "password": "replace, 7Kq2-mXw9-Tz4v", "is_sso_user": false,
             "lastname": "Example", "title": "Head of \"R&D\""},
            {"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"},
            {"name": "Cy", "email": "cy@example.com", "password_hash": hashed, "must_change_password": true,
             "is_sso_user": false},
            {"name": "Di", "email": "di@example.com", "is_sso_user": false},
        ])
    );
    let mut yaml = rows_as(FileFormat::Yaml, template(TemplateFormat::Yaml));
    assert_eq!(yaml[0]["password"], "replace: 7Kq2-mXw9-Tz4v");
    assert_eq!(yaml[0]["title"], "Head of Research");
    assert_eq!(yaml[3]["password"], "");
    yaml[0]["password"] = rows[0]["password"].clone();
    yaml[0]["title"] = rows[0]["title"].clone();
    yaml[3].as_object_mut().unwrap().remove("password");
    assert_eq!(yaml, rows);
}

#[test]
fn the_examples_explain_every_field() {
    for format in [TemplateFormat::Yaml, TemplateFormat::Csv] {
        for field in UserField::NEW_USER {
            let explained = |line: &str| line.starts_with('#') && line.contains(&format!("  {field}"));
            let last = *field == UserField::Title && template(format).contains("lastname, title");
            assert!(last || template(format).lines().any(explained), "{field}");
        }
    }
}
