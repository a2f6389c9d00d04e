//! Values inside JSON bodies: `.id`, `.order.lines[0].sku`, `."odd name"`.

use serde_json::Value;

/// The way to a value in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Nth(usize),
}

impl Path {
    /// Reads a path; the dot at its start may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("write a path like .id or .order.lines[0], not {text:?}");
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(index) = rest.strip_prefix('[') {
                let (number, behind) = index.split_once(']').ok_or_else(wrong)?;
                steps.push(Step::Nth(number.parse().map_err(|_| wrong())?));
                rest = behind;
                continue;
            }
            rest = match rest.strip_prefix('.') {
                Some(behind) => behind,
                None if steps.is_empty() => rest,
                None => return Err(wrong()),
            };
            if let Some(quoted) = rest.strip_prefix('"') {
                let (name, behind) = quoted.split_once('"').ok_or_else(wrong)?;
                steps.push(Step::Field(name.to_owned()));
                rest = behind;
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            if name.is_empty() {
                return Err(wrong());
            }
            steps.push(Step::Field(name.to_owned()));
            rest = behind;
        }
        if steps.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            text: text.trim().to_owned(),
            steps,
        })
    }

    /// The value there as text; nothing if it is not there, null or empty. An object or a list is an error: keys and
    /// tags are plain.
    pub(super) fn text_in(&self, document: &Value) -> Result<Option<String>, String> {
        let mut value = Some(document);
        for step in &self.steps {
            value = value.and_then(|value| match step {
                Step::Field(name) => value.get(name),
                Step::Nth(nth) => value.get(nth),
            });
        }
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
            Some(Value::Array(_) | Value::Object(_)) => {
                Err(format!("{} is neither text nor a number", self.text))
            }
            Some(plain) => Ok(Some(plain.to_string())),
        }
    }
}

impl Path {
    /// Puts `value` in the place of the one that is there. `false` if there is none: nothing is added.
    pub(crate) fn replace_in(&self, document: &mut Value, value: &Value) -> bool {
        let mut place = Some(document);
        for step in &self.steps {
            place = place.and_then(|place| match step {
                Step::Field(name) => place.get_mut(name),
                Step::Nth(nth) => place.get_mut(nth),
            });
        }
        match place {
            Some(place) => {
                *place = value.clone();
                true
            }
            None => false,
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_found() {
        let document =
            json!({"id": 42, "a": {"b": [{"c": "x"}]}, "odd name": true, "no": null, "": ""});
        let find = |path: &str| Path::parse(path).unwrap().text_in(&document);
        assert_eq!(find(".id"), Ok(Some("42".into())));
        assert_eq!(find("id"), Ok(Some("42".into())));
        assert_eq!(find(".a.b[0].c"), Ok(Some("x".into())));
        assert_eq!(find(".\"odd name\""), Ok(Some("true".into())));
        assert_eq!(find(".no"), Ok(None));
        assert_eq!(find(".a.b[1].c"), Ok(None));
        assert_eq!(find(".id.deeper"), Ok(None));
        assert!(find(".a").is_err());
    }

    #[test]
    fn values_are_replaced_and_never_added() {
        let mut document = json!({"card": 1, "lines": [{"pan": "x"}]});
        let mut set = |path: &str| {
            Path::parse(path)
                .unwrap()
                .replace_in(&mut document, &json!("*"))
        };
        assert!(set(".card") && set(".lines[0].pan"));
        assert!(!set(".other") && !set(".lines[1].pan") && !set(".card.deeper"));
        assert_eq!(document, json!({"card": "*", "lines": [{"pan": "*"}]}));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ".", "..a", ".a[", ".a[x]", ".\"a", "[0]b"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
