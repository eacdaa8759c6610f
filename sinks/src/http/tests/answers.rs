//! What answers mean, and what hostile ones can't do.

use hyper::Response;
use tokio::io::AsyncWriteExt;

use super::{
    server::{Nobody, Server, listen, read_request, status},
    *,
};

/// Scenario: each class of status, with and without a request to wait. Guarantees: G11, what the table of the documentation
/// says, and the receiver's words are not repeated (G8).
#[tokio::test]
async fn each_status_means_what_the_table_says() {
    let table: &[(&[u16], &str)] = &[
        (&[200, 201, 202, 204, 206, 299], "delivered"),
        (&[400, 413, 422], "refused"),
        (&[401, 403], "unauthorized"),
        (&[429], "unavailable"),
        (&[500, 501, 502, 503, 504, 507, 599], "unavailable, in doubt"),
        (&[300, 301, 302, 303, 304, 307, 308], "later"),
        (&[402, 404, 405, 406, 408, 409, 410, 415, 418, 421, 425, 426, 451, 499], "later"),
    ];
    let server = Server::plain(|request, _| {
        let (code, wait) = request.path[1..].split_once('/').unwrap();
        let mut answer = Response::builder().status(code.parse::<u16>().unwrap());
        if !wait.is_empty() {
            answer = answer.header("retry-after", wait);
        }
        let has_body = !["204", "304"].contains(&code);
        answer.body(if has_body { "heart rate 61".into() } else { Default::default() }).unwrap()
    })
    .await;
    for (codes, expected) in table {
        for code in *codes {
            for wait in ["", "7"] {
                let url = format!("{}/{code}/{wait}", server.url());
                let outcome = Opened::new(json!({ "url": url })).await.send().await;
                assert_eq!(kind(&outcome), *expected, "{code}");
                assert!(!reason(&outcome).contains("heart"), "{outcome:?}");
                assert!(reason(&outcome).is_empty() || reason(&outcome).contains(&code.to_string()));
                if let Outcome::Later { retry_after, .. } | Outcome::Unavailable { retry_after, .. } = outcome
                {
                    let expected = (!wait.is_empty()).then_some(Duration::from_secs(7));
                    assert_eq!(retry_after, expected, "{code}");
                }
            }
        }
    }
}

/// Scenario: a receiver asks to wait in each form that there is, and in none. Guarantees: G6, seconds and dates are heeded,
/// a day at most; nonsense asks for nothing, whatever bytes it is made of.
#[tokio::test]
async fn what_is_asked_for_is_waited() {
    // The surroundings' clock shows 2025-06-01T00:00:00Z when they begin.
    let cases: [(&[u8], Option<u64>); 11] = [
        (b"120", Some(120)),
        (b"0", Some(0)),
        (b"Sun, 01 Jun 2025 01:00:00 GMT", Some(3600)),
        (b"Sat, 31 May 2025 00:00:00 GMT", Some(0)),
        (b"Sun, 01 Jun 2098 00:00:00 GMT", Some(86_400)),
        (b"18446744073709551615", Some(86_400)),
        (b"99999999999999999999999999", None),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"\xff\xfe", None),
    ];
    for (text, expected) in cases {
        let server = Server::plain(move |_, _| {
            let answer = Response::builder().status(503).header("retry-after", text);
            answer.body(Default::default()).unwrap()
        })
        .await;
        let outcome = Opened::new(json!({ "url": server.url() })).await.send().await;
        let Outcome::Unavailable { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        let text = String::from_utf8_lossy(text);
        match (retry_after.map(|wait| wait.as_secs()), expected) {
            // The clock goes on meanwhile.
            (Some(wait), Some(3600)) => assert!((3590..=3600).contains(&wait), "{text}: {wait}"),
            (wait, expected) => assert_eq!(wait, expected, "{text}"),
        }
    }
}

/// Scenario: a receiver that redirects first. Guarantees: the redirect is not followed, credentials go nowhere else, and
/// the body arrives under the same key once the address answers.
#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::plain(|_, _| status(200)).await;
    let location = elsewhere.url();
    let server = Server::plain(move |_, before| match before {
        0 => {
            let answer = Response::builder().status(307).header("location", &location);
            answer.body(Default::default()).unwrap()
        }
        1 => Response::builder().status(308).header("location", "/other").body(Default::default()).unwrap(),
        _ => status(204),
    })
    .await;
    let auth = json!({ "bearer": "a-token" });
    upload(config(json!({ "url": server.url(), "framing": "lines", "auth": auth }))).await;
    let seen = server.seen();
    assert!(seen.len() == 3 && seen.iter().all(|request| request.path == "/"), "{:?}", seen.len());
    assert!(seen.iter().all(|request| request.body == seen[0].body));
    assert!(seen.iter().all(|request| {
        request.header("idempotency-key") == seen[0].header("idempotency-key")
            && !request.header("idempotency-key").is_empty()
    }));
    assert!(elsewhere.seen().is_empty());
}

