-- Times are RFC 3339 texts in UTC with nine digits of fraction, so that they sort as texts.
-- JSON is kept only where nothing is searched by it. A released migration is never edited.

-- The number of the latest change of any host.
CREATE TABLE revision (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO revision (one, value) VALUES (1, 0);

CREATE TABLE host (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    uuid          TEXT UNIQUE,
    serial        TEXT,
    lifecycle     TEXT NOT NULL,
    role          TEXT UNIQUE,
    install_disk  TEXT,
    erase_disk    TEXT,
    model         TEXT,
    firmware      TEXT,
    cpus          INTEGER,
    memory_bytes  INTEGER,
    address       TEXT,
    bmc           TEXT UNIQUE,
    discovered_at TEXT,
    last_seen     TEXT,
    revision      INTEGER NOT NULL UNIQUE,
    CHECK (role IS NOT NULL OR (install_disk IS NULL AND erase_disk IS NULL))
) STRICT;
CREATE INDEX host_serial ON host (serial);

-- Ids of forgotten hosts: journals and one-shot marks still name them.
CREATE TABLE retired_host (
    id TEXT PRIMARY KEY
) STRICT;

-- Every MAC that a host was ever seen with.
CREATE TABLE mac (
    mac  TEXT PRIMARY KEY,
    host TEXT NOT NULL REFERENCES host (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX mac_host ON mac (host);

-- The NICs of a host's latest report. `port` and `lldp` are JSON.
CREATE TABLE nic (
    mac        TEXT PRIMARY KEY REFERENCES mac (mac) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    speed_mbps INTEGER,
    carrier    INTEGER,
    booted     INTEGER NOT NULL,
    port       TEXT NOT NULL,
    lldp       TEXT NOT NULL
) STRICT;

-- The disks of a host's latest report. `signatures` is JSON.
CREATE TABLE disk (
    host       TEXT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    by_id      TEXT,
    model      TEXT,
    serial     TEXT,
    wwn        TEXT,
    size_bytes INTEGER NOT NULL,
    signatures TEXT NOT NULL,
    PRIMARY KEY (host, name)
) STRICT;

-- Agents that announced themselves and were not read since.
CREATE TABLE announcement (
    host    TEXT PRIMARY KEY REFERENCES host (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    port    INTEGER NOT NULL,
    at      TEXT NOT NULL
) STRICT;

-- Reports as they came. One that contradicts a known host has no host, but a reason.
CREATE TABLE report (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    host    TEXT REFERENCES host (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    at      TEXT NOT NULL,
    body    TEXT NOT NULL,
    refusal TEXT,
    CHECK ((host IS NULL) = (refusal IS NOT NULL))
) STRICT;
CREATE INDEX report_host ON report (host, number);
CREATE INDEX report_refused ON report (address) WHERE host IS NULL;

CREATE TABLE lifecycle_event (
    number INTEGER PRIMARY KEY,
    host   TEXT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    at     TEXT NOT NULL,
    event  TEXT NOT NULL,
    state  TEXT NOT NULL,
    note   TEXT NOT NULL
) STRICT;
CREATE INDEX lifecycle_event_host ON lifecycle_event (host, number);

-- `in_force` is 1 while the order is open, and after its completion until the host gets another
-- or is released: so long its address and name are taken. `bond` is JSON.
CREATE TABLE install_order (
    host        TEXT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number >= 1),
    role        TEXT NOT NULL,
    hostname    TEXT NOT NULL,
    address     TEXT NOT NULL,
    disk_serial TEXT NOT NULL,
    disk_path   TEXT NOT NULL,
    bond        TEXT NOT NULL,
    issued_at   TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    state       TEXT NOT NULL,
    failure     TEXT,
    token       TEXT NOT NULL,
    in_force    INTEGER NOT NULL CHECK (in_force IN (0, 1)),
    PRIMARY KEY (host, number)
) STRICT;
CREATE UNIQUE INDEX order_in_force ON install_order (host) WHERE in_force = 1;
CREATE UNIQUE INDEX order_address ON install_order (address) WHERE in_force = 1;
CREATE UNIQUE INDEX order_hostname ON install_order (hostname) WHERE in_force = 1;

-- Rendered texts, by their SHA-256. They outlive the hosts that they were made for.
CREATE TABLE document (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- `macs` and `target` are JSON.
CREATE TABLE boot_entry (
    host   TEXT PRIMARY KEY REFERENCES host (id) ON DELETE CASCADE,
    macs   TEXT NOT NULL,
    target TEXT NOT NULL
) STRICT;

-- `number` counts the events of one host (or of all unknown clients), of which the latest are kept.
CREATE TABLE boot_event (
    id            INTEGER PRIMARY KEY,
    host          TEXT REFERENCES host (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    at            TEXT NOT NULL,
    mac           TEXT,
    address       TEXT,
    install_order TEXT,
    kind          TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX boot_event_host ON boot_event (host, number);

CREATE TABLE run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    program    TEXT NOT NULL,
    outcome    TEXT
) STRICT;

-- `record` is JSON, as `harmony_core::event::Record` writes it.
CREATE TABLE journal (
    run    INTEGER NOT NULL REFERENCES run (id),
    seq    INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE one_shot (
    key      TEXT PRIMARY KEY,
    begun_at TEXT NOT NULL,
    done_at  TEXT
) STRICT;
