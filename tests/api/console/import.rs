//! A file becomes people: corrected in place, reviewed, created.

use super::{Answer, Browser, PASSWORD, TestApp, heading, hidden, owner, spawn, title, user};
use crate::support::sso;

/// Where a redirect leads, from the root.
fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    format!("/{}", answer.header("location").trim_start_matches("../"))
}

/// Sends a file with the form of the page.
pub async fn upload(browser: &Browser, name: &str, file: &[u8]) -> Answer {
    send_form(browser, "/console/import", &[("file", Some(name), file)], "--end--\r\n").await
}

pub async fn send_form(browser: &Browser, path: &str, parts: &[(&str, Option<&str>, &[u8])], end: &str) -> Answer {
    let mut body = Vec::new();
    for (field, file_name, content) in parts {
        let file_name = file_name.map_or_else(String::new, |name| format!("; filename=\"{name}\""));
        let head = format!("--end\r\nContent-Disposition: form-data; name=\"{field}\"{file_name}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(end.as_bytes());
    let request = browser.request("POST", path);
    browser.send(request.header("content-type", "multipart/form-data; boundary=end").body(body)).await
}

/// Uploads a file that needs no decision about its columns: the path of its list, and of the step that comes next.
async fn begin(browser: &Browser, file: &str) -> (String, String) {
    let next = location(&upload(browser, "people.csv", file.as_bytes()).await);
    let path = next.rsplit_once('/').unwrap().0.to_owned();
    (path, next)
}

/// The fields of the form of rows as a browser would send them.
fn fields(page: &Answer) -> Vec<(String, String)> {
    let form = page.text.split_once("<form method=\"post\" class=\"stack\">").unwrap().1;
    let form = form.split_once("</form>").unwrap().0;
    let value = |tag: &str, name: &str| {
        let value = tag.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap();
        value
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
    };
    let inputs = form.split("<input ").skip(1).map(|rest| format!(" {}", rest.split('>').next().unwrap()));
    inputs.map(|tag| (value(&tag, "name"), value(&tag, "value"))).collect()
}

/// Sends the form of a page of rows with other texts in some cells, and a button.
async fn send(browser: &Browser, path: &str, typed: &[(&str, &str)], button: (&str, &str)) -> Answer {
    let page = browser.get(&format!("{path}/rows")).await;
    let mut fields = fields(&page);
    for (name, value) in typed {
        let field = fields.iter_mut().find(|(field, _)| field == name);
        field.unwrap_or_else(|| panic!("{name} in {}", page.text)).1 = (*value).to_owned();
    }
    fields.push((button.0.to_owned(), button.1.to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.submit(&format!("{path}/rows"), &fields).await
}

async fn users(app: &TestApp) -> i64 {
    app.db_value("select count(*) from users where email like '%.test'").await
}

const NINE_FINDINGS: &str = "name;lastname;email;is_sso_user;password;permission_level
Jürgen;Holm;j.holm@hydro.test;true;;
Ragnhild;Berg;ragnhild.berg@hydro,test;true;;
Odd;Strand;o.strand@hydro.test;true;;
;Van;v.van@hydro.test;true;;
Zoë;Rossi;z.rossi@tide.test;false;zk9!q;
Zoë;Rossi;Z.Rossi@tide.test;false;;
Jonas;Eide;j.eide@hydro.test;true;tidal-Plum-anchor-77;
Kaja;Moen;k.moen@tide.test;false;Password123!;
Eva;Lien;eva.lien(at)hydro.test;false;;
;Dahl;i.dahl@hydro.test;true;;
";

/// Requirements U-57 to U-62.
#[tokio::test]
async fn a_file_with_nine_findings_of_seven_kinds_is_fixed_in_place_and_created() {
    let app = spawn().await;
    let owner = owner(&app).await;
    assert_eq!(app.owner.create(&serde_json::json!([sso("o.strand@hydro.test")])).await.status, 200);
    let (path, next) = begin(&owner, NINE_FINDINGS).await;
    assert!(next.ends_with("/rows"), "{next}");
    let page = owner.get(&next).await;
    assert_eq!(
        (heading(&page), title(&page)),
        ("9 of 10 rows need fixing", "Error: 9 of 10 rows need fixing · muster")
    );
    for part in [
        "people.csv</bdi> · nothing has been written",
        "<a href=\"#r2-email\">Line 3, address: not a valid e-mail address</a>",
        "<a href=\"#r3-email\">Line 4, address: already exists</a>",
        "<a href=\"#r4-name\">Line 5, first name: is missing</a>",
        "<a href=\"#r5-email\">Line 6, address: the same address as line 7</a>",
        "<a href=\"#r6-email\">Line 7, address: the same address as line 6</a>",
        "value=\"2:email\">Use ragnhild.berg@hydro.test</button>",
        "value=\"3:email\">Leave this row out</button>",
        "value=\"7:password\">Remove the password</button>",
        "value=\"8:password\">Make it a link</button>",
        "/people?q=o.strand%40hydro.test\">show the person</a>",
        "<strong>9 to fix</strong>, 0 to check, 1 fine",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    for secret in ["zk9!q", "tidal-Plum", "Password123"] {
        assert!(!page.text.contains(secret), "{secret} in {}", page.text);
    }
    let wrong = owner.get(&format!("{path}/wrong.csv")).await;
    assert_eq!(wrong.header("content-type"), "text/csv; charset=utf-8");
    assert!(
        wrong.text.contains("3,email,\"ragnhild.berg@hydro,test\",email_invalid,not a valid e-mail address\r\n"),
        "{}",
        wrong.text
    );
    assert!(!wrong.text.contains("Password123"), "{}", wrong.text);

    // Repairs, typed values, and a row that is left out, kept one after the other.
    let sent =
        send(&owner, &path, &[("4:name", "Vinh"), ("9:email", "eva.lien@hydro.test")], ("repair", "2:email")).await;
    assert_eq!(location(&sent), format!("{path}/rows"));
    assert_eq!(heading(&owner.get(&format!("{path}/rows")).await), "6 of 10 rows need fixing");
    for button in [("leave", "3"), ("repair", "6:email"), ("repair", "7:password")] {
        assert_eq!(send(&owner, &path, &[], button).await.status, 303);
    }
    let page = owner.get(&format!("{path}/rows")).await;
    assert_eq!(heading(&page), "3 of 10 rows need fixing");
    assert!(page.text.contains("2 left out"), "{}", page.text);
    // Going on does not hide what is left.
    assert_eq!(location(&send(&owner, &path, &[], ("review", "1")).await), format!("{path}/rows"));
    assert_eq!(location(&owner.get(&format!("{path}/review")).await), format!("{path}/rows"));
    let sent =
        send(&owner, &path, &[("10:name", "Ida"), ("5:password", "brine-Kettle-91-oak")], ("repair", "8:password"))
            .await;
    assert_eq!(location(&sent), format!("{path}/rows"));
    let page = owner.get(&format!("{path}/rows")).await;
    assert_eq!(heading(&page), "Every row is fine");
    assert!(!page.text.contains("brine-Kettle"), "{}", page.text);
    assert_eq!(users(&app).await, 1, "nothing is written before the end");

    assert_eq!(location(&send(&owner, &path, &[], ("review", "1")).await), format!("{path}/review"));
    let review = owner.get(&format!("{path}/review")).await;
    assert_eq!((heading(&review), title(&review)), ("Create 8 people?", "Create 8 people? · muster"));
    for part in [
        "<dt>sign in by SSO</dt><dd>5</dd>",
        "<dt>with a password</dt><dd>1</dd>",
        "<dt>without either: need a link</dt><dd>2</dd>",
        "<dt>left out by you</dt><dd>2</dd>",
        "<tr><th scope=\"row\">hydro.test</th><td class=\"num\">6</td></tr>",
        "with your corrections",
    ] {
        assert!(review.text.contains(part), "{part} in {}", review.text);
    }
    let revision = hidden(&review, "revision").to_owned();
    let form = [("revision", revision.as_str())];
    let batch = location(&owner.submit(&format!("{path}/review"), &form).await);
    assert!(batch.starts_with("/console/batches/bat_"), "{batch}");
    assert_eq!(users(&app).await, 9);
    // Sent twice, and back in the history: the same batch.
    assert_eq!(location(&owner.submit(&format!("{path}/review"), &form).await), batch);
    assert_eq!(location(&owner.get(&format!("{path}/rows")).await), batch);
    assert_eq!(users(&app).await, 9);
    let page = owner.get(&batch).await;
    assert_eq!(heading(&page), "<bdi>people.csv</bdi>");
    assert!(page.text.contains("<span class=\"state ok\">Created</span> · 8 people"), "{}", page.text);
    // The draft has nothing but the batch any more.
    let (kind, length): (String, i32) = {
        let kind = app.db_value("select kind from drafts").await;
        (kind, app.db_value("select octet_length(content) from drafts").await)
    };
    assert!(kind == "done" && length < 150, "{kind}, {length} bytes");
    assert!(!owner.get("/console/import").await.text.contains("Unfinished imports"));
}

/// Requirement U-56.
#[tokio::test]
async fn foreign_columns_are_matched_and_confirmed_and_passwords_are_not_shown() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let file = "\u{feff}Vorname;Nachname;E-Mail;SSO;Kennwort;Abteilung;\r\n\
                Jürgen;Holm;j.holm@hydro.test;ja;;Turbinen;\r\n\
                Anaïs;Dubois;a.dubois@hydro.test;FALSCH;tidal-Plum-anchor-77;Netz;\r\n\
                Kaja;Moen;k.moen@hydro.test;vielleicht;;Netz;\r\n";
    let next = location(&upload(&owner, "Daten/leute.csv", file.as_bytes()).await);
    assert!(next.ends_with("/columns"), "{next}");
    let path = next.strip_suffix("/columns").unwrap();
    let page = owner.get(&next).await;
    assert_eq!(heading(&page), "Match the columns");
    for part in [
        "leute.csv</bdi> · semicolons, UTF-8 · 3 rows",
        "<option value=\"name\" selected>First name</option>",
        "<option value=\"password\" selected>Password</option>",
        "•••••••• (1 row)",
        "<bdi>Turbinen, Netz, Netz</bdi>",
        "<span class=\"state off\">Left out</span>",
        "<td class=\"num\">1</td><td>no</td>",
        "name=\"word:vielleicht\"",
        "<option value=\"yes\" selected>yes</option>",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("tidal-Plum"), "{}", page.text);
    let revision = hidden(&page, "revision").to_owned();
    let columns = |email: &'static str| {
        [
            ("revision", revision.as_str()),
            ("column:0", "name"),
            ("column:1", "lastname"),
            ("column:2", email),
            ("column:3", "is_sso_user"),
            ("column:4", "password"),
            ("column:5", ""),
            ("word:ja", "yes"),
            ("word:vielleicht", ""),
            ("sso", ""),
        ]
    };
    // Two columns for one field, and none for the address.
    let refused = owner.submit(&next, &columns("name")).await;
    assert_eq!((refused.status, title(&refused)), (422, "Error: Columns of leute.csv · muster"));
    assert!(refused.text.contains("No column is the address"), "{}", refused.text);
    assert!(refused.text.contains("Two columns are “First name”; leave one of them out"), "{}", refused.text);
    assert_eq!(location(&owner.submit(&next, &columns("email")).await), format!("{path}/rows"));
    let page = owner.get(&format!("{path}/rows")).await;
    assert_eq!(heading(&page), "1 of 3 rows needs fixing");
    // The word may be a password in the wrong column, so the row is not shown.
    assert!(page.text.contains("id=\"r3-is_sso_user\" name=\"3:is_sso_user\" value=\"\""), "{}", page.text);
    assert!(!page.text.contains("vielleicht") && !page.text.contains("k.moen"), "{}", page.text);
    assert_eq!(send(&owner, path, &[("3:is_sso_user", "nein")], ("review", "1")).await.status, 303);
    let review = owner.get(&format!("{path}/review")).await;
    assert_eq!(heading(&review), "Create 3 people?");
    assert!(!review.text.contains("tidal-Plum"), "{}", review.text);
}

/// Requirement U-52.
#[tokio::test]
async fn a_list_is_opened_by_its_person_in_its_browser_only_and_sealed_in_the_database() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (path, _) = begin(&owner, NINE_FINDINGS).await;
    let found = app
        .db_value::<i64>(
            "select count(*) from drafts where position('Ragnhild'::bytea in content) > 0
             or position('hydro'::bytea in content) > 0 or position('people'::bytea in label) > 0",
        )
        .await;
    assert_eq!((found, app.db_value::<i64>("select count(*) from drafts").await), (0, 1));
    let key = owner.cookie("__Host-Http-muster-draft").unwrap();

    // Another owner, with the key, and this owner in another browser.
    user(&app, "tomas@example.com", "owner").await;
    let other = Browser::of(&app);
    other.sign_in_on_page("tomas@example.com", PASSWORD, "").await;
    other.set_cookie("__Host-Http-muster-draft", &key);
    for step in ["", "/columns", "/rows", "/review", "/wrong.csv"] {
        assert_eq!(other.get(&format!("{path}{step}")).await.status, 404, "{step}");
    }
    assert!(!other.get("/console/import").await.text.contains("Unfinished imports"));
    let elsewhere = Browser::of(&app);
    elsewhere.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    let page = elsewhere.get(&format!("{path}/rows")).await;
    assert_eq!(page.status, 409);
    assert!(
        page.text.contains("This list was begun in another browser, and only that browser can open it."),
        "{}",
        page.text
    );
    assert!(elsewhere.get("/console/import").await.text.contains("Begun in another browser"));
    // A new session in the same browser opens the list.
    owner.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    assert_eq!(owner.get(&format!("{path}/rows")).await.status, 200);
    // The key ends with the sign-out.
    let signed_out = owner.at(app.address);
    signed_out.submit("/sign-out", &[]).await;
    assert_eq!(signed_out.cookie("__Host-Http-muster-draft"), None);
    owner.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;

    app.db_execute("update drafts set expires_at = now() - interval '1 second'").await;
    assert_eq!(owner.get(&format!("{path}/rows")).await.status, 404);
    assert!(!owner.get("/console/import").await.text.contains("Unfinished imports"));
}

#[tokio::test]
async fn a_person_has_five_unfinished_lists_and_discards_them() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let file = |n: usize| format!("name,email,is_sso_user\nAda,ada{n}@hydro.test,true\n");
    let mut paths = Vec::new();
    for n in 0..5 {
        paths.push(begin(&owner, &file(n)).await.0);
    }
    let refused = upload(&owner, "people.csv", file(5).as_bytes()).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text.contains("You have 5 unfinished lists; discard one of them, or wait until one expires."),
        "{}",
        refused.text
    );
    assert_eq!(owner.get("/console/import").await.text.matches("people.csv").count(), 5);
    let discarded = owner.submit(&format!("{}/discard", paths[0]), &[]).await;
    assert_eq!(location(&discarded), "/console/import?done=discarded");
    assert_eq!(owner.get(&format!("{}/review", paths[0])).await.status, 404);
    assert_eq!(upload(&owner, "people.csv", file(5).as_bytes()).await.status, 303);
}

