//! Entra and Google.

use super::*;

const DOWNLOAD: &str = "\
userPrincipalName,displayName,surname,mail,givenName,id,userType,jobTitle,department,accountEnabled
ada@corp.example,Ada Lovelace,Lovelace,ada@example.com,Ada,1,Member,Countess,Research,True
grace@example.com,Grace Hopper,,,,2,Member,,Navy,True
bo_partner.example#EXT#@corp.example,Bo Bar,,bo@partner.example,Bo,3,Guest,,,true
cy_partner.example#EXT#@corp.example,Cy,,,,4,Guest,,,True
annie@example.com,Annie Easley,Easley,annie@example.com,Annie,5,Member,,,False
dora@example.com,Dora,,,Dora,6,Member,,,WAHR
";

const TEMPLATE: &str = "\
version:v1.0
Name [displayName] Required,User name [userPrincipalName] Required,Initial password [passwordProfile] Required,Block sign in (Yes/No) [accountEnabled] Required,First name [givenName],Last name [surname],Job title [jobTitle]
Example: Chris Green,chris@example.com,hunter2,No,,,
Ada Lovelace,ada@example.com,zebra-lamp-orbit-42,No,Ada,Lovelace,Countess
Grace Hopper,grace@example.com,zebra-lamp-orbit-42,Yes,,,
";

const GOOGLE: &str = "\
First Name [Required],Last Name [Required],Email Address [Required],Password [Required],Password Hash Function [UPLOAD ONLY],Org Unit Path [Required],Status [READ ONLY],Employee Title,New Status [UPLOAD ONLY]
Ada,Lovelace,ada@example.com,****,,/,Active,Countess,
Grace,Hopper,grace@example.com,****,,/,Suspended,,
Bo,\"Bar, Jr.\",bo@example.com,****,,/,Archived,,
Cy,,,hunter2,,/,Active,,
";

#[test]
fn a_download_of_entra_is_read() {
    let (rows, notes) = converted(Source::Entra, DOWNLOAD);
    assert_eq!(
        rows,
        json!([
            {"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "title": "Countess", "is_sso_user": true},
            {"name": "Grace Hopper", "email": "grace@example.com", "is_sso_user": true},
            {"name": "Bo", "email": "bo@partner.example", "is_sso_user": true},
        ])
    );
    assert_eq!(
        notes,
        [
            "bo@partner.example: is a guest of the tenant",
            "cy_partner.example#EXT#@corp.example: left out: no e-mail address",
            "annie@example.com: left out: disabled",
            "dora@example.com: left out: `accountEnabled` is neither true nor false",
        ]
    );
}

#[test]
fn a_template_of_entra_is_read_without_its_passwords() {
    let (rows, notes) = converted(Source::Entra, TEMPLATE);
    let ada = json!({"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "title": "Countess", "is_sso_user": true});
    assert_eq!(rows, json!([ada]));
    assert_eq!(
        notes,
        ["chris@example.com: left out: the example of the template", "grace@example.com: left out: disabled"]
    );
    let padded = TEMPLATE.replace("version:v1.0", "\"version:v1.0\",,,,,,");
    assert_eq!(converted(Source::Entra, &padded).0, json!([ada]));
    let (_, notes) = with(Options { sso: Some(false), ..options(Source::Entra) }, TEMPLATE);
    assert_eq!(notes[1], "ada@example.com: has no password until one is set: Entra exports no hashes");
}

#[test]
fn the_export_of_powershell_is_read() {
    let text = "#TYPE Selected.Microsoft.Graph.User\r\n\"UserPrincipalName\";\"Mail\";\"DisplayName\";\"AccountEnabled\"\r\n\
                \"łukasz@example.com\";\"lukasz@example.com\";\"Łukasz; Wałęsa\";\"True\"\r\n";
    let due = json!([{"name": "Łukasz; Wałęsa", "email": "lukasz@example.com", "is_sso_user": true}]);
    assert_eq!(converted(Source::Entra, text).0, due);
    let utf16 = |bom: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        bom.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect()
    };
    let marked = format!("\u{feff}{text}").into_bytes();
    for bytes in [utf16([0xff, 0xfe], u16::to_le_bytes), utf16([0xfe, 0xff], u16::to_be_bytes), marked] {
        assert_eq!(rows_of(&convert_bytes(bytes, &options(Source::Entra)).unwrap().list), due);
    }
}

#[test]
fn a_download_and_a_template_of_google_are_read() {
    let (rows, notes) = converted(Source::Google, GOOGLE);
    let ada = json!({"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "title": "Countess", "is_sso_user": true});
    assert_eq!(rows, json!([ada]));
    assert_eq!(
        notes,
        [
            "grace@example.com: left out: disabled",
            "bo@example.com: left out: disabled",
            "line 5: left out: no e-mail address",
        ]
    );
    let converted =
        convert_bytes(GOOGLE.as_bytes().to_vec(), &Options { disabled: true, ..options(Source::Google) }).unwrap();
    assert_eq!(rows_of(&converted.list)[2]["lastname"], "Bar, Jr.");
    assert_eq!(converted.suspended, "{\"user\":\"grace@example.com\"}\n{\"user\":\"bo@example.com\"}\n");
}

#[test]
fn blank_rows_and_empty_cells_after_the_last_column_are_ignored() {
    let text = "\nEmail Address [Required],First Name [Required]\n , \nada@example.com,Ada,,\n,\n";
    assert_eq!(
        converted(Source::Google, text).0,
        json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true}])
    );
    assert_eq!(converted(Source::Google, "Email Address,First Name\n").0, json!([]));
}

#[test]
fn a_broken_table_is_rejected_with_its_line_and_without_its_cells() {
    let header = "Email Address,Password,First Name\n";
    for (rows, due) in [
        ("ada@example.com,hunter2,Ada\nbo@example.com,hunter2\n", ":3 this row has 2 cells, but the header has 3"),
        ("ada@example.com,hunter2,Ada,hunter2\n", ":2 this row has 4 cells, but the header has 3"),
        ("ada@example.com,\"hunter2,Ada\n", ":2 unclosed quote"),
        ("ada@example.com,hun\"ter2,Ada\n", ":2 quote inside an unquoted cell"),
    ] {
        assert_eq!(broken(Source::Google, &format!("{header}{rows}")), due);
    }
    let google = "not a list of Google's users: there is no column `Email Address [Required]`";
    for text in ["", "name,email\nAda,ada@example.com\n", "{\"email\": 1}", DOWNLOAD] {
        assert_eq!(broken(Source::Google, text), google);
    }
    let entra = "not a list of Entra's users: there is no column `userPrincipalName` or `mail`";
    assert_eq!(broken(Source::Entra, GOOGLE), entra);
}
