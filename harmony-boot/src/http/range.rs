//! Byte ranges of a file. Source: RFC 9110 section 14.

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the last, both included.
    Range(u64, u64),
    /// Nothing of what was asked for exists.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size_bytes`. What is not understood, and several ranges at
/// once, are as if there were no header, as section 14.2 allows.
pub(super) fn part(header: Option<&str>, size_bytes: u64) -> Part {
    let ranges =
        header.and_then(|header| header.split_once('=')).filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = ranges.and_then(|(_, ranges)| ranges.trim().split_once('-')) else { return Part::Whole };
    match (number(first), number(last)) {
        _ if (first.is_empty() && last.is_empty()) => Part::Whole,
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), _) if first >= size_bytes && (last.is_empty() || number(last).is_some()) => Part::Unsatisfiable,
        (Some(first), Some(last)) => Part::Range(first, last.min(size_bytes - 1)),
        (Some(first), None) if last.is_empty() => Part::Range(first, size_bytes - 1),
        (None, Some(0)) if first.is_empty() => Part::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && size_bytes == 0 => Part::Unsatisfiable,
        (None, Some(length)) if first.is_empty() => Part::Range(size_bytes.saturating_sub(length), size_bytes - 1),
        _ => Part::Whole,
    }
}

/// Digits only: `parse` would also take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |header: &str| part(Some(header), 10);
        assert_eq!(part("bytes=0-3"), Part::Range(0, 3));
        assert_eq!(part("bytes=4-"), Part::Range(4, 9));
        assert_eq!(part("Bytes=-3"), Part::Range(7, 9));
        assert_eq!(part("bytes=-30"), Part::Range(0, 9));
        assert_eq!(part("bytes=8-99"), Part::Range(8, 9));
        assert_eq!(part("bytes=9-9"), Part::Range(9, 9));
        for unsatisfiable in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(part(unsatisfiable), Part::Unsatisfiable, "{unsatisfiable}");
        }
        let ignored = [
            "bytes=3-2",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes",
            "",
            "bytes=0-99999999999999999999x",
        ];
        for header in ignored {
            assert_eq!(part(header), Part::Whole, "{header}");
        }
    }

    #[test]
    fn nothing_of_an_empty_file_can_be_had() {
        assert_eq!(part(None, 0), Part::Whole);
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(part(Some(header), 0), Part::Unsatisfiable, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_inside_the_file(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in prop_oneof![0u64..20, any::<u64>()]) {
            if let Part::Range(first, last) = part(Some(&header), size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