/// Requirement U-51.
#[tokio::test]
async fn each_wrong_kind_of_file_says_what_it_is() {
    let app = TestApp::spawn_with(|config| {
        config.passwords.must_change = false;
        config.batch.max_users = 3;
    })
    .await;
    let owner = owner(&app).await;
    let header = "name,email,is_sso_user\n";
    let utf16: Vec<u8> = "\u{feff}name\temail\tis_sso_user\nJürgen\tj@hydro.test\ttrue\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        (
            "a.ods",
            b"PK\x03\x04....mimetypeapplication/vnd.oasis.opendocument.spreadsheet".to_vec(),
            "looks like an OpenDocument spreadsheet; save the spreadsheet as .xlsx",
        ),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....".to_vec(),
            "looks like an old Excel workbook (.xls); save the workbook as .xlsx",
        ),
        ("a.xlsx", b"PK\x03\x04....xl/workbook.xml".to_vec(), "is damaged or incomplete"),
        (
            "a.csv",
            format!("{header}J\u{fc}rgen,j@hydro.test,true\n").chars().map(|c| c as u8).collect(),
            "Line 2 is not UTF-8, perhaps the file is in Windows-1252; in Excel, save the file as `CSV UTF-8`.",
        ),
        ("a.csv", header.into(), "The file has no rows"),
        ("a.csv", format!("{header}\"Ada,a@hydro.test,true\n").into(), "<li>Line 2: unclosed quote</li>"),
        ("a.csv", format!("{header}{}", "Ada,a@hydro.test,true\n".repeat(4)).into(), "The file has more than 3 rows"),
        ("a.json", b"[{\"name\": \"Ada\",}]".to_vec(), "The file can’t be used. Nothing was written."),
        ("a.json", br#"[{"traits": {"email": "a@b.c"}}]"#.to_vec(), "looks like an export from Ory Kratos"),
    ];
    for (name, file, says) in cases {
        let page = upload(&owner, name, &file).await;
        assert_eq!((page.status, title(&page)), (422, "Error: Import people · muster"), "{says}: {}", page.text);
        assert!(page.text.contains(says), "{says} in {}", page.text);
    }
    assert_eq!(app.db_value::<i64>("select count(*) from drafts").await, 0);
    assert!(location(&upload(&owner, "a.txt", &utf16).await).ends_with("/review"));
    let nothing = upload(&owner, "", b"").await;
    assert_eq!(nothing.status, 400);
    assert!(nothing.text.contains("Choose a file, or paste a list."), "{}", nothing.text);
    // The connection ended before the form did.
    let truncated = send_form(&owner, "/console/import", &[("file", Some("a.csv"), header.as_bytes())], "").await;
    assert_eq!(truncated.status, 400, "{}", truncated.text);
    let form = owner.submit("/console/import", &[("text", "name")]).await;
    assert_eq!(form.status, 415);
}

