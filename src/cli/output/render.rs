//! The forms rows can take.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use super::Format;

/// One column of a listing: a field of the row and its title in tables.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a way to show a column that can be chosen without the others"
)]
pub(crate) struct Column {
    key: &'static str,
    title: &'static str,
    right: bool,
    wide: bool,
    name: bool,
    optional: bool,
}

impl Column {
    /// The column that shows the field `key` (`a.b` reaches into an object) under `title`.
    pub(crate) const fn new(key: &'static str, title: &'static str) -> Self {
        Self {
            key,
            title,
            right: false,
            wide: false,
            name: false,
            optional: false,
        }
    }

    /// Aligned to the right: numbers.
    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Left out of `-o table`.
    pub(crate) const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// Left out of tables in which no row has it.
    pub(crate) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// What `-o name` prints; the first column if none says so.
    pub(crate) const fn name(mut self) -> Self {
        self.name = true;
        self
    }
}

/// A form of output. Errors are those of the stream alone.
pub(super) trait Render {
    /// What comes before the first row.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// One row.
    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()>;
    /// What comes after the last row.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// A line for people, made of a row.
pub(super) type Line<'a> = Option<&'a dyn Fn(&Value) -> String>;

/// The renderer of `format`. `chosen` are the columns of `--columns`; `line` replaces the table of a stream.
pub(super) fn of<'a>(
    format: Format,
    columns: &'static [Column],
    chosen: &[String],
    line: Line<'a>,
) -> Box<dyn Render + 'a> {
    let keys = |wide: bool| -> Vec<Shown> {
        if chosen.is_empty() {
            columns
                .iter()
                .filter(|column| wide || !column.wide)
                .map(|column| Shown {
                    key: column.key.to_owned(),
                    title: column.title.to_owned(),
                    right: column.right,
                    optional: column.optional,
                })
                .collect()
        } else {
            chosen
                .iter()
                .map(|key| Shown::chosen(key, columns))
                .collect()
        }
    };
    let picked = (!chosen.is_empty()).then(|| chosen.to_vec());
    match (format, line) {
        (Format::Table | Format::Wide, Some(line)) => Box::new(Lines { line }),
        (Format::Table, None) => Box::new(Sheet::new(keys(false))),
        (Format::Wide, None) => Box::new(Sheet::new(keys(true))),
        (Format::Json, _) => Box::new(Json { picked, rows: 0 }),
        (Format::Jsonl, _) => Box::new(Jsonl { picked }),
        (Format::Yaml, _) => Box::new(Yaml { picked }),
        (Format::Csv, _) => Box::new(Separated {
            columns: keys(true),
            comma: true,
        }),
        (Format::Tsv, _) => Box::new(Separated {
            columns: keys(true),
            comma: false,
        }),
        (Format::Name, _) => Box::new(Names {
            key: columns
                .iter()
                .find(|column| column.name)
                .or(columns.first())
                .map_or("name", |column| column.key),
        }),
    }
}

struct Shown {
    key: String,
    title: String,
    right: bool,
    optional: bool,
}

impl Shown {
    fn chosen(key: &str, columns: &[Column]) -> Self {
        let known = columns.iter().find(|column| column.key == key);
        Self {
            key: key.to_owned(),
            title: known.map_or_else(|| key.to_owned(), |column| column.title.to_owned()),
            right: known.is_some_and(|column| column.right),
            optional: false,
        }
    }
}

/// The field `key` of a row; a key with dots that is no field itself reaches into objects.
fn field<'a>(row: &'a Value, key: &str) -> Option<&'a Value> {
    if let Some(value) = row.get(key) {
        return Some(value);
    }
    let (first, rest) = key.split_once('.')?;
    field(row.get(first)?, rest)
}

/// A value as a cell shows it: text without quotes, objects as JSON, nothing for null.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The same in a table, where people read: `perm=rw order=false` for an object.
fn table_cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::Object(fields)) => {
            let fields = fields.iter().map(|(name, value)| {
                let text = match value {
                    Value::Object(_) | Value::Array(_) => value.to_string(),
                    plain => cell(Some(plain)),
                };
                format!("{name}={text}")
            });
            fields.collect::<Vec<_>>().join(" ")
        }
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            let items = items.iter().map(|item| cell(Some(item)));
            items.collect::<Vec<_>>().join(",")
        }
        other => cell(other),
    }
}

fn pick(row: &Value, picked: Option<&Vec<String>>) -> Value {
    let Some(picked) = picked else {
        return row.clone();
    };
    let fields = picked
        .iter()
        .map(|key| (key.clone(), field(row, key).cloned().unwrap_or_default()))
        .collect::<Map<_, _>>();
    Value::Object(fields)
}

/// Control characters would break the lines of a table or move the cursor.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}

struct Lines<'a> {
    line: &'a dyn Fn(&Value) -> String,
}

impl Render for Lines<'_> {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", (self.line)(row))
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

