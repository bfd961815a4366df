-- What a witness remembers of the logs that it follows.
--
-- The program changes `head` by compare-and-swap on (size, root). The triggers hold the same line once
-- more, below the program: no head goes back, no cosigned head is changed or forgotten.

-- The newest head cosigned for each log. No row: none was ever cosigned.
CREATE TABLE head (
    origin       TEXT    NOT NULL PRIMARY KEY,
    size         INTEGER NOT NULL CHECK (size >= 0),
    root         BLOB    NOT NULL CHECK (length(root) = 32),
    cosigned_at  INTEGER NOT NULL CHECK (cosigned_at > 0), -- seconds since 1970, as in the cosignature
    checkpoint   BLOB    NOT NULL, -- the note: text, empty line, the log's verified signature lines
    cosignatures BLOB    NOT NULL  -- the witness's own signature lines
) STRICT, WITHOUT ROWID;

CREATE TRIGGER head_never_goes_back BEFORE UPDATE ON head
WHEN NEW.origin <> OLD.origin
  OR NEW.size < OLD.size
  OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
  OR NEW.cosigned_at < OLD.cosigned_at
BEGIN
    SELECT RAISE(ABORT, 'a cosigned head never goes back');
END;

CREATE TRIGGER head_is_never_forgotten BEFORE DELETE ON head
BEGIN
    SELECT RAISE(ABORT, 'a cosigned head is never forgotten');
END;

-- Every head ever cosigned, once each, with the log's signatures: what fork evidence is made from.
CREATE TABLE cosigned_head (
    origin            TEXT    NOT NULL,
    size              INTEGER NOT NULL CHECK (size >= 0),
    root              BLOB    NOT NULL CHECK (length(root) = 32),
    first_cosigned_at INTEGER NOT NULL CHECK (first_cosigned_at > 0),
    checkpoint        BLOB    NOT NULL,
    PRIMARY KEY (origin, size) -- one root for one size
) STRICT, WITHOUT ROWID;

CREATE TRIGGER cosigned_head_is_never_changed BEFORE UPDATE ON cosigned_head
BEGIN
    SELECT RAISE(ABORT, 'a cosigned head is never changed');
END;

CREATE TRIGGER cosigned_head_is_never_forgotten BEFORE DELETE ON cosigned_head
BEGIN
    SELECT RAISE(ABORT, 'a cosigned head is never forgotten');
END;
