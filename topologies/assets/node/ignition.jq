# Flattens an Ignition 3.x file into one tab-separated line for each thing to do.
# What harmony-ignition cannot do becomes an "unsupported" line.
def other($known): (. // {} | keys) - $known | .[];
(if .ignition.version // "" | startswith("3.") | not then ["unsupported", "Ignition version"] else empty end),
(other(["ignition", "passwd", "storage", "systemd"]),
 (.storage | other(["files"])),
 (.storage.files // [] | .[] | other(["path", "mode", "overwrite", "contents"])),
 (.storage.files // [] | .[].contents | other(["source"])),
 (.passwd | other(["users"])),
 (.passwd.users // [] | .[] | other(["name", "groups", "sshAuthorizedKeys"])),
 (.systemd | other(["units"])),
 (.systemd.units // [] | .[] | other(["name", "enabled", "contents"])) | ["unsupported", .]),
(.storage.files // [] | .[] | ["file", .path, .mode // 420, .overwrite // false, .contents.source // "data:,"]),
(.passwd.users // [] | .[] | ["user", .name, (.groups // [] | join(",") | if . == "" then "-" else . end),
  (.sshAuthorizedKeys // [] | join("\n"))]),
(.systemd.units // [] | .[] | ["unit", .name, .enabled // false, .contents // "-"])
| @tsv
