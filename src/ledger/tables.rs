//! The ledger's tables as rows of values: for whoever copies a whole ledger from one engine to the other, and compares.

use super::error::Fault;
use super::session::{Row, Session, Value};

/// A table that is copied. Columns that the engine computes from others are none of it.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// What no two of its rows share, in the order in which they are copied.
    key: &'static [Column],
    /// All else.
    rest: &'static [Column],
    /// Whether a ledger that nobody has used yet has rows in it, to which no other table refers.
    pub(super) has_rows_from_the_first: bool,
}

#[derive(Debug)]
struct Column(&'static str, Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Integer,
    Text,
    Blob,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// 64 bits.
    Integer(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Blob(Option<Vec<u8>>),
}

/// The values of a row, the key's first.
pub(super) type Fields = Vec<Field>;

const fn integer(name: &'static str) -> Column {
    Column(name, Kind::Integer)
}

const fn text(name: &'static str) -> Column {
    Column(name, Kind::Text)
}

const fn blob(name: &'static str) -> Column {
    Column(name, Kind::Blob)
}

const fn table(name: &'static str, key: &'static [Column], rest: &'static [Column]) -> Table {
    Table { name, key, rest, has_rows_from_the_first: false }
}

const DEVICE_AND_START: &[Column] = &[integer("device"), integer("start")];

/// Every table of a ledger, what is referred to before what refers to it.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "utc_offset",
        key: &[text("zone"), integer("start")],
        rest: &[integer("offset"), integer("before"), text("label")],
        has_rows_from_the_first: true,
    },
    table("nvr", &[text("nvr")], &[text("store"), integer("seen")]),
    table(
        "device",
        &[integer("device")],
        &[
            text("name"),
            text("store"),
            text("nvr"),
            integer("channel"),
            text("zone"),
            integer("seen"),
            text("puid"),
            integer("store_number"),
            integer("online"),
        ],
    ),
    table("media_mac", &[integer("device")], &[text("first_mac"), text("second_mac"), integer("learned_at")]),
    table("asked", DEVICE_AND_START, &[integer("end")]),
    table("archived", DEVICE_AND_START, &[integer("end")]),
    table(
        "missing",
        DEVICE_AND_START,
        &[
            integer("end"),
            text("cause"),
            integer("attempts"),
            text("last_code"),
            text("last_detail"),
            text("last_try"),
            text("from_utc"),
            text("to_utc"),
            text("from_local"),
            text("to_local"),
        ],
    ),
    table("folder", &[integer("folder")], &[text("path")]),
    table("format", &[integer("format")], &[text("video"), text("audio"), integer("width"), integer("height")]),
    table(
        "recording",
        DEVICE_AND_START,
        &[
            integer("seconds"),
            integer("live"),
            integer("folder"),
            integer("quarters"),
            integer("container"),
            text("own_name"),
            integer("bytes"),
            blob("blake3"),
            integer("format"),
            integer("media_milliseconds"),
            integer("first_timestamp"),
            integer("archived_at"),
            integer("clock_offset"),
            text("note"),
        ],
    ),
    table(
        "run",
        &[integer("run")],
        &[
            integer("started"),
            integer("ended"),
            integer("pid"),
            text("host"),
            text("what"),
            integer("exit"),
            integer("attempts"),
            integer("recordings"),
            integer("bytes"),
            integer("archived_seconds"),
            integer("missing_seconds"),
            integer("recovered"),
            text("source"),
            integer("notes_publishing"),
        ],
    ),
    table("outcome", &[integer("outcome")], &[text("word"), text("code")]),
    table(
        "attempt",
        &[integer("attempt")],
        &[
            integer("run"),
            integer("device"),
            integer("start"),
            integer("seconds"),
            integer("started"),
            integer("milliseconds"),
            integer("bytes"),
            integer("outcome"),
            text("detail"),
        ],
    ),
    table(
        "attempt_day",
        &[integer("day"), integer("device"), integer("outcome")],
        &[integer("attempts"), integer("seconds"), integer("milliseconds"), integer("bytes"), integer("last_attempt")],
    ),
    table(
        "nvr_limit",
        &[text("nvr")],
        &[
            integer("playbacks"),
            integer("probe_seconds"),
            integer("calls"),
            integer("refused"),
            integer("learned_at"),
            integer("keeps_seconds"),
            integer("left_alone"),
        ],
    ),
    table(
        "nvr_night",
        &[text("nvr"), integer("run")],
        &[integer("playbacks"), integer("calls"), integer("refused"), integer("left_alone")],
    ),
    table("publishing", &[text("path")], &[integer("live"), text("upload")]),
    table(
        "leaving",
        &[text("path")],
        &[integer("device"), integer("start"), text("fate"), text("code"), text("detail")],
    ),
    table(
        "verify_round",
        &[integer("round")],
        &[
            integer("began"),
            integer("ended"),
            integer("device"),
            integer("reached"),
            integer("files"),
            integer("bytes"),
            integer("corrupt"),
        ],
    ),
    table("uncatalogued", &[integer("change")], &[integer("device"), integer("start")]),
    table("catalog", &[integer("segment")], &[]),
    table("archive_mark", &[text("mark")], &[]),
];

