-- What the log keeps in PostgreSQL: entries, hash tiles, signed heads, for many namespaces. The counterpart of the
-- migrations of sqlite/log together.
--
-- The program moves `log.size` by compare-and-swap on (writer_epoch, size) in the statement that adds the entries. Two
-- more lines are held below the program: the service role has no right to change or delete what a signed head commits
-- to, and triggers refuse the same to everybody, the owner of the tables included.
--
-- Runs as the owner, with the table of applied migrations already there, in the transaction that marks it as applied.
-- Names are qualified everywhere: nothing here or in the program depends on a search path.
--
-- Triggers fire for each statement, not for each row, on the tables that a commit adds many rows to. For the same reason
-- these have no foreign keys: the statement's trigger asks once what a foreign key would ask for each row.

REVOKE ALL ON SCHEMA countermark_log FROM PUBLIC;

-- The role of services. It cannot log in; the users that services log in as are its members. Roles belong to the whole
-- cluster: it is there already where a second database is made, or where the owner may not make roles.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'countermark_log_service') THEN
        CREATE ROLE countermark_log_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- made for another database at this moment
END
$$;

CREATE FUNCTION countermark_log.refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- One row for each namespace's log. Made only together with its first signed head. Rewritten by every commit, in its page.
CREATE TABLE countermark_log.log (
    log_id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin       text    NOT NULL UNIQUE,
    kind         text    NOT NULL CHECK (kind IN ('fleet-keys', 'raw')), -- what entries it takes
    created_size bigint  NOT NULL CHECK (created_size >= 0),             -- the size of the first signed head
    writer_epoch bigint  NOT NULL CHECK (writer_epoch >= 0),             -- counts the writers; only the newest commits
    writer_id    bytea   NOT NULL CHECK (octet_length(writer_id) = 16),  -- the run of the process that has this epoch
    size         bigint  NOT NULL CHECK (size >= created_size),
    frozen       boolean NOT NULL DEFAULT false                          -- it never grows again
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE FUNCTION countermark_log.log_never_goes_back() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.log_id <> OLD.log_id
        OR NEW.origin <> OLD.origin
        OR NEW.kind <> OLD.kind
        OR NEW.created_size <> OLD.created_size
        OR NEW.writer_epoch < OLD.writer_epoch
        OR NEW.size < OLD.size
        OR (OLD.frozen AND NOT NEW.frozen)
    THEN
        RAISE EXCEPTION 'a log never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.frozen AND NEW.size <> OLD.size THEN
        RAISE EXCEPTION 'a frozen log never grows' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER log_never_goes_back BEFORE UPDATE ON countermark_log.log
FOR EACH ROW EXECUTE FUNCTION countermark_log.log_never_goes_back();

CREATE TRIGGER log_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.log
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a log is never forgotten');

-- The leaves. Indexes are given by the program, without gaps, from the size that the statement was fenced on.
CREATE TABLE countermark_log.entry (
    log_id     bigint NOT NULL,
    leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
    bytes      bytea  NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 65535),
    PRIMARY KEY (log_id, leaf_index)
);

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON countermark_log.entry
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('an entry is never changed');
CREATE TRIGGER entry_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.entry
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('an entry is never forgotten');

-- New entries follow the old ones without a gap, and end where the log's new size says. With the primary key: index for
-- index, nothing can be inserted that is not the log's next part.
--
-- A question for each log, not a join: a plan for many logs, kept from when the table was small, reads all of it later.
CREATE FUNCTION countermark_log.entries_continue_their_log() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    added record;
BEGIN
    FOR added IN
        SELECT log_id, min(leaf_index) AS first, max(leaf_index) AS last, count(*) AS number
        FROM new_entry GROUP BY log_id
    LOOP
        IF added.number <> added.last - added.first + 1
            OR NOT EXISTS (SELECT FROM countermark_log.log
                           WHERE log.log_id = added.log_id AND log.size = added.last + 1)
            OR (added.first > 0 AND NOT EXISTS (SELECT FROM countermark_log.entry
                                                WHERE entry.log_id = added.log_id
                                                  AND entry.leaf_index = added.first - 1))
        THEN
            RAISE EXCEPTION 'entries continue their log' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER entries_continue_their_log AFTER INSERT ON countermark_log.entry
REFERENCING NEW TABLE AS new_entry
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.entries_continue_their_log();

-- What an entry is found by: its leaf hash, and its identity (what makes two submissions the same entry) where that is
-- another. No key stands twice in a log.
CREATE TABLE countermark_log.entry_key (
    log_id       bigint  NOT NULL,
    leaf_index   bigint  NOT NULL CHECK (leaf_index >= 0),
    is_identity  boolean NOT NULL,
    is_leaf_hash boolean NOT NULL CHECK (is_identity OR is_leaf_hash),
    key          bytea   NOT NULL CHECK (octet_length(key) = 32),
    PRIMARY KEY (log_id, key)
);

