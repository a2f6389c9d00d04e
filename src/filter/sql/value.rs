//! Values and how two of them compare: the rules of Java's `Integer`, `Long`, `Double`, `Boolean` and `String` as Apache's
//! `ComparisonExpression` combines them.
//!
//! A property is always text. Beside a number it is read as a number of that very type, so `a = 1` fails for `a` = "1.0";
//! beside a boolean it is true if it spells "true" in any case; between two texts `=` compares characters and the
//! ordering operators compare both as doubles. Where reading fails, Apache throws and the message does not match.
//!
//! Absent on purpose: hexadecimal doubles (`0x1p3`) and digits outside ASCII, which Java reads too.

use std::cmp::Ordering;

/// What an expression is worth for one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'v str),
}

/// Two values cannot be compared (Java throws): the message does not match, whatever surrounds the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incomparable;

impl Value<'_> {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int(_) | Self::Long(_) | Self::Double(_))
    }

    /// The value as a truth; what is neither true nor false is unknown.
    pub(super) fn truth(self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

/// `=`. A missing left side makes it unknown, a missing right side false, and two missing sides are equal.
pub(super) fn equal(left: Value<'_>, right: Value<'_>) -> Result<Option<bool>, Incomparable> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(Some(true)),
        (Value::Null, _) => Ok(None),
        (_, Value::Null) => Ok(Some(false)),
        _ => Ok(Some(compare(left, right)? == Ordering::Equal)),
    }
}

/// The ordering operators, for values that are both there.
pub(super) fn order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Incomparable> {
    if let (Value::Text(left), Value::Text(right)) = (left, right) {
        return Ok(double(left)?.total_cmp(&double(right)?));
    }
    compare(left, right)
}

fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Incomparable> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Int(left), Double(right)) => f64::from(left).total_cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Long(left), Long(right)) => left.cmp(&right),
        (Long(left), Double(right)) => widen(left).total_cmp(&right),
        (Double(left), Int(right)) => left.total_cmp(&f64::from(right)),
        (Double(left), Long(right)) => left.total_cmp(&widen(right)),
        (Double(left), Double(right)) => left.total_cmp(&right),
        (Text(left), Text(right)) => left.cmp(right),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        (Text(left), Int(right)) => integer::<i32>(left)?.cmp(&right),
        (Text(left), Long(right)) => integer::<i64>(left)?.cmp(&right),
        (Text(left), Double(right)) => double(left)?.total_cmp(&right),
        (Int(left), Text(right)) => left.cmp(&integer(right)?),
        (Long(left), Text(right)) => left.cmp(&integer(right)?),
        (Double(left), Text(right)) => left.total_cmp(&double(right)?),
        // Apache casts the wrong one of the two here and fails.
        (Bool(_), Text(_)) => return Err(Incomparable),
        // A boolean and a number: never equal, and no other operator takes a boolean.
        _ => Ordering::Less,
    })
}

#[allow(clippy::cast_precision_loss, reason = "as Java widens a long")]
fn widen(long: i64) -> f64 {
    long as f64
}

/// `Integer.valueOf` and `Long.valueOf`: an optional sign and digits, nothing else; Rust has the same rule.
fn integer<N: std::str::FromStr>(text: &str) -> Result<N, Incomparable> {
    text.parse().map_err(|_| Incomparable)
}

/// `Double.valueOf`: blanks around and one of Java's type suffixes are allowed.
fn double(text: &str) -> Result<f64, Incomparable> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, text.get(1..).unwrap_or_default()),
        [b'+', ..] => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let size = match digits {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = digits.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(digits);
            // Rust also reads "inf" and "nan", in any case.
            if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return Err(Incomparable);
            }
            digits.parse::<f64>().map_err(|_| Incomparable)?
        }
    };
    Ok(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_java_does() {
        for (text, value) in [
            (" 1.5 ", 1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("-2E-1f", -0.2),
            ("+7d", 7.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
            ("\t00.50\u{1}", 0.5),
        ] {
            assert_eq!(double(text), Ok(value), "{text:?}");
        }
        assert!(double("-NaN").unwrap().is_sign_positive());
        for text in [
            "", " ", ".", "-", "e3", "1e", "1 2", "inf", "nan", "infinity", "1ff", "--1", "+-1",
            "1,5", "1_0",
        ] {
            assert_eq!(double(text), Err(Incomparable), "{text:?}");
        }
    }
}
