//! What templates put values through: `{{ base_url|url("base_url") }}`. A refusal names the field.

// `filter_fn` writes a `pub` type of its own for each filter.
#![allow(unreachable_pub)]

use askama::{Result, Values};

use crate::check;

/// A URL.
#[askama::filter_fn]
pub(crate) fn url(value: &str, _: &dyn Values, field: &str) -> Result<String> {
    check::url(field, value).map(|()| value.to_owned()).map_err(askama::Error::custom)
}

/// Words, as they are.
#[askama::filter_fn]
pub(crate) fn words(value: &str, _: &dyn Values, field: &str) -> Result<String> {
    check::words(field, value).map(|()| value.to_owned()).map_err(askama::Error::custom)
}

/// A SHA-256 in hex.
#[askama::filter_fn]
pub(crate) fn sha256(value: &str, _: &dyn Values, field: &str) -> Result<String> {
    check::sha256(field, value).map(|()| value.to_owned()).map_err(askama::Error::custom)
}

/// An OpenSSH public key.
#[askama::filter_fn]
pub(crate) fn ssh_key(value: &str, _: &dyn Values, field: &str) -> Result<String> {
    check::ssh_key(field, value).map(|()| value.to_owned()).map_err(askama::Error::custom)
}