struct Sheet {
    columns: Vec<Shown>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    fn new(columns: Vec<Shown>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }
}

impl Sheet {
    fn drop_empty_columns(&mut self) {
        for index in (0..self.columns.len()).rev() {
            let empty = self.rows.iter().all(|row| row[index].is_empty());
            if self.columns[index].optional && empty {
                self.columns.remove(index);
                for row in &mut self.rows {
                    row.remove(index);
                }
            }
        }
    }
}

impl Render for Sheet {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Value, _: &mut dyn Write) -> io::Result<()> {
        let cells = self
            .columns
            .iter()
            .map(|column| printable(&table_cell(field(row, &column.key))))
            .collect();
        self.rows.push(cells);
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.drop_empty_columns();
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(self.columns.iter().map(|column| column.title.as_str()));
        for row in self.rows.drain(..) {
            table.add_row(row);
        }
        for (shown, column) in self.columns.iter().zip(table.column_iter_mut()) {
            column.set_padding((0, 2));
            if shown.right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

struct Json {
    picked: Option<Vec<String>>,
    rows: usize,
}

impl Render for Json {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "[")
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        let comma = if self.rows == 0 { "" } else { "," };
        self.rows += 1;
        write!(out, "{comma}\n  {}", pick(row, self.picked.as_ref()))
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}]", if self.rows == 0 { "" } else { "\n" })
    }
}

struct Jsonl {
    picked: Option<Vec<String>>,
}

impl Render for Jsonl {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        match &self.picked {
            // Streams have millions of rows: they are not copied first.
            None => serde_json::to_writer(&mut *out, row)?,
            picked => write!(out, "{}", pick(row, picked.as_ref()))?,
        }
        out.write_all(b"\n")
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

struct Yaml {
    picked: Option<Vec<String>>,
}

impl Render for Yaml {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        let text =
            serde_yaml::to_string(&pick(row, self.picked.as_ref())).map_err(io::Error::other)?;
        write!(out, "---\n{text}")
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

struct Separated {
    columns: Vec<Shown>,
    comma: bool,
}

impl Separated {
    fn line(&self, cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
        for (index, text) in cells.enumerate() {
            if index > 0 {
                out.write_all(if self.comma { b"," } else { b"\t" })?;
            }
            if self.comma {
                write!(out, "{}", quoted(&text))?;
            } else {
                write!(out, "{}", printable(&text))?;
            }
        }
        writeln!(out)
    }
}

/// A CSV field; RFC 4180 wants quotes only where they are needed.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl Render for Separated {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.comma {
            self.line(self.columns.iter().map(|column| column.key.clone()), out)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        let cells = self
            .columns
            .iter()
            .map(|column| cell(field(row, &column.key)));
        self.line(cells, out)
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

struct Names {
    key: &'static str,
}

impl Render for Names {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Value, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", printable(&cell(field(row, self.key))))
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// A size for people: `1.5 MiB`.
#[allow(
    clippy::cast_precision_loss,
    reason = "one decimal of a size needs no 53 bits"
)]
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"KiB");
    for next in units {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::new("topic", "TOPIC").name(),
        Column::new("offset", "OFFSET").right(),
        Column::new("host.port", "PORT").wide(),
    ];

    fn show(format: Format, chosen: &[&str]) -> String {
        let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
        let mut renderer = of(format, COLUMNS, &chosen, None);
        let mut out = Vec::new();
        renderer.begin(&mut out).unwrap();
        for row in [
            json!({"topic": "a", "offset": 17, "host": {"port": 1}, "more": null}),
            json!({"topic": "b\tc, \"d\"", "offset": 5}),
        ] {
            renderer.row(&row, &mut out).unwrap();
        }
        renderer.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_align_and_hide_wide_columns() {
        assert_eq!(
            show(Format::Table, &[]),
            "TOPIC        OFFSET\na                17\nb\\tc, \\\"d\\\"       5\n"
        );
        assert!(show(Format::Wide, &[]).starts_with("TOPIC        OFFSET  PORT\n"));
    }

    #[test]
    fn json_keeps_every_field_in_order() {
        assert_eq!(
            show(Format::Jsonl, &[]).lines().next().unwrap(),
            r#"{"topic":"a","offset":17,"host":{"port":1},"more":null}"#
        );
        let document: Value = serde_json::from_str(&show(Format::Json, &[])).unwrap();
        assert_eq!(document[1]["offset"], 5);
    }

    #[test]
    fn separated_values() {
        assert_eq!(
            show(Format::Csv, &[]),
            "topic,offset,host.port\na,17,1\n\"b\tc, \"\"d\"\"\",5,\n"
        );
        assert_eq!(show(Format::Tsv, &["offset"]), "17\n5\n");
    }

    #[test]
    fn names_and_yaml() {
        assert!(show(Format::Name, &[]).starts_with("a\n"));
        assert!(show(Format::Yaml, &["topic"]).starts_with("---\ntopic: a\n"));
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1 << 30), "1.0 GiB");
    }
}
