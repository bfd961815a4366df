-- What the operator's countersigner remembers of one namespace: the newest head it verified, what it decided, and
-- above all which digest of which epoch it agreed to countersign.
--
-- The program keeps every rule in the transaction that writes. The triggers hold the same lines once more, below the
-- program: one digest for one epoch, epochs only rise, a decision is final, a verified head never goes back.

-- The newest tree head that was verified. No row: none yet. It also binds the ledger to one log, for good.
CREATE TABLE verified_head (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    origin     TEXT    NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    head_time  INTEGER NOT NULL CHECK (head_time > 0), -- seconds since 1970, as the witness quorum stamped it
    checkpoint BLOB    NOT NULL                        -- the note with every signature line, as it was verified
) STRICT;

CREATE TRIGGER verified_head_never_goes_back BEFORE UPDATE ON verified_head
WHEN NEW.origin <> OLD.origin
  OR NEW.size < OLD.size
  OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
  OR NEW.head_time < OLD.head_time
BEGIN
    SELECT RAISE(ABORT, 'a verified head never goes back');
END;

CREATE TRIGGER verified_head_is_never_forgotten BEFORE DELETE ON verified_head
BEGIN
    SELECT RAISE(ABORT, 'a verified head is never forgotten');
END;

-- From when the cool-off of a certified statement is counted. Written with the first verified head that holds it.
CREATE TABLE sighting (
    epoch        INTEGER NOT NULL PRIMARY KEY CHECK (epoch > 0),
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    leaf_index   INTEGER NOT NULL UNIQUE CHECK (leaf_index >= 0),
    counted_from INTEGER NOT NULL CHECK (counted_from >= 0) -- seconds since 1970
) STRICT;

CREATE TRIGGER sighting_is_never_changed BEFORE UPDATE ON sighting
BEGIN
    SELECT RAISE(ABORT, 'a sighting is never changed');
END;

CREATE TRIGGER sighting_is_never_forgotten BEFORE DELETE ON sighting
BEGIN
    SELECT RAISE(ABORT, 'a sighting is never forgotten');
END;

-- The statements that may be countersigned. A row is durable before its first signature exists.
CREATE TABLE ledger_row (
    epoch      INTEGER NOT NULL PRIMARY KEY CHECK (epoch > 0),
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    leaf_index INTEGER NOT NULL UNIQUE CHECK (leaf_index >= 0),
    policy     BLOB    NOT NULL CHECK (length(policy) = 32), -- digest of the operator's policy that decided
    rule       TEXT    NOT NULL,
    decided_at INTEGER NOT NULL CHECK (decided_at >= 0),     -- seconds since 1970
    receipt    BLOB    NOT NULL                              -- tlog-proof of the certified statement
) STRICT;

CREATE TRIGGER ledger_row_epochs_rise BEFORE INSERT ON ledger_row
WHEN NEW.epoch <= (SELECT max(epoch) FROM ledger_row)
BEGIN
    SELECT RAISE(ABORT, 'epochs of the ledger rise');
END;

CREATE TRIGGER ledger_row_is_not_refused BEFORE INSERT ON ledger_row
WHEN EXISTS (SELECT 1 FROM refusal WHERE refusal.epoch = NEW.epoch)
BEGIN
    SELECT RAISE(ABORT, 'a refused epoch is never countersigned');
END;

CREATE TRIGGER ledger_row_is_never_changed BEFORE UPDATE ON ledger_row
BEGIN
    SELECT RAISE(ABORT, 'a ledger row is never changed');
END;

CREATE TRIGGER ledger_row_is_never_forgotten BEFORE DELETE ON ledger_row
BEGIN
    SELECT RAISE(ABORT, 'a ledger row is never forgotten');
END;

-- Where the first activation of a row was seen, under a verified head.
CREATE TABLE activation (
    epoch      INTEGER NOT NULL PRIMARY KEY REFERENCES ledger_row,
    leaf_index INTEGER NOT NULL UNIQUE CHECK (leaf_index > 0)
) STRICT;

CREATE TRIGGER activation_is_never_changed BEFORE UPDATE ON activation
BEGIN
    SELECT RAISE(ABORT, 'an activation is never changed');
END;

CREATE TRIGGER activation_is_never_forgotten BEFORE DELETE ON activation
BEGIN
    SELECT RAISE(ABORT, 'an activation is never forgotten');
END;

-- The statements that will never be countersigned, and why.
CREATE TABLE refusal (
    epoch      INTEGER NOT NULL PRIMARY KEY CHECK (epoch > 0),
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    leaf_index INTEGER NOT NULL UNIQUE CHECK (leaf_index >= 0),
    refused_at INTEGER NOT NULL CHECK (refused_at >= 0), -- seconds since 1970
    reasons    TEXT    NOT NULL                          -- JSON: why, with the policy and its rules where it was they
) STRICT;

CREATE TRIGGER refusal_is_not_countersigned BEFORE INSERT ON refusal
WHEN EXISTS (SELECT 1 FROM ledger_row WHERE ledger_row.epoch = NEW.epoch)
BEGIN
    SELECT RAISE(ABORT, 'a countersigned epoch is never refused');
END;

CREATE TRIGGER refusal_is_never_changed BEFORE UPDATE ON refusal
BEGIN
    SELECT RAISE(ABORT, 'a refusal is never changed');
END;

CREATE TRIGGER refusal_is_never_forgotten BEFORE DELETE ON refusal
BEGIN
    SELECT RAISE(ABORT, 'a refusal is never forgotten');
END;

-- Two quorum-cosigned heads that contradict each other: evidence that convinces anybody who has the keys.
CREATE TABLE fork (
    fork_id     INTEGER NOT NULL PRIMARY KEY,
    verified    BLOB    NOT NULL, -- the checkpoint that was verified first
    found       BLOB    NOT NULL, -- the checkpoint that contradicts it
    prefix_root BLOB    NOT NULL CHECK (length(prefix_root) = 32), -- what `found` commits to at the size of `verified`
    link        BLOB    NOT NULL, -- the consistency link from there to `found`
    seen_at     INTEGER NOT NULL CHECK (seen_at >= 0) -- seconds since 1970
) STRICT;

CREATE TRIGGER fork_is_never_changed BEFORE UPDATE ON fork
BEGIN
    SELECT RAISE(ABORT, 'evidence is never changed');
END;

CREATE TRIGGER fork_is_never_forgotten BEFORE DELETE ON fork
BEGIN
    SELECT RAISE(ABORT, 'evidence is never forgotten');
END;
