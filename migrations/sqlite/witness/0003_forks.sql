-- What proves that a log has forked, and the end of cosigning for it.
--
-- The program refuses before it signs. The triggers hold the same line once more, below the program: evidence that
-- was committed by anyone, between the reading of a head and its replacement, stops the replacement.
CREATE TABLE fork (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of the evidence
    origin   TEXT    NOT NULL,
    found_at INTEGER NOT NULL CHECK (found_at > 0), -- seconds since 1970
    evidence BLOB    NOT NULL CHECK (length(evidence) <= 262144)
) STRICT, WITHOUT ROWID;

CREATE INDEX fork_of_log ON fork (origin);

CREATE TRIGGER fork_is_never_changed BEFORE UPDATE ON fork
BEGIN
    SELECT RAISE(ABORT, 'fork evidence is never changed');
END;

CREATE TRIGGER fork_is_never_forgotten BEFORE DELETE ON fork
BEGIN
    SELECT RAISE(ABORT, 'fork evidence is never forgotten');
END;

CREATE TRIGGER forked_log_is_never_cosigned_again BEFORE UPDATE ON head
WHEN EXISTS (SELECT 1 FROM fork WHERE origin = NEW.origin)
BEGIN
    SELECT RAISE(ABORT, 'a log that forked is never cosigned again');
END;

CREATE TRIGGER forked_log_is_never_cosigned_first BEFORE INSERT ON head
WHEN EXISTS (SELECT 1 FROM fork WHERE origin = NEW.origin)
BEGIN
    SELECT RAISE(ABORT, 'a log that forked is never cosigned again');
END;
