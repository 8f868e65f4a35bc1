# Bytes in jq 1.6, whose strings are text: the contents of data: URLs, and tar archives, as base64, which coreutils puts
# back into bytes, also where pieces that are padded follow one another.

def digit: if . > 96 then . - 87 elif . > 64 then . - 55 else . - 48 end;
def byte: .[:2] | explode | map(digit) | .[0] * 16 + .[1];
def bytes_to_base64:
  ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" | explode) as $digits
  | [range(0; length; 3) as $at | .[$at:$at + 3] as [$a, $b, $c]
     | $digits[$a / 4 | floor], $digits[$a % 4 * 16 + (($b // 0) / 16 | floor)],
       (if $b == null then 61 else $digits[$b % 16 * 4 + (($c // 0) / 64 | floor)] end),
       (if $c == null then 61 else $digits[$c % 64] end)]
  | implode;

# What a data: URL holds (RFC 2397), in base64.
def data:
  if . == null then ""
  else
    index(",") as $comma | .[$comma + 1:] as $data
    | if .[:$comma] | endswith(";base64") then $data
      else
        ($data | split("%")) as $parts | [$parts[1:][] | byte] as $bytes
        # Text goes the short way; of what is not ASCII, each byte is a number of its own.
        | if $bytes | all(. < 128) then
            ($parts[0] // "") + ([range($bytes | length) | ([$bytes[.]] | implode) + $parts[. + 1][2:]] | add // "")
            | @base64
          else
            [($parts[0] | explode[]), (range($bytes | length) | $bytes[.], ($parts[. + 1][2:] | explode[]))]
            | bytes_to_base64
          end
      end
  end;

def base64_bytes: length / 4 * 3 - (if endswith("==") then 2 elif endswith("=") then 1 else 0 end);
def zeros: ("A" * 684)[:(. / 3 | floor) * 4] + ["", "AA==", "AAA="][. % 3];
def octal($digits): [range($digits) as $at | . / pow(8; $digits - 1 - $at) | floor % 8 | tostring] | add;
def field($bytes): . + ("\u0000" * 512)[:$bytes - length];

# One member of an archive, ustar: {name, type, mode, user, group, target, parts: base64}.
# A user is {name} or {id}; tar prefers the name. Source: POSIX, pax, "ustar Interchange Format".
def plain_member:
  [.parts // [] | .[] | base64_bytes] as $sizes | ($sizes | add // 0) as $size
  | [(.name | field(100)), (.mode // 420 | octal(7) + "\u0000"),
     (.user.id // 0 | octal(7) + "\u0000"), (.group.id // 0 | octal(7) + "\u0000"),
     ($size | octal(11) + "\u0000"), (0 | octal(11) + "\u0000")] as $before
  | [.type, (.target // "" | field(100)), "ustar\u000000",
     (.user | if .id then "" else .name // "root" end | field(32)),
     (.group | if .id then "" else .name // "root" end | field(32))] as $after
  | ([$before[], "        ", $after[]] | add | explode | add) as $sum
  | ([$before[], ($sum | octal(6)) + "\u0000 ", $after[]] | add | field(512) | @base64),
    (.parts // [] | .[]), ((512 - $size % 512) % 512 | zeros);
# GNU tar's way of names and targets that do not fit: a member that holds the name of the next one.
def long($type):
  select(length > 99) | {name: "long", type: $type, parts: [. + "\u0000" | @base64]} | plain_member;
def member:
  (.name | long("L")), (.target // "" | long("K")),
  (.name = .name[:100] | .target = (.target // "")[:100] | plain_member);
def end_of_archive: 512 | zeros, zeros;
