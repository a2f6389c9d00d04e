//! `--bundle`: findings, facts and settings in one file, to be sent to somebody who helps.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::facts::Facts;
use super::finding::Link;
use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::cli::times::show_time;

/// Words in the name of a setting whose value stays here.
const SECRET: [&str; 6] = [
    "secret",
    "password",
    "passwd",
    "accesskey",
    "token",
    "credential",
];

/// Writes the bundle whole or not at all.
pub(super) fn write(
    path: &Path,
    facts: &Facts,
    links: &[Link],
    context: &Context,
) -> Result<(), CliError> {
    let cannot = |error: std::io::Error| {
        CliError::failed(format!("cannot write {}: {error}", path.display()))
    };
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir).map_err(cannot)?;
    let gzip = GzEncoder::new(file, Compression::default());
    let mut archive = tar::Builder::new(gzip);
    let mtime = u64::try_from(facts.now_ms / 1000).unwrap_or_default();
    for (name, bytes) in contents(facts, links, context) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(mtime);
        archive
            .append_data(&mut header, format!("rmq-doctor/{name}"), bytes.as_slice())
            .map_err(cannot)?;
    }
    let mut file = archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .map_err(cannot)?;
    file.flush().map_err(cannot)?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    Ok(())
}

fn contents(facts: &Facts, links: &[Link], context: &Context) -> BTreeMap<String, Vec<u8>> {
    let rows: Vec<Value> = links.iter().flat_map(Link::rows).collect();
    let mut facts_value = serde_json::to_value(facts).unwrap_or_default();
    redact(&mut facts_value);
    let about = json!({
        "rmq": env!("CARGO_PKG_VERSION"),
        "time": show_time(facts.now_ms, true),
        "nameServers": context.name_servers(),
    });
    let pretty = |value: &Value| {
        let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
        text.push(b'\n');
        text
    };
    let mut files = BTreeMap::from([
        ("about.json".to_owned(), pretty(&about)),
        ("findings.json".to_owned(), pretty(&Value::Array(rows))),
        ("facts.json".to_owned(), pretty(&facts_value)),
    ]);
    for broker in &facts.brokers {
        let name = format!("broker-{}-{}", file_name(&broker.name), broker.id);
        files.insert(format!("{name}.properties"), properties(&broker.config));
        files.insert(format!("{name}.runtime"), properties(&broker.runtime));
    }
    for server in &facts.name_servers {
        let name = format!("namesrv-{}.properties", file_name(&server.address));
        files.insert(name, properties(&server.config));
    }
    files
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET.iter().any(|word| key.contains(word))
}

fn properties(settings: &BTreeMap<String, String>) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in settings {
        let value = if is_secret(key) && !value.is_empty() {
            "***"
        } else {
            value
        };
        text.extend([key, "=", value, "\n"]);
    }
    text.into_bytes()
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if is_secret(key) && !text.is_empty() => {
                        "***".clone_into(text);
                    }
                    field => redact(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// Names come from servers; they must not lead out of the archive's folder.
fn file_name(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_here() {
        let settings = [
            ("innerClientSecretKey", "abc"),
            ("brokerName", "b"),
            ("accessKey", ""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let text = String::from_utf8(properties(&BTreeMap::from(settings))).unwrap();
        assert_eq!(text, "accessKey=\nbrokerName=b\ninnerClientSecretKey=***\n");
        let mut value = json!({"a": [{"dbPassword": "x", "name": "y"}]});
        redact(&mut value);
        assert_eq!(value, json!({"a": [{"dbPassword": "***", "name": "y"}]}));
    }

    #[test]
    fn names_stay_in_the_folder() {
        assert_eq!(file_name("../../etc:1"), ".._.._etc_1");
    }
}
