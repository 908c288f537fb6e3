//! Finds damage.

/// CRC-32 (IEEE) of these bytes, one part after the other.
pub(super) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