#[tokio::test]
async fn a_pasted_list_of_json_and_a_row_of_another_length_are_read() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let json = br#"[{"name": "Ada", "email": "ada@hydro.test", "is_sso_user": true},
 {"name": "Eva", "email": "eva@hydro.test", "is_sso_user": "maybe"}]"#;
    let next = location(&send_form(&owner, "/console/import", &[("text", None, json)], "--end--\r\n").await);
    let page = owner.get(&next).await;
    assert_eq!(heading(&page), "1 of 2 rows needs fixing");
    assert!(page.text.contains("Line 2, sso: must be true or false, not text"), "{}", page.text);
    let (path, _) = begin(&owner, "name,email,is_sso_user\nAda,a@hydro.test,true\nEva,Lien,e@hydro.test,true\n").await;
    let page = owner.get(&format!("{path}/rows")).await;
    assert!(page.text.contains("this row has 4 cells, but the header has 3"), "{}", page.text);
    assert!(!page.text.contains("Lien"), "{}", page.text);
    assert_eq!(location(&send(&owner, &path, &[], ("repair", "2:")).await), format!("{path}/rows"));
    assert_eq!(heading(&owner.get(&format!("{path}/review")).await), "Create 1 person?");
    // All of it can be undone.
    assert_eq!(send(&owner, &path, &[], ("restore", "1")).await.status, 303);
    assert_eq!(heading(&owner.get(&format!("{path}/rows")).await), "1 of 2 rows needs fixing");
}

