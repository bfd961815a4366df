-- Two kinds of logs, frozen logs, and entries that are appended at the speed of the disk.
--
-- What is added to the log table needs wider checks than 0001 had, so the tables are made again and filled. The
-- connection that migrates does not enforce foreign keys meanwhile; they are checked before the commit.

CREATE TABLE new_log (
    log_id       INTEGER NOT NULL PRIMARY KEY CHECK (log_id BETWEEN 0 AND 16383),
    origin       TEXT    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL CHECK (kind IN ('fleet-keys', 'raw')),
    created_size INTEGER NOT NULL CHECK (created_size >= 0),  -- the size of the first signed head
    writer_epoch INTEGER NOT NULL CHECK (writer_epoch >= 0),  -- counts the writers; only the newest commits
    writer_id    BLOB    NOT NULL CHECK (length(writer_id) = 16), -- the run of the process that has this epoch
    size         INTEGER NOT NULL CHECK (size >= created_size),
    frozen       INTEGER NOT NULL CHECK (frozen IN (0, 1))    -- 1: never grows again
) STRICT;

INSERT INTO new_log
SELECT log_id, origin, 'fleet-keys', created_size, writer_epoch, writer_id, size, 0 FROM log;

-- The leaves. One tree alone, whose key rises with every row: SQLite appends to it without looking for a place.
-- entry_id = log_id * 2^48 + leaf_index. Indexes are given by the program, from the size that the transaction was
-- fenced on.
CREATE TABLE new_entry (
    entry_id INTEGER NOT NULL PRIMARY KEY,
    bytes    BLOB    NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535)
) STRICT;

INSERT INTO new_entry SELECT log_id * 281474976710656 + leaf_index, bytes FROM entry ORDER BY log_id, leaf_index;

-- What an entry is found by: its leaf hash, and its identity (what makes two submissions the same entry) where that is
-- another. Opaque entries are known by their leaf hash alone.
CREATE TABLE entry_key (
    log_id       INTEGER NOT NULL REFERENCES log,
    key          BLOB    NOT NULL CHECK (length(key) = 32),
    leaf_index   INTEGER NOT NULL CHECK (leaf_index >= 0),
    is_identity  INTEGER NOT NULL CHECK (is_identity IN (0, 1)),
    is_leaf_hash INTEGER NOT NULL CHECK (is_leaf_hash IN (0, 1)),
    PRIMARY KEY (log_id, key),
    CHECK (is_identity + is_leaf_hash > 0)
) STRICT, WITHOUT ROWID;

INSERT INTO entry_key SELECT log_id, identity, leaf_index, 1, 0 FROM entry;
INSERT INTO entry_key SELECT log_id, leaf_hash, leaf_index, 0, 1 FROM entry;

CREATE TABLE new_signed_head (
    log_id     INTEGER NOT NULL REFERENCES log,
    size       INTEGER NOT NULL CHECK (size >= 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    checkpoint BLOB    NOT NULL, -- the note: text, empty line, the log's signature line
    PRIMARY KEY (log_id, size)
) STRICT, WITHOUT ROWID;

INSERT INTO new_signed_head SELECT log_id, size, root, checkpoint FROM signed_head;

-- The tables of 0001 and their triggers go; nothing that they held does.
DROP TABLE entry;
DROP TABLE signed_head;
DROP TABLE log;
ALTER TABLE new_log RENAME TO log;
ALTER TABLE new_entry RENAME TO entry;
ALTER TABLE new_signed_head RENAME TO signed_head;

-- INSERT OR REPLACE deletes without firing a delete trigger; these triggers refuse it.
CREATE TRIGGER log_is_never_replaced BEFORE INSERT ON log
WHEN EXISTS (SELECT 1 FROM log WHERE log_id = NEW.log_id OR origin = NEW.origin)
BEGIN
    SELECT RAISE(ABORT, 'a log is never replaced');
END;

CREATE TRIGGER log_never_goes_back BEFORE UPDATE ON log
WHEN NEW.log_id <> OLD.log_id
  OR NEW.origin <> OLD.origin
  OR NEW.kind <> OLD.kind
  OR NEW.created_size <> OLD.created_size
  OR NEW.writer_epoch < OLD.writer_epoch
  OR NEW.size < OLD.size
  OR NEW.frozen < OLD.frozen
BEGIN
    SELECT RAISE(ABORT, 'a log never goes back');
END;

CREATE TRIGGER log_stays_frozen BEFORE UPDATE ON log
WHEN OLD.frozen = 1 AND NEW.size <> OLD.size
BEGIN
    SELECT RAISE(ABORT, 'a frozen log never grows');
END;

CREATE TRIGGER log_is_never_forgotten BEFORE DELETE ON log
BEGIN
    SELECT RAISE(ABORT, 'a log is never forgotten');
END;

-- An entry stands behind the last one of its log. That leaves no gap, and replaces nothing.
CREATE TRIGGER entry_follows_the_last BEFORE INSERT ON entry
WHEN NEW.entry_id <> coalesce(
    (SELECT entry_id + 1 FROM entry
     WHERE entry_id BETWEEN (NEW.entry_id >> 48 << 48) AND (NEW.entry_id >> 48 << 48) + 281474976710655
     ORDER BY entry_id DESC LIMIT 1),
    NEW.entry_id >> 48 << 48)
BEGIN
    SELECT RAISE(ABORT, 'an entry stands behind the last one');
END;

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
BEGIN
    SELECT RAISE(ABORT, 'an entry is never changed');
END;

CREATE TRIGGER entry_is_never_forgotten BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'an entry is never forgotten');
END;

CREATE TRIGGER entry_key_is_never_replaced BEFORE INSERT ON entry_key
WHEN EXISTS (SELECT 1 FROM entry_key WHERE log_id = NEW.log_id AND key = NEW.key)
BEGIN
    SELECT RAISE(ABORT, 'what an entry is found by is never replaced');
END;

CREATE TRIGGER entry_key_is_never_changed BEFORE UPDATE ON entry_key
BEGIN
    SELECT RAISE(ABORT, 'what an entry is found by is never changed');
END;

CREATE TRIGGER entry_key_is_never_forgotten BEFORE DELETE ON entry_key
BEGIN
    SELECT RAISE(ABORT, 'what an entry is found by is never forgotten');
END;

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
