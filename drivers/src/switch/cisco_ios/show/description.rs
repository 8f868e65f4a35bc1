//! `show interfaces description`: which LAG a port-channel is, by the description that Harmony gave it.

use std::collections::BTreeMap;

use super::super::interface::Interface;

/// Descriptions of the port-channels that are there, by number; empty for those without.
pub(in super::super) fn port_channels(lines: &[String]) -> BTreeMap<u16, String> {
    let entry = |line: &String| {
        let mut words = line.split_whitespace();
        let number = Interface::parse(words.next()?)?.port_channel_number()?;
        // "up", "down", "admin down"; then the protocol's state.
        if words.next()? == "admin" {
            words.next()?;
        }
        words.next()?;
        Some((number, words.collect::<Vec<_>>().join(" ")))
    };
    lines.iter().filter_map(entry).take(super::MAX_ENTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_channels_with_and_without_description() {
        let text = "Interface                      Status         Protocol Description\n\
                    Gi1/0/1                        up             up       Po9 up up x\n\
                    Po1                            down           down     harmony:lag-node-1\n\
                    Po2                            admin down     down     \n\
                    Po48                           up             up       Uplink to core\n";
        let seen = port_channels(&super::super::lines(text));
        let expected = [(1, "harmony:lag-node-1"), (2, ""), (48, "Uplink to core")];
        assert_eq!(seen, expected.map(|(number, text)| (number, text.to_owned())).into());
    }
}
