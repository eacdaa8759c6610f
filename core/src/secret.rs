//! [`Secret`]: a text that is never printed, and where it comes from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

use crate::{Error, Result, io_error};

/// The longest file that holds a secret: tokens have a few KiB.
const SECRET_BYTES: u64 = 64 << 10;

/// A text that is never printed, and wiped from memory when it is dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, to be sent or compared and nothing else.
    pub fn expose(&self) -> &str {
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
    /// `{ file = "…" }`: read again when it changes.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is now; blocks where it is in a file.
    ///
    /// # Errors
    /// `Config` if the file holds nothing; as [`io_error`] if it can't be read.
    pub fn read(&self) -> Result<Secret> {
        match self {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::File(path) => read(path),
        }
    }

    /// Makes the path of a file, if it is in one, relative to `base`.
    pub fn resolve(&mut self, base: &Path) {
        if let SecretSource::File(path) = self {
            *path = base.join(&*path);
        }
    }
}

fn read(path: &Path) -> Result<Secret> {
    use std::io::Read;
    let io = |error| io_error("read the secret in", path, error);
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_BYTES).read_to_string(&mut text))
        .map_err(io)?;
    match text.trim() {
        "" => Err(Error::config(format!("expected a secret in {}, found nothing", path.display()))),
        secret => Ok(secret.to_owned().into()),
    }
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
                    file: PathBuf,
                }
                let FromFile { file } = FromFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SecretSource::File(file))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
