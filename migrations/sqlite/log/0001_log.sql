-- What the log keeps: entries, hash tiles, signed heads, for many namespaces.
--
-- The program moves `log.size` by compare-and-swap on (writer_epoch, size) in the transaction that adds the
-- entries. The triggers hold the same line once more, below the program: nothing that a signed head commits
-- to is ever changed or forgotten.

-- One row for each namespace's log. Made only together with its first signed head.
CREATE TABLE log (
    log_id       INTEGER NOT NULL PRIMARY KEY,
    origin       TEXT    NOT NULL UNIQUE,
    created_size INTEGER NOT NULL CHECK (created_size > 0),  -- the size of the first signed head
    writer_epoch INTEGER NOT NULL CHECK (writer_epoch >= 0), -- counts the writers; only the newest commits
    writer_id    BLOB    NOT NULL CHECK (length(writer_id) = 16), -- the run of the process that has this epoch
    size         INTEGER NOT NULL CHECK (size >= created_size)
) STRICT;

-- INSERT OR REPLACE deletes without firing a delete trigger; these triggers refuse it.
CREATE TRIGGER log_is_never_replaced BEFORE INSERT ON log
WHEN EXISTS (SELECT 1 FROM log WHERE log_id = NEW.log_id OR origin = NEW.origin)
BEGIN
    SELECT RAISE(ABORT, 'a log is never replaced');
END;

CREATE TRIGGER log_never_goes_back BEFORE UPDATE ON log
WHEN NEW.log_id <> OLD.log_id
  OR NEW.origin <> OLD.origin
  OR NEW.created_size <> OLD.created_size
  OR NEW.writer_epoch < OLD.writer_epoch
  OR NEW.size < OLD.size
BEGIN
    SELECT RAISE(ABORT, 'a log never goes back');
END;

CREATE TRIGGER log_is_never_forgotten BEFORE DELETE ON log
BEGIN
    SELECT RAISE(ABORT, 'a log is never forgotten');
END;

-- The leaves. Indexes are given by the program, without gaps, from the size that the transaction was fenced on.
CREATE TABLE entry (
    log_id     INTEGER NOT NULL REFERENCES log,
    leaf_index INTEGER NOT NULL CHECK (leaf_index >= 0),
    identity   BLOB    NOT NULL CHECK (length(identity) = 32), -- what makes two submissions the same entry
    leaf_hash  BLOB    NOT NULL CHECK (length(leaf_hash) = 32),
    bytes      BLOB    NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535),
    PRIMARY KEY (log_id, leaf_index),
    UNIQUE (log_id, identity),
    UNIQUE (log_id, leaf_hash)
) STRICT;

CREATE TRIGGER entry_is_never_replaced BEFORE INSERT ON entry
-- One question for each key: with OR inside one question SQLite reads the whole log.
WHEN EXISTS (SELECT 1 FROM entry WHERE log_id = NEW.log_id AND leaf_index = NEW.leaf_index)
  OR EXISTS (SELECT 1 FROM entry WHERE log_id = NEW.log_id AND identity = NEW.identity)
  OR EXISTS (SELECT 1 FROM entry WHERE log_id = NEW.log_id AND leaf_hash = NEW.leaf_hash)
BEGIN
    SELECT RAISE(ABORT, 'an entry is never replaced');
END;

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
BEGIN
    SELECT RAISE(ABORT, 'an entry is never changed');
END;

CREATE TRIGGER entry_is_never_forgotten BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'an entry is never forgotten');
END;

-- Full hash tiles, C2SP tlog-tiles: 256 hashes each.
CREATE TABLE full_tile (
    log_id     INTEGER NOT NULL REFERENCES log,
    level      INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index INTEGER NOT NULL CHECK (tile_index >= 0),
    hashes     BLOB    NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (log_id, level, tile_index)
) STRICT;

CREATE TRIGGER full_tile_is_never_replaced BEFORE INSERT ON full_tile
WHEN EXISTS (SELECT 1 FROM full_tile
             WHERE log_id = NEW.log_id AND level = NEW.level AND tile_index = NEW.tile_index)
BEGIN
    SELECT RAISE(ABORT, 'a full tile is never replaced');
END;

CREATE TRIGGER full_tile_is_never_changed BEFORE UPDATE ON full_tile
BEGIN
    SELECT RAISE(ABORT, 'a full tile is never changed');
END;

CREATE TRIGGER full_tile_is_never_forgotten BEFORE DELETE ON full_tile
BEGIN
    SELECT RAISE(ABORT, 'a full tile is never forgotten');
END;

-- The right edge of the committed tree: at most one partial tile on each level, 1 to 255 hashes.
CREATE TABLE partial_tile (
    log_id     INTEGER NOT NULL REFERENCES log,
    level      INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index INTEGER NOT NULL CHECK (tile_index >= 0),
    hashes     BLOB    NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8160 AND length(hashes) % 32 = 0),
    PRIMARY KEY (log_id, level)
) STRICT, WITHOUT ROWID;

-- Every head the log ever signed: one root for one size. Written before its signature leaves the process.
CREATE TABLE signed_head (
    log_id     INTEGER NOT NULL REFERENCES log,
    size       INTEGER NOT NULL CHECK (size > 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    checkpoint BLOB    NOT NULL, -- the note: text, empty line, the log's signature line
    PRIMARY KEY (log_id, size)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER signed_head_is_never_replaced BEFORE INSERT ON signed_head
WHEN EXISTS (SELECT 1 FROM signed_head WHERE log_id = NEW.log_id AND size >= NEW.size)
BEGIN
    SELECT RAISE(ABORT, 'signed heads rise');
END;

CREATE TRIGGER signed_head_is_never_changed BEFORE UPDATE ON signed_head
BEGIN
    SELECT RAISE(ABORT, 'a signed head is never changed');
END;

CREATE TRIGGER signed_head_is_never_forgotten BEFORE DELETE ON signed_head
BEGIN
    SELECT RAISE(ABORT, 'a signed head is never forgotten');
END;

-- The newest head that met the witness quorum, with its cosignatures. No row: none did yet.
CREATE TABLE publication (
    log_id INTEGER NOT NULL PRIMARY KEY REFERENCES log,
    size   INTEGER NOT NULL,
    note   BLOB    NOT NULL,
    FOREIGN KEY (log_id, size) REFERENCES signed_head (log_id, size)
) STRICT;

CREATE TRIGGER publication_never_goes_back BEFORE UPDATE ON publication
WHEN NEW.size < OLD.size
BEGIN
    SELECT RAISE(ABORT, 'a published head never goes back');
END;
