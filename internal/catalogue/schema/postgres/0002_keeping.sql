-- tombstone is null while no record on the medium says so, and empty when a copy of the catalogue on the medium does; number counts deletions, so that
-- it is known which of them a copy has.
ALTER TABLE deleted_archives ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deleted_archives ADD COLUMN deleted_at BIGINT;

CREATE INDEX deleted_archives_buried ON deleted_archives (number) WHERE tombstone > '';

INSERT INTO counters (name, value) VALUES ('deletion', 0), ('scrub', 0);

-- 1: a tombstone, which goes when all that was released before it is gone.
ALTER TABLE releases ADD COLUMN tombstone BIGINT NOT NULL DEFAULT 0;

-- Complete records that no row refers to, and since when that is known. Rows of a sweep before the last are forgotten.
CREATE TABLE orphans (
  place   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  since   BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
);

-- What the last scrub found of each volume. Rows of volumes that are gone go with the next scrub.
CREATE TABLE scrubbed_volumes (
  volume      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  scrub       BIGINT NOT NULL, -- number of the scrub that read it last
  verified_at BIGINT NOT NULL,
  records     BIGINT NOT NULL,
  bytes       BIGINT NOT NULL,
  faults      BIGINT NOT NULL
);

CREATE TABLE scrubs (
  scrub       BIGINT NOT NULL PRIMARY KEY, -- number, from 1
  started_at  BIGINT NOT NULL,
  finished_at BIGINT
);
-- For a check: which archive an upload became.
CREATE INDEX archives_of_upload ON archives (upload_id) WHERE upload_id IS NOT NULL;
CREATE INDEX deleted_archives_of_upload ON deleted_archives (upload_id) WHERE upload_id IS NOT NULL;