/// Requirement U-59: a second tab does not overwrite the first one.
#[tokio::test]
async fn two_tabs_do_not_overwrite_each_other() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (path, _) = begin(&owner, NINE_FINDINGS).await;
    let old = fields(&owner.get(&format!("{path}/rows")).await);
    assert_eq!(send(&owner, &path, &[("4:name", "Vinh")], ("check", "1")).await.status, 303);
    let old: Vec<(&str, &str)> = old.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let late = owner.submit(&format!("{path}/rows"), &old).await;
    assert_eq!((late.status, heading(&late)), (409, "This import was changed in another tab"));
    let draft_id = path.rsplit('/').next().unwrap();
    assert!(late.text.contains(&format!("console/import/{draft_id}/rows\">Show the newer state</a>")), "{}", late.text);
    let page = owner.get(&format!("{path}/rows")).await;
    assert!(!page.text.contains("id=\"r4-name\""), "{}", page.text);
}

/// Requirement U-26.
#[tokio::test]
async fn corrections_survive_a_session_that_ends_in_the_middle() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (path, _) = begin(&owner, NINE_FINDINGS).await;
    let old = fields(&owner.get(&format!("{path}/rows")).await);
    app.db_execute("update sessions set ended_at = now(), end_reason = 'ended'").await;
    app.app.holders.clear();
    let mut form: Vec<(&str, &str)> = old.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.iter_mut().find(|(name, _)| *name == "4:name").unwrap().1 = "Vinh";
    let page = owner.submit(&format!("{path}/rows"), &form).await;
    assert_eq!((page.status, heading(&page)), (401, "Your session has ended"));
    assert!(page.text.contains("name=\"4:name\" value=\"Vinh\""), "{}", page.text);
    owner.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    assert_eq!(location(&owner.submit(&format!("{path}/rows"), &form).await), format!("{path}/rows"));
    assert!(!owner.get(&format!("{path}/rows")).await.text.contains("id=\"r4-name\""));
}

