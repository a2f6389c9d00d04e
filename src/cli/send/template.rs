//! Bodies made from a pattern.
//!
//! Made by hand rather than with a template engine: five words need no loops, filters or half a megabyte of program.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::cli::times::show_time;

/// Text with words in double braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number,
    Now,
    NowMs,
    Uuid,
    Random { from: i64, to: i64 },
}

impl Template {
    /// Reads a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (word, after) = behind
                .split_once("}}")
                .ok_or_else(|| format!("{{{{{behind} has no end: write {{{{n}}}}"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::parse(word.trim())?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self { parts })
    }

    /// The body of message `number`.
    pub(super) fn render(&self, number: u64, now_ms: i64) -> String {
        self.parts
            .iter()
            .map(|part| part.render(number, now_ms))
            .collect()
    }
}

impl Part {
    fn parse(word: &str) -> Result<Self, String> {
        let mut words = word.split_whitespace();
        let part = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("n"), None, ..) => Some(Self::Number),
            (Some("now"), None, ..) => Some(Self::Now),
            (Some("now_ms"), None, ..) => Some(Self::NowMs),
            (Some("uuid"), None, ..) => Some(Self::Uuid),
            (Some("random"), Some(from), Some(to), None) => match (from.parse(), to.parse()) {
                (Ok(from), Ok(to)) if from <= to => Some(Self::Random { from, to }),
                _ => None,
            },
            _ => None,
        };
        part.ok_or_else(|| {
            format!(
                "{{{{{word}}}}} is unknown; there are {{{{n}}}}, {{{{now}}}}, {{{{now_ms}}}}, {{{{uuid}}}} and {{{{random 1 100}}}}"
            )
        })
    }

    fn render(&self, number: u64, now_ms: i64) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number => number.to_string(),
            Self::Now => show_time(now_ms, true),
            Self::NowMs => now_ms.to_string(),
            Self::Uuid => uuid(random(), random()),
            Self::Random { from, to } => {
                let span = to.wrapping_sub(*from).cast_unsigned().wrapping_add(1);
                let within = random().checked_rem(span).unwrap_or_else(random);
                from.wrapping_add(within.cast_signed()).to_string()
            }
        }
    }
}

/// Random enough for test data: the standard library seeds every hash map with it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random (version 4) UUID from these bits.
fn uuid(high: u64, low: u64) -> String {
    let high = high & !0xF000 | 0x4000;
    let low = low & !(0xC000 << 48) | 0x8000 << 48;
    let (high, low) = (format!("{high:016x}"), format!("{low:016x}"));
    format!(
        "{}-{}-{}-{}-{}",
        &high[..8],
        &high[8..12],
        &high[12..],
        &low[..4],
        &low[4..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in() {
        let render = |text: &str| Template::parse(text).unwrap().render(7, 1001);
        assert_eq!(
            render(r#"{"n":{{n}},"at":"{{ now }}"}"#),
            r#"{"n":7,"at":"1970-01-01T00:00:01.001Z"}"#
        );
        assert_eq!(render("{{now_ms}}{{n}}"), "10017");
        assert_eq!(render("plain {text}"), "plain {text}");
        assert_eq!(render("{{random 5 5}}"), "5");
        let drawn: i64 = render("{{random -3 3}}").parse().unwrap();
        assert!((-3..=3).contains(&drawn));
        let (one, other) = (render("{{uuid}}"), render("{{uuid}}"));
        assert_ne!(one, other);
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
        assert_eq!(
            uuid(u64::MAX, u64::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }

    #[test]
    fn unknown_words_are_named() {
        for bad in [
            "{{m}}",
            "{{n",
            "{{}}",
            "{{random 2 1}}",
            "{{random}}",
            "{{n n}}",
            "",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let said = Template::parse("{{name}}").unwrap_err();
        assert!(
            said.contains("{{name}}") && said.contains("{{now_ms}}"),
            "{said}"
        );
    }
}
