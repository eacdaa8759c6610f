//! [`openapi`]: the endpoint, as a machine reads it.
//!
//! It is made from the same refusals that are answered, and a test holds each answer of a real listener against it.

use serde_json::{Map, Value, json};

use super::answer::Refusal;

/// Every refusal there is, with what it means.
fn refusals() -> [(Refusal, &'static str); 11] {
    [
        (
            Refusal::broken(""),
            "the body is not in the form that is received, is cut off, or can't be decompressed; nothing was stored",
        ),
        (Refusal::Unauthorized, "no proof that the sender may post, or not a good one"),
        (Refusal::NoSuchPath, "no pipeline receives at this path"),
        (Refusal::WrongMethod, "another method than `POST`"),
        (Refusal::TooSlow, "the body did not come within `timeouts.body`"),
        (Refusal::IdReused, "the id was used for another body; nothing was stored"),
        (Refusal::TooLarge, "the body is larger than `max_body`, as it was sent or decompressed"),
        (Refusal::WrongType, "`Content-Type` or `Content-Encoding` is none of those below"),
        (Refusal::Busy, "bodies in memory are at their bound (`busy`), or the log or the ids are (`full`)"),
        (Refusal::Full, ""),
        (
            Refusal::Unavailable,
            "not durable, or not committed, within `ack_timeout`: send it again under the same id",
        ),
    ]
}

/// The description of an endpoint in OpenAPI 3.1, with `/{path}` for the path that its pipeline gives it.
pub fn openapi() -> Value {
    let mut responses = Map::new();
    let taken = |meaning: &str| {
        json!({
            "description": meaning,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Taken" } } },
        })
    };
    responses.insert("200".to_owned(), taken("the records are committed (`ack = \"committed\"`)"));
    responses.insert("202".to_owned(), taken("the body and its id are on disk (`ack = \"durable\"`)"));
    for (refusal, meaning) in refusals() {
        let status = refusal.status().as_str().to_owned();
        // Two of them share a status.
        let response = responses.entry(status).or_insert_with(|| {
            json!({
                "description": meaning,
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Refused" } } },
            })
        });
        if refusal.retry_after().is_some() {
            response["headers"] = json!({
                "Retry-After": { "required": true, "schema": { "type": "integer" }, "description": "seconds" },
            });
        }
    }
    let header = |name: &str, meaning: &str| json!({ "name": name, "in": "header", "required": false, "description": meaning, "schema": { "type": "string" } });
    let codes: Vec<&str> = refusals().iter().map(|(refusal, _)| refusal.code()).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Afferent webhook",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Receives health records in Afferent's wire form, or in the dialect that the pipeline's `format` names. A body is stored whole or not at all.",
        },
        "paths": { "/{path}": { "post": {
            "operationId": "postRecords",
            "summary": "Posts records",
            "parameters": [
                { "name": "path", "in": "path", "required": true, "schema": { "type": "string" },
                  "description": "the `path` of the pipeline" },
                header("webhook-id", "names the body for four days: a repeat stores nothing and gets the same answer"),
                header("webhook-timestamp", "when it was signed, in seconds since 1970; five minutes either way"),
                header("webhook-signature", "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; several with spaces between"),
                header("Idempotency-Key", "as `webhook-id`, where there is none"),
                header("Content-Encoding", "`gzip`, `deflate`, `zstd` or `identity`"),
            ],
            "requestBody": {
                "required": true,
                "content": {
                    "application/json": { "schema": { "type": "array", "items": { "$ref": "#/components/schemas/Record" } } },
                    "application/x-ndjson": { "schema": { "type": "string" } },
                    "text/csv": { "schema": { "type": "string" } },
                    "application/msgpack": { "schema": { "type": "string", "format": "binary" } },
                },
            },
            "security": [{}, { "bearer": [] }, { "signature": [] }, { "certificate": [] }],
            "responses": responses,
        } } },
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "signature": { "type": "apiKey", "in": "header", "name": "webhook-signature",
                               "description": "Standard Webhooks 1.0.0" },
                "certificate": { "type": "mutualTLS" },
            },
            "schemas": {
                "Record": {
                    "type": "object",
                    "description": "a record of the wire form, such as {\"id\":…,\"type\":\"HeartRate\",\"start\":…,\"value\":61,\"unit\":\"count/min\"}",
                },
                "Taken": {
                    "type": "object",
                    "properties": {
                        "records": { "type": "integer", "description": "how many good records the body has" },
                        "rejected": { "type": "integer", "description": "how many of it are none and were dead-lettered; only of the dialects of other programs, absent if none" },
                    },
                    "required": ["records"],
                    "additionalProperties": false,
                },
                "Refused": {
                    "type": "object",
                    "properties": {
                        "error": { "type": "string", "enum": codes },
                        "message": { "type": "string", "description": "for people; no value of the body is in it" },
                        "record": { "type": "integer", "description": "the first bad record, from 1" },
                        "line": { "type": "integer", "description": "the line that it begins in, from 1" },
                        "field": { "type": "string", "description": "the field that is wrong" },
                    },
                    "required": ["error", "message"],
                    "additionalProperties": false,
                },
            },
        },
    })
}
