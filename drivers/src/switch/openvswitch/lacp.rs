//! LACP state as `ovs-appctl lacp/show` prints it.
//!
//! Owns this text format. A member counts as synchronised only if its partner's information is
//! current and the LAG is negotiated: while no partner is heard, Open vSwitch lists a LAG's members
//! as synchronised too (`lacp_get_actor_pdu` sets those flags when nothing is negotiated), which is
//! no bundle. Source: Open vSwitch 3.1 `lib/lacp.c`; IEEE 802.1AX-2014 section 6.4.2.3.

use std::collections::BTreeMap;

use harmony_core::capability::LacpPortState;
use harmony_core::net::MacAddress;

/// Members above this many are not read.
const MAX_MEMBERS: usize = 4096;

/// State by member interface. Lines that are not understood are passed over: the format grew before.
pub(super) fn parse(text: &str) -> BTreeMap<String, LacpPortState> {
    let mut members = BTreeMap::new();
    let (mut negotiated, mut current) = (false, false);
    let mut member: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("----") {
            (negotiated, current, member) = (false, false, None);
            continue;
        }
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else { continue };
        if key == "member" || key == "slave" {
            // "sw0: current attached"; an interface name may itself hold a colon.
            let Some((name, state)) = value.rsplit_once(": ") else { continue };
            if members.len() >= MAX_MEMBERS {
                break;
            }
            current = state.split_whitespace().any(|word| word == "current");
            members.insert(name.to_owned(), LacpPortState::default());
            member = Some(name.to_owned());
        } else if let Some(state) = member.as_ref().and_then(|name| members.get_mut(name)) {
            let mac = || value.parse::<MacAddress>().ok().filter(|mac| mac.is_unicast());
            match key {
                "actor sys_id" => state.system = mac(),
                "partner sys_id" => state.partner = mac().filter(|_| current),
                "actor state" => {
                    let has = |flag| negotiated && current && value.split_whitespace().any(|word| word == flag);
                    state.synchronised = has("synchronized");
                    state.collecting = has("collecting");
                    state.distributing = has("distributing");
                }
                _ => {}
            }
        } else if key == "status" {
            negotiated = value.split_whitespace().any(|word| word == "negotiated");
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_negotiated_lag_with_one_silent_member() {
        insta::assert_debug_snapshot!(parse(include_str!("testdata/lacp-negotiated.txt")));
    }

    #[test]
    fn a_lag_that_hears_nobody_is_no_bundle() {
        let members = parse(include_str!("testdata/lacp-alone.txt"));
        assert_eq!(members.len(), 2);
        for (name, state) in members {
            assert!(state.system.is_some(), "{name}");
            let nothing = LacpPortState { system: state.system, ..LacpPortState::default() };
            assert_eq!(state, nothing, "{name}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(---- lag ----\n|member: [a-z:]{0,4}(: current)?\n|actor (state|sys_id):? ?[a-z0: ]{0,9}\n){0,9}") {
            let _ = parse(&text);
        }
    }
}
