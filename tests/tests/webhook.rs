//! The webhook source in the command: the words of README and documentation, and kills.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc,
    time::Duration,
};

use afferent_tests::{Place, Ran, Running};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A text of the repository.
fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of `language` in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("its end").to_owned()).collect()
}

/// Starts the pipeline in `file`; where it listens.
fn start(place: &Place, file: &str) -> (Running, String) {
    let mut running = place.start(&["run", file]);
    let line = running.line_of_talk("receiving at http://");
    let address = line.split("http://").nth(1).expect("an address").split('/').next().expect("an address");
    (running, address.to_owned())
}

/// Runs what a page says in a shell, with `address` in place of the page's.
fn shell(place: &Place, command: &str, address: &str) -> Ran {
    let command = command.replace("127.0.0.1:8080", address);
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &command]).current_dir(place.path()).env("WEBHOOK_SECRET", SECRET);
    Ran::from(shell.output().expect("a shell"))
}

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const RECORD: &str =
    "{\"type\":\"HeartRate\",\"start\":\"2025-01-31T09:00:00Z\",\"value\":62,\"unit\":\"count/min\"}\n";

fn rows(place: &Place, database: &str) -> i64 {
    let database = rusqlite::Connection::open(place.path().join(database)).expect("the database");
    database.query_row("select count(*) from samples", [], |row| row.get(0)).expect("a count")
}

/// Interrupts it, and waits for its end.
fn stop(running: Running) {
    running.signal("INT");
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
}

/// Scenario: the example, and the `curl` of the README, twice. Guarantees: G1, G2: 202 for both, one record in the database.
#[test]
fn the_readme_is_true() {
    let place = Place::new(BINARY);
    let example = text("pipelines/examples/webhook.toml");
    assert!(example.contains("listen = \"127.0.0.1:8080\""));
    place.write("webhook.toml", example.replace("127.0.0.1:8080", "127.0.0.1:0"));
    let curl = blocks(&text("README.md"), "sh")
        .into_iter()
        .find(|block| block.contains("curl"))
        .expect("it is there");
    let (running, address) = start(&place, "webhook.toml");
    for _ in 0..2 {
        let ran = shell(&place, &curl, &address).exits(0);
        assert!(
            ran.stdout.starts_with("HTTP/1.1 202") && ran.stdout.ends_with("{\"records\":1}"),
            "{}",
            ran.stdout
        );
    }
    stop(running);
    assert_eq!(rows(&place, "out/received.db"), 1);
}

/// Scenario: each command of the how-to, against the pipeline that it shows. Guarantees: what people copy from it works.
#[test]
fn the_how_to_is_true() {
    let place = Place::new(BINARY);
    let page = text("docs/how-to/receive-webhooks.md");
    let pipeline = blocks(&page, "toml").swap_remove(0).replace("127.0.0.1:8080", "127.0.0.1:0");
    place.write("received.toml", &pipeline);
    place.write("records.ndjson", RECORD);
    let commands = blocks(&page, "sh");
    let posts = commands.iter().find(|block| block.contains("records.ndjson")).expect("it is there");
    let (running, address) = start(&place, "received.toml");
    for post in posts.lines() {
        let ran = shell(&place, post, &address).exits(0);
        assert!(ran.stdout.starts_with("HTTP/1.1 202"), "{post}: {}", ran.stdout);
    }
    stop(running);
    assert_eq!(rows(&place, "received.db"), 2);

    let signed = format!("path   = \"/vitals\"\nsecrets = [\"{SECRET}\"]");
    place.write("received.toml", pipeline.replace("path   = \"/vitals\"", &signed));
    let sign = commands.iter().find(|block| block.contains("openssl")).expect("it is there");
    let (running, address) = start(&place, "received.toml");
    let ran = shell(&place, sign, &address).exits(0);
    assert!(ran.stdout.starts_with("HTTP/1.1 202"), "{}", ran.stdout);
    let ran = shell(&place, posts.lines().next().expect("a command"), &address).exits(0);
    assert!(ran.stdout.starts_with("HTTP/1.1 401"), "{}", ran.stdout);
    stop(running);

    let secret = commands.iter().find(|block| block.contains("urandom")).expect("it is there");
    let secret = shell(&place, secret, "").exits(0).stdout;
    place.write(
        "received.toml",
        pipeline.replace("path   = \"/vitals\"", &signed.replace(SECRET, secret.trim())),
    );
    place.run(&["validate", "received.toml"]).exits(0);
    for (keys, code) in [
        ("listen = \"[::]:8443\"", 78),
        ("listen = \"[::]:8443\"\ntls = { cert = \"server.pem\", key = \"server.key\" }", 78),
        (
            "listen = \"[::]:8443\"\ntls = { cert = \"server.pem\", key = \"server.key\" }\ntokens = [\"t0ken\"]",
            0,
        ),
        ("listen = \"[::]:8443\"\ninsecure = true", 0),
    ] {
        place.write("received.toml", pipeline.replace("listen = \"127.0.0.1:0\"", keys));
        place.run(&["validate", "received.toml"]).exits(code);
    }
}

/// A server that takes what it is sent and hands it on.
fn fhir_server() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let url = format!("http://{}/fhir", listener.local_addr().expect("an address"));
    let (bodies, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let (mut length, mut line) = (0, String::new());
            while stream.read_line(&mut line).expect("a head") > 2 {
                let header = line.to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).expect("an answer");
            if bodies.send(String::from_utf8(body).expect("text")).is_err() {
                return;
            }
        }
    });
    (url, received)
}

