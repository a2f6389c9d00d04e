//! Which of a group's messages are meant.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use crate::cli::exit::CliError;
use crate::cli::times::parse_time;
use crate::client::{Condition, Received};

/// The options that choose messages. Kept in reports, so that a resumed replay means the same ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pick {
    /// Only those stored there at or after this time (-1d, 2026-11-22T10:00)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only those stored there at or before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only those whose body, or a property of the application written name=value, or KEYS=..., or TAGS=..., matches this
    /// regular expression
    #[arg(long = "match", value_name = "RE")]
    #[serde(rename = "match")]
    matching: Option<String>,
    /// Only the one with this id, now or originally; may be repeated
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only those whose properties fulfil this SQL92: 'price > 10'
    #[arg(long = "where", value_name = "SQL")]
    #[serde(rename = "where")]
    condition: Option<String>,
}

/// The same, ready to be asked.
#[derive(Debug)]
pub(super) struct Picker {
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    matching: Option<Regex>,
    ids: Vec<String>,
    condition: Option<Condition>,
}

impl Pick {
    /// Whether all messages are meant.
    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The same with points in time instead of distances, to be kept.
    pub(super) fn fixed(&self, now_ms: i64) -> Result<Self, CliError> {
        let fix = |time: &Option<String>| {
            let ms = time.as_deref().map(|text| parse_time(text, now_ms));
            ms.transpose().map(|ms| ms.map(|ms| ms.to_string()))
        };
        Ok(Self {
            since: fix(&self.since)?,
            until: fix(&self.until)?,
            ..self.clone()
        })
    }

    /// Reads the options.
    pub(super) fn compile(&self, now_ms: i64) -> Result<Picker, CliError> {
        let time = |option: &'static str, text: &Option<String>| {
            let ms = text.as_deref().map(|text| parse_time(text, now_ms));
            ms.transpose()
                .map_err(|error| CliError::usage(format!("{option}: {error}")))
        };
        let matching = self.matching.as_deref().map(Regex::new).transpose();
        Ok(Picker {
            since_ms: time("--since", &self.since)?,
            until_ms: time("--until", &self.until)?,
            matching: matching.map_err(|error| CliError::usage(format!("--match: {error}")))?,
            ids: self.id.clone(),
            condition: self
                .condition
                .as_deref()
                .map(Condition::parse)
                .transpose()
                .map_err(|error| CliError::usage(format!("--where: {error}")))?,
        })
    }
}

impl Picker {
    /// The option that leaves a message out, if one does.
    pub(super) fn refusal(&self, message: &Received) -> Option<&'static str> {
        if self
            .since_ms
            .is_some_and(|since| message.store_timestamp < since)
        {
            return Some("--since");
        }
        if self
            .until_ms
            .is_some_and(|until| message.store_timestamp > until)
        {
            return Some("--until");
        }
        if !self.ids.is_empty() && !self.has_id(message) {
            return Some("--id");
        }
        if self
            .condition
            .as_ref()
            .is_some_and(|condition| !condition.holds(message))
        {
            return Some("--where");
        }
        let matches = |regex: &Regex| {
            // Only what the application set: ids would match all too easily.
            let marks = [("KEYS", message.keys()), ("TAGS", message.tag())];
            let marks = marks
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            regex.is_match(message.body())
                || message
                    .user_properties()
                    .chain(marks)
                    .any(|(name, value)| regex.is_match(format!("{name}={value}").as_bytes()))
        };
        if self.matching.as_ref().is_some_and(|regex| !matches(regex)) {
            return Some("--match");
        }
        None
    }

    fn has_id(&self, message: &Received) -> bool {
        let own = [
            message.message_id(),
            message.offset_message_id(),
            message.origin_message_id(),
        ];
        self.ids.iter().any(|id| own.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::consume::tests::received;

    fn refusal(pick: &Pick) -> Option<&'static str> {
        // Stored at 2000, with key "k1 k2", property mine=1 and id ID.
        pick.compile(100_000)
            .unwrap()
            .refusal(&received(b"a timeout"))
    }

    #[test]
    fn each_option_leaves_out() {
        let everything = Pick::default();
        assert!(everything.is_everything());
        assert_eq!(refusal(&everything), None);
        let pick = |change: fn(&mut Pick)| {
            let mut pick = everything.clone();
            change(&mut pick);
            refusal(&pick)
        };
        assert_eq!(pick(|p| p.since = Some("-97s".into())), Some("--since"));
        assert_eq!(pick(|p| p.since = Some("-98s".into())), None);
        assert_eq!(pick(|p| p.until = Some("-99s".into())), Some("--until"));
        assert_eq!(pick(|p| p.matching = Some("time+out$".into())), None);
        assert_eq!(pick(|p| p.matching = Some("^mine=1$".into())), None);
        assert_eq!(pick(|p| p.matching = Some("^TAGS=paid$".into())), None);
        assert_eq!(
            pick(|p| p.matching = Some("UNIQ_KEY".into())),
            Some("--match")
        );
        assert_eq!(
            pick(|p| p.matching = Some("nothing".into())),
            Some("--match")
        );
        assert_eq!(pick(|p| p.id = vec!["X".into(), "ID".into()]), None);
        assert_eq!(pick(|p| p.id = vec!["X".into()]), Some("--id"));
        assert_eq!(pick(|p| p.condition = Some("mine = 1".into())), None);
        assert_eq!(
            pick(|p| p.condition = Some("mine = 2".into())),
            Some("--where")
        );
    }

    #[test]
    fn what_is_kept_means_the_same_later() {
        let pick = Pick {
            since: Some("-98s".into()),
            matching: Some("x".into()),
            ..Pick::default()
        };
        let kept = serde_json::to_string(&pick.fixed(100_000).unwrap()).unwrap();
        let again: Pick = serde_json::from_str(&kept).unwrap();
        assert_eq!(again.since.as_deref(), Some("2000"));
        assert_eq!(again.matching.as_deref(), Some("x"));
    }

    #[test]
    fn nonsense_is_named() {
        for (pick, said) in [
            (
                Pick {
                    since: Some("yesterday".into()),
                    ..Pick::default()
                },
                "--since",
            ),
            (
                Pick {
                    matching: Some("(".into()),
                    ..Pick::default()
                },
                "--match",
            ),
            (
                Pick {
                    condition: Some("a >".into()),
                    ..Pick::default()
                },
                "--where",
            ),
        ] {
            let error = pick.compile(0).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
