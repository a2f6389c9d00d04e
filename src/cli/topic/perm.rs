//! Permissions as people write them: `rw`, `r`, `w`, `none`.

const READ: i32 = 4;
const WRITE: i32 = 2;
const INHERIT: i32 = 1;

/// The text of permission bits.
pub(crate) fn show(perm: i32) -> String {
    let mut text = String::new();
    for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (INHERIT, 'x')] {
        if perm & bit != 0 {
            text.push(letter);
        }
    }
    if text.is_empty() {
        text.push_str("none");
    }
    text
}

/// Parses `rw`, `r`, `w`, `none` or Apache's number.
pub(crate) fn parse(text: &str) -> Result<i32, String> {
    match text.to_ascii_lowercase().as_str() {
        "rw" | "wr" | "6" => Ok(READ | WRITE),
        "r" | "4" => Ok(READ),
        "w" | "2" => Ok(WRITE),
        "none" | "0" => Ok(0),
        _ => Err(format!("{text:?} is no permission; write rw, r, w or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in ["rw", "r", "w", "none"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(show(7), "rwx");
        assert_eq!(parse("6"), Ok(6));
        assert!(parse("7").is_err());
    }
}
