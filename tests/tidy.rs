//! What the compiler does not check: which module may use which, and where `unsafe` may be.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// The table of `src/lib.rs`: a module and what it may use of this crate.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &["base"]),
    ("message", &["base"]),
    ("filter", &["base", "message"]),
    ("protocol", &["base", "message"]),
    ("store", &["base", "sys", "message"]),
    ("remoting", &["base", "sys", "protocol"]),
    (
        "client",
        &["base", "sys", "message", "filter", "protocol", "remoting"],
    ),
    ("namesrv", &["base", "sys", "protocol", "remoting"]),
    ("controller", &["base", "sys", "protocol", "remoting"]),
    (
        "broker",
        &[
            "base", "sys", "message", "filter", "protocol", "store", "remoting",
        ],
    ),
    (
        "node",
        &[
            "base",
            "sys",
            "message",
            "filter",
            "protocol",
            "store",
            "remoting",
            "client",
            "namesrv",
            "controller",
            "broker",
        ],
    ),
    ("cli", &["base", "message", "client", "node", "store"]),
];

/// The only file that may hold unsafe code.
const UNSAFE_FILE: &str = "src/store/segment.rs";

struct Source {
    /// Relative to the top of the tree, with forward slashes.
    path: String,
    /// Without comments and without what stands in string literals.
    code: String,
}

impl Source {
    /// The module below `src/` that the file belongs to.
    fn module(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap();
        inner
            .split(['/', '.'])
            .next()
            .expect("split yields at least one part")
    }
}

fn sources() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![top.join("src")];
    let mut sources = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source {
                    path: relative(top, &path),
                    code: without_comments_and_strings(&fs::read_to_string(&path).unwrap()),
                });
            }
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn relative(top: &Path, path: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(top).unwrap().to_owned();
    parts
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// Good enough for this tree: line comments, block comments, plain, raw and byte strings, character literals.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest, &code) {
            length
        } else if c == '"' {
            quoted(rest)
        } else if let Some(length) = character(rest) {
            length
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

/// The length of a raw string literal at the start of `rest`.
fn raw_string(rest: &str, before: &str) -> Option<usize> {
    let in_word = before
        .chars()
        .last()
        .is_some_and(|c| c.is_alphanumeric() || c == '_');
    let body = rest
        .strip_prefix('r')
        .filter(|_| !in_word || before.ends_with('b'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let opened = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(rest.len() - opened.len() + opened.find(&close)? + close.len())
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal at the start of `rest`; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if let Some(escape) = body.strip_prefix('\\') {
        let skip = escape.chars().next()?.len_utf8();
        return Some(escape[skip..].find('\'')? + 1 + skip + 2);
    }
    let first = body.chars().next()?.len_utf8();
    body[first..].starts_with('\'').then_some(first + 2)
}

/// The top modules that a file names after `crate::`, also in `crate::{a, b::c}`.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => used.push(first_word(rest)),
            Some(list) => {
                let mut depth = 0_i32;
                let mut start = true;
                for (index, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphanumeric() => {
                            used.push(first_word(&list[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn modules_use_only_what_lies_above_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        // Tests of a module may bring in whom it talks to.
        if source.path.ends_with("/tests.rs") || source.path.contains("/tests/") {
            continue;
        }
        let module = source.module();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["lib", "main", "internals"].contains(&module),
                "{} belongs to no module of the table",
                source.path
            );
            continue;
        };
        for used in used_modules(&source.code) {
            let is_module = ARROWS.iter().any(|(name, _)| *name == used);
            if is_module && used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that point down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn unsafe_code_is_in_one_file() {
    let word = |code: &str| {
        code.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "unsafe")
    };
    let files: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path != UNSAFE_FILE && word(&source.code))
        .map(|source| source.path)
        .collect();
    assert!(files.is_empty(), "unsafe code in {files:?}");
}

#[test]
fn the_reader_of_sources_reads() {
    let text = "a // unsafe\n/* unsafe */ \"unsafe \\\" \" r#\"un\"safe\"# '\"' '\\'' b'x' &'a str crate::{x::{y}, z} $crate::w";
    let code = without_comments_and_strings(text);
    assert!(!code.contains("unsafe"), "{code}");
    assert!(code.contains("'a str"), "{code}");
    assert_eq!(used_modules(&code), ["x", "z"]);
}
