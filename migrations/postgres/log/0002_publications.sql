-- The history of published heads: one row for each size that was ever published, with every cosignature that its note had
-- at last. The counterpart of sqlite/log/0003.

ALTER TABLE countermark_log.publication DROP CONSTRAINT publication_pkey;
ALTER TABLE countermark_log.publication ADD PRIMARY KEY (log_id, size);

DROP TRIGGER publication_never_goes_back ON countermark_log.publication;
DROP FUNCTION countermark_log.publication_never_goes_back();

-- Sizes rise, and only the newest head gathers more cosignatures.
CREATE FUNCTION countermark_log.publication_never_goes_back() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.log_id <> OLD.log_id OR NEW.size <> OLD.size)
        OR EXISTS (
            SELECT FROM countermark_log.publication AS other WHERE other.log_id = NEW.log_id AND other.size > NEW.size
        )
    THEN
        RAISE EXCEPTION 'a published head never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER publication_never_goes_back BEFORE INSERT OR UPDATE ON countermark_log.publication
FOR EACH ROW EXECUTE FUNCTION countermark_log.publication_never_goes_back();

REVOKE UPDATE ON countermark_log.publication FROM countermark_log_service;
GRANT UPDATE (note) ON countermark_log.publication TO countermark_log_service;
