//! OVSDB tables as `ovs-vsctl --format=json` prints them: one JSON document per line and table.
//!
//! Owns the notation of values alone, not what any column means ([`super::snapshot`]).
//! Source: RFC 7047 section 5.1 (`<value>`), ovs-vsctl(8) "Output Formatting Options".

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Rows above this many in one table are refused.
const MAX_ROWS: usize = 20_000;

/// Why an answer is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    /// Not JSON, or another JSON than a table.
    #[error("the answer is no OVSDB table")]
    NotATable(#[from] serde_json::Error),
    /// More or fewer tables than asked for.
    #[error("the answer has {found} tables instead of {wanted}")]
    Count {
        /// Tables found.
        found: usize,
        /// Tables asked for.
        wanted: usize,
    },
    /// More rows than any switch has.
    #[error("the answer has more than {MAX_ROWS} rows")]
    TooLong,
    /// A row without a column, or with another kind of value in it.
    #[error("column `{column}` is missing or holds another kind of value")]
    Column {
        /// The column.
        column: &'static str,
    },
}

#[derive(Deserialize)]
struct Raw {
    headings: Vec<String>,
    data: Vec<Vec<Value>>,
}

/// One row, by column name.
#[derive(Debug)]
pub(super) struct Row(BTreeMap<String, Value>);

/// Reads exactly `N` tables.
pub(super) fn parse<const N: usize>(stdout: &[u8]) -> Result<[Vec<Row>; N], TableError> {
    let mut tables = Vec::new();
    for line in stdout.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let raw: Raw = serde_json::from_slice(line)?;
        if raw.data.len() > MAX_ROWS {
            return Err(TableError::TooLong);
        }
        let row = |cells: Vec<Value>| Row(raw.headings.iter().cloned().zip(cells).collect());
        tables.push(raw.data.into_iter().map(row).collect());
    }
    let found = tables.len();
    tables.try_into().map_err(|_| TableError::Count { found, wanted: N })
}

impl Row {
    fn cell(&self, column: &'static str) -> Result<&Value, TableError> {
        self.0.get(column).ok_or(TableError::Column { column })
    }

    /// The atoms of a set; a single atom is printed without its set.
    fn set(&self, column: &'static str) -> Result<Vec<&Value>, TableError> {
        let cell = self.cell(column)?;
        match cell.as_array().map(Vec::as_slice) {
            Some([kind, Value::Array(atoms)]) if kind == "set" => Ok(atoms.iter().collect()),
            Some([kind, _]) if kind == "uuid" => Ok(vec![cell]),
            Some(_) => Err(TableError::Column { column }),
            None => Ok(vec![cell]),
        }
    }

    fn one<T>(&self, column: &'static str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, TableError> {
        match self.set(column)?.as_slice() {
            [] => Ok(None),
            [atom] => read(atom).map(Some).ok_or(TableError::Column { column }),
            _ => Err(TableError::Column { column }),
        }
    }

    /// A text that must be there.
    pub(super) fn text(&self, column: &'static str) -> Result<String, TableError> {
        self.optional_text(column)?.ok_or(TableError::Column { column })
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, TableError> {
        self.one(column, |atom| atom.as_str().map(str::to_owned))
    }

    /// A number that may be absent.
    pub(super) fn number(&self, column: &'static str) -> Result<Option<i64>, TableError> {
        self.one(column, Value::as_i64)
    }

    /// References to rows.
    pub(super) fn uuids(&self, column: &'static str) -> Result<Vec<String>, TableError> {
        let uuid = |atom: &&Value| match atom.as_array().map(Vec::as_slice) {
            Some([kind, Value::String(uuid)]) if kind == "uuid" => Some(uuid.clone()),
            _ => None,
        };
        self.set(column)?.iter().map(|atom| uuid(atom).ok_or(TableError::Column { column })).collect()
    }

    /// How many atoms a set has.
    pub(super) fn len(&self, column: &'static str) -> Result<usize, TableError> {
        Ok(self.set(column)?.len())
    }

    /// A map of texts.
    pub(super) fn map(&self, column: &'static str) -> Result<BTreeMap<String, String>, TableError> {
        let wrong = || TableError::Column { column };
        let Some([kind, Value::Array(pairs)]) = self.cell(column)?.as_array().map(Vec::as_slice) else {
            return Err(wrong());
        };
        if kind != "map" {
            return Err(wrong());
        }
        let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(key), Value::String(value)]) => Ok((key.clone(), value.clone())),
            _ => Err(wrong()),
        };
        pairs.iter().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = br#"{"data":[[["uuid","aa"],"sw2",10,["set",[]],["map",[["k","v"]]],["set",[["uuid","b"],["uuid","c"]]]]],"headings":["_uuid","name","tag","lacp","other_config","interfaces"]}"#;

    #[test]
    fn each_kind_of_value() {
        let [rows] = parse::<1>(LINE).expect("a table");
        let row = &rows[0];
        assert_eq!(row.uuids("_uuid").expect("uuid"), ["aa"]);
        assert_eq!(row.text("name").expect("text"), "sw2");
        assert_eq!(row.number("tag").expect("number"), Some(10));
        assert_eq!(row.optional_text("lacp").expect("absent"), None);
        assert_eq!(row.map("other_config").expect("map")["k"], "v");
        assert_eq!(row.uuids("interfaces").expect("set"), ["b", "c"]);
    }

    #[test]
    fn what_is_not_as_expected_is_named() {
        let [rows] = parse::<1>(LINE).expect("a table");
        let error = |e: TableError| e.to_string();
        assert_eq!(
            rows[0].number("name").map_err(error),
            Err("column `name` is missing or holds another kind of value".into())
        );
        assert!(rows[0].text("gone").is_err());
        assert!(rows[0].uuids("tag").is_err());
        assert!(rows[0].map("interfaces").is_err());
        assert_eq!(parse::<2>(LINE).map(|_| ()).map_err(error), Err("the answer has 1 tables instead of 2".into()));
        assert!(matches!(parse::<1>(b"ovs-vsctl: no"), Err(TableError::NotATable(_))));
    }

    proptest! {
        #[test]
        fn never_panics(line in "\\PC{0,80}") {
            let _ = parse::<1>(line.as_bytes());
        }
    }
}
