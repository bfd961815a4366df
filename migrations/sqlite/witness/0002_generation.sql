-- How often the state was changed: what the head register beside the key is compared with.
--
-- Every transaction that stores a head raises it. A state file with a smaller number than the register's is an older
-- copy of the state, and is not served.
CREATE TABLE generation (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), -- there is one row
    value INTEGER NOT NULL CHECK (value >= 0)
) STRICT;

INSERT INTO generation (one, value) VALUES (1, 0);

CREATE TRIGGER generation_never_goes_back BEFORE UPDATE ON generation
WHEN NEW.one <> OLD.one OR NEW.value < OLD.value
BEGIN
    SELECT RAISE(ABORT, 'the generation of a state never goes back');
END;

CREATE TRIGGER generation_is_never_forgotten BEFORE DELETE ON generation
BEGIN
    SELECT RAISE(ABORT, 'the generation of a state is never forgotten');
END;
