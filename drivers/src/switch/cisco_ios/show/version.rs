//! `show version`: whether this is IOS at all.

/// What runs on the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Version {
    /// IOS-XE rather than IOS.
    pub(in super::super) is_xe: bool,
    /// `15.2(4)E`, `16.9.3`.
    pub(in super::super) version: String,
}

/// None if it is not IOS (NX-OS and IOS-XR have other command lines).
pub(in super::super) fn parse(lines: &[String]) -> Option<Version> {
    let is_software = |line: &&String| {
        (line.contains("Cisco IOS Software") || line.starts_with("IOS (tm)")) && line.contains("Version ")
    };
    let line = lines.iter().find(is_software)?;
    let version = line.split("Version ").nth(1)?.split([',', ' ']).next()?.chars().take(40).collect();
    let is_xe = lines.iter().any(|line| line.contains("IOS XE") || line.contains("IOS-XE") || line.contains("IOSXE"));
    Some(Version { is_xe, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_systems_are_not_ios() {
        assert_eq!(
            parse(&super::super::lines("Cisco Nexus Operating System (NX-OS) Software\n  NXOS: version 9.3(5)")),
            None
        );
        assert_eq!(parse(&super::super::lines("Cisco IOS XR Software, Version 6.1.4[Default]")), None);
        let old = "Cisco Internetwork Operating System Software\nIOS (tm) C2950 Software (C2950-I6Q4L2-M), Version 12.1(22)EA13, RELEASE";
        let version = parse(&super::super::lines(old)).expect("IOS");
        assert_eq!((version.is_xe, version.version.as_str()), (false, "12.1(22)EA13"));
    }
}
