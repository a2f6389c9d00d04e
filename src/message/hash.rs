//! Java's string hash, which tag filters and the key index are built on.

/// `String.hashCode()`: over UTF-16 units, wrapping at 32 bits.
pub fn java_string_hash(text: &str) -> i32 {
    java_hash_on(0, text)
}

/// The hash of a text that begins with one whose hash is `before` and goes on with `text`.
pub(crate) fn java_hash_on(before: i32, text: &str) -> i32 {
    let step = |hash: i32, unit: i32| hash.wrapping_mul(31).wrapping_add(unit);
    if !text.is_ascii() {
        let units = text.encode_utf16().map(i32::from);
        return units.fold(before, step);
    }
    // Four at a time, so that the multiplications need not wait for one another.
    let (fours, rest) = text.as_bytes().as_chunks::<4>();
    let hash = fours.iter().fold(before, |hash, four| {
        let [a, b, c, d] = four.map(i32::from);
        hash.wrapping_mul(31 * 31 * 31 * 31)
            .wrapping_add(a.wrapping_mul(31 * 31 * 31))
            .wrapping_add(b.wrapping_mul(31 * 31))
            .wrapping_add(c.wrapping_mul(31))
            .wrapping_add(d)
    });
    rest.iter().map(|&byte| i32::from(byte)).fold(hash, step)
}

/// The `tagsCode` of a queue entry: the sign-extended hash of the whole `TAGS` value, 0 without one
/// (`MessageExtBrokerInner.tagsString2tagsCode`).
pub fn tags_code(tags: Option<&str>) -> i64 {
    tags.map_or(0, |tags| i64::from(java_string_hash(tags)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_java() {
        assert_eq!(java_string_hash(""), 0);
        assert_eq!(java_string_hash("TagA"), 2_598_919);
        assert_eq!(java_string_hash("AaAa"), java_string_hash("BBBB"));
        assert_eq!(java_string_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_string_hash("é"), 233);
        assert_eq!(java_string_hash("😀"), 0xD83D * 31 + 0xDE00);
        let text = "from the first part to the last: é";
        for (at, _) in text.char_indices() {
            let (first, last) = text.split_at(at);
            let joined = java_hash_on(java_string_hash(first), last);
            assert_eq!(joined, java_string_hash(text), "cut at {at}");
        }
    }

    #[test]
    fn no_tag_has_code_zero() {
        assert_eq!(tags_code(None), 0);
        assert_eq!(tags_code(Some("polygenelubricants")), i64::from(i32::MIN));
    }
}
