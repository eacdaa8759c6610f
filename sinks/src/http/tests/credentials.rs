//! Credentials, and how they heal.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use super::{
    server::{Answer, Nobody, Seen, Server, json as answer, status},
    *,
};

#[allow(clippy::disallowed_methods, reason = "the test stands for whoever renews the token")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A directory and a file in it.
fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

/// Scenario: a token in a file that has expired, and is replaced when it was refused. Guarantees: G11, it heals by itself,
/// whatever the file's time says.
#[tokio::test]
async fn a_renewed_token_heals() {
    let (_directory, path) = file("token");
    write(&path, "old\n");
    let renewed = path.clone();
    let server = Server::plain(move |request, _| {
        if request.header("authorization") == "Bearer new" {
            return status(200);
        }
        write(&renewed, "new\n");
        status(401)
    })
    .await;
    let text = json!({ "url": server.url(), "auth": { "bearer": { "file": path } } });
    assert_eq!(upload(config(text)).await, 0);
    assert_eq!(server.seen().len(), 2);
}

/// Scenario: a password in a file that is replaced before anybody refuses the old one; then it is missing, empty, or can't
/// be sent; then there again. Guarantees: G8 and G11, the new one is used at once; without one nothing is sent, everything
/// is kept, and the reason names the file and not what is in it; it heals.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the test stands for whoever renews the password")]
async fn a_file_is_read_again_when_it_changes() {
    let (_directory, path) = file("password");
    let server = Server::plain(|_, _| status(200)).await;
    write(&path, "one");
    let auth = json!({ "basic": { "user": "me", "password": { "file": path } } });
    let opened = Opened::new(json!({ "url": server.url(), "auth": auth })).await;
    assert_eq!(opened.send().await, Outcome::Delivered);
    write(&path, "two");
    // The file's time may be as coarse as the kernel's tick.
    let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert_eq!(opened.send().await, Outcome::Delivered);
    let sent = |index: usize| server.seen()[index].header("authorization").to_owned();
    assert_eq!((sent(0), sent(1)), ("Basic bWU6b25l".to_owned(), "Basic bWU6dHdv".to_owned()));
    std::fs::remove_file(&path).unwrap();
    let outcome = opened.send().await;
    assert_eq!(kind(&outcome), "unauthorized");
    assert!(reason(&outcome).contains("password"), "{outcome:?}");
    write(&path, " \n");
    assert_eq!(kind(&opened.send().await), "unauthorized");
    write(&path, "three");
    assert_eq!(opened.send().await, Outcome::Delivered);
    assert_eq!(server.seen().len(), 3);

    write(&path, "hush\u{1}hush");
    let bearer = json!({ "bearer": { "file": path } });
    let opened = Opened::new(json!({ "url": server.url(), "auth": bearer })).await;
    let outcome = opened.send().await;
    assert_eq!(kind(&outcome), "unauthorized");
    assert!(!format!("{outcome:?} {:?}", opened.transport).contains("hush"), "{outcome:?}");
}

/// A giver of tokens at `/token` and a receiver everywhere else, which takes the newest token unless `refuses` says so.
async fn tokens(
    given: impl Fn(usize) -> Answer + Send + Sync + 'static,
    refuses: impl Fn(&Seen) -> bool + Send + Sync + 'static,
) -> Server {
    let count = AtomicU64::new(0);
    Server::plain(move |request, _| match request.path.as_str() {
        "/token" => given(count.fetch_add(1, Ordering::SeqCst) as usize),
        _ if refuses(request) => status(401),
        _ => status(200),
    })
    .await
}

fn oauth2(server: &Server) -> serde_json::Value {
    json!({ "url": format!("{}/in", server.url()), "auth": { "oauth2": {
        "token_url": format!("{}/token", server.url()), "client_id": "me", "client_secret": "it's me", "scope": "write" } } })
}