CREATE TRIGGER entry_key_is_never_changed BEFORE UPDATE ON countermark_log.entry_key
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('the key of an entry is never changed');
CREATE TRIGGER entry_key_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.entry_key
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('the key of an entry is never forgotten');

-- Full hash tiles, C2SP tlog-tiles: 256 hashes each.
CREATE TABLE countermark_log.full_tile (
    log_id     bigint   NOT NULL,
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index bigint   NOT NULL CHECK (tile_index >= 0),
    hashes     bytea    NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (log_id, level, tile_index)
);
-- Hashes do not compress; the attempt costs more than the insert.
ALTER TABLE countermark_log.full_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TRIGGER full_tile_is_never_changed BEFORE UPDATE ON countermark_log.full_tile
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a full tile is never changed');
CREATE TRIGGER full_tile_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.full_tile
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a full tile is never forgotten');

-- The right edge of the committed tree: at most one partial tile on each level, 1 to 255 hashes. It can be computed again
-- from the full tiles and the entries.
CREATE TABLE countermark_log.partial_tile (
    log_id     bigint   NOT NULL REFERENCES countermark_log.log,
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index bigint   NOT NULL CHECK (tile_index >= 0),
    hashes     bytea    NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8160 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (log_id, level)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_scale_factor = 0
);
ALTER TABLE countermark_log.partial_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Every head the log ever signed: one root for one size. Written before its signature leaves the process.
CREATE TABLE countermark_log.signed_head (
    log_id     bigint NOT NULL REFERENCES countermark_log.log,
    size       bigint NOT NULL CHECK (size >= 0),
    root       bytea  NOT NULL CHECK (octet_length(root) = 32),
    checkpoint bytea  NOT NULL, -- the note: text, empty line, the log's signature line
    PRIMARY KEY (log_id, size)
);

CREATE TRIGGER signed_head_is_never_changed BEFORE UPDATE ON countermark_log.signed_head
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a signed head is never changed');
CREATE TRIGGER signed_head_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.signed_head
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a signed head is never forgotten');

-- A head is signed for the size that its log has at the end of the statement: they rise as the log does.
CREATE FUNCTION countermark_log.head_is_of_its_log() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM countermark_log.log WHERE log.log_id = NEW.log_id AND log.size = NEW.size) THEN
        RAISE EXCEPTION 'signed heads rise with their log' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER head_is_of_its_log AFTER INSERT ON countermark_log.signed_head
FOR EACH ROW EXECUTE FUNCTION countermark_log.head_is_of_its_log();

-- A log begins and grows only together with its entries and a signed head of its new size.
CREATE FUNCTION countermark_log.log_grows_with_its_head() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM countermark_log.signed_head AS head
                   WHERE head.log_id = NEW.log_id AND head.size = NEW.size)
        OR (NEW.size > 0 AND NOT EXISTS (SELECT FROM countermark_log.entry
                                         WHERE entry.log_id = NEW.log_id AND entry.leaf_index = NEW.size - 1))
    THEN
        RAISE EXCEPTION 'a log grows with its entries and a signed head'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER log_grows_with_its_head AFTER INSERT OR UPDATE OF size ON countermark_log.log
FOR EACH ROW EXECUTE FUNCTION countermark_log.log_grows_with_its_head();

-- The newest head that met the witness quorum, with its cosignatures. No row: none did yet.
CREATE TABLE countermark_log.publication (
    log_id bigint NOT NULL PRIMARY KEY,
    size   bigint NOT NULL,
    note   bytea  NOT NULL,
    FOREIGN KEY (log_id, size) REFERENCES countermark_log.signed_head (log_id, size)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE FUNCTION countermark_log.publication_never_goes_back() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.log_id <> OLD.log_id OR NEW.size < OLD.size THEN
        RAISE EXCEPTION 'a published head never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER publication_never_goes_back BEFORE UPDATE ON countermark_log.publication
FOR EACH ROW EXECUTE FUNCTION countermark_log.publication_never_goes_back();
CREATE TRIGGER publication_is_never_forgotten BEFORE DELETE OR TRUNCATE ON countermark_log.publication
FOR EACH STATEMENT EXECUTE FUNCTION countermark_log.refuse('a published head is never forgotten');

-- Reading is free of risk. Everything else is named, column by column.
GRANT USAGE ON SCHEMA countermark_log TO countermark_log_service;
GRANT SELECT ON ALL TABLES IN SCHEMA countermark_log TO countermark_log_service;
GRANT INSERT (origin, kind, created_size, writer_epoch, writer_id, size) ON countermark_log.log
    TO countermark_log_service;
GRANT UPDATE (writer_epoch, writer_id, size, frozen) ON countermark_log.log TO countermark_log_service;
GRANT INSERT ON countermark_log.entry, countermark_log.entry_key, countermark_log.full_tile,
    countermark_log.signed_head TO countermark_log_service;
GRANT INSERT, UPDATE, DELETE ON countermark_log.partial_tile TO countermark_log_service;
GRANT INSERT, UPDATE ON countermark_log.publication TO countermark_log_service;
