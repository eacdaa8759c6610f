//! Connections that do nothing, and others that send a header byte by byte, while somebody posts records: a post takes at most
//! twice as long as without them, in 99 of 100 cases.

use std::{io, time::Duration};

use afferent_core::clock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Case, machine::runtime};
use crate::{Place, records::line};

/// Posts of one measurement.
const POSTS: usize = 400;
/// Measurements with and without; the middle ones are compared.
const ROUNDS: usize = 3;
/// What a busy machine adds to a post, whoever is connected.
const NOISE: Duration = Duration::from_millis(3);
/// Handles that a process needs besides its connections.
const HANDLES: u64 = 200;

/// Plays it with so many connections, half of each kind.
pub fn play(clients: u64, binary: &str) -> Case {
    let mut case = Case::default();
    if let Err(wrong) = measure(clients, binary, &mut case) {
        case.blame(wrong);
    }
    case
}

fn measure(clients: u64, binary: &str, case: &mut Case) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    if most < clients + HANDLES {
        return Err(format!("a process may have {most} handles, and {} are needed", clients + HANDLES));
    }
    // The command inherits it.
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(|error| error.to_string())?;
    let place = Place::new(binary);
    place.write(
        "received.toml",
        format!(
            "name = \"received\"\n[[source]]\ntype = \"webhook\"\nlisten = \"127.0.0.1:0\"\npath = \"/in\"\n\
             connections = {}\ntimeouts = {{ header = \"60s\" }}\n\
             [[sink]]\ntype = \"file\"\npath = \"out.ndjson\"\n",
            clients + 100
        ),
    );
    let mut running = place.start(&["run", "received.toml"]);
    let said = running.line_of_talk("receiving at http://");
    let address = said.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut posted = 0;
    runtime().block_on(async {
        for _ in 0..ROUNDS {
            without.push(post_all(address, &mut posted).await?);
            let crowd = Crowd::gather(address, clients).await.map_err(text)?;
            with.push(tokio::select! {
                latency = post_all(address, &mut posted) => latency?,
                () = crowd.drip() => Duration::ZERO,
            });
        }
        Ok::<_, String>(())
    })?;
    running.signal("INT");
    running.end();
    let arrived = place.read("out.ndjson").lines().count() as u64;
    (case.faults, case.records) = (clients * ROUNDS as u64, u64::from(posted));
    case.lost = case.records.saturating_sub(arrived);
    case.duplicated = arrived.saturating_sub(case.records);
    without.sort_unstable();
    with.sort_unstable();
    let (without, with) = (without[ROUNDS / 2], with[ROUNDS / 2]);
    case.add("µs for a post, 99 of 100, without them", without.as_micros() as u64);
    case.add("µs for a post, 99 of 100, with them", with.as_micros() as u64);
    if with > without * 2 + NOISE {
        return Err(format!("a post takes {with:?}, and {without:?} without {clients} others"));
    }
    Ok(())
}

/// Those that only keep their connections.
struct Crowd(Vec<TcpStream>);

impl Crowd {
    async fn gather(address: &str, clients: u64) -> io::Result<Crowd> {
        let mut streams = Vec::new();
        for number in 0..clients {
            let mut stream = TcpStream::connect(address).await?;
            if number % 2 == 0 {
                stream.write_all(b"POST /in HTTP/1.1\r\nx-slow: ").await?;
            }
            streams.push(stream);
        }
        Ok(Crowd(streams))
    }

    /// Sends a byte to one after the other, and never ends.
    async fn drip(mut self) {
        loop {
            for stream in self.0.iter_mut().step_by(2) {
                // It may have been cut off.
                let _ = stream.write_all(b"x").await;
                clock::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// How long a post takes, in 99 of 100 cases.
async fn post_all(address: &str, posted: &mut u32) -> Result<Duration, String> {
    let text = |error: io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let mut latencies = Vec::new();
    for _ in 0..POSTS {
        let body = line(*posted);
        let began = clock::instant();
        let head = format!(
            "POST /in HTTP/1.1\r\nhost: here\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.map_err(text)?;
        let status = answer(&mut stream).await.map_err(text)?;
        if status != "202" {
            return Err(format!("a post was answered with {status}"));
        }
        latencies.push(clock::instant().duration_since(began));
        *posted += 1;
    }
    latencies.sort_unstable();
    Ok(latencies[POSTS * 99 / 100])
}

/// Reads an answer with its body; its status.
async fn answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let length = length.and_then(|length| length.trim().parse::<usize>().ok()).unwrap_or(0);
        if body.len() >= length {
            return Ok(head.split(' ').nth(1).unwrap_or_default().to_owned());
        }
    }
}
