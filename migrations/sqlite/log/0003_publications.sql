-- The history of published heads: one row for each size that was ever published, with every cosignature that its note had
-- at last. Before, only the newest was kept; it is where the history begins.

CREATE TABLE new_publication (
    log_id INTEGER NOT NULL REFERENCES log,
    size   INTEGER NOT NULL,
    note   BLOB    NOT NULL, -- the checkpoint: the log's signature and the witnesses' cosignatures
    PRIMARY KEY (log_id, size),
    FOREIGN KEY (log_id, size) REFERENCES signed_head (log_id, size)
) STRICT, WITHOUT ROWID;

INSERT INTO new_publication SELECT log_id, size, note FROM publication;
DROP TABLE publication;
ALTER TABLE new_publication RENAME TO publication;

CREATE TRIGGER publication_never_goes_back BEFORE INSERT ON publication
WHEN EXISTS (SELECT 1 FROM publication WHERE log_id = NEW.log_id AND size > NEW.size)
BEGIN
    SELECT RAISE(ABORT, 'a published head never goes back');
END;

-- Only the newest head gathers more cosignatures.
CREATE TRIGGER publication_is_never_changed BEFORE UPDATE ON publication
WHEN NEW.log_id <> OLD.log_id
  OR NEW.size <> OLD.size
  OR EXISTS (SELECT 1 FROM publication WHERE log_id = OLD.log_id AND size > OLD.size)
BEGIN
    SELECT RAISE(ABORT, 'a published head that was passed is never changed');
END;

CREATE TRIGGER publication_is_never_forgotten BEFORE DELETE ON publication
BEGIN
    SELECT RAISE(ABORT, 'a published head is never forgotten');
END;
