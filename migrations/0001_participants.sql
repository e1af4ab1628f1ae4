-- Who trades here, and with which keys.

-- The numbers of processes, which tell their ids apart: each takes the next one when it starts.
CREATE SEQUENCE process_number AS INTEGER MINVALUE 0 MAXVALUE 65535 CYCLE;

-- name_key, here and below: what is the same for names that nobody can tell apart.
CREATE TABLE trade_group (
    id          BIGINT PRIMARY KEY CHECK (id > 0),
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at  TIMESTAMPTZ NOT NULL,
    name_key    TEXT NOT NULL UNIQUE CHECK (length(name_key) BETWEEN 1 AND 400)
);

-- Refuses that a row goes, or changes its id: others name it, and who names it looks only once whether it is there.
CREATE FUNCTION refuse_going() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % keeps its id and is never deleted: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- A provider has an ownership, a buyer a size class and a founding date; nobody else has either.
CREATE TABLE participant (
    id              BIGINT PRIMARY KEY CHECK (id > 0),
    kind            TEXT NOT NULL CHECK (kind IN ('provider', 'buyer', 'issuer', 'regulator', 'operator')),
    name            TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    trade_group_id  BIGINT REFERENCES trade_group (id),
    region          TEXT CHECK (region ~ '^[a-z][a-z0-9-]{1,39}$'),
    ownership       TEXT CHECK (ownership IN ('state', 'private')),
    size_class      TEXT CHECK (size_class IN ('micro', 'small', 'medium', 'large')),
    founded_on      DATE,
    sectors         TEXT[] NOT NULL DEFAULT '{}',
    created_at      TIMESTAMPTZ NOT NULL,
    name_key        TEXT NOT NULL UNIQUE CHECK (length(name_key) BETWEEN 1 AND 400),
    CONSTRAINT participant_provider_facts CHECK ((kind = 'provider') = (ownership IS NOT NULL)),
    CONSTRAINT participant_buyer_facts CHECK ((kind = 'buyer') = (size_class IS NOT NULL AND founded_on IS NOT NULL)),
    CONSTRAINT participant_region_known CHECK (kind NOT IN ('provider', 'buyer') OR region IS NOT NULL)
);
CREATE TRIGGER participant_stays BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON participant
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE participant ENABLE ALWAYS TRIGGER participant_stays;

-- The exchange itself: owner of the fee account and of the account that stands for the outside world.
INSERT INTO participant (id, kind, name, created_at, name_key)
VALUES (1, 'operator', 'exchange', '2020-01-01T00:00:00Z', 'exchange');

-- Only the SHA-256 of a key's 256-bit random secret is stored; the key itself is shown once. signing_public_key: the
-- Ed25519 key that must sign its requests, where one must. maker_key_id: the key that made it, or that it was made in the
-- place of; null where there is none, as for those that the command line makes. successor_key_id: the key made in its
-- place when it was rotated. last_used_*: to the minute, written some time after. algorithm: what decides with it, by its
-- owner's name for it, where no person does; it never changes, so that it is known of every step that was taken with the key.
CREATE TABLE api_key (
    id                  BIGINT PRIMARY KEY CHECK (id > 0),
    participant_id      BIGINT NOT NULL REFERENCES participant (id),
    label               TEXT NOT NULL DEFAULT '' CHECK (length(label) <= 200),
    secret_sha256       BYTEA NOT NULL CHECK (octet_length(secret_sha256) = 32),
    signing_public_key  BYTEA CHECK (octet_length(signing_public_key) = 32),
    scopes              TEXT[] NOT NULL
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'trade', 'list_capacity', 'issue', 'audit', 'operate']),
    algorithm           TEXT CHECK (algorithm ~ '^[A-Za-z0-9._-]+$' AND length(algorithm) <= 64),
    allowed_networks    CIDR[] NOT NULL DEFAULT '{}',
    created_at          TIMESTAMPTZ NOT NULL,
    expires_at          TIMESTAMPTZ,
    revoked_at          TIMESTAMPTZ,
    maker_key_id        BIGINT REFERENCES api_key (id),
    successor_key_id    BIGINT UNIQUE REFERENCES api_key (id),
    last_used_at        TIMESTAMPTZ,
    last_used_from      INET,
    CONSTRAINT api_key_not_of_exchange CHECK (participant_id <> 1),
    CONSTRAINT api_key_use_whole CHECK (last_used_from IS NULL OR last_used_at IS NOT NULL)
);
CREATE INDEX api_key_of_participant ON api_key (participant_id, id);

