//! Reading files of all formats, and the templates.

use std::error::Error as _;

use serde_json::json;

use super::*;

fn stored(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

#[test]
fn the_file_extension_sets_the_format_unless_one_is_given() {
    for (name, format) in [
        ("u.yaml", Some(FileFormat::Yaml)),
        ("u.YML", Some(FileFormat::Yaml)),
        ("u.Json", Some(FileFormat::Json)),
        ("u.ndjson", Some(FileFormat::Ndjson)),
        ("u.x.JSONL", Some(FileFormat::Ndjson)),
        ("u.CSV", Some(FileFormat::Csv)),
        ("u.tsv", Some(FileFormat::Csv)),
        ("u.txt", None),
        ("csv", None),
        ("-", None),
    ] {
        assert_eq!(FileFormat::of(Path::new(name)), format, "{name}");
    }
    let content = b"name,email,is_sso_user\nAnn,ann@example.com,true\n";
    for (name, format) in [("u.csv", None), ("u.txt", Some(FileFormat::Csv)), ("u.json", Some(FileFormat::Csv))] {
        let (_folder, path) = stored(name, content);
        assert_eq!(
            UsersFile::read(&path, format, Contents::CREATED, &ColumnMap::default()).unwrap().len(),
            1,
            "{name}"
        );
    }
    let (_folder, path) = stored("u.txt", b"create_users: []\n");
    assert_eq!(UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default()).unwrap().len(), 0);
}

#[test]
fn a_file_has_its_name_and_the_sha256_of_its_bytes() {
    let content = "\u{feff}[]\r\n";
    let (_folder, path) = stored("Users März.json", content.as_bytes());
    let file = UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default()).unwrap();
    assert_eq!(file.name(), Some("Users März.json"));
    assert_eq!(file.sha256(), "50056c08ce479cc2f54c4d6595a4264bdf32bf84f2995d59ff3bd513897ab414");
    let text = UsersFile::parse("u", content.to_owned(), FileFormat::Json).unwrap();
    assert_eq!((text.name(), text.sha256()), (None, file.sha256()));
    let abc = UsersFile::parse("u", "create_users: []".to_owned(), FileFormat::Yaml).unwrap();
    assert_eq!(abc.sha256(), "b52b03e6f6f213182656b8e2d7b7e9db7179366189f6eda4778d4ffe25276144");
}