/// Where the page breaks the lines of a Bundle.
const BREAKS: [&str; 9] = [
    "{\"fullUrl\"",
    "{\"request\":{\"method\":\"DELETE\"",
    "\"resource\":",
    "\"status\"",
    "\"subject\"",
    "\"valueQuantity\":{\"value\"",
    "\"device\"",
    "{\"extension\":[{\"url\"",
    "\"request\":{\"method\":\"POST\"",
];

/// Scenario: each body of the page, posted by its command to the pipeline that it shows. Guarantees: what the server receives is what
/// the page shows, to the byte but for line ends. With `UPDATE_DOCS=1` it is written there.
#[test]
#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn the_way_from_flutter_to_fhir_is_true() {
    let page = text("docs/how-to/from-flutter-to-fhir.md");
    let (url, received) = fhir_server();
    let place = Place::new(BINARY);
    let pipeline = blocks(&page, "toml")
        .swap_remove(0)
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("https://clinic.example/fhir", &url)
        .replace("${APP_TOKEN}", "t0ken")
        .replace("${CLINIC_TOKEN}", "clinic");
    let curl = blocks(&page, "sh").into_iter().find(|block| block.contains("curl")).expect("it is there");
    let bodies = blocks(&page, "json");
    let (pairs, rest) = bodies.as_chunks::<2>();
    assert_eq!((pairs.len(), rest.len()), (3, 0));
    let mut updated = page.clone();
    for (number, [sent, shown]) in pairs.iter().enumerate() {
        let format = if sent.starts_with('[') { "flutter_health" } else { "health_kit_reporter" };
        place.write(
            "flutter-to-fhir.toml",
            pipeline.replace("\"health_kit_reporter\"", &format!("\"{format}\"")),
        );
        place.write("event.json", sent);
        let (running, address) = start(&place, "flutter-to-fhir.toml");
        let command = curl.replace("$APP_TOKEN", "t0ken").replace("7f3c", &format!("id{number}"));
        let ran = shell(&place, &command, &address).exits(0);
        assert!(ran.stdout.starts_with("HTTP/1.1 202"), "{}", ran.stdout);
        let bundle = received.recv_timeout(Duration::from_secs(120)).expect("the server receives it");
        stop(running);
        let mut broken = bundle.clone();
        for (depth, at) in BREAKS.iter().enumerate() {
            let indent = if depth < 2 { " " } else { "   " };
            broken = broken.replace(at, &format!("\n{indent}{at}"));
        }
        let unbroken: String = shown.lines().map(str::trim_start).collect();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let block = |content: &str| format!("```json\n{content}```");
            let at = updated.find(&block(sent)).expect("it is there") + block(sent).len();
            let tail = updated.split_off(at).replacen(&block(shown), &block(&format!("{broken}\n")), 1);
            updated.push_str(&tail);
        } else {
            assert_eq!(unbroken, bundle, "run this test with UPDATE_DOCS=1");
        }
    }
    if updated != page {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to/from-flutter-to-fhir.md");
        std::fs::write(path, updated).expect("the page can be written");
    }
}

/// Posts `body` under `id`; whether it was acknowledged.
fn post(address: &str, id: u32, body: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let head = "POST /in HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let request = format!("{head}webhook-id: msg_{id}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut answer = String::new();
    // Killed at any moment, it may say nothing, or half of it.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    answer.starts_with("HTTP/1.1 2")
}

/// Scenario: a sender posts body after body, and repeats what was not acknowledged; the process is killed with SIGKILL again and
/// again, and started again. Guarantees: G1, G2, G5: each record arrives once, whatever was under way; with either `ack`.
#[test]
fn kills_lose_and_repeat_nothing() {
    for ack in ["durable", "committed"] {
        let place = Place::new(BINARY);
        let pipeline = format!(
            "name = \"killed\"\n[[source]]\ntype = \"webhook\"\nlisten = \"127.0.0.1:0\"\npath = \"/in\"\nack = \"{ack}\"\n\
             [[sink]]\ntype = \"file\"\npath = \"out.ndjson\"\n"
        );
        place.write("killed.toml", pipeline);
        let mut next = 0;
        for life in 0..6 {
            let (running, address) = start(&place, "killed.toml");
            let pid = running.id().to_string();
            // While bodies are sent, at another moment in each life.
            let killer = std::thread::spawn(move || {
                if life < 5 {
                    let wait = format!("sleep 0.0{}; kill -9 {pid}", 2 + life);
                    Command::new("sh").args(["-c", &wait]).status().expect("a shell");
                }
            });
            let until = next + 40;
            while next < until || life == 5 && next < 100 {
                let records: Vec<String> = (0..3)
                    .map(|record| {
                        format!(
                            "{{\"id\":\"00000000-0000-4000-8000-{:012}\",\"type\":\"StepCount\",\"start\":\"2025-01-31T08:00:00Z\",\"value\":{record},\"unit\":\"count\"}}",
                            next * 10 + record
                        )
                    })
                    .collect();
                if !post(&address, next, &format!("[{}]", records.join(","))) {
                    break;
                }
                next += 1;
            }
            killer.join().expect("it only waits");
            if life == 5 {
                stop(running);
            }
        }
        let mut ids: Vec<String> = place
            .read("out.ndjson")
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned()
            })
            .collect();
        let lines = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), lines), (next as usize * 3, next as usize * 3), "ack = {ack}");
    }
}
