//! Signing in through nginx with TLS, with the example of `deploy/load-balancer/` and the default sizes of nginx's buffers.

use reqwest::{Certificate, Client};
use serde_json::json;
use sqlx::ConnectOptions;

use crate::load_balancer::{Balancer, NGINX, free_addresses, with_addresses};
use crate::support::browser::{Browser, DEVICE, PASSWORD, SESSION, form};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, migrated_database, with_password};

/// The server name of the example.
const NAME: &str = "muster.example.org";

/// S-21, S-23, S-25: cookies, origins and addresses are right behind a proxy that ends TLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_through_nginx_with_tls() {
    let database = migrated_database().await;
    let address = free_addresses::<1>()[0];
    let origin = format!("https://{NAME}:{}", address.port());
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_SERVER__PUBLIC_URL", &origin)
        .env("MUSTER_SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#);
    let server = ServerProcess::start(&mut command);
    let owner = server.actor(server.key.as_deref().unwrap());
    assert_eq!(owner.create(&json!([with_password("ada@example.com", "")])).await.status, 200);
    let made =
        owner.post("/api/v2/users/password_links", &json!({"users": [{"user": "ada@example.com"}]})).await.json();
    let link = made["results"][0]["link"].as_str().unwrap().strip_prefix(&origin).unwrap().to_owned();

    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let certificate = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    std::fs::write(path("muster.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(path("muster.key"), certificate.signing_key.serialize_pem()).unwrap();
    let site = with_addresses(NGINX, &[server.address; 3])
        .replace("listen 443 ssl http2", &format!("listen {address} ssl http2"))
        .replace("/etc/nginx/", &path(""));
    let _nginx = Balancer::nginx_with(&site, address);
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap()])
        .resolve(NAME, address)
        // Another address than that of nginx.
        .local_address(std::net::IpAddr::from([127, 0, 0, 2]))
        .build()
        .unwrap();
    let browser = || Browser::with_client(client.clone(), origin.clone());

    let ada = browser();
    let page = ada.get(&link).await;
    assert!(page.status == 200 && page.text.contains("<form"), "{}", page.text);
    assert_eq!(page.header("strict-transport-security"), "max-age=63072000; includeSubDomains");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    let used = ada.submit(&link, &[("password", PASSWORD)]).await;
    assert_eq!((used.status, used.header("location")), (303, "../sign-in/check"), "{}", used.text);
    assert_eq!(ada.cookie_names(), [SESSION, DEVICE]);
    assert_eq!(ada.get("/sign-in/check").await.header("location"), "../");
    assert_eq!(ada.get("/account").await.status, 200);

    // A browser without `Sec-Fetch-Site`: the public origin counts, which is not the one that nginx uses.
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    for (sent, status) in [
        (origin.clone(), 303),
        (format!("https://{NAME}"), 403),
        (origin.replace("https", "http"), 403),
        (format!("http://{}", server.address), 403),
        ("null".to_owned(), 403),
    ] {
        let answer = ada.send(form(ada.bare("POST", "/sign-in").header("origin", &sent), &fields)).await;
        assert_eq!(answer.status, status, "{sent}: {}", answer.text);
    }

    // The longest page to return to, and both cookies, in one response.
    let return_to = format!("/{}", "reports/2026-11_final.v2/".repeat(82).split_at(2047).0);
    let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("return_to", &*return_to)];
    let grace = browser();
    let answer = grace.submit("/sign-in", &fields).await;
    assert_eq!((answer.status, grace.cookie_names().len()), (303, 2), "{}", answer.text);
    let check = grace.get(&format!("/{}", answer.header("location"))).await;
    assert_eq!((check.status, check.header("location")), (303, &*return_to), "{}", check.text);

    // The address of the client, not of nginx, whatever the client claims.
    let spoofed = browser();
    let request = spoofed.request("POST", "/sign-in").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(spoofed.send(form(request, &fields)).await.status, 303);
    let mut connection = database.connect().await.unwrap();
    let addresses: Vec<String> =
        sqlx::query_scalar("select distinct host(address) from sessions").fetch_all(&mut connection).await.unwrap();
    assert_eq!(addresses, ["127.0.0.2"]);

    // Without nginx, and so without TLS, there is no form under the public name.
    let direct = Actor::new(server.address, None).request("GET", "/sign-in").header("host", NAME);
    let direct = Actor::send(direct).await;
    assert!(direct.status == 403 && direct.text.contains("<h1>Sign-in needs HTTPS</h1>"), "{}", direct.text);
    assert!(direct.text.contains(&format!("href=\"{origin}/sign-in\"")), "{}", direct.text);
}
