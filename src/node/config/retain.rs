//! How much of the log is kept.

use std::str::FromStr;
use std::time::Duration;

use crate::base::units::{parse_bytes, parse_duration};

/// How much of the log is kept, as `--retain` writes it: `1h` or `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retain {
    /// Files that were written to within so long.
    For(Duration),
    /// The newest so many bytes.
    Bytes(u64),
}

impl FromStr for Retain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `10m` is minutes: sizes have a unit of their own here, and `M` is not one of time.
        if let Ok(age) = parse_duration(text) {
            return Ok(Self::For(age));
        }
        let bare = text.bytes().all(|byte| byte.is_ascii_digit());
        match parse_bytes(text) {
            Ok(bytes) if !bare => Ok(Self::Bytes(bytes)),
            _ => {
                Err("write a time (1h, 3d), a size (500MiB, 2GiB), or both with a comma".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_size() {
        assert_eq!("10m".parse(), Ok(Retain::For(Duration::from_mins(10))));
        assert_eq!("10M".parse(), Ok(Retain::Bytes(10 << 20)));
        assert_eq!("2GiB".parse(), Ok(Retain::Bytes(2 << 30)));
        for wrong in ["", "12", "long", "-1h"] {
            assert!(wrong.parse::<Retain>().is_err(), "{wrong}");
        }
    }
}
