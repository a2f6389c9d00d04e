//! `rmq mqadmin NAME FLAGS…`: the spelling of Apache's tool, so that runbooks keep working.
//!
//! Each command is translated into one of ours and run; what is printed is ours, and so are the exit codes. What a flag
//! says that has no meaning here is refused by name, because a runbook that is only half obeyed does harm.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::args::Global;
use super::exit::CliError;
use super::settings::name_of;

/// Run a command in the spelling of Apache's mqadmin
///
/// The answers and exit codes are those of the command it stands for.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  rmq mqadmin topicList -n 127.0.0.1:9876
  rmq mqadmin updateTopic -n 127.0.0.1:9876 -c DefaultCluster -t orders -r 8 -w 8"
)]
pub(crate) struct Args {
    /// The command and its flags; 'help' lists the commands
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "NAME FLAGS"
    )]
    words: Vec<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Translated {
    /// Run this command line.
    Line(Vec<OsString>),
    /// Print this.
    Text(String),
}

/// A flag of Apache's tool.
type Flag = (&'static str, &'static str, bool);

/// A command of Apache's tool: its name, its flags (short, long, whether a value follows), and the command line of ours.
struct Spelling {
    name: &'static str,
    flags: &'static [Flag],
    ours: fn(&Said) -> Result<Vec<String>, CliError>,
}

/// The flags that were given, by their short names.
struct Said(BTreeMap<&'static str, String>);

impl Said {
    fn get(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).map(|text| text.trim())
    }

    fn need(&self, flag: &str) -> Result<String, CliError> {
        let value = self.get(flag).filter(|text| !text.is_empty());
        value
            .map(str::to_owned)
            .ok_or_else(|| CliError::usage(format!("Missing required option: {flag}")))
    }

    /// Whether a switch, or a flag with a boolean, is on.
    fn is_on(&self, flag: &str) -> bool {
        self.get(flag).is_some_and(|text| text != "false")
    }
}

/// A command line of ours under construction.
struct Line(Vec<String>);

impl Line {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn word(mut self, word: impl Into<String>) -> Self {
        self.0.push(word.into());
        self
    }

    /// `ours=value`, if the flag was given.
    fn option(mut self, said: &Said, flag: &str, ours: &str) -> Self {
        if let Some(value) = said.get(flag) {
            self.0.push(format!("{ours}={value}"));
        }
        self
    }

    /// A word, if the switch is on.
    fn switch(mut self, said: &Said, flag: &str, ours: &str) -> Self {
        if said.is_on(flag) {
            self.0.push(ours.to_owned());
        }
        self
    }

    /// `-b` and `-c`, as most commands have them.
    fn brokers(self, said: &Said) -> Self {
        self.option(said, "b", "--broker")
            .option(said, "c", "--cluster")
    }

    #[allow(
        clippy::unnecessary_wraps,
        reason = "the last word of most spellings, which can fail before it"
    )]
    fn done(self) -> Result<Vec<String>, CliError> {
        Ok(self.0)
    }
}

const B: Flag = ("b", "brokerAddr", true);
const C: Flag = ("c", "clusterName", true);
const G: Flag = ("g", "groupName", true);
const T: Flag = ("t", "topic", true);

/// Flags of ours that every command takes, by their long names; whether a value follows.
const OURS: &[(&str, bool)] = &[
    ("namesrv", true),
    ("context", true),
    ("output", true),
    ("columns", true),
    ("utc", false),
];

