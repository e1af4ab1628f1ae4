-- One row for every step of every order, trade, hold, delivery and claim, written with its effect.

-- In partitions by month of venue time, UTC, so that questions about a time read its months only. received_at: when the
-- request came that the step is of, null where none is. An id is unique over all partitions because none but the identity's
-- sequence gives one: who may insert may name no id, nor another transaction than its own (docker/roles.sql).
CREATE TABLE audit_record (
    id                    BIGINT GENERATED ALWAYS AS IDENTITY,
    partition_id          INTEGER,
    sequence              BIGINT,
    event_index           INTEGER NOT NULL DEFAULT 0,
    code                  TEXT NOT NULL CHECK (code ~ '^[A-Z]{4}$'),
    event_at              TIMESTAMPTZ NOT NULL,
    received_at           TIMESTAMPTZ,
    actor_participant_id  BIGINT,
    key_id                BIGINT,
    participant_id        BIGINT,
    trade_group_id        BIGINT,
    product_id            TEXT,
    order_id              BIGINT,
    trade_id              BIGINT,
    subject_id            BIGINT,
    detail                JSON NOT NULL DEFAULT '{}',
    xact_id               XID8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (id, event_at)
) PARTITION BY RANGE (event_at);
-- Who follows the record reads it by transactions, all of which are over: ids are given out before commits, and come late.
CREATE INDEX audit_record_of_transaction ON audit_record (xact_id);
CREATE INDEX audit_record_of_order ON audit_record (order_id) WHERE order_id IS NOT NULL;
CREATE TRIGGER audit_record_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_record_insert_only;

-- What no month has a partition for: a venue clock may be years away. Nothing is ever lost for want of a partition.
CREATE TABLE audit_record_other PARTITION OF audit_record DEFAULT;
CREATE TRIGGER audit_record_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record_other
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_record_other ENABLE ALWAYS TRIGGER audit_record_insert_only;

-- Make the partitions of some months that have none yet, from the month of a day on, and tell those months. is_made is false
-- where audit_record_other has records of the month already: there they stay, as what is written never moves.
-- It runs as the tables' owner for the service, which owns no table. Writers are never held up; where it would have to wait
-- for others itself (who reads or writes audit_record_other) it fails soon, to be tried again.
CREATE FUNCTION make_audit_months(from_day DATE, months INTEGER)
RETURNS TABLE (month DATE, is_made BOOLEAN) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    name TEXT;
BEGIN
    IF (months BETWEEN 1 AND 24) IS NOT TRUE THEN
        RAISE EXCEPTION 'from 1 to 24 months are made at a time, not %', months USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR ahead IN 0 .. months - 1 LOOP
        month := date_trunc('month', from_day)::DATE + make_interval(months => ahead);
        name := 'audit_record_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- One at a time. A lock on a table, and no advisory one, because with it the next one learns what was made.
        LOCK TABLE audit_record IN SHARE UPDATE EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        is_made := NOT EXISTS (
            SELECT FROM audit_record_other
            WHERE event_at >= month::TIMESTAMPTZ AND event_at < (month + INTERVAL '1 month')::TIMESTAMPTZ);
        IF is_made THEN
            -- Attached, since to make it in its place would keep writers out.
            EXECUTE format('CREATE TABLE %I (LIKE audit_record INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
            EXECUTE format(
                'CREATE TRIGGER audit_record_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
                ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
            EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_record_insert_only', name);
            EXECUTE format(
                'ALTER TABLE audit_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                name, month::TIMESTAMPTZ, (month + INTERVAL '1 month')::TIMESTAMPTZ);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION make_audit_months FROM PUBLIC;
