//! What a check found, and the forms monitoring systems read.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Column;

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// Rows, as -o says
    Rows,
    /// One line and the exit codes of a Nagios plugin
    Nagios,
    /// Samples for the textfile collector of Prometheus
    Prometheus,
    /// One JSON document
    Json,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Within the limits.
    Ok,
    /// Past the first limit.
    Warning,
    /// Nobody can tell.
    Unknown,
    /// Past the second limit.
    Critical,
}

impl Status {
    /// Past limits from which on it is too much.
    pub(super) fn of_too_many(value: i64, warn: i64, crit: i64) -> Self {
        if value >= crit {
            Self::Critical
        } else if value >= warn {
            Self::Warning
        } else {
            Self::Ok
        }
    }

    /// Below limits under which it is too little.
    pub(super) fn of_too_few(value: i64, warn: i64, crit: i64) -> Self {
        if value < crit {
            Self::Critical
        } else if value < warn {
            Self::Warning
        } else {
            Self::Ok
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }

    /// The exit code of a Nagios plugin.
    fn plugin_exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Ok,
            Self::Warning => Exit::Failed,
            Self::Critical => Exit::Usage,
            Self::Unknown => Exit::NotFound,
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    /// The topic, group, broker.
    pub(super) object: String,
    pub(super) value: Option<i64>,
    /// `""`, `ms` or `%`.
    pub(super) unit: &'static str,
    pub(super) limits: Option<(i64, i64)>,
    pub(super) status: Status,
    pub(super) message: String,
}

impl Finding {
    pub(super) fn unknown(check: &'static str, error: &CliError) -> Self {
        Self {
            check,
            object: String::new(),
            value: None,
            unit: "",
            limits: None,
            status: Status::Unknown,
            message: error.to_string(),
        }
    }

    fn row(&self) -> Value {
        json!({
            "check": self.check,
            "object": self.object,
            "value": self.value,
            "unit": self.unit,
            "warn": self.limits.map(|(warn, _)| warn),
            "crit": self.limits.map(|(_, crit)| crit),
            "status": self.status.name(),
            "message": self.message,
        })
    }
}

const COLUMNS: &[Column] = &[
    Column::new("check", "CHECK"),
    Column::new("object", "OBJECT").name(),
    Column::new("value", "VALUE").right(),
    Column::new("unit", "UNIT").optional(),
    Column::new("warn", "WARN").right(),
    Column::new("crit", "CRIT").right(),
    Column::new("status", "STATUS"),
    Column::new("message", "MESSAGE"),
];

pub(super) fn print(found: &[Finding], form: Form, context: &Context) -> Result<Exit, CliError> {
    let worst = found
        .iter()
        .map(|one| one.status)
        .max()
        .unwrap_or(Status::Ok);
    let exit = if worst == Status::Ok {
        Exit::Ok
    } else {
        Exit::CheckFailed
    };
    match form {
        Form::Rows => context
            .output
            .rows(COLUMNS, found.iter().map(Finding::row))?,
        Form::Json => {
            let rows: Vec<Value> = found.iter().map(Finding::row).collect();
            let document = json!({ "status": worst.name(), "checks": rows });
            context.output.raw(format!("{document:#}\n").as_bytes())?;
        }
        Form::Prometheus => context.output.raw(prometheus(found).as_bytes())?,
        Form::Nagios => {
            context.output.raw(nagios(found, worst).as_bytes())?;
            return Ok(worst.plugin_exit());
        }
    }
    Ok(exit)
}

/// The line of a plugin: what is wrong first, then the figures.
fn nagios(found: &[Finding], worst: Status) -> String {
    let name = found
        .first()
        .map_or("check", |one| one.check)
        .to_ascii_uppercase();
    let said: Vec<&str> = found
        .iter()
        .filter(|one| one.status == worst)
        .map(|one| one.message.as_str())
        .collect();
    let mut line = format!(
        "RMQ {name} {} - {}",
        worst.name().to_ascii_uppercase(),
        if said.is_empty() {
            "nothing to check".to_owned()
        } else {
            said.join("; ")
        }
    )
    // A bar begins the figures, and a line break ends the line.
    .replace('|', "/")
    .replace('\n', " ");
    let figures: Vec<String> = found
        .iter()
        .filter_map(|one| {
            let label = one.object.replace(['\'', '='], "_");
            let (warn, crit) = one.limits.unwrap_or_default();
            Some(format!(
                "'{label}'={}{};{warn};{crit}",
                one.value?, one.unit
            ))
        })
        .collect();
    if !figures.is_empty() {
        line.push_str(" | ");
        line.push_str(&figures.join(" "));
    }
    line.push('\n');
    line
}

fn prometheus(found: &[Finding]) -> String {
    let mut text = String::new();
    let label = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    };
    let Some(first) = found.first() else {
        return text;
    };
    let unit = match first.unit {
        "ms" => "_milliseconds",
        "%" => "_percent",
        _ => "",
    };
    let name = format!("rmq_check_{}{unit}", first.check);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# TYPE {name} gauge");
    for one in found {
        if let Some(value) = one.value {
            let _ = writeln!(text, "{name}{{object=\"{}\"}} {value}", label(&one.object));
        }
    }
    let _ = writeln!(text, "# TYPE rmq_check_status gauge");
    for one in found {
        let status = match one.status {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Critical => 2,
            Status::Unknown => 3,
        };
        let (check, object) = (one.check, label(&one.object));
        let _ = writeln!(
            text,
            "rmq_check_status{{check=\"{check}\",object=\"{object}\"}} {status}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(object: &str, value: i64) -> Finding {
        Finding {
            check: "lag",
            object: object.to_owned(),
            value: Some(value),
            unit: "",
            limits: Some((10, 100)),
            status: Status::of_too_many(value, 10, 100),
            message: format!("{object} is {value} behind"),
        }
    }

    #[test]
    fn limits_are_where_it_begins() {
        assert_eq!(Status::of_too_many(9, 10, 100), Status::Ok);
        assert_eq!(Status::of_too_many(10, 10, 100), Status::Warning);
        assert_eq!(Status::of_too_many(100, 10, 100), Status::Critical);
        assert_eq!(Status::of_too_few(0, 2, 1), Status::Critical);
        assert_eq!(Status::of_too_few(1, 2, 1), Status::Warning);
        assert_eq!(Status::of_too_few(2, 2, 1), Status::Ok);
    }

    #[test]
    fn a_plugin_has_one_line_with_figures() {
        let found = [finding("g a|b", 5), finding("g c", 200)];
        assert_eq!(
            nagios(&found, Status::Critical),
            "RMQ LAG CRITICAL - g c is 200 behind | 'g a|b'=5;10;100 'g c'=200;10;100\n"
        );
        assert_eq!(Status::Critical.plugin_exit() as u8, 2);
    }

    #[test]
    fn samples_have_escaped_labels() {
        let text = prometheus(&[finding("a\"b", 5)]);
        assert!(
            text.contains("rmq_check_lag{object=\"a\\\"b\"} 5\n"),
            "{text}"
        );
        assert!(
            text.contains("status{check=\"lag\",object=\"a\\\"b\"} 0\n"),
            "{text}"
        );
    }
}
