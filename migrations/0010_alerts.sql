-- Market surveillance: the rules with their versions, what was found by them, and what became of each alert.

-- A version's thresholds never change. By the time of a record the highest version that had begun is in force. Version 1
-- is what the package ships, the exchange's own.
CREATE TABLE alert_rules (
    version         INTEGER PRIMARY KEY CHECK (version > 0),
    rules           JSONB NOT NULL,
    effective_from  TIMESTAMPTZ NOT NULL,
    reason          TEXT NOT NULL CHECK (reason <> ''),
    changed_by      BIGINT NOT NULL REFERENCES participant (id),
    key_id          BIGINT,
    changed_at      TIMESTAMPTZ NOT NULL
);
CREATE TRIGGER alert_rules_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alert_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE alert_rules ENABLE ALWAYS TRIGGER alert_rules_insert_only;

-- fingerprint: a hash of the facts it rests on, so that the same facts raise one alert however often they are read.
-- begins_at and ends_at: from the first of its records to the last. found_at: the venue time of the record that raised it.
CREATE TABLE alert (
    id               BIGINT PRIMARY KEY CHECK (id > 0),
    fingerprint      BYTEA NOT NULL UNIQUE CHECK (octet_length(fingerprint) = 32),
    detector         TEXT NOT NULL CHECK (detector ~ '^[a-z]+(_[a-z]+)*$'),
    rules_version    INTEGER NOT NULL REFERENCES alert_rules (version),
    severity         TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    status           TEXT NOT NULL CHECK (status IN ('open', 'under_review', 'closed')),
    step_count       INTEGER NOT NULL DEFAULT 0,
    participant_ids  BIGINT[] NOT NULL,
    trade_group_ids  BIGINT[] NOT NULL,
    product_id       TEXT,
    programme_id     BIGINT,
    begins_at        TIMESTAMPTZ NOT NULL,
    ends_at          TIMESTAMPTZ NOT NULL CHECK (ends_at >= begins_at),
    figures          JSON NOT NULL,
    record_ids       BIGINT[] NOT NULL,
    order_ids        BIGINT[] NOT NULL,
    trade_ids        BIGINT[] NOT NULL,
    found_at         TIMESTAMPTZ NOT NULL
);
CREATE INDEX alert_by_time ON alert (found_at, id);
CREATE INDEX alert_not_closed ON alert (found_at, id) WHERE status <> 'closed';
CREATE INDEX alert_of_participant ON alert USING gin (participant_ids);

-- The steps an alert may take; from a status to the same one is a note.
CREATE FUNCTION alert_step_allowed(from_status TEXT, to_status TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT from_status = to_status
        OR (from_status, to_status) IN (VALUES ('open', 'under_review'), ('under_review', 'closed'))
$$;

-- Every step of every alert: who, by which key, what, when and why.
CREATE TABLE alert_step (
    alert_id     BIGINT NOT NULL REFERENCES alert (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    from_status  TEXT NOT NULL,
    to_status    TEXT NOT NULL,
    actor_id     BIGINT NOT NULL REFERENCES participant (id),
    key_id       BIGINT NOT NULL,
    text         TEXT NOT NULL CHECK (length(text) <= 2000),
    stepped_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (alert_id, number),
    CONSTRAINT alert_step_is_allowed CHECK (alert_step_allowed(from_status, to_status)),
    CONSTRAINT alert_step_has_its_text CHECK (text <> '' OR to_status = 'under_review')
);
CREATE TRIGGER alert_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alert_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE alert_step ENABLE ALWAYS TRIGGER alert_step_insert_only;

-- An alert begins open; what was found never changes, and its status is the last step's.
CREATE FUNCTION refuse_alert_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'what was found stays: % refused', TG_OP
            USING ERRCODE = 'check_violation', CONSTRAINT = 'alert_follows_its_steps';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'open' OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'an alert begins open'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'alert_follows_its_steps';
        END IF;
        RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - 'status' - 'step_count' = to_jsonb(OLD) - 'status' - 'step_count'
        AND NEW.step_count = OLD.step_count + 1 AND EXISTS (
            SELECT FROM alert_step AS step
            WHERE step.alert_id = NEW.id AND step.number = NEW.step_count
                AND step.from_status = OLD.status AND step.to_status = NEW.status)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what alert % says stays, and its status follows its steps', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'alert_follows_its_steps';
END
$$;
CREATE TRIGGER alert_follows_its_steps BEFORE INSERT OR UPDATE OR DELETE ON alert
    FOR EACH ROW EXECUTE FUNCTION refuse_alert_without_step();
CREATE TRIGGER alert_stays BEFORE TRUNCATE ON alert
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alert_without_step();
ALTER TABLE alert ENABLE ALWAYS TRIGGER alert_follows_its_steps;
ALTER TABLE alert ENABLE ALWAYS TRIGGER alert_stays;

-- How far the record was read for alerts: moved in the transaction of what was found there. state: what the detectors
-- remembered after state_record_id, packed in the form of that number; null before it is first kept. chains: by partition,
-- the last sequence up to which its journal was found whole, and the hash that its next row goes on from, in hex; under 0
-- the size up to which the sealed record was looked at, and the digest of that checkpoint.
CREATE TABLE alert_position (
    name             TEXT PRIMARY KEY,
    record_id        BIGINT NOT NULL CHECK (record_id >= 0),
    state            BYTEA,
    state_form       INTEGER NOT NULL DEFAULT 0,
    state_record_id  BIGINT NOT NULL DEFAULT 0 CHECK (state_record_id BETWEEN 0 AND record_id),
    chains           JSON NOT NULL DEFAULT '{}'
);
