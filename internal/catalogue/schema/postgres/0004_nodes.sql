-- What one node at a time does, and which one until when. A lease that has ended may be taken by another node; fence grows with each that takes it, so
-- that who has lost it without knowing changes nothing any more.
CREATE TABLE leases (
  name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  fence  BIGINT NOT NULL,
  until  BIGINT NOT NULL
);

-- For each node the last of its transactions that was committed, so that one whose commit had no answer can be told from one that did not happen.
CREATE TABLE commits (
  node  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  token TEXT COLLATE "C" NOT NULL,
  at    BIGINT NOT NULL -- when the node was started
);
