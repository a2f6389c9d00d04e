//! Values that must not be passed on.

use serde_json::Value;

use crate::cli::send::FieldPath;

/// `PATH=VALUE`: what stands at the path of a JSON body is replaced.
#[derive(Clone, Debug)]
pub(super) struct Scrub {
    path: FieldPath,
    value: Value,
}

impl Scrub {
    /// Reads `.card="****"`; a value that is no JSON is text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (path, value) = text
            .split_once('=')
            .ok_or("write a path and a value, like .card=\"****\"")?;
        Ok(Self {
            path: FieldPath::parse(path)?,
            value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        })
    }
}

/// The body with all of it replaced; `None` if nothing of it is in there. A body that cannot be looked into is an error:
/// it may hold just what must not be passed on.
pub(super) fn apply(scrubs: &[Scrub], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if scrubs.is_empty() {
        return Ok(None);
    }
    let mut document: Value = serde_json::from_slice(body)
        .map_err(|error| format!("--scrub cannot look into it, the body is not JSON: {error}"))?;
    let mut replaced = false;
    for scrub in scrubs {
        replaced |= scrub.path.replace_in(&mut document, &scrub.value);
    }
    Ok(replaced.then(|| document.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced() {
        let scrubs = [
            Scrub::parse(r#".card="****""#).unwrap(),
            Scrub::parse(".user.name=x").unwrap(),
        ];
        let body = apply(&scrubs, br#"{"z":1,"card":"4111","user":{"name":"n"}}"#);
        let expected = br#"{"z":1,"card":"****","user":{"name":"x"}}"#;
        assert_eq!(body.unwrap().as_deref(), Some(&expected[..]));
        assert_eq!(apply(&scrubs, b"{ \"a\": 1.0 }"), Ok(None), "as it was");
        assert!(apply(&scrubs, b"card 4111").is_err());
        assert_eq!(apply(&[], b"card 4111"), Ok(None));
        assert!(Scrub::parse(".card").is_err() && Scrub::parse("=x").is_err());
    }
}