#[test]
fn invalid_utf_8_is_rejected_in_every_format() {
    let csv = b"name,email,password,is_sso_user\nJos\xe9,jose@example.com,hunter2,false\n";
    for (name, bytes, place, line) in [
        ("u.csv", &csv[..], "2:4", "2 | Jos\u{fffd},jose@example.com,*******,false\n"),
        ("u.json", b"[{\"password\": \"hunter2\xe9\"}]", "1:23", "1 | [{\"password\": **********}]\n"),
        ("u.yaml", b"create_users:\n- name: Jos\xe9\n  title: x\n", "2:12", "2 | - name: Jos\u{fffd}\n"),
        ("u.yaml", b"create_users:\n- password: hunter2\xe9\n", "2:20", "2 | - password: ********\n"),
    ] {
        let (_folder, path) = stored(name, bytes);
        let text =
            UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default()).expect_err("not UTF-8").to_string();
        assert!(text.starts_with("error: invalid UTF-8\n") && text.contains(&format!("{name}:{place}\n")), "{text}");
        let help = if name == "u.csv" { "UTF-8; in Excel, as `CSV UTF-8`" } else { "UTF-8" };
        assert!(text.contains(line) && text.ends_with(&format!("= help: save the file as {help}")), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn the_file_size_is_limited() {
    let mut bytes = b"create_users: []\n#".to_vec();
    bytes.resize(usize::try_from(MAX_BYTES).unwrap(), b'x');
    let (_folder, path) = stored("u.yaml", &bytes);
    assert_eq!(UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default()).unwrap().len(), 0);
    bytes.push(b'x');
    let (_folder, path) = stored("u.yaml", &bytes);
    let error = UsersFile::read(&path, None, Contents::CREATED, &ColumnMap::default()).expect_err("too large");
    assert!(matches!(error, FileError::TooLarge { .. }));
    assert!(error.to_string().ends_with("` is larger than 64 MiB; split it into several files"));
}

#[test]
fn a_missing_file_has_the_error_of_the_operating_system() {
    let error = UsersFile::read(Path::new("/does/not/exist.yaml"), None, Contents::CREATED, &ColumnMap::default())
        .expect_err("missing");
    assert_eq!(error.to_string(), "can't read `/does/not/exist.yaml`");
    assert!(error.source().unwrap().to_string().contains("No such file"));
}

#[test]
fn the_number_of_users_is_limited() {
    let user = |row: &str| row.repeat(100_000);
    for (format, head, row, end) in [
        (FileFormat::Yaml, "create_users:\n", "- {}\n", "- {}\n"),
        (FileFormat::Json, "[", "{},", "{}]"),
        (FileFormat::Ndjson, "", "{}\n", "{}\n"),
        (FileFormat::Csv, "name,email,is_sso_user\n", "x,,\n", "x,,\n"),
    ] {
        let text = errors(format, &format!("{head}{}{end}", user(row)));
        assert!(text.starts_with("error: a file can have at most 100000 users\n"), "{text}");
        assert!(text.ends_with("= help: split it into several files"), "{text}");
    }
}

#[test]
fn a_finding_about_a_computed_hash_points_to_the_password() {
    for (format, text, place) in [
        (FileFormat::Yaml, "create_users:\n- {name: A, password: hunter2}", "2:23"),
        (FileFormat::Json, "[{\"name\": \"A\", \"password\": \"hunter2\"}]", "1:28"),
        (FileFormat::Ndjson, "{\"name\": \"A\", \"password\": \"hunter2\"}", "1:27"),
        (FileFormat::Csv, "name,email,password,password_hash,is_sso_user\nA,a,hunter2,,false\n", "2:5"),
        (FileFormat::Csv, "name,email,password,is_sso_user\nA,a,hunter2,false\n", "2:5"),
    ] {
        let file = parse(format, text).unwrap();
        let output = file.render(&[finding(0, "password_hash", "hash", "is wrong")], false);
        assert!(output.starts_with("error[hash]: password_hash: is wrong\n"), "{output}");
        assert!(output.contains(&format!("--> users:{place}\n")) && !output.contains("hunter"), "{output}");
    }
    let text = "[{\"password\": \"x\", \"password_hash\": \"y\"}]";
    let file = parse(FileFormat::Json, text).unwrap();
    let output = file.render(&[finding(0, "password_hash", "c", "m")], false);
    assert!(output.contains("--> users:1:37\n"), "{output}");
}

#[test]
fn a_password_in_must_change_password_is_hidden() {
    for (format, text) in [
        (FileFormat::Yaml, "create_users:\n- {name: A, must_change_password: hunter2, permission_level: owner}"),
        (FileFormat::Json, "[{\"must_change_password\": \"hunter2\", \"permission_level\": \"owner\"}]"),
        (FileFormat::Csv, "name,email,must_change_password,is_sso_user,permission_level\nA,a,hunter2,yes,owner\n"),
    ] {
        let file = parse(format, text).unwrap();
        let output = file.render(&[finding(0, "must_change_password", "c", "m")], false);
        assert!(!output.contains("hunter") && output.contains("*******"), "{output}");
        assert_eq!(output.contains("owner"), format != FileFormat::Csv, "{output}");
        let file = UsersFile::parse("users", text.replace("\"hunter2\"", "true").replace("hunter2", "true"), format);
        let output = file.unwrap().render(&[finding(0, "must_change_password", "c", "m")], false);
        assert!(output.contains("true") && output.contains("owner") && !output.contains('*'), "{output}");
    }
    let text = errors(FileFormat::Yaml, "create_users:\n- name: Ann\n  must_change_password: hunter2: x\n");
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn the_templates_have_the_same_users() {
    let csv = rows(FileFormat::Csv, template(TemplateFormat::Csv));
    let hash = csv[2]["password_hash"].as_str().unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && hash.len() == 97, "{hash}");
    assert_eq!(
        csv,
        json!([
            {"name": "Ann", "email": "ann@example.com", "password": "replace, 7Kq2-mXw9-Tz4v", "is_sso_user": false,
             "lastname": "Example", "title": "Head of \"R&D\""},
            {"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"},
            {"name": "Cy", "email": "cy@example.com", "password_hash": hash, "must_change_password": true,
             "is_sso_user": false},
            {"name": "Di", "email": "di@example.com", "is_sso_user": false},
        ])
    );
    let mut yaml = rows(FileFormat::Yaml, template(TemplateFormat::Yaml));
    assert_eq!(yaml[0]["password"], "replace: 7Kq2-mXw9-Tz4v");
    assert_eq!(yaml[0]["title"], "Head of Research");
    assert_eq!(yaml[3]["password"], "");
    yaml[0]["password"] = csv[0]["password"].clone();
    yaml[0]["title"] = csv[0]["title"].clone();
    yaml[3].as_object_mut().unwrap().remove("password");
    assert_eq!(yaml, csv);
}

#[test]
fn the_templates_explain_every_field() {
    for format in [TemplateFormat::Yaml, TemplateFormat::Csv] {
        for field in UserField::NEW_USER {
            let explained = |line: &str| line.starts_with('#') && line.contains(&format!("  {field}"));
            let last = *field == UserField::Title && template(format).contains("lastname, title");
            assert!(last || template(format).lines().any(explained), "{field}");
        }
    }
}

#[test]
fn the_template_survives_a_spreadsheet() {
    let text = template(TemplateFormat::Csv);
    let due = rows(FileFormat::Csv, text);
    let comments = || text.lines().filter(|line| line.starts_with('#'));
    assert!(!comments().any(|line| line.contains([',', ';', '\t', '|', '"'])), "no comment needs quotes");
    // With comments that need quotes as well.
    for comment in ["", "# a, b; \"c\"\n"] {
        let lines = format!("{comment}{text}");
        for separator in [",", ";", "\t"] {
            let mut saved = "\u{feff}".to_owned();
            let mut table = csv_cells::Cells::new(text, text.find("name,").unwrap(), b',');
            let mut row = Vec::new();
            let mut save = |cells: Vec<String>| {
                let quote = |cell: &String| match cell.contains(['"', '\n']) || cell.contains(separator) {
                    true => format!("\"{}\"", cell.replace('"', "\"\"")),
                    false => cell.clone(),
                };
                let mut cells: Vec<String> = cells.iter().map(quote).collect();
                cells.resize(9, String::new());
                saved.push_str(&cells.join(separator));
                saved.push_str("\r\n");
            };
            for line in lines.lines().filter(|line| line.starts_with('#')) {
                save(vec![line.to_owned()]);
            }
            while table::Rows::next(&mut table, &mut row).is_some() {
                save(row.iter().map(|cell| cell.text.to_string()).collect());
            }
            assert_eq!(rows(FileFormat::Csv, &saved), due, "{saved}");
        }
    }
}
