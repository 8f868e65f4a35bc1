//! DNS messages, as far as is needed to ask for addresses and names: one question out, one answer in.
//!
//! Pure. An answer is untrusted: it counts only if it answers the question that was asked, and whatever it holds
//! besides what the question leads to is ignored.
//!
//! Source: RFC 1035 section 4; RFC 3596 (AAAA); RFC 8020 (a name that is not there).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the largest answer that is read: an answer over UDP without extensions has 512.
pub(super) const MAX_BYTES: usize = 4096;
/// Records of an answer that are read.
const MAX_RECORDS: u16 = 100;
/// Aliases that are followed.
const MAX_ALIASES: usize = 8;
const CLASS_IN: u16 = 1;
const TYPE_CNAME: u16 = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Names of an address.
    Ptr,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Ptr => 12,
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The name, labels parted by dots.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a question leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Address(IpAddr),
    Name(String),
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is cut, or what it says of itself cannot be.
    #[error("the answer is garbled: {0}")]
    Garbled(&'static str),
    /// It belongs to another question; an attacker may have sent it.
    #[error("the answer is to another question")]
    Foreign,
    /// The server says that it failed. Source: RFC 1035 section 4.1.1, RCODE.
    #[error("the server answers with {}", rcode(*.0))]
    Failed(u8),
}

fn rcode(code: u8) -> String {
    match code {
        1 => "FORMERR: it does not understand the question".to_owned(),
        2 => "SERVFAIL: it cannot find out".to_owned(),
        4 => "NOTIMP: it does not do such questions".to_owned(),
        5 => "REFUSED: it does not answer us, or not for this name".to_owned(),
        other => format!("code {other}"),
    }
}

/// The name that stands for an address. Source: RFC 1035 section 3.5, RFC 3596 section 2.5.
pub(super) fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.fold(String::new(), |name, nibble| format!("{name}{nibble:x}.")) + "ip6.arpa"
        }
    }
}

/// The message that asks.
pub(super) fn query(id: u16, question: &Question) -> Vec<u8> {
    // Recursion is desired; one question.
    let mut bytes = [id, 0x0100, 1, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    bytes.extend(labels(&question.name));
    bytes.extend([question.kind.code(), CLASS_IN].iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        // Names come out of types that allow 63 bytes a label.
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// What an answer to a question leads to; nothing if there is no such name, or nothing of that kind.
///
/// # Errors
/// [`MessageError`]; after `Foreign` the right answer may still come.
pub(super) fn answer(id: u16, question: &Question, bytes: &[u8]) -> Result<Vec<Found>, MessageError> {
    let mut reader = Reader { bytes, at: 0 };
    let is_ours = reader.word()? == id;
    let flags = reader.word()?;
    let [questions, answers, _, _] = [reader.word()?, reader.word()?, reader.word()?, reader.word()?];
    let is_answer = flags & 0x8000 != 0 && flags & 0x7800 == 0;
    if !is_ours || !is_answer || questions != 1 {
        return Err(MessageError::Foreign);
    }
    let name = reader.name()?;
    if !same(&name, &question.name) || reader.word()? != question.kind.code() || reader.word()? != CLASS_IN {
        return Err(MessageError::Foreign);
    }
    match (flags & 15) as u8 {
        0 => {}
        3 => return Ok(Vec::new()),
        code => return Err(MessageError::Failed(code)),
    }
    if flags & 0x0200 != 0 {
        return Err(MessageError::Garbled("it is longer than a datagram"));
    }
    if answers > MAX_RECORDS {
        return Err(MessageError::Garbled("it has more than 100 records"));
    }
    let records = (0..answers).map(|_| reader.record(question.kind)).collect::<Result<Vec<_>, _>>()?;
    let mut owner = question.name.clone();
    for _ in 0..MAX_ALIASES {
        let of_owner = || records.iter().filter(|record| same(&record.owner, &owner));
        let found: Vec<Found> = of_owner().filter_map(|record| record.found.clone()).collect();
        match of_owner().find_map(|record| record.alias.clone()) {
            Some(alias) if found.is_empty() => owner = alias,
            _ => return Ok(found),
        }
    }
    Err(MessageError::Garbled("its aliases lead nowhere"))
}

/// Names differ in case without being different. Source: RFC 4343.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

struct Record {
    owner: String,
    found: Option<Found>,
    alias: Option<String>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], MessageError> {
        let end = self.at.saturating_add(length);
        let taken = self.bytes.get(self.at..end).ok_or(MessageError::Garbled("it is cut off"))?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, MessageError> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u16, MessageError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A name, which may go on at an earlier place. Source: RFC 1035 section 4.1.4.
    fn name(&mut self) -> Result<String, MessageError> {
        let (mut name, mut after, mut limit) = (String::new(), None, self.at);
        loop {
            let length = self.byte()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    let label = self.take(length.into())?;
                    // Any byte may be in a label; a dot or a blank would make it another name.
                    let is_plain = label.iter().all(|b| b.is_ascii_graphic() && *b != b'.');
                    let label = String::from_utf8_lossy(label).into_owned();
                    if !is_plain || name.len() + label.len() > 253 {
                        return Err(MessageError::Garbled("a name in it is none"));
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&label);
                }
                3 => {
                    let place = usize::from(length & 0x3f) << 8 | usize::from(self.byte()?);
                    // Always further back, so that it ends.
                    if place >= limit {
                        return Err(MessageError::Garbled("a name in it has no end"));
                    }
                    after.get_or_insert(self.at);
                    (limit, self.at) = (place, place);
                }
                _ => return Err(MessageError::Garbled("a name in it is of no known form")),
            }
        }
        self.at = after.unwrap_or(self.at);
        Ok(name)
    }

    fn record(&mut self, asked: Kind) -> Result<Record, MessageError> {
        let owner = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.take(4)?;
        let length = usize::from(self.word()?);
        let end = self.at + length;
        let (mut found, mut alias) = (None, None);
        if class == CLASS_IN && kind == TYPE_CNAME {
            alias = Some(self.name()?);
        } else if class == CLASS_IN && kind == asked.code() {
            let garbled = MessageError::Garbled("an address in it is none");
            found = Some(match asked {
                Kind::A => {
                    let octets: [u8; 4] = self.take(length)?.try_into().map_err(|_| garbled)?;
                    Found::Address(Ipv4Addr::from(octets).into())
                }
                Kind::Aaaa => {
                    let octets: [u8; 16] = self.take(length)?.try_into().map_err(|_| garbled)?;
                    Found::Address(Ipv6Addr::from(octets).into())
                }
                Kind::Ptr => Found::Name(self.name()?),
            });
        } else {
            self.take(length)?;
        }
        if self.at == end {
            Ok(Record { owner, found, alias })
        } else {
            Err(MessageError::Garbled("a record in it has another length than it says"))
        }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