#[tokio::test]
async fn people_who_were_created_meanwhile_are_found_and_nothing_is_written() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (path, next) = begin(&owner, "name,email,is_sso_user\nAda,a@hydro.test,true\nEva,e@hydro.test,true\n").await;
    assert_eq!(next, format!("{path}/review"));
    let review = owner.get(&next).await;
    assert!(review.text.contains("<pre>muster user batch-create -f people.csv</pre>"), "{}", review.text);
    let revision = hidden(&review, "revision").to_owned();
    assert_eq!(app.owner.create(&serde_json::json!([sso("a@hydro.test")])).await.status, 200);
    let sent = owner.submit(&next, &[("revision", &revision)]).await;
    assert_eq!(location(&sent), format!("{path}/rows"));
    let page = owner.get(&format!("{path}/rows")).await;
    assert!(page.text.contains("Line 2, address: already exists"), "{}", page.text);
    assert_eq!(users(&app).await, 1);
    // The same file again, after its people were created.
    assert_eq!(location(&send(&owner, &path, &[], ("repair", "1:email")).await), format!("{path}/rows"));
    let review = owner.get(&format!("{path}/review")).await;
    let revision = hidden(&review, "revision").to_owned();
    let batch = location(&owner.submit(&next, &[("revision", &revision)]).await);
    let again = "name,email,is_sso_user\nAda,a@hydro.test,true\nEva,e@hydro.test,true\n";
    let next = location(&upload(&owner, "copy.csv", again.as_bytes()).await);
    let page = owner.get(&next).await;
    assert_eq!(heading(&page), "This file was imported before");
    assert!(page.text.contains(&format!("{}\">Show that batch</a>", &batch[1..])), "{}", page.text);
}