const SPELLINGS: &[Spelling] = &[
    Spelling {
        name: "topicList",
        flags: &[("c", "clusterModel", false)],
        ours: |said| {
            let line = Line::new(&["topic", "ls", "--all"]);
            let line = if said.is_on("c") {
                line
            } else {
                line.word("--output=name")
            };
            line.done()
        },
    },
    Spelling {
        name: "topicRoute",
        flags: &[T, ("l", "list", false)],
        ours: |said| {
            Line::new(&["topic", "show", "--by=broker"])
                .word(said.need("t")?)
                .done()
        },
    },
    Spelling {
        name: "topicClusterList",
        flags: &[T],
        ours: |said| {
            Line::new(&["topic", "show", "--by=broker"])
                .word(said.need("t")?)
                .done()
        },
    },
    Spelling {
        name: "topicStatus",
        flags: &[T],
        ours: |said| Line::new(&["topic", "show"]).word(said.need("t")?).done(),
    },
    Spelling {
        name: "statsAll",
        flags: &[("a", "activeTopic", false), T],
        ours: |said| {
            let line = Line::new(&["topic", "ls", "--all", "--stats"]);
            line.word(said.get("t").unwrap_or("*")).done()
        },
    },
    Spelling {
        name: "updateTopic",
        flags: &[
            B,
            C,
            T,
            ("r", "readQueueNums", true),
            ("w", "writeQueueNums", true),
            ("p", "perm", true),
            ("o", "order", true),
            ("a", "attributes", true),
        ],
        ours: |said| {
            let mut line = Line::new(&["topic", "create", "--or-change"])
                .word(said.need("t")?)
                .brokers(said)
                .option(said, "r", "--read-queues")
                .option(said, "w", "--write-queues")
                .option(said, "p", "--perm")
                .option(said, "o", "--order");
            for part in said
                .get("a")
                .unwrap_or_default()
                .split(',')
                .filter(|part| !part.is_empty())
            {
                let attribute = part.strip_prefix('+').filter(|part| part.contains('='));
                let attribute = attribute.ok_or_else(|| {
                    CliError::usage(format!(
                        "-a {part}: write +NAME=VALUE; rmq topic set --remove-attr takes one away"
                    ))
                })?;
                line = line.word(format!("--attr={attribute}"));
            }
            line.done()
        },
    },
    Spelling {
        name: "updateTopicPerm",
        flags: &[B, C, T, ("p", "perm", true)],
        ours: |said| {
            let line = Line::new(&["topic", "set", "--yes"]).word(said.need("t")?);
            line.word(format!("--perm={}", said.need("p")?))
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "deleteTopic",
        flags: &[C, T],
        ours: |said| {
            let line = Line::new(&["topic", "rm", "--yes"]).word(said.need("t")?);
            line.brokers(said).done()
        },
    },
    Spelling {
        name: "updateOrderConf",
        flags: &[T, ("m", "method", true), ("v", "orderConf", true)],
        ours: |said| match said.need("m")?.as_str() {
            "get" => Line::new(&["nsconf", "get", "--kv=ORDER_TOPIC_CONFIG"])
                .word(said.need("t")?)
                .done(),
            "put" => {
                let line = Line::new(&["topic", "set", "--yes"]).word(said.need("t")?);
                line.word(format!("--order-conf={}", said.need("v")?))
                    .done()
            }
            "delete" => Line::new(&["topic", "set", "--yes", "--order-conf=none"])
                .word(said.need("t")?)
                .done(),
            other => Err(CliError::usage(format!(
                "-m {other}: write get, put or delete"
            ))),
        },
    },
    Spelling {
        name: "updateSubGroup",
        flags: &[
            B,
            C,
            G,
            ("s", "consumeEnable", true),
            ("m", "consumeFromMinEnable", true),
            ("d", "consumeBroadcastEnable", true),
            ("o", "consumeMessageOrderly", true),
            ("q", "retryQueueNums", true),
            ("r", "retryMaxTimes", true),
            ("w", "whichBrokerWhenConsumeSlowly", true),
        ],
        ours: |said| {
            Line::new(&["group", "create", "--or-change"])
                .word(said.need("g")?)
                .brokers(said)
                .option(said, "s", "--enable")
                .option(said, "m", "--from-min")
                .option(said, "d", "--broadcast")
                .option(said, "o", "--orderly")
                .option(said, "q", "--retry-queues")
                .option(said, "r", "--retry-max")
                .option(said, "w", "--slow-broker")
                .done()
        },
    },
    Spelling {
        name: "deleteSubGroup",
        flags: &[B, C, G, ("r", "removeOffset", true)],
        ours: |said| {
            let line = Line::new(&["group", "rm", "--yes"])
                .word(said.need("g")?)
                .brokers(said);
            let line = if said.is_on("r") {
                line
            } else {
                line.word("--keep-offsets")
            };
            line.done()
        },
    },
    Spelling {
        name: "getConsumerConfig",
        flags: &[G],
        ours: |said| {
            Line::new(&["group", "show", "--by=config"])
                .word(said.need("g")?)
                .done()
        },
    },
    Spelling {
        name: "consumerProgress",
        flags: &[G, ("t", "topicName", true), ("s", "showClientIP", true), C],
        ours: |said| match said.get("g") {
            None => Line::new(&["group", "ls"]).brokers(said).done(),
            Some(group) => {
                let line = Line::new(&["group", "show", group]).brokers(said);
                let line = line.switch(said, "s", "--owners");
                match said.get("t") {
                    Some(topic) => line.word(topic).done(),
                    None => line.done(),
                }
            }
        },
    },
    Spelling {
        name: "brokerConsumeStats",
        flags: &[B],
        ours: |said| Line::new(&["group", "ls", "--all"]).brokers(said).done(),
    },
    Spelling {
        name: "consumerConnection",
        flags: &[B, ("g", "consumerGroup", true)],
        ours: |said| {
            Line::new(&["group", "show", "--by=member"])
                .word(said.need("g")?)
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "producerConnection",
        flags: &[("g", "producerGroup", true), T],
        ours: |said| {
            let group = said.need("g")?;
            Line::new(&["client", "ls", "--kind=producer"])
                .word(format!("--group={group}"))
                .done()
        },
    },
    Spelling {
        name: "producer",
        flags: &[B],
        ours: |said| {
            Line::new(&["client", "ls", "--kind=producer", "--all"])
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "consumerStatus",
        flags: &[
            ("g", "consumerGroup", true),
            ("i", "clientId", true),
            ("s", "jstack", false),
        ],
        ours: |said| match said.get("i") {
            None => Line::new(&["group", "show", "--by=topic"])
                .word(said.need("g")?)
                .done(),
            Some(client) => {
                let verb = if said.is_on("s") { "stack" } else { "show" };
                let group = said.need("g")?;
                Line::new(&["client", verb, client])
                    .word(format!("--group={group}"))
                    .done()
            }
        },
    },
    Spelling {
        name: "clusterList",
        flags: &[("m", "moreStats", false), C],
        ours: |said| {
            let line = Line::new(&["broker", "ls"]).brokers(said);
            line.switch(
                said,
                "m",
                "--columns=brokerName,messagesToday,inTps,outTps,logBytes",
            )
            .done()
        },
    },
    Spelling {
        name: "brokerStatus",
        flags: &[B, C],
        ours: |said| match said.get("b") {
            Some(broker) => Line::new(&["broker", "show", broker]).done(),
            None => Line::new(&["broker", "ls"]).brokers(said).done(),
        },
    },
    Spelling {
        name: "getBrokerConfig",
        flags: &[B, C, ("k", "keyPattern", true)],
        ours: |said| {
            let line = Line::new(&["broker", "config", "get"]).brokers(said);
            match said.get("k") {
                Some(key) => line.word(format!("*{key}*")).done(),
                None => line.done(),
            }
        },
    },
    Spelling {
        name: "updateBrokerConfig",
        flags: &[B, C, ("k", "key", true), ("v", "value", true)],
        ours: |said| {
            let setting = format!("{}={}", said.need("k")?, said.need("v")?);
            Line::new(&["broker", "config", "set", "--yes"])
                .word(setting)
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "wipeWritePerm",
        flags: &[("b", "brokerName", true)],
        ours: |said| {
            Line::new(&["broker", "perm", "--yes"])
                .word(said.need("b")?)
                .word("r")
                .done()
        },
    },
    Spelling {
        name: "addWritePerm",
        flags: &[("b", "brokerName", true)],
        ours: |said| {
            Line::new(&["broker", "perm", "--yes"])
                .word(said.need("b")?)
                .word("rw")
                .done()
        },
    },
    Spelling {
        name: "cleanExpiredCQ",
        flags: &[B, ("c", "cluster", true)],
        ours: |said| {
            Line::new(&["broker", "clean", "--yes", "--expired-queues"])
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "cleanUnusedTopic",
        flags: &[B, ("c", "cluster", true)],
        ours: |said| {
            Line::new(&["broker", "clean", "--yes", "--unused-topics"])
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "deleteExpiredCommitLog",
        flags: &[B, ("c", "cluster", true)],
        ours: |said| {
            Line::new(&["broker", "clean", "--yes", "--expired-log"])
                .brokers(said)
                .done()
        },
    },
    Spelling {
        name: "queryMsgById",
        flags: &[("i", "msgId", true), T],
        ours: |said| {
            let line = Line::new(&["msg", "get"]).option(said, "t", "--topic");
            let ids = said.need("i")?;
            ids.split(',')
                .fold(line, |line, id| line.word(id.trim()))
                .done()
        },
    },
    Spelling {
        name: "queryMsgByUniqueKey",
        flags: &[("i", "msgId", true), T],
        ours: |said| {
            let line = Line::new(&["msg", "get"]).option(said, "t", "--topic");
            line.word(said.need("i")?).done()
        },
    },
    Spelling {
        name: "queryMsgByKey",
        flags: &[
            T,
            ("k", "msgKey", true),
            ("m", "maxNum", true),
            ("b", "beginTimestamp", true),
            ("e", "endTimestamp", true),
        ],
        ours: |said| {
            let line = Line::new(&["msg", "find"]).word(said.need("t")?);
            line.word(format!("--key={}", said.need("k")?))
                .option(said, "m", "--count")
                .option(said, "b", "--from")
                .option(said, "e", "--to")
                .done()
        },
    },
    Spelling {
        name: "queryMsgByOffset",
        flags: &[
            T,
            ("b", "brokerName", true),
            ("i", "queueId", true),
            ("o", "offset", true),
        ],
        ours: |said| {
            let queue = said.need("i")?;
            let line = Line::new(&["consume", "-n1"]).word(said.need("t")?);
            let line = line
                .word(format!("--queue={queue}"))
                .word(format!("--from={}", said.need("o")?));
            line.done()
        },
    },
    Spelling {
        name: "resetOffsetByTime",
        flags: &[
            ("g", "group", true),
            T,
            ("s", "timestamp", true),
            ("f", "force", true),
            ("b", "broker", true),
            ("q", "queue", true),
            ("o", "offset", true),
        ],
        ours: |said| {
            let to = match said.get("o") {
                Some(offset) => offset.to_owned(),
                None => time(&said.need("s")?),
            };
            let line = Line::new(&["group", "reset", "--yes"])
                .word(said.need("g")?)
                .word(said.need("t")?);
            line.word(format!("--to={to}"))
                .option(said, "q", "--queue")
                .done()
        },
    },
    Spelling {
        name: "skipAccumulatedMessage",
        flags: &[("g", "group", true), T, ("f", "force", true)],
        ours: |said| {
            Line::new(&["group", "skip", "--yes"])
                .word(said.need("g")?)
                .word(said.need("t")?)
                .done()
        },
    },
    Spelling {
        name: "cloneGroupOffset",
        flags: &[
            ("s", "srcGroup", true),
            ("d", "destGroup", true),
            T,
            ("o", "offline", true),
        ],
        ours: |said| {
            let line = Line::new(&["group", "clone", "--yes"])
                .word(said.need("s")?)
                .word(said.need("d")?);
            line.word(said.need("t")?).done()
        },
    },
    Spelling {
        name: "sendMessage",
        flags: &[
            T,
            ("p", "body", true),
            ("k", "keys", true),
            ("c", "tags", true),
        ],
        ours: |said| {
            let line = Line::new(&["send"]).word(said.need("t")?);
            line.option(said, "k", "--key")
                .option(said, "c", "--tag")
                .word("--")
                .word(said.need("p")?)
                .done()
        },
    },
    Spelling {
        name: "consumeMessage",
        flags: &[
            T,
            ("i", "queueId", true),
            ("o", "offset", true),
            ("c", "MessageNumber", true),
            ("s", "beginTimestamp", true),
            ("e", "endTimestamp", true),
        ],
        ours: |said| {
            let line = Line::new(&["consume"]).word(said.need("t")?);
            let line = line
                .option(said, "i", "--queue")
                .option(said, "c", "--count");
            let line = match (said.get("o"), said.get("s")) {
                (Some(offset), _) => line.word(format!("--from={offset}")),
                (None, Some(begin)) => line.word(format!("--from={}", time(begin))),
                (None, None) => line,
            };
            match said.get("e") {
                Some(end) => line.word(format!("--to={}", time(end))).done(),
                None => line.done(),
            }
        },
    },
    Spelling {
        name: "getNamesrvConfig",
        flags: &[],
        ours: |_| Line::new(&["nsconf", "get"]).done(),
    },
    Spelling {
        name: "updateNamesrvConfig",
        flags: &[("k", "key", true), ("v", "value", true)],
        ours: |said| {
            let setting = format!("{}={}", said.need("k")?, said.need("v")?);
            Line::new(&["nsconf", "set", "--yes"]).word(setting).done()
        },
    },
    Spelling {
        name: "updateKvConfig",
        flags: &[
            ("s", "namespace", true),
            ("k", "key", true),
            ("v", "value", true),
        ],
        ours: |said| {
            let setting = format!("{}={}", said.need("k")?, said.need("v")?);
            let line =
                Line::new(&["nsconf", "set", "--yes"]).word(format!("--kv={}", said.need("s")?));
            line.word(setting).done()
        },
    },
    Spelling {
        name: "deleteKvConfig",
        flags: &[("s", "namespace", true), ("k", "key", true)],
        ours: |said| {
            let line =
                Line::new(&["nsconf", "rm", "--yes"]).word(format!("--kv={}", said.need("s")?));
            line.word(said.need("k")?).done()
        },
    },
];

/// Apache's ways to write a time, in ours: `now`, `currentTimeMillis`, `-1` (the end), `2026-11-22#10:00:00:000`.
fn time(text: &str) -> String {
    match text {
        "now" | "currentTimeMillis" => "now".to_owned(),
        "-1" => "latest".to_owned(),
        _ => match text.split_once('#') {
            // The milliseconds stand behind a third colon.
            Some((date, clock)) => match clock
                .rsplit_once(':')
                .filter(|(rest, _)| rest.matches(':').count() == 2)
            {
                Some((clock, ms)) => format!("{date}T{clock}.{ms}"),
                None => format!("{date}T{clock}"),
            },
            None => text.to_owned(),
        },
    }
}

/// Translates a command line. `global` are the flags that stood before it.
pub(crate) fn translate(args: &Args, global: &Global) -> Result<Translated, CliError> {
    let mut words = args.words.iter();
    let Some(name) = words.next() else {
        return Ok(Translated::Text(list()));
    };
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        return Ok(Translated::Text(list()));
    }
    let spelling = SPELLINGS
        .iter()
        .find(|spelling| spelling.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            CliError::usage(format!(
                "The sub command '{name}' is not among those known here"
            ))
            .hint("rmq mqadmin help lists them; rmq --help lists ours")
        })?;
    let mut said = Said(BTreeMap::new());
    let mut ours = vec!["rmq".to_owned()];
    let before = [
        ("namesrv", global.namesrv.clone()),
        ("context", global.context.clone()),
        ("output", global.output.and_then(|format| name_of(&format))),
    ];
    for (name, value) in before {
        ours.extend(value.map(|value| format!("--{name}={value}")));
    }
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let flag = flag.trim_start_matches('-');
        let mut value = |name: &str| {
            attached
                .clone()
                .or_else(|| words.next().cloned())
                .ok_or_else(|| CliError::usage(format!("Missing argument for option: {name}")))
        };
        if !word.starts_with('-') {
            return Err(CliError::usage(format!(
                "{name}: {word:?} belongs to no flag"
            )));
        }
        if flag == "h" || flag == "help" {
            return Ok(Translated::Text(usage(spelling)));
        }
        if flag == "n" || flag == "namesrvAddr" {
            ours.push(format!("--namesrv={}", value("n")?));
            continue;
        }
        if let Some(ours_too) = word
            .strip_prefix("--")
            .and(OURS.iter().find(|(name, _)| *name == flag))
        {
            let text = if ours_too.1 {
                format!("--{flag}={}", value(flag)?)
            } else {
                format!("--{flag}")
            };
            ours.push(text);
            continue;
        }
        let known = spelling
            .flags
            .iter()
            .find(|(short, long, _)| *short == flag || *long == flag)
            .ok_or_else(|| {
                CliError::usage(format!("{name}: the option -{flag} is not known here"))
                    .hint(usage(spelling).trim_end())
            })?;
        let text = if known.2 {
            value(known.0)?
        } else {
            "true".to_owned()
        };
        said.0.insert(known.0, text);
    }
    ours.extend((spelling.ours)(&said).map_err(|error| error.hint(usage(spelling).trim_end()))?);
    Ok(Translated::Line(
        ours.into_iter().map(OsString::from).collect(),
    ))
}

fn usage(spelling: &Spelling) -> String {
    let flags = spelling.flags.iter().map(|(short, long, value)| {
        let value = if *value { " <arg>" } else { "" };
        format!("[-{short}|--{long}{value}]")
    });
    let flags: Vec<String> = flags.collect();
    format!(
        "usage: mqadmin {} [-n <arg>] {}\n",
        spelling.name,
        flags.join(" ")
    )
}

fn list() -> String {
    let mut names: Vec<&str> = SPELLINGS.iter().map(|spelling| spelling.name).collect();
    names.sort_unstable();
    names.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Cli;

    fn line(text: &str) -> Result<String, CliError> {
        let args = Args {
            words: text.split_whitespace().map(str::to_owned).collect(),
        };
        let global = Cli::try_parse_from(["rmq", "man"])
            .map_err(CliError::usage)?
            .global;
        match translate(&args, &global)? {
            Translated::Line(line) => {
                Cli::try_parse_from(&line).map_err(CliError::usage)?;
                let line: Vec<String> = line
                    .into_iter()
                    .map(|word| word.into_string().unwrap())
                    .collect();
                Ok(line[1..].join(" "))
            }
            Translated::Text(text) => Ok(text),
        }
    }

    #[test]
    fn runbooks_become_command_lines_that_parse() {
        for (theirs, ours) in [
            (
                "topicList -n h:1",
                "--namesrv=h:1 topic ls --all --output=name",
            ),
            (
                "updateTopic -n h:1 -c c -t t -r 8 -w 4 -a +message.type=FIFO",
                "--namesrv=h:1 topic create --or-change t --cluster=c --read-queues=8 --write-queues=4 --attr=message.type=FIFO",
            ),
            ("deleteTopic -t t -c c", "topic rm --yes t --cluster=c"),
            (
                "updateSubGroup -b h:1 -g g -s false",
                "group create --or-change g --broker=h:1 --enable=false",
            ),
            (
                "deleteSubGroup -c c -g g",
                "group rm --yes g --cluster=c --keep-offsets",
            ),
            (
                "deleteSubGroup -c c -g g -r true",
                "group rm --yes g --cluster=c",
            ),
            (
                "consumerProgress -g g -t t -s true",
                "group show g --owners t",
            ),
            ("consumerProgress", "group ls"),
            ("clusterList", "broker ls"),
            ("brokerStatus -b h:1", "broker show h:1"),
            (
                "updateBrokerConfig -b h:1 -k a -v b",
                "broker config set --yes a=b --broker=h:1",
            ),
            ("queryMsgById -i A,B", "msg get A B"),
            ("queryMsgByKey -t t -k k", "msg find t --key=k"),
            (
                "resetOffsetByTime -g g -t t -s 2026-11-22#10:00:00:123",
                "group reset --yes g t --to=2026-11-22T10:00:00.123",
            ),
            (
                "resetOffsetByTime -g g -t t -s -1",
                "group reset --yes g t --to=latest",
            ),
            ("sendMessage -t t -p x -k k", "send t --key=k -- x"),
            (
                "consumeMessage -t t -c 5 -o 3",
                "consume t --count=5 --from=3",
            ),
            (
                "consumerConnection --consumerGroup=g",
                "group show --by=member g",
            ),
        ] {
            assert_eq!(line(theirs).unwrap(), ours, "{theirs}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "nosuch",
            "topicStatus",
            "topicStatus -t",
            "topicList -x",
            "topicList word",
            "updateOrderConf -t t -m x",
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
        assert!(line("help").unwrap().contains("topicList\n"));
        assert!(
            line("topicStatus -h")
                .unwrap()
                .starts_with("usage: mqadmin topicStatus")
        );
    }
}