-- What the record says of a step by its key stays true: whose it is, what made it, and what decides with it.
CREATE FUNCTION refuse_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a row of % is stays as it was written', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER api_key_is_what_it_was BEFORE UPDATE ON api_key FOR EACH ROW
    WHEN ((OLD.participant_id, OLD.maker_key_id, OLD.algorithm)
        IS DISTINCT FROM (NEW.participant_id, NEW.maker_key_id, NEW.algorithm))
    EXECUTE FUNCTION refuse_other();
ALTER TABLE api_key ENABLE ALWAYS TRIGGER api_key_is_what_it_was;

-- Every process keeps keys in memory, and hears of each change at its commit: channel api_key, the key's id.
CREATE FUNCTION api_key_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('api_key', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER api_key_tell
    AFTER UPDATE OF participant_id, secret_sha256, signing_public_key, scopes, allowed_networks, expires_at, revoked_at
    ON api_key FOR EACH ROW EXECUTE FUNCTION api_key_tell();

-- With a key its participant is kept in memory: who changes one tells of all its keys.
CREATE FUNCTION participant_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('api_key', key.id::text) FROM api_key AS key WHERE key.participant_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER participant_tell
    AFTER UPDATE OF kind, name, trade_group_id
    ON participant FOR EACH ROW EXECUTE FUNCTION participant_tell();

-- The signed requests of late, each of which opens the exchange once. Without a reference to the key, which would lock
-- its row for every request.
CREATE TABLE request_nonce (
    key_id      BIGINT NOT NULL,
    nonce       TEXT NOT NULL CHECK (length(nonce) BETWEEN 1 AND 64),
    expires_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (key_id, nonce)
);
CREATE INDEX request_nonce_by_expiry ON request_nonce (expires_at);

-- Sessions of the console: each stands for a key, and ends with it. secret_sha256 is of what the browser's cookie says.
-- last_used_*: to the minute. Dropped a day after they could open anything.
CREATE TABLE console_session (
    id              BIGINT PRIMARY KEY CHECK (id > 0),
    key_id          BIGINT NOT NULL REFERENCES api_key (id),
    secret_sha256   BYTEA NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created_at      TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL CHECK (expires_at > created_at),
    last_used_at    TIMESTAMPTZ NOT NULL,
    last_used_from  INET,
    ended_at        TIMESTAMPTZ
);
CREATE INDEX console_session_by_expiry ON console_session (expires_at);
CREATE INDEX console_session_of_key ON console_session (key_id);

-- As with keys: channel console_session, the session's id.
CREATE FUNCTION console_session_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('console_session', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER console_session_tell
    AFTER UPDATE OF expires_at, ended_at
    ON console_session FOR EACH ROW EXECUTE FUNCTION console_session_tell();

-- Codes with which an operator lets somebody into the console, once. The key is made with the code, and nobody has its
-- secret: it opens sessions only.
CREATE TABLE console_login (
    id             BIGINT PRIMARY KEY CHECK (id > 0),
    key_id         BIGINT NOT NULL UNIQUE REFERENCES api_key (id),
    secret_sha256  BYTEA NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created_at     TIMESTAMPTZ NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL CHECK (expires_at > created_at),
    used_at        TIMESTAMPTZ
);
CREATE INDEX console_login_by_expiry ON console_login (expires_at);

-- The key that a key comes of in the end, made by none of its own participant's. Keys of one root are in one hand.
CREATE FUNCTION api_key_root(key_id BIGINT) RETURNS BIGINT LANGUAGE sql STABLE AS $$
    WITH RECURSIVE line AS (
        SELECT key.id, key.participant_id, key.maker_key_id, 0 AS steps FROM api_key AS key WHERE key.id = key_id
        UNION ALL
        SELECT maker.id, maker.participant_id, maker.maker_key_id, line.steps + 1
        FROM line
        JOIN api_key AS maker ON maker.id = line.maker_key_id AND maker.participant_id = line.participant_id
    )
    SELECT coalesce((SELECT id FROM line ORDER BY steps DESC LIMIT 1), key_id)
$$;

-- One stored answer per (participant, Idempotency-Key), written in the transaction of its effect.
CREATE TABLE idempotency_record (
    participant_id   BIGINT NOT NULL REFERENCES participant (id),
    idempotency_key  TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    fingerprint      BYTEA NOT NULL,
    status           SMALLINT,
    response         BYTEA,
    created_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (participant_id, idempotency_key)
);
