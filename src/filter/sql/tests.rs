use proptest::prelude::*;

use super::*;
use crate::message::PropertiesBuf;

/// What Apache answered, see the head of the file.
const APACHE: &str = include_str!("tests/apache.tsv");

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'f' => '\x0c',
                other => other,
            },
            c => c,
        });
    }
    out
}

fn wire(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().copied().collect::<PropertiesBuf>().to_wire()
}

/// The results for each set of properties, in the letters of the table.
fn answers(expression: &str, sets: &[Vec<u8>]) -> String {
    let Ok(filter) = SqlFilter::parse(expression) else {
        return "X".to_owned();
    };
    let letter = |set: &Vec<u8>| match filter.evaluate(Properties::new(set)) {
        Ok(Some(true)) => 'T',
        Ok(Some(false)) => 'F',
        Ok(None) => 'N',
        Err(Incomparable) => 'E',
    };
    sets.iter().map(letter).collect()
}

/// Compares a table with what is said here; returns how many expressions it has.
fn compare_with(table: &str) -> usize {
    let mut sets = Vec::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for line in table.lines().filter(|line| !line.starts_with("# ")) {
        if let Some(pairs) = line.strip_prefix("#set") {
            let pairs: Vec<_> = pairs
                .split('\t')
                .filter_map(|pair| pair.split_once('='))
                .collect();
            sets.push(wire(&pairs));
            continue;
        }
        let (expression, theirs) = line.rsplit_once('\t').unwrap();
        let ours = answers(&unescape(expression), &sets);
        count += 1;
        if ours != theirs {
            wrong.push(format!("{expression}\n  apache {theirs}\n  here   {ours}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    count
}

#[test]
fn results_are_apaches() {
    assert!(compare_with(APACHE) > 900);
}

#[test]
fn the_last_of_equal_properties_counts() {
    let filter = SqlFilter::parse("a = 2").unwrap();
    assert!(filter.matches(Properties::new(b"a\x011\x02b\x013\x02a\x012\x02")));
    assert!(!filter.matches(Properties::new(b"a\x012\x02a\x011")));
    // A value that is no UTF-8 counts as missing.
    assert!(!filter.matches(Properties::new(b"a\x01\xff\x02")));
}

#[test]
fn many_properties_find_their_slots() {
    let names: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    let all = |value: &str| {
        let terms = names.iter().map(|name| format!("{name} = '{value}'"));
        terms.collect::<Vec<_>>().join(" AND ")
    };
    let stored: PropertiesBuf = names.iter().map(|name| (name.as_str(), "v")).collect();
    let stored = stored.to_wire();
    let matches = |text: &str| {
        SqlFilter::parse(text)
            .unwrap()
            .matches(Properties::new(&stored))
    };
    assert!(matches(&all("v")));
    assert!(!matches(&(all("v") + " AND p7 <> 'v'")));
}

/// Runs on the stack of a tokio worker; a build without optimization needs most of it.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn depth_is_limited_by_an_error() {
    on_small_stack(|| {
        for (before, after) in [
            ("(", ")"),
            ("NOT ", ""),
            ("-", ""),
            ("+", ""),
            ("NOT (", ")"),
        ] {
            let deep = |levels: usize| {
                format!("{}a IS NULL{}", before.repeat(levels), after.repeat(levels))
            };
            let bad = SqlFilter::parse(&deep(5000)).unwrap_err();
            assert!(matches!(bad, SqlError::TooDeep { .. }), "{before}: {bad}");
            let deep = SqlFilter::parse(&deep(45));
            if before != "-" && before != "+" {
                deep.unwrap().evaluate(Properties::new(b"")).unwrap();
            }
        }
        for link in [" IS NULL", " = a", " <> a", " CONTAINS 'x'"] {
            let chain = |links: usize| format!("a{}", link.repeat(links));
            let bad = SqlFilter::parse(&chain(5000)).unwrap_err();
            assert!(matches!(bad, SqlError::TooDeep { .. }), "{link}: {bad}");
            SqlFilter::parse(&chain(90))
                .unwrap()
                .matches(Properties::new(b"a\x01x"));
        }
        let mut inside = "a".to_owned();
        while inside.len() < 900 {
            inside = format!("-({inside} BETWEEN 1 AND 2)");
        }
        let between = SqlFilter::parse(&format!("{inside} IS NULL"));
        assert!(between.unwrap().matches(Properties::new(b"")));
    });
}

#[test]
fn long_expressions_are_refused_and_wide_ones_are_not() {
    let million = format!("a = '{}'", "x".repeat(1_000_000));
    assert_eq!(
        SqlFilter::parse(&million),
        Err(SqlError::TooLong { bytes: 1_000_006 })
    );
    let wide = |term: &str, between: &str| {
        let mut text = term.to_owned();
        while text.len() + between.len() + term.len() < EXPRESSION_BYTES_MAX {
            text.push_str(between);
            text.push_str(term);
        }
        text
    };
    let started = jiff::Timestamp::now();
    for text in [
        wide("a=1", " OR "),
        wide("a=1", " AND "),
        wide("a=--1", " OR "),
        wide("a=/**/1", " OR "),
        format!(
            "a IN ({})",
            wide("'x'", ",")
                .split_at(60_000)
                .0
                .trim_end_matches([',', '\'', 'x'])
        ),
        wide("-", ""),
        wide("0", ""),
        wide("'", ""),
        wide("a=07", " OR "),
        wide("/*", ""),
        wide("a1", "="),
        format!("a = {}", wide("9", "")),
        format!("a = 0.{}", wide("9", "").split_at(60_000).0),
    ] {
        if let Ok(filter) = SqlFilter::parse(&text) {
            let _ = filter.evaluate(Properties::new(b"a\x0100000000000000000000\x02"));
        }
    }
    let took = jiff::Timestamp::now().duration_since(started);
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn errors_say_what_and_where() {
    for (text, error) in [
        (
            "a > > 3",
            "expected a property, a value or an opening parenthesis at position 4",
        ),
        (
            "",
            "expected a property, a value or an opening parenthesis at position 0",
        ),
        (
            "a BETWEEN 5 AND 3",
            "the lower limit of the BETWEEN at position 2 is greater than the upper one",
        ),
        (
            "a > TRUE",
            "the > at position 2 cannot take a condition, TRUE, FALSE or NULL",
        ),
        ("a < 'x'", "the < at position 2 cannot take a text"),
        (
            "a = NULL",
            "the = at position 2 cannot take NULL (there is IS NULL)",
        ),
        (
            "1 IN ('x')",
            "the IN at position 2 cannot take anything but a property",
        ),
        ("a = 'x", "the quote at position 4 is never closed"),
        ("a = 1 ; b", "unexpected character at position 6"),
        (
            "a = 9223372036854775808",
            "the number at position 4 is out of range",
        ),
        ("5", "what ends at position 1 is not a condition"),
        ("a IS 5", "expected NULL or NOT NULL at position 5"),
        (
            "a NOT LIKE 'x'",
            "expected BETWEEN, IN or a text operator at position 6",
        ),
    ] {
        assert_eq!(
            SqlFilter::parse(text).unwrap_err().to_string(),
            error,
            "{text:?}"
        );
    }
}

/// Pieces that make expressions likely, and odd ones.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "a",
        "b",
        "TAGS",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "(",
        ")",
        ",",
        "+",
        "-",
        "AND",
        "OR",
        "NOT",
        "IS",
        "NULL",
        "IN",
        "BETWEEN",
        "CONTAINS",
        "STARTSWITH",
        "ENDSWITH",
        "TRUE",
        "FALSE",
        "1",
        "2.5",
        "9e9",
        "'x'",
        "''",
        "'it''s'",
        "--",
        "/*",
        "*/",
        "\n",
        "'",
        "5L",
        ".",
        "a IS NULL",
        "a = 1",
        "b > 2",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #[test]
    fn no_text_panics(
        pieces in prop::collection::vec(piece(), 0..24),
        between in prop::sample::select(vec!["", " "]),
        stored in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        if let Ok(filter) = SqlFilter::parse(&pieces.join(between)) {
            for stored in [stored.as_slice(), b"a\x011\x02b\x01x\x02"] {
                let result = filter.evaluate(Properties::new(stored));
                prop_assert_eq!(filter.matches(Properties::new(stored)), result == Ok(Some(true)));
            }
        }
    }
}
