//! Proxies, which the environment names.
//!
//! The environment is a whole process's, so each case is a process of its own: this test binary, started again with one test
//! and the environment of the case.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use super::{
    authorities::Authority,
    server::{Server, json as answer, listen, read_request, status},
    *,
};

/// What a process of its own is to send: the configuration.
const CASE: &str = "AFFERENT_TEST_PROXY_CASE";
/// The name of a receiver that no resolver knows: only a proxy can reach it.
const NAME: &str = "receiver.invalid";

/// A proxy that leads to `to`, whatever it is asked for; the address, and the first line of each request.
async fn proxy(to: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = asked.clone();
    let address = listen(move |mut stream| {
        let all = all.clone();
        async move {
            let request = read_request(&mut stream).await;
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let tunnels = line.starts_with("CONNECT ");
            all.lock().unwrap().push(line);
            let mut receiver = TcpStream::connect(to).await.unwrap();
            match tunnels {
                true => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap(),
                false => receiver.write_all(&request).await.unwrap(),
            }
            let _ = copy_bidirectional(&mut stream, &mut receiver).await;
        }
    })
    .await;
    (format!("http://{address}"), asked)
}

/// Makes one attempt in a process of its own; what it came to.
#[allow(clippy::disallowed_methods, reason = "the test waits for another process")]
async fn attempt(config: serde_json::Value, environment: Vec<(&'static str, String)>) -> String {
    let child = move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        command
            .args(["--exact", "http::tests::proxies::in_a_process_of_its_own", "--nocapture"])
            .env(CASE, config.to_string())
            .envs(environment)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(child).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("OUTCOME "));
    line.unwrap_or_else(|| panic!("no outcome in {text}")).1.to_owned()
}

/// Scenario: the other half of these tests; by itself it does nothing. Guarantees: none.
#[tokio::test]
async fn in_a_process_of_its_own() {
    let Ok(case) = std::env::var(CASE) else { return };
    let outcome = Opened::new(serde_json::from_str(&case).unwrap()).await.send().await;
    println!("\nOUTCOME {}", kind(&outcome));
}

/// Scenario: a receiver that only a proxy can reach, over TLS and without; then the environment makes an exception of it.
/// Guarantees: the proxy that the environment names is used, by `CONNECT` for `https`, and its exceptions are heeded.
#[tokio::test]
async fn the_environment_names_the_proxy() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(NAME, &[b"h2"], None), |_, _| status(200)).await;
    let (proxy_url, asked) = proxy(server.address).await;
    let config = json!({
        "url": format!("https://{NAME}/in"), "tls": { "ca": authority.ca() }, "timeouts": { "connect": "5s" }
    });
    let https = ("HTTPS_PROXY", proxy_url.clone());
    assert_eq!(attempt(config.clone(), vec![https.clone()]).await, "delivered");
    assert_eq!(asked.lock().unwrap().split_off(0), [format!("CONNECT {NAME}:443 HTTP/1.1")]);
    assert_eq!(server.paths(), ["/in"]);
    let exception = ("NO_PROXY", format!("localhost,{NAME}"));
    assert_eq!(attempt(config, vec![https, exception]).await, "unavailable");

    let plain = Server::plain(|_, _| status(200)).await;
    let (proxy_url, plainly_asked) = proxy(plain.address).await;
    let config = json!({ "url": format!("http://{NAME}/in"), "insecure": true });
    assert_eq!(attempt(config, vec![("http_proxy", proxy_url)]).await, "delivered");
    assert_eq!(plainly_asked.lock().unwrap().split_off(0), [format!("POST http://{NAME}/in HTTP/1.1")]);
    assert_eq!(asked.lock().unwrap().len(), 0);
}

/// Scenario: a receiver or a giver of tokens on this machine, while the environment names a proxy for everything.
/// Guarantees: G8, what is for this machine does not leave it; what is not goes through the proxy.
#[tokio::test]
async fn this_machine_needs_no_proxy() {
    let tokens = || Server::plain(|_, _| answer(200, json!({ "access_token": "t" })));
    let receiver = Server::plain(|_, _| status(200)).await;
    let (proxy_url, asked) = proxy(receiver.address).await;
    let proxied = || vec![("ALL_PROXY", proxy_url.clone()), ("HTTP_PROXY", proxy_url.clone())];
    let port = receiver.address.port();
    for host in ["127.0.0.1", "localhost"] {
        let config = json!({ "url": format!("http://{host}:{port}/in") });
        assert_eq!(attempt(config, proxied()).await, "delivered");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
    let oauth2 =
        |url: String| json!({ "oauth2": { "token_url": url, "client_id": "a", "client_secret": "b" } });

    let giver = tokens().await;
    let auth = oauth2(giver.url());
    let config = json!({ "url": format!("http://{NAME}/in"), "insecure": true, "auth": auth });
    assert_eq!(attempt(config, proxied()).await, "delivered");
    assert_eq!(asked.lock().unwrap().split_off(0), [format!("POST http://{NAME}/in HTTP/1.1")]);
    assert_eq!(giver.seen().len(), 1);

    let giver = tokens().await;
    let (proxy_url, asked) = proxy(giver.address).await;
    let auth = oauth2(format!("http://{NAME}/token"));
    let config = json!({ "url": receiver.url(), "insecure": true, "auth": auth });
    assert_eq!(attempt(config, vec![("HTTP_PROXY", proxy_url)]).await, "delivered");
    assert_eq!(asked.lock().unwrap().split_off(0), [format!("POST http://{NAME}/token HTTP/1.1")]);
}