impl Table {
    fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.key.iter().chain(self.rest)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.columns().map(|column| quoted(column.0)).collect();
        names.join(", ")
    }

    /// The key's columns. Texts are compared byte by byte in both engines.
    fn sorted_by(&self) -> Vec<String> {
        self.key.iter().map(|column| quoted(column.0)).collect()
    }

    /// The key of one of its rows.
    pub(super) fn key_of<'a>(&self, row: &'a [Field]) -> &'a [Field] {
        &row[..self.key.len()]
    }

    /// The key in words, for a person.
    pub(super) fn name_of(&self, row: &[Field]) -> String {
        let parts: Vec<String> =
            self.key.iter().zip(row).map(|(column, cell)| format!("{} {cell}", column.0)).collect();
        format!("{}: {}", self.name, parts.join(", "))
    }

    /// The next rows after the one with that key, so many at most; from the first one when there is none.
    pub(super) fn page(&self, session: Session<'_>, after: Option<&[Field]>, most: u32) -> Result<Vec<Fields>, Fault> {
        let sorted_by = self.sorted_by();
        let mut values: Vec<Value<'_>> = after.unwrap_or(&[]).iter().map(Field::value).collect();
        let beyond = match after {
            None => String::new(),
            Some(key) => {
                let given: Vec<String> = (1..=key.len()).map(|number| format!("?{number}")).collect();
                format!(" WHERE ({}) > ({})", sorted_by.join(", "), given.join(", "))
            }
        };
        values.push(Value::from(most));
        let (names, order, limit) = (self.names(), sorted_by.join(", "), values.len());
        let sql = format!("SELECT {names} FROM {}{beyond} ORDER BY {order} LIMIT ?{limit}", quoted(self.name));
        session.all(&sql, &values, |row| self.read(row))
    }

    /// The key of the last row; nothing when there is no row.
    pub(super) fn last(&self, session: Session<'_>) -> Result<Option<Fields>, Fault> {
        let downwards: Vec<String> = self.sorted_by().into_iter().map(|column| format!("{column} DESC")).collect();
        let sql =
            format!("SELECT {} FROM {} ORDER BY {} LIMIT 1", self.names(), quoted(self.name), downwards.join(", "));
        let last = session.first(&sql, &[], |row| self.read(row))?;
        Ok(last.map(|row| self.key_of(&row).to_vec()))
    }

    /// Deletes every row.
    pub(super) fn clear(&self, session: Session<'_>) -> Result<(), Fault> {
        session.execute(&format!("DELETE FROM {}", quoted(self.name)), &[]).map(drop)
    }

    /// Puts rows in that are not there yet.
    pub(super) fn insert(&self, session: Session<'_>, rows: &[Fields]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = self.key.len() + self.rest.len();
        let group = |row: usize| {
            let given: Vec<String> = (1..=width).map(|column| format!("?{}", row * width + column)).collect();
            format!("({})", given.join(", "))
        };
        let groups: Vec<String> = (0..rows.len()).map(group).collect();
        let sql = format!("INSERT INTO {} ({}) VALUES {}", quoted(self.name), self.names(), groups.join(", "));
        let values: Vec<Value<'_>> = rows.iter().flatten().map(Field::value).collect();
        session.execute(&sql, &values).map(drop)
    }

    /// Its columns, and what each holds.
    #[cfg(test)]
    pub(super) fn described(&self) -> Vec<(&'static str, String)> {
        self.columns().map(|Column(name, kind)| (*name, format!("{kind:?}"))).collect()
    }

    fn read(&self, row: &Row<'_>) -> Result<Fields, Fault> {
        let cell = |(index, Column(_, kind)): (usize, &Column)| {
            Ok(match kind {
                Kind::Integer => Field::Integer(row.get(index)?),
                Kind::Text => Field::Text(row.get(index)?),
                Kind::Blob => Field::Blob(row.get(index)?),
            })
        };
        self.columns().enumerate().map(cell).collect()
    }
}

/// `end` and `offset` are words of PostgreSQL's own.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

impl Field {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text.as_deref()),
            Self::Blob(bytes) => Value::Blob(bytes.as_deref()),
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(Some(number)) => write!(f, "{number}"),
            Self::Text(Some(text)) => write!(f, "{text:?}"),
            Self::Blob(Some(bytes)) => write!(f, "{}", hex::encode(bytes)),
            Self::Integer(None) | Self::Text(None) | Self::Blob(None) => f.write_str("nothing"),
        }
    }
}