#[tokio::test]
async fn owners_are_confirmed_and_need_a_recent_sign_in() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let file = "name,email,is_sso_user,permission_level\nAda,a@hydro.test,true,Owner\nEva,e@hydro.test,true,\n";
    let (path, next) = begin(&owner, file).await;
    assert_eq!(next, format!("{path}/review"));
    let review = owner.get(&next).await;
    assert!(review.text.contains("1 owner, who may then do everything here"), "{}", review.text);
    let revision = hidden(&review, "revision").to_owned();
    let refused = owner.submit(&next, &[("revision", &revision)]).await;
    assert_eq!((refused.status, title(&refused)), (400, "Error: Create 2 people? · muster"));
    assert_eq!(users(&app).await, 0);
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '1 hour'").await;
    app.app.holders.clear();
    let form = [("revision", revision.as_str()), ("owners", "yes")];
    let sent = location(&owner.submit(&next, &form).await);
    assert!(sent.starts_with("/sign-in?return_to="), "{sent}");
    assert_eq!(users(&app).await, 0);
    assert!(owner.get(&next).await.text.contains("Sign in again to go on"));
    owner.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    assert!(location(&owner.submit(&next, &form).await).starts_with("/console/batches/"));
    assert_eq!(users(&app).await, 2);
}

/// Requirement U-62.
#[tokio::test]
async fn a_batch_is_followed_and_tried_again_after_it_was_cancelled() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let (_, owner) = app.signed_in("ingrid@example.com").await;
    app.db_execute("update collaborators set permission_level = 'owner'").await;
    app.app.holders.clear();
    let file = "name,email,is_sso_user,password\nAda,a@hydro.test,false,tidal-Plum-anchor-77\n";
    let (path, next) = begin(&owner, file).await;
    let revision = hidden(&owner.get(&next).await, "revision").to_owned();
    let batch = location(&owner.submit(&next, &[("revision", &revision)]).await);
    let batch_of = |page: &str| format!("/api/v2/batches/{}", page.rsplit('/').next().unwrap());
    assert_eq!(app.owner.get(&batch_of(&batch)).await.json()["result"]["state"], "running");
    // Repeating the import meanwhile leads here.
    assert_eq!(location(&owner.get(&next).await), batch);
    assert_eq!(app.owner.post(&format!("{}/cancel", batch_of(&batch)), &serde_json::Value::Null).await.status, 200);
    assert_eq!(users(&app).await, 0);
    let review = owner.get(&format!("{path}/review")).await;
    assert!(review.text.contains("The last attempt created nobody"), "{}", review.text);
    drop(held);
    let revision = hidden(&review, "revision").to_owned();
    let again = location(&owner.submit(&next, &[("revision", &revision)]).await);
    assert_ne!(again, batch);
    crate::support::gate::eventually("the batch", async || users(&app).await == 1).await;
    // The draft says what came of it.
    crate::support::gate::eventually("the end of the batch", async || {
        app.owner.get(&batch_of(&again)).await.json()["result"]["state"] == "created"
    })
    .await;
    assert_eq!(location(&owner.get(&next).await), again);
}

