//! What a message gets besides its body.

use serde_json::Value;

use super::args::Args;
use super::fields::Path;
use crate::client::Message;

/// The options that are about each message.
#[derive(Debug, Default)]
pub(super) struct Dress {
    tag: Option<String>,
    keys: Vec<String>,
    properties: Vec<(String, String)>,
    key_fields: Vec<Path>,
    tag_field: Option<Path>,
    order_key: Option<String>,
    order_by: Option<Path>,
    delay_level: Option<u32>,
    deliver_at_ms: Option<i64>,
}

impl Dress {
    pub(super) fn new(args: &Args, deliver_at_ms: Option<i64>) -> Self {
        Self {
            tag: args.tag.clone(),
            keys: args.key.clone(),
            properties: args.property.clone(),
            key_fields: args.key_field.clone(),
            tag_field: args.tag_field.clone(),
            order_key: args.order_key.clone(),
            order_by: args.order_by.clone(),
            delay_level: args.delay_level,
            deliver_at_ms,
        }
    }

    /// Dresses a message, and says which ordering key it has.
    pub(super) fn put_on(&self, mut message: Message) -> Result<(Message, Option<String>), String> {
        let mut keys = self.keys.clone();
        let mut tag = self.tag.clone();
        let mut order_key = self.order_key.clone();
        if self.looks_inside() {
            let document: Value = serde_json::from_slice(message.body())
                .map_err(|error| format!("the body is not JSON: {error}"))?;
            for path in &self.key_fields {
                keys.extend(path.text_in(&document)?);
            }
            if let Some(path) = &self.tag_field {
                tag = path.text_in(&document)?;
            }
            if let Some(path) = &self.order_by {
                let key = path.text_in(&document)?;
                order_key = Some(key.ok_or_else(|| format!("no {path} in it to order by"))?);
            }
        }
        if let Some(tag) = tag {
            message = message.with_tag(tag);
        }
        if !keys.is_empty() {
            message = message.with_keys(&keys);
        }
        for (name, value) in &self.properties {
            message = message.with_property(name, value);
        }
        if let Some(level) = self.delay_level {
            message = message.with_delay_level(level);
        }
        if let Some(at_ms) = self.deliver_at_ms {
            message = message.with_delivery_time_ms(at_ms);
        }
        if let Some(key) = &order_key {
            message = message.with_order_key(key);
        }
        Ok((message, order_key))
    }

    fn looks_inside(&self) -> bool {
        !self.key_fields.is_empty() || self.tag_field.is_some() || self.order_by.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tags_and_order_come_from_the_body() {
        let path = |text| Path::parse(text).unwrap();
        let dress = Dress {
            keys: vec!["fixed".into()],
            key_fields: vec![path(".id"), path(".missing")],
            tag_field: Some(path(".state")),
            order_by: Some(path(".user")),
            ..Dress::default()
        };
        let body = r#"{"id":42,"state":"paid","user":"u1"}"#;
        let (message, key) = dress.put_on(Message::new("T", body)).unwrap();
        let expected = Message::new("T", body)
            .with_tag("paid")
            .with_keys(["fixed", "42"])
            .with_order_key("u1");
        assert!(message.tag() == Some("paid") && message == expected);
        assert_eq!(key.as_deref(), Some("u1"));
        let no_user = dress.put_on(Message::new("T", "{}")).unwrap_err();
        assert_eq!(no_user, "no .user in it to order by");
        let no_json = dress.put_on(Message::new("T", "x")).unwrap_err();
        assert!(no_json.starts_with("the body is not JSON"), "{no_json}");
    }
}
