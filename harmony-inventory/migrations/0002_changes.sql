-- What is read again and again is read by what has changed: forgotten hosts and orders have their
-- place among the revisions too.

ALTER TABLE retired_host ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX retired_host_revision ON retired_host (revision);

ALTER TABLE install_order ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX install_order_revision ON install_order (revision);

-- Failures are few, and are looked for among the events of all hosts.
CREATE INDEX boot_event_failed ON boot_event (at) WHERE json_extract(kind, '$.kind') = 'install_failed';