/// Scenario: tokens are given by another address, and the first one is refused. Guarantees: another is fetched; the request
/// has RFC 6749's form.
#[tokio::test]
async fn client_credentials_are_exchanged_for_tokens() {
    let server = tokens(
        |number| answer(200, json!({ "access_token": format!("t{number}"), "expires_in": 3600 })),
        |request| request.header("authorization") != "Bearer t1",
    )
    .await;
    assert_eq!(upload(config(oauth2(&server))).await, 0);
    assert_eq!(server.paths(), ["/token", "/in", "/token", "/in"]);
    let seen = server.seen();
    assert_eq!(seen[0].body, b"grant_type=client_credentials&scope=write");
    assert_eq!(seen[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(seen[0].header("authorization"), "Basic bWU6aXQlMjdzK21l");
}

/// Scenario: a token that holds for an hour, and an hour passes. Guarantees: it is fetched once, and again half a minute
/// before it expires, without being refused.
#[tokio::test]
async fn a_token_is_kept_until_it_is_about_to_expire() {
    let server = tokens(
        |number| answer(200, json!({ "access_token": format!("t{number}"), "expires_in": 3600 })),
        |_| false,
    )
    .await;
    let opened = Opened::new(oauth2(&server)).await;
    for (passes, number) in [(0, 0), (3000, 0), (560, 0), (12, 1), (3000, 1), (600, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(passes)).await;
        tokio::time::resume();
        assert_eq!(opened.send().await, Outcome::Delivered);
        assert_eq!(server.seen().last().unwrap().header("authorization"), format!("Bearer t{number}"));
    }
    assert_eq!(server.paths().iter().filter(|path| *path == "/token").count(), 3);
}

/// Scenario: lifetimes as servers give them: none, as a text, with a fraction, negative, longer than time. Guarantees: G5, each is a
/// token; none is a panic.
#[tokio::test]
async fn lifetimes_of_all_kinds_are_understood() {
    for (lifetime, fetches) in [
        (json!(null), 1),
        (json!(3600), 1),
        (json!("3600"), 1),
        (json!(3599.5), 1),
        (json!(u64::MAX), 1),
        (json!(1e300), 1),
        (json!(30), 2),
        (json!(0), 2),
        (json!(-1), 2),
        // Whoever is not understood is asked again only when the token is refused.
        (json!("an hour"), 1),
    ] {
        let text = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": lifetime });
        let server = tokens(move |_| answer(200, text.clone()), |_| false).await;
        let opened = Opened::new(oauth2(&server)).await;
        for _ in 0..2 {
            let outcome = opened.send().await;
            assert_eq!(outcome, Outcome::Delivered, "{lifetime}");
        }
        assert_eq!(server.paths().iter().filter(|path| *path == "/token").count(), fetches, "{lifetime}");
    }
}

/// Scenario: whoever gives tokens refuses ours, fails, asks to come later, redirects, answers with something else, or is
/// not there. Guarantees: G8 and G11, nothing is sent without a token; credentials that are refused are told from an outage;
/// it heals.
#[tokio::test]
async fn tokens_that_are_not_given() {
    let current = Arc::new(AtomicU16::new(400));
    let given = current.clone();
    let server = tokens(
        move |_| match given.load(Ordering::SeqCst) {
            200 => answer(200, json!({ "access_token": "hush" })),
            // JSON without a token in it, and no JSON.
            201 => answer(200, json!({ "token": "hush" })),
            202 => hyper::Response::new(vec![b'['; 200 << 10].into()),
            203 => answer(200, json!({ "access_token": "hush\u{1}" })),
            other => answer(other, json!({ "error": "invalid_client", "hint": "hush" })),
        },
        |_| false,
    )
    .await;
    let opened = Opened::new(oauth2(&server)).await;
    for (code, expected) in [
        (400, "unauthorized"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "unauthorized"),
        (408, "unavailable"),
        (429, "unavailable"),
        (500, "unavailable"),
        (503, "unavailable"),
        (307, "unavailable"),
        (201, "unavailable"),
        (202, "unavailable"),
        (203, "unauthorized"),
    ] {
        current.store(code, Ordering::SeqCst);
        let outcome = opened.send().await;
        assert_eq!(kind(&outcome), expected, "{code}: {outcome:?}");
        assert!(!reason(&outcome).contains("hush"), "{outcome:?}");
    }
    assert!(server.paths().iter().all(|path| path == "/token"), "nothing was sent");
    current.store(200, Ordering::SeqCst);
    assert_eq!(opened.send().await, Outcome::Delivered);

    let mut text = oauth2(&server);
    let nobody = Nobody::new();
    text["auth"]["oauth2"]["token_url"] = json!(format!("http://{}/token", nobody.address()));
    let outcome = Opened::new(text).await.send().await;
    assert_eq!(kind(&outcome), "unavailable");
    assert!(reason(&outcome).contains("token"), "{outcome:?}");
}

/// Scenario: many lanes are refused the same token at once. Guarantees: G7, one new token is fetched for all.
#[tokio::test]
async fn lanes_share_a_new_token() {
    let server = tokens(
        |number| answer(200, json!({ "access_token": format!("t{number}"), "expires_in": 3600 })),
        |request| request.header("authorization") == "Bearer t0",
    )
    .await;
    let opened = Opened::new(oauth2(&server)).await;
    let outcomes = futures::future::join_all((0..16).map(|_| opened.send())).await;
    assert!(outcomes.iter().all(|outcome| kind(outcome) != "unavailable"), "{outcomes:?}");
    let outcomes = futures::future::join_all((0..16).map(|_| opened.send())).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Delivered), "{outcomes:?}");
    assert_eq!(server.paths().iter().filter(|path| *path == "/token").count(), 2);
}
