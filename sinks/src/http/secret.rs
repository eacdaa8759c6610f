//! [`Secret`]: a text that is never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

/// A text that is never printed, and wiped from memory when it is dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, to be sent and nothing else.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text.into())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret, or the file that holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// As it stands in the configuration, mostly from the environment: `"${TOKEN}"`.
    Value(Secret),
    /// `{ file = "…" }`: read again when it changes, and when the receiver refuses what it held.
    File(std::path::PathBuf),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretSource, D::Error> {
        struct Text;
        impl<'de> de::Visitor<'de> for Text {
            type Value = SecretSource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text such as \"${TOKEN}\", or { file = \"…\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretSource, E> {
                Ok(SecretSource::Value(text.to_owned().into()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct FromFile {
                    file: std::path::PathBuf,
                }
                let FromFile { file } = FromFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SecretSource::File(file))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