#[tokio::test]
async fn broken_parameters_and_forms_are_refused() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (path, _) = begin(&owner, NINE_FINDINGS).await;
    for query in ["rows?show=none", "rows?after=x", "rows?x=1", "rows?show=fix&show=all"] {
        assert_eq!(owner.get(&format!("{path}/{query}")).await.status, 400, "{query}");
    }
    assert_eq!(owner.get(&format!("{path}/rows?show=all&after=99999")).await.status, 200);
    for form in
        [&[("revision", "x")][..], &[("revision", "2"), ("column:99", "name")], &[("revision", "2"), ("column:0", "x")]]
    {
        assert_eq!(owner.submit(&format!("{path}/columns"), form).await.status, 400, "{form:?}");
    }
    for form in [&[("check", "1")][..], &[("revision", "2"), ("0:name", "x")], &[("revision", "2"), ("leave", "x")]] {
        assert_eq!(owner.submit(&format!("{path}/rows"), form).await.status, 400, "{form:?}");
    }
    // Rows and columns that are not there change nothing.
    let form = [("revision", "2"), ("999:name", "x"), ("1:nothing", "x"), ("leave", "999")];
    assert_eq!(owner.submit(&format!("{path}/rows"), &form).await.status, 303);
    assert_eq!(heading(&owner.get(&format!("{path}/rows")).await), "8 of 10 rows need fixing");
    assert_eq!(owner.get("/console/import/draft_00000000000000000000000000/rows").await.status, 404);
    // A form of another site.
    let bare = owner.bare("POST", &format!("{path}/discard")).header("sec-fetch-site", "cross-site");
    assert_eq!(owner.send(bare).await.status, 403);
    assert_eq!(owner.get(&format!("{path}/rows")).await.status, 200);
}

/// The file of somebody who may not import is not read: the answer comes before the file has arrived.
#[tokio::test]
async fn the_file_of_a_collaborator_is_not_read() {
    let app = spawn().await;
    owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let cleo = Browser::of(&app);
    cleo.sign_in_on_page("cleo@example.com", PASSWORD, "").await;
    let endless = futures_util::stream::iter([Ok::<_, std::io::Error>("--end\r\n")]);
    let endless = futures_util::StreamExt::chain(endless, futures_util::stream::pending());
    let request = cleo.request("POST", "/console/import").header("content-type", "multipart/form-data; boundary=end");
    let answer = cleo.send(request.body(reqwest::Body::wrap_stream(endless))).await;
    assert_eq!((answer.status, heading(&answer)), (403, "Not permitted"));
    assert_eq!(app.db_value::<i64>("select count(*) from drafts").await, 0);
}

/// Requirement U-54: the example that the page offers is understood when it comes back.
#[tokio::test]
async fn the_example_is_understood() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let page = owner.get("/console/import").await;
    assert!(page.text.contains("href=\"../console/import/template.csv\""), "{}", page.text);
    let example = owner.get("/console/import/template.csv").await;
    assert_eq!((example.status, example.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(example.header("content-disposition"), "attachment; filename=\"users.csv\"");
    let next = location(&upload(&owner, "users.csv", example.text.as_bytes()).await);
    // Its rows have no findings; the addresses of one domain each are to be checked.
    assert!(next.ends_with("/review") || next.ends_with("/rows?show=check"), "{next}");
}
