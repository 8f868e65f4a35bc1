# What of an Ignition file harmony-ignition cannot do, each by its name: what is not known is refused, never skipped.

# An absent value in any of the ways in which programs write one.
def void: if type == "object" or type == "array" then all(.[]; void) else . == null or . == "" end;
def list: . // [] | .[];
def other($where; $known):
  . // {} | to_entries[] | select((.key | IN($known[]) | not) and (.value | void | not)) | $where + .key;

# What neither a line nor the header of an archive can hold.
def odd: tostring | explode | any(. < 32 or . > 126 or . == 92);
def odd_path: odd or (startswith("/") | not) or endswith("/") or ([contains("//", "/./", "/../")] | any);
def not_data: . != null and (startswith("data:") and contains(",") | not);
def wrong_hash: void or startswith("sha512-") or startswith("sha256-") | not;

def path: .path | select(odd_path) | "path \(tojson)";
def unit: .name | select(odd or contains("/")) | "unit \(tojson)";
def owner:
  (.user, .group) | other("owner."; ["name", "id"]), (.name // "" | select(odd) | "owner \(tojson)");
def resource($where):
  other($where; ["source", "compression"]),
  (.source | select(not_data) | "\($where)source \(split(":")[0])"),
  (.compression | select(void or . == "gzip" | not) | "\($where)compression \(.)");

def file:
  other("files."; ["path", "mode", "overwrite", "contents", "append", "user", "group"]), path, owner,
  (.contents // {} | resource("contents.")), (.append | list | resource("append."));
def directory: other("directories."; ["path", "mode", "user", "group"]), path, owner;
def link:
  other("links."; ["path", "target", "hard", "overwrite", "user", "group"]), path, owner,
  (select(.hard == true) | "links.hard"), (.target | select(odd) | "target \(tojson)");
def user:
  other("users."; ["name", "groups", "passwordHash", "sshAuthorizedKeys"]),
  (.name, (.groups | list) | select(odd) | "user \(tojson)");
def merge:
  other("merge."; ["source", "verification"]), (.verification | other("merge.verification."; ["hash"])),
  (.verification.hash | select(wrong_hash) | "merge.verification.hash \(.)"),
  (.source // "" | select([startswith("http://", "https://", "data:")] | any | not) | "merge.source \(split(":")[0])");

def faults:
  (.ignition.version | select(tostring | startswith("3.") | not) | "Ignition version \(.)"),
  other(""; ["ignition", "passwd", "storage", "systemd"]),
  (.ignition | other("ignition."; ["version", "config", "security"])),
  (.ignition.config | other("ignition.config."; ["merge"]), (.merge | list | merge)),
  (.ignition.security | other("ignition.security."; ["tls"])),
  (.ignition.security.tls | other("ignition.security.tls."; ["certificateAuthorities"]),
    (.certificateAuthorities | list | resource("certificateAuthorities."),
      (select(.compression == "gzip") | "certificateAuthorities.compression gzip"))),
  (.storage | other("storage."; ["files", "directories", "links"]),
    (.files | list | file), (.directories | list | directory), (.links | list | link)),
  (.passwd | other("passwd."; ["users"]), (.users | list | user)),
  (.systemd | other("systemd."; ["units"]),
    (.units | list | other("units."; ["name", "enabled", "mask", "contents", "dropins"]), unit,
      (.dropins | list | other("dropins."; ["name", "contents"]), unit)));
