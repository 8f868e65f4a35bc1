//! The inventory report: what the agent of a live environment says about its machine.
//!
//! Owns the schema's versions and the only way in: [`parse`] and [`parse_announcement`], which bound
//! everything, since a provisioning network is hostile and the agent is a stranger on it. Knows neither
//! how facts are read (`harmony-inventory-agent`) nor what a host is (`crate::host`): [`v1`] is plain
//! data, converted once by whoever stores it. Depends on serde and thiserror alone, because the agent,
//! which has to stay small, links it.
//!
//! Read next: [`v1`] for the facts, [`limits`] for the bounds.

use serde::Deserialize;

pub mod limits;
pub mod v1;

/// TCP port on which the agent listens unless told otherwise.
pub const AGENT_PORT: u16 = 8088;

/// Largest report that [`parse`] reads, in bytes. A fetcher should stop reading here too.
pub const MAX_REPORT_BYTES: usize = 1 << 20;

/// Largest announcement that [`parse_announcement`] reads, in bytes.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 16 << 10;

/// Why a document was refused. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The answer had no body.
    #[error("the document is empty")]
    Empty,
    /// The document is larger than the limit, in bytes.
    #[error("the document has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its size, in bytes.
        found: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not JSON at all, or not an object.
    #[error("the document is no JSON object")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but without the `schema` that every version has.
    #[error("the document names no schema; is this an inventory agent?")]
    NoSchema,
    /// A version that this program does not know.
    #[error("schema `{found}` is not understood (understood: {understood})")]
    UnknownSchema {
        /// The schema named, cut to 80 characters.
        found: String,
        /// What this program understands.
        understood: &'static str,
    },
    /// The schema is known, but the document does not follow it.
    #[error("the document does not follow schema `{schema}`")]
    Malformed {
        /// The schema that it names.
        schema: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A list or text outside [`limits`], or a text that is not what its field holds.
    #[error(transparent)]
    OutOfBounds(#[from] limits::LimitError),
}

/// Reads a report of any version understood.
///
/// # Errors
/// [`ReportError`], naming what was found and what is allowed.
pub fn parse(document: &[u8]) -> Result<v1::Report, ReportError> {
    let report: v1::Report = read(document, MAX_REPORT_BYTES, v1::SCHEMA)?;
    limits::check_report(&report)?;
    Ok(report)
}

/// Reads an announcement of any version understood.
///
/// # Errors
/// [`ReportError`], naming what was found and what is allowed.
pub fn parse_announcement(document: &[u8]) -> Result<v1::Announcement, ReportError> {
    let announcement: v1::Announcement = read(document, MAX_ANNOUNCEMENT_BYTES, v1::ANNOUNCE_SCHEMA)?;
    limits::check_announcement(&announcement)?;
    Ok(announcement)
}

fn read<T: serde::de::DeserializeOwned>(document: &[u8], limit: usize, schema: &'static str) -> Result<T, ReportError> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }
    if document.trim_ascii().is_empty() {
        return Err(ReportError::Empty);
    }
    if document.len() > limit {
        return Err(ReportError::TooLarge { found: document.len(), limit });
    }
    // Schema first: a newer version is told apart from a broken document.
    let head: Head = serde_json::from_slice(document).map_err(ReportError::NotJson)?;
    let found = head.schema.ok_or(ReportError::NoSchema)?;
    if found != schema {
        let found = found.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(ReportError::UnknownSchema { found, understood: schema });
    }
    serde_json::from_slice(document).map_err(|source| ReportError::Malformed { schema, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn report(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut document = serde_json::to_value(v1::tests::sample()).expect("serialises");
        change(&mut document);
        serde_json::to_vec(&document).expect("serialises")
    }

    fn refusal(document: &[u8]) -> String {
        let error = parse(document).expect_err("must be refused");
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(parse(&report(|_| {})).expect("reads"), v1::tests::sample());
    }

    #[test]
    fn ignores_what_a_later_agent_adds() {
        assert!(parse(&report(|d| d["cpu"]["microcode"] = json!("0x1"))).is_ok());
    }

    #[test]
    fn refuses_with_the_object_and_the_reason() {
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b" \n".to_vec(), "the document is empty"),
            (b"nonsense".to_vec(), "no JSON object: expected"),
            (b"[]".to_vec(), "no JSON object"),
            (b"{}".to_vec(), "names no schema"),
            (
                report(|d| d["schema"] = json!("harmony-inventory/v9\u{1b}[2J")),
                "schema `harmony-inventory/v9[2J` is not understood (understood: harmony-inventory/v1)",
            ),
            (report(|d| d["cpu"] = json!(7)), "does not follow schema `harmony-inventory/v1`: invalid type"),
            (vec![b' '; MAX_REPORT_BYTES + 1], "empty"),
            ([report(|_| {}), vec![b' '; MAX_REPORT_BYTES]].concat(), "more than the 1048576 allowed"),
            (
                report(|d| d["nics"] = vec![d["nics"][0].clone(); 257].into()),
                "/nics has 257 entries, more than the 256 allowed",
            ),
            (report(|d| d["disks"] = vec![d["disks"][0].clone(); 1025].into()), "/disks has 1025 entries"),
            (report(|d| d["cpu"]["flags"] = vec!["x"; 2049].into()), "/cpu/flags has 2049 entries"),
            (report(|d| d["disks"][0]["model"] = "x".repeat(4097).into()), "/disks/0/model has 4097 bytes"),
            (report(|d| d["system"]["serial"] = json!("A\nB")), "/system/serial has the control character U+000A"),
            (
                report(|d| d["nics"][0]["mac"] = json!("52:54:00:AB:cd:ef")),
                "/nics/0/mac is no MAC address in lower case: `52:54:00:AB:cd:ef`",
            ),
            (report(|d| d["nics"][0]["permanent_mac"] = json!("52:54:00")), "/nics/0/permanent_mac is no MAC"),
            (report(|d| d["system"]["uuid"] = json!("zz")), "/system/uuid is no UUID"),
        ];
        for (document, reason) in cases {
            let refusal = refusal(&document);
            assert!(refusal.contains(reason), "expected `{reason}`, got `{refusal}`");
        }
    }

    #[test]
    fn announcements_have_a_schema_and_bounds_of_their_own() {
        let announcement = v1::Announcement {
            schema: v1::ANNOUNCE_SCHEMA.into(),
            uuid: Some("4c4c4544-004b-4e10-805a-b7c04f424832".into()),
            serial: Some("SN-1".into()),
            boot_id: None,
            macs: vec!["52:54:00:00:00:01".into()],
            listen: ([10, 10, 0, 101], AGENT_PORT).into(),
        };
        let document = serde_json::to_vec(&announcement).expect("serialises");
        assert_eq!(parse_announcement(&document).expect("reads"), announcement);
        assert!(matches!(parse(&document), Err(ReportError::UnknownSchema { .. })));
        let mut many = announcement;
        many.macs = vec!["52:54:00:00:00:01".into(); 257];
        let document = serde_json::to_vec(&many).expect("serialises");
        assert!(matches!(parse_announcement(&document), Err(ReportError::OutOfBounds(_))));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(document: Vec<u8>) {
            let _ = parse(&document);
        }
    }
}
