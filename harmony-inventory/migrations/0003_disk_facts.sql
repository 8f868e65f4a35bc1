-- What installations are aimed by: the slot that a disk is in, and whether it spins.

ALTER TABLE disk ADD COLUMN by_path TEXT;
ALTER TABLE disk ADD COLUMN rotational INTEGER;
