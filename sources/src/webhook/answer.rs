//! [`Answer`]: what a request is told.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::json;

use super::items::{Checked, Malformed};

/// When to try again if bodies in memory are at their bound: they are there for milliseconds.
const SOON: u16 = 1;
/// When to try again if the disk is: a sink has to come back first.
const LATER: u16 = 10;

/// What a request is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is on disk.
    Stored(Checked),
    /// Its records are committed.
    Committed(Checked),
    /// What a vendor expects, and nothing else.
    Plain {
        /// The status.
        status: StatusCode,
        /// The body, if it has one.
        content: Option<serde_json::Value>,
    },
    /// It is not taken.
    Refused(Refusal),
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not in the form that is received: a record of it, or the whole.
    Malformed {
        /// What was expected and what was found, without any value.
        message: String,
        /// Which record, from 1, and the line it begins in.
        record: Option<(u64, u64)>,
        /// The field that is wrong, if it is one.
        field: Option<&'static str>,
    },
    /// Nobody who may post; it is not said why.
    Unauthorized,
    /// No pipeline has this path.
    NoSuchPath,
    /// Not `POST`.
    WrongMethod,
    /// The body did not come in time.
    TooSlow,
    /// The id named another body.
    IdReused,
    /// More than a body may have, as it was sent or inflated.
    TooLarge,
    /// `Content-Type` or `Content-Encoding` is another than those that are read.
    WrongType,
    /// Bodies in memory are at their bound.
    Busy,
    /// The log, or the ids, are at their bound.
    Full,
    /// It is open whether it is stored; nothing was acknowledged.
    Unavailable,
}

impl Refusal {
    /// A body that is wrong as a whole.
    pub(super) fn broken(message: &str) -> Refusal {
        Refusal::Malformed { message: message.to_owned(), record: None, field: None }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed { .. } => StatusCode::BAD_REQUEST,
            Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
            Refusal::NoSuchPath => StatusCode::NOT_FOUND,
            Refusal::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::IdReused => StatusCode::CONFLICT,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Busy | Refusal::Full => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for it, in `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed { .. } => "malformed",
            Refusal::Unauthorized => "unauthorized",
            Refusal::NoSuchPath => "no_such_path",
            Refusal::WrongMethod => "wrong_method",
            Refusal::TooSlow => "too_slow",
            Refusal::IdReused => "id_reused",
            Refusal::TooLarge => "too_large",
            Refusal::WrongType => "wrong_type",
            Refusal::Busy => "busy",
            Refusal::Full => "full",
            Refusal::Unavailable => "unavailable",
        }
    }

    /// What it means and what to do, in `message`.
    pub fn message(&self) -> &str {
        match self {
            Refusal::Malformed { message, .. } => message,
            Refusal::Unauthorized => "no proof that this sender may post, or not a good one",
            Refusal::NoSuchPath => "nothing is received at this path",
            Refusal::WrongMethod => "records are received by POST",
            Refusal::TooSlow => "the body did not come in time",
            Refusal::IdReused => {
                "this id was used for another body; nothing was stored, send it under an id of its own"
            }
            Refusal::TooLarge => "the body is larger than is received here; send it in parts",
            Refusal::WrongType => {
                "expected the Content-Type of what is received here (application/json or application/x-ndjson; text/csv of CSV, \
                 application/msgpack of MessagePack), and Content-Encoding gzip, deflate, zstd or none"
            }
            Refusal::Busy => "too many bodies at once; try again",
            Refusal::Full => "nothing more can be stored for now; try again",
            Refusal::Unavailable => {
                "it could not be made sure that the body is kept; send it again under the same id"
            }
        }
    }

    /// The seconds in `Retry-After`.
    pub fn retry_after(&self) -> Option<u16> {
        match self {
            Refusal::Busy | Refusal::Unavailable => Some(SOON),
            Refusal::Full => Some(LATER),
            _ => None,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(Malformed { record, line, field, reason }: Malformed) -> Refusal {
        Refusal::Malformed { message: reason, record: Some((record, line)), field }
    }
}

impl Answer {
    /// As a response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        if let Answer::Plain { status, content: None } = &self {
            let mut response = Response::new(Full::default());
            *response.status_mut() = *status;
            return response;
        }
        let (status, content) = match &self {
            Answer::Stored(checked) => (StatusCode::ACCEPTED, taken(*checked)),
            Answer::Committed(checked) => (StatusCode::OK, taken(*checked)),
            Answer::Plain { status, content } => (*status, content.clone().unwrap_or_default()),
            Answer::Refused(refusal) => {
                let mut content = json!({ "error": refusal.code(), "message": refusal.message() });
                if let Refusal::Malformed { record, field, .. } = refusal {
                    if let Some((record, line)) = record {
                        content["record"] = (*record).into();
                        content["line"] = (*line).into();
                    }
                    if let Some(field) = field {
                        content["field"] = (*field).into();
                    }
                }
                (refusal.status(), content)
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(content.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Answer::Refused(refusal) = &self {
            let fixed = match refusal {
                Refusal::WrongMethod => Some((header::ALLOW, "POST")),
                Refusal::WrongType => Some((header::ACCEPT_ENCODING, "gzip, deflate, zstd")),
                // RFC 9110 §11.6.1 asks for one; it says nothing about what was wrong.
                Refusal::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
                _ => None,
            };
            if let Some((name, value)) = fixed {
                headers.insert(name, HeaderValue::from_static(value));
            }
            if let Some(seconds) = refusal.retry_after() {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }
}

fn taken(Checked { records, rejected }: Checked) -> serde_json::Value {
    let mut taken = json!({ "records": records });
    if rejected > 0 {
        taken["rejected"] = rejected.into();
    }
    taken
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        Answer::Refused(refusal)
    }
}
