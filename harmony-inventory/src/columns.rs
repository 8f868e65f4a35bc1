//! What is in a column: texts that parse, JSON, numbers, times.
//!
//! Nothing in the file is trusted to be what was written: a column that cannot be read is an error
//! that names it.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::failure::Fault;

/// A time as it is kept: RFC 3339 with nine digits of fraction, so that texts sort as times do.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|source| Fault::Unwritable(Box::new(source)))
}

/// The word that serde has for a variant of an enum without content.
pub(crate) fn word(variant: &impl Serialize) -> Result<String, Fault> {
    let text = json(variant)?;
    Ok(text.trim_matches('"').to_owned())
}

/// A number of bytes, at most what SQLite can hold: 2^63-1.
pub(crate) fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Typed access to the columns of a row.
pub(crate) trait Columns {
    /// A text, if there is one.
    fn text(&self, column: &'static str) -> Result<Option<String>, Fault>;
    /// A truth value, if there is one.
    fn flag(&self, column: &'static str) -> Result<Option<bool>, Fault>;
    /// A number, if there is one.
    fn optional_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, Fault>;

    /// A text that parses as a `T`, if there is one.
    fn optional<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>, Fault> {
        let parse = |text: String| text.parse().map_err(|error: T::Err| unreadable(column, &error));
        self.text(column)?.map(parse).transpose()
    }

    /// A text that parses as a `T`.
    fn required<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T, Fault> {
        self.optional(column)?.ok_or_else(|| unreadable(column, &"it is empty"))
    }

    /// A number.
    fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Fault> {
        self.optional_number(column)?.ok_or_else(|| unreadable(column, &"it is empty"))
    }

    /// A value kept as JSON.
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Fault> {
        let text: String = self.required(column)?;
        serde_json::from_str(&text).map_err(|error| unreadable(column, &error))
    }

    /// A word that serde knows as the variant of an enum.
    fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Fault> {
        self.optional_word(column)?.ok_or_else(|| unreadable(column, &"it is empty"))
    }

    /// A word that serde knows as the variant of an enum, if there is one.
    fn optional_word<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(column)? else { return Ok(None) };
        let word: StrDeserializer<'_, serde::de::value::Error> = text.as_str().into_deserializer();
        T::deserialize(word).map(Some).map_err(|error| unreadable(column, &error))
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &'static str) -> Result<Option<String>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &'static str) -> Result<Option<bool>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn optional_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, Fault> {
        let number: Option<i64> = self.try_get(column)?;
        let convert =
            |number: i64| T::try_from(number).map_err(|_| unreadable(column, &format!("{number} is out of range")));
        number.map(convert).transpose()
    }
}

fn unreadable(column: &'static str, reason: &dyn Display) -> Fault {
    Fault::Unreadable { column, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_texts_and_come_back_to_the_nanosecond() {
        let parse = |text: &str| text.parse::<Timestamp>().expect("valid");
        let times = ["1999-12-31T23:59:59.9Z", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000001Z"].map(parse);
        let texts = times.map(time);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.map(|text| parse(&text)), times);
    }
}
