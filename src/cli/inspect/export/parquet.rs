//! Messages as a Parquet table.
//!
//! Columns: `topic`, `queue_id`, `queue_offset`, `physical_offset`, `store_size`, `store_time` and `born_time`
//! (timestamps in UTC milliseconds), `born_host`, `store_host`, `msg_id`, `uniq_key`, `tags`, `keys`, `flag`,
//! `sys_flag`, `reconsume_times`, `properties` (JSON), and the body, unpacked: `body_text` if it is UTF-8, else `body`.
//! In DuckDB: `SELECT topic, count(*) FROM 'messages.parquet' GROUP BY topic`; `properties->>'mine'` is a property.
//!
//! Rows are gathered until a group of them is worth writing, so memory does not grow with the table. Pages are not
//! compressed: repeated values are kept once a group anyway.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use crate::cli::exit::CliError;
use crate::client::Received;

/// A group is written when it has this many bytes of bodies and other text, or rows.
const GROUP_BYTES: usize = 32 << 20;
const GROUP_ROWS: usize = 200_000;

/// The rows gathered of one column.
#[derive(Debug)]
enum Column {
    Int(Vec<i32>),
    Long(Vec<i64>),
    /// Values, and for each row whether it has one.
    Bytes(Vec<ByteArray>, Vec<i16>),
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Long,
    Time,
    Text,
    OptionalText,
    OptionalBytes,
    Json,
}

const COLUMNS: &[(&str, Kind)] = &[
    ("topic", Kind::Text),
    ("queue_id", Kind::Int),
    ("queue_offset", Kind::Long),
    ("physical_offset", Kind::Long),
    ("store_size", Kind::Int),
    ("store_time", Kind::Time),
    ("born_time", Kind::Time),
    ("born_host", Kind::Text),
    ("store_host", Kind::Text),
    ("msg_id", Kind::Text),
    ("uniq_key", Kind::OptionalText),
    ("tags", Kind::OptionalText),
    ("keys", Kind::OptionalText),
    ("flag", Kind::Int),
    ("sys_flag", Kind::Int),
    ("reconsume_times", Kind::Int),
    ("properties", Kind::Json),
    ("body_text", Kind::OptionalText),
    ("body", Kind::OptionalBytes),
];

/// A table on its way to a file.
pub(super) struct Table {
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Table {
    pub(super) fn new(file: File) -> Result<Self, CliError> {
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(file, schema().map_err(failed)?, properties)
            .map_err(failed)?;
        Ok(Self {
            writer,
            columns: empty(),
            rows: 0,
            bytes: 0,
        })
    }

    pub(super) fn message(&mut self, message: &Received) -> Result<(), CliError> {
        let properties: Map<String, Value> = message
            .properties
            .iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let body = message.body();
        let text = std::str::from_utf8(body).ok();
        let cells = [
            Cell::text(message.topic()),
            Cell::Int(message.queue.queue.get().cast_signed()),
            Cell::Long(message.queue_offset),
            Cell::Long(message.physical_offset),
            Cell::Int(message.store_size.cast_signed()),
            Cell::Long(message.store_timestamp),
            Cell::Long(message.born_timestamp),
            Cell::text(&message.born_host.to_string()),
            Cell::text(&message.store_host.to_string()),
            Cell::text(&message.offset_message_id()),
            Cell::optional(message.properties.get(crate::message::names::UNIQ_KEY)),
            Cell::optional(message.tag()),
            Cell::optional(message.keys()),
            Cell::Int(message.flag),
            Cell::Int(message.sys_flag),
            Cell::Int(message.reconsume_times),
            Cell::text(&Value::Object(properties).to_string()),
            Cell::optional(text),
            Cell::Bytes(text.is_none().then(|| body.to_vec())),
        ];
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += cell.add_to(column);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), CliError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.close().map_err(failed)?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), CliError> {
        let columns = std::mem::replace(&mut self.columns, empty());
        self.rows = 0;
        self.bytes = 0;
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for column in columns {
            let Some(mut out) = group.next_column().map_err(failed)? else {
                break;
            };
            let written = match &column {
                Column::Int(values) => out.typed::<Int32Type>().write_batch(values, None, None),
                Column::Long(values) => out.typed::<Int64Type>().write_batch(values, None, None),
                Column::Bytes(values, there) => {
                    out.typed::<ByteArrayType>()
                        .write_batch(values, Some(there), None)
                }
            };
            written.map_err(failed)?;
            out.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

/// One value.
enum Cell {
    Int(i32),
    Long(i64),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    fn text(text: &str) -> Self {
        Self::Bytes(Some(text.as_bytes().to_vec()))
    }

    fn optional(text: Option<&str>) -> Self {
        Self::Bytes(text.map(|text| text.as_bytes().to_vec()))
    }

    /// Puts it at the end of a column of its kind; how much memory it takes there.
    fn add_to(self, column: &mut Column) -> usize {
        match (self, column) {
            (Self::Int(value), Column::Int(values)) => values.push(value),
            (Self::Long(value), Column::Long(values)) => values.push(value),
            (Self::Bytes(value), Column::Bytes(values, there)) => {
                there.push(i16::from(value.is_some()));
                let len = value.as_ref().map_or(0, Vec::len);
                values.extend(value.map(ByteArray::from));
                return len + size_of::<ByteArray>();
            }
            // The list of cells and the list of columns are one below the other in this file.
            _ => {}
        }
        size_of::<i64>()
    }
}

fn empty() -> Vec<Column> {
    let columns = COLUMNS.iter();
    columns
        .map(|(_, kind)| match kind {
            Kind::Int => Column::Int(Vec::new()),
            Kind::Long | Kind::Time => Column::Long(Vec::new()),
            _ => Column::Bytes(Vec::new(), Vec::new()),
        })
        .collect()
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields = COLUMNS.iter().map(|(name, kind)| {
        let (physical, logical, converted) = match kind {
            Kind::Int => (Physical::INT32, None, ConvertedType::NONE),
            Kind::Long => (Physical::INT64, None, ConvertedType::NONE),
            Kind::Time => {
                let time = LogicalType::timestamp(true, TimeUnit::MILLIS);
                (Physical::INT64, Some(time), ConvertedType::NONE)
            }
            Kind::Text | Kind::OptionalText => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String),
                ConvertedType::UTF8,
            ),
            Kind::Json => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::Json),
                ConvertedType::JSON,
            ),
            Kind::OptionalBytes => (Physical::BYTE_ARRAY, None, ConvertedType::NONE),
        };
        // Texts are declared optional throughout, so that each has its list of who has one.
        let repetition = if physical == Physical::BYTE_ARRAY {
            Repetition::OPTIONAL
        } else {
            Repetition::REQUIRED
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_converted_type(converted)
            .build()?;
        Ok(Arc::new(field))
    });
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    let message = Type::group_type_builder("messages")
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(message))
}

fn failed(error: ParquetError) -> CliError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => CliError::from(*error),
            Err(inner) => CliError::failed(inner),
        },
        other => CliError::failed(other),
    }
}
