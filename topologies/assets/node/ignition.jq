# Reads the answer file, and after it what was fetched of the files that it is merged with; the arguments say from which
# URLs, in the same order. Prints one tab-separated line for each thing to do, then "--", then all files as one tar
# archive in base64: however many they are, one tar unpacks them. $work is a folder for what is not a file of its own.
include "ignition-faults";
include "ignition-tar";

# Merging: what both say, the child wins. Source: Ignition `docs/operator-notes.md`, "Config merging".

def id: .path // .name // .source // tojson;
def lay($over):
  if $over == null then .
  elif type == "object" and ($over | type) == "object" then
    reduce ($over | keys_unsorted[]) as $key (.;
      if $key == "append" then .append = (.append // []) + ($over.append // [])
      elif $key == "contents" then (if $over.contents | void then . else .contents = $over.contents end)
      else .[$key] = (.[$key] | lay($over[$key])) end)
  elif type == "array" and ($over | type) == "array" then
    if . + $over | all(type == "object") then
      [reduce (.[], $over[]) as $entry ({}; ($entry | id) as $id | .[$id] = (.[$id] | lay($entry))) | .[]]
    else . + ($over - .) end
  else $over end;

# At one path there is one thing, of whatever kind the child says.
def make_way($child):
  reduce ("files", "directories", "links") as $kind (.;
    if .storage[$kind] then
      ([$child.storage // {} | del(.[$kind]) | .[] | list | .path]) as $gone
      | .storage[$kind] |= map(select(.path | IN($gone[]) | not))
    else . end);

# A file with all its children, depth first. `todo` says what was found wrong, and what has to be fetched first.
def resolved($fetched):
  . as $config | {todo: {unsupported: [$config | faults], missing: []}}
  | if .todo.unsupported == [] then lay($config | del(.ignition.config)) else . end
  | reduce ($config.ignition.config.merge | list) as $child (.;
      if .todo.unsupported != [] or $child.source == null then .
      else
        (if $child.source | startswith("data:") then $child.source | data | @base64d | fromjson
         else $fetched[$child.source] end) as $found
        | if $found == null then .todo.missing += [$child]
          else ($found | resolved($fetched)) as $found | make_way($found) | lay($found) end
      end);

# What is to be on the disk: {kind, path, overwrite, mode, user, group, target, resources}.

def owned($user): {user: {name: $user}, group: {name: $user}};
def login_entries:
  .passwd.users | list | select(.sshAuthorizedKeys | void | not)
  | (if .name == "root" then "/root" else "/home/" + .name end) as $home | owned(.name) +
    ({kind: "directory", path: "\($home)/.ssh", mode: 448},
     {kind: "file", path: "\($home)/.ssh/authorized_keys", mode: 384, overwrite: true,
      parts: [.sshAuthorizedKeys | map(. + "\n") | add | @base64]});
def unit_entries:
  .systemd.units | list | "/etc/systemd/system/\(.name)" as $path
  | (if .mask then {kind: "link", path: $path, overwrite: true, target: "/dev/null"}
     else select(.contents | void | not) | {kind: "file", path: $path, overwrite: true, parts: [.contents | @base64]} end),
    (.dropins | list | select(.contents | void | not)
      | {kind: "file", path: "\($path).d/\(.name)", overwrite: true, parts: [.contents | @base64]});
def storage_entries:
  (.storage.directories | list | {mode: 493} + . + {kind: "directory"}),
  (.storage.links | list | . + {kind: "link"}),
  (.storage.files | list
    | [.contents // {}, (.append | list) | select(.source != null)] as $resources
    | {kind: (if (.contents.source == null) and $resources != [] then "append" else "file" end),
       path, mode, user, group, overwrite: (.overwrite // false),
       parts: ($resources | map(.source | data)), gzip: ($resources | any(.compression == "gzip"))});

# As a member of the archive. What is appended, and what gzip has to unpack first, waits under another name.
def named($at):
  .type = {file: "0", append: "0", link: "2", directory: "5"}[.kind]
  | .waits = "\($work)/append-\($at)"
  | .name = (if .kind == "append" then .waits else .path end) + (if .gzip then ".harmony-gz" else "" end);

def dash: if void then "-" else tostring end;
def member_lines:
  (select(.kind == "file" or .kind == "link") | ["file", .path, .overwrite // false, (.target | dash)]),
  (select(.gzip) | ["gzip", .name]),
  (select(.kind == "append")
    | ["append", .path, .waits, (.mode | dash), "\(.user | .name // .id // "root"):\(.group | .name // .id // "root")"]);
def user_line: ["user", .name, (.groups // [] | join(",") | dash), (.passwordHash | dash)];
def unit_line: select(.mask != true and .enabled != null) | [if .enabled then "enable" else "disable" end, .name];

# NetworkManager has read the answer file's own connections by the time that others are there.
def connections: [.storage.files | list | select(.path | startswith("/etc/NetworkManager/system-connections/"))];

[inputs] as $read | $ARGS.positional as $urls
| ([range($urls | length) | {($urls[.]): $read[. + 1]}] | add // {}) as $fetched
| ($read[0] | resolved($fetched)) as $config
| if $config.todo.unsupported != [] then $config.todo.unsupported[] | ["unsupported", .] | @tsv
  else
    # Units wait for what is missing: a child may have the last word about each.
    ($config.todo.missing == []) as $whole
    | [$config | login_entries, storage_entries, (select($whole) | unit_entries)] as $entries
    | [range($entries | length) as $at | $entries[$at] | named($at)] as $members
    | (($config.todo.missing | unique_by(.source)[] | ["missing", .source, (.verification.hash | dash)]),
       ($config | .ignition.security.tls.certificateAuthorities | list | ["authority", (.source | data | @base64d)]),
       ($config.passwd.users | list | user_line),
       ($members[] | member_lines),
       (select($whole) | $config.systemd.units | list | ["reload"], unit_line),
       (select($urls != [] and ($config | connections) != ($read[0] | resolved({}) | connections)) | ["network"])
       | @tsv),
      "--",
      ($members[] | member), end_of_archive
  end
