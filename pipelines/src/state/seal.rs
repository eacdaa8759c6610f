//! Checksums of values, so that what is read is what was written there.

/// Bytes of the checksum before each value.
const CHECKSUM: usize = 4;

/// CRC-32C over the key's parts, each preceded by its length, and the value.
fn checksum(key: &[&[u8]], value: &[u8]) -> u32 {
    let key = key.iter().fold(0, |crc, part| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &(part.len() as u64).to_be_bytes()), part)
    });
    crc32c::crc32c_append(key, value)
}

/// `value` with a checksum over it and its key: a row that is found under another key is damaged, too.
pub(super) fn seal(key: &[&[u8]], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(CHECKSUM + value.len());
    sealed.extend(checksum(key, value).to_be_bytes());
    sealed.extend(value);
    sealed
}

/// The value in `sealed`; `None` when it is damaged.
pub(super) fn unseal<'a>(key: &[&[u8]], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, value) = sealed.split_first_chunk::<CHECKSUM>()?;
    (u32::from_be_bytes(*crc) == checksum(key, value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every bit of a sealed value is flipped in turn, and its key changed. Guarantees: damage is seen.
    #[test]
    fn damage_is_seen() {
        let key: &[&[u8]] = &[b"pipeline", b"stage"];
        let sealed = seal(key, b"value");
        assert_eq!(unseal(key, &sealed), Some(&b"value"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(key, &damaged), None, "bit {bit}");
        }
        assert_eq!(unseal(&[b"pipelines", b"tage"], &sealed), None);
        assert_eq!(unseal(key, &sealed[..3]), None);
    }
}