/// Scenario: answers that never end: a body, a body that trickles, headers, and 1xx after 1xx. Guarantees: G6 and G7, none
/// holds up the sink or is kept; where a status came it counts, otherwise the body is tried again.
#[tokio::test]
async fn endless_answers_are_not_read() {
    async fn endless(head: &'static [u8], again: &'static [u8]) -> Outcome {
        let address = listen(move |mut stream| async move {
            read_request(&mut stream).await;
            let mut result = stream.write_all(head).await;
            while result.is_ok() {
                result = stream.write_all(again).await;
            }
        })
        .await;
        // Whoever reads on is ended by the test runner.
        let timeouts = json!({ "total": "10m" });
        let opened = Opened::new(json!({ "url": format!("http://{address}"), "timeouts": timeouts })).await;
        opened.send().await
    }
    let filler: &[u8] = &[b'x'; 4096];
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(endless(chunked, b"10\r\nxxxxxxxxxxxxxxxx\r\n").await, Outcome::Delivered);
    let long = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    assert_eq!(endless(long, filler).await, Outcome::Delivered);
    let until_closed = b"HTTP/1.1 503 Unavailable\r\n\r\n";
    assert_eq!(kind(&endless(until_closed, filler).await), "unavailable, in doubt");
    for (head, again) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"x-more: of the same\r\n"[..]),
        (b"HTTP/1.1 200 OK\r\nx-long: ", filler),
        (b"", filler),
    ] {
        let outcome = endless(head, again).await;
        assert_eq!(kind(&outcome), "unavailable, in doubt", "{outcome:?}");
    }
}

/// Scenario: nobody listens; a connection that is accepted and never becomes one; a request that is not answered; an answer
/// that stops in its head, or in its body; one that trickles in. Guarantees: G6, each has an end by its own time-out, and
/// says whether the receiver may have the body.
#[tokio::test]
async fn every_wait_has_an_end() {
    let timeouts =
        |connect: &str, read: &str, total: &str| json!({ "connect": connect, "read": read, "total": total });
    // A wait that has no end of its own is ended by the test runner.
    let (short, long) = ("150ms", "10m");
    let attempt = async |url: String, timeouts| {
        Opened::new(json!({ "url": url, "timeouts": timeouts })).await.send().await
    };

    let nobody = Nobody::new();
    let outcome = attempt(format!("http://{}", nobody.address()), timeouts(long, long, long)).await;
    assert_eq!(kind(&outcome), "unavailable", "{outcome:?}");

    // A handshake that is never answered is part of connecting.
    let silent = listen(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let outcome = attempt(format!("https://{silent}"), timeouts(short, long, long)).await;
    assert_eq!((kind(&outcome), reason(&outcome)), ("unavailable", "it did not answer in time"));

    let answering = async |head: &'static [u8], trickle: bool| {
        listen(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(head).await.unwrap();
            while trickle && stream.write_all(b"x").await.is_ok() {
                clock::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        })
        .await
    };
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\nx-a: "] {
        let address = answering(head, false).await;
        for limits in [timeouts(long, short, long), timeouts(long, long, short)] {
            let outcome = attempt(format!("http://{address}"), limits).await;
            assert_eq!(
                (kind(&outcome), reason(&outcome)),
                ("unavailable, in doubt", "it did not answer in time")
            );
        }
    }
    // The status has come: it counts. It must come in time on a busy machine, too.
    let enough = "3s";
    let address = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", false).await;
    for limits in [timeouts(long, enough, long), timeouts(long, long, enough)] {
        assert_eq!(attempt(format!("http://{address}"), limits).await, Outcome::Delivered);
    }
    // Each byte comes in time, and there is always another.
    let address = answering(b"HTTP/1.1 200 OK\r\nx-a: ", true).await;
    let outcome = attempt(format!("http://{address}"), timeouts(long, long, "400ms")).await;
    assert_eq!(kind(&outcome), "unavailable, in doubt", "{outcome:?}");
}

/// Scenario: a receiver that closes each connection after its answer, and one that closes it instead of answering.
/// Guarantees: the first is sent everything once; what the second may have is in doubt, and repeated by nobody but the
/// driver.
#[tokio::test]
async fn closed_connections_are_noticed() {
    for (answer, expected) in
        [(&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], "delivered"), (b"", "unavailable, in doubt")]
    {
        let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
        let address = listen(move |mut stream| {
            let count = count.clone();
            async move {
                let request = read_request(&mut stream).await;
                count.send(request.len()).unwrap();
                stream.write_all(answer).await.unwrap();
            }
        })
        .await;
        let opened = Opened::new(json!({ "url": format!("http://{address}") })).await;
        for _ in 0..3 {
            let outcome = opened.send().await;
            assert_eq!(kind(&outcome), expected, "{outcome:?}");
            assert!(counted.recv().await.is_some_and(|length| length > 0));
            assert!(counted.try_recv().is_err(), "an attempt is one request");
        }
    }
}
