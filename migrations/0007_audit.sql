-- One row for every step of every order, trade, hold, delivery and claim, written with its effect.

CREATE TABLE audit_record (
    id                    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_id          INTEGER,
    sequence              BIGINT,
    event_index           INTEGER NOT NULL DEFAULT 0,
    code                  TEXT NOT NULL CHECK (code ~ '^[A-Z]{4}$'),
    event_at              TIMESTAMPTZ NOT NULL,
    actor_participant_id  BIGINT,
    key_id                BIGINT,
    participant_id        BIGINT,
    trade_group_id        BIGINT,
    product_id            TEXT,
    order_id              BIGINT,
    trade_id              BIGINT,
    subject_id            BIGINT,
    detail                JSON NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_record_of_order ON audit_record (order_id) WHERE order_id IS NOT NULL;
CREATE TRIGGER audit_record_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_record_insert_only;
