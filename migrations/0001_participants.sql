-- Who trades here, and with which keys.

CREATE TABLE trade_group (
    id          BIGINT PRIMARY KEY CHECK (id > 0),
    name        TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    created_at  TIMESTAMPTZ NOT NULL
);

-- A provider has an ownership, a buyer a size class and a founding date; nobody else has either.
CREATE TABLE participant (
    id              BIGINT PRIMARY KEY CHECK (id > 0),
    kind            TEXT NOT NULL CHECK (kind IN ('provider', 'buyer', 'issuer', 'regulator', 'operator')),
    name            TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    trade_group_id  BIGINT REFERENCES trade_group (id),
    region          TEXT CHECK (region ~ '^[a-z][a-z0-9-]{1,39}$'),
    ownership       TEXT CHECK (ownership IN ('state', 'private')),
    size_class      TEXT CHECK (size_class IN ('micro', 'small', 'medium', 'large')),
    founded_on      DATE,
    sectors         TEXT[] NOT NULL DEFAULT '{}',
    created_at      TIMESTAMPTZ NOT NULL,
    CONSTRAINT participant_provider_facts CHECK ((kind = 'provider') = (ownership IS NOT NULL)),
    CONSTRAINT participant_buyer_facts CHECK ((kind = 'buyer') = (size_class IS NOT NULL AND founded_on IS NOT NULL)),
    CONSTRAINT participant_region_known CHECK (kind NOT IN ('provider', 'buyer') OR region IS NOT NULL)
);

-- The exchange itself: owner of the fee account and of the account that stands for the outside world.
INSERT INTO participant (id, kind, name, created_at) VALUES (1, 'operator', 'exchange', '2020-01-01T00:00:00Z');

-- Only the SHA-256 of a key's 256-bit random secret is stored; the key itself is shown once. maker_key_id: the key that
-- made it; null where none did, as for those that the command line makes.
CREATE TABLE api_key (
    id                BIGINT PRIMARY KEY CHECK (id > 0),
    participant_id    BIGINT NOT NULL REFERENCES participant (id),
    label             TEXT NOT NULL DEFAULT '' CHECK (length(label) <= 200),
    secret_sha256     BYTEA NOT NULL CHECK (octet_length(secret_sha256) = 32),
    scopes            TEXT[] NOT NULL
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'trade', 'list_capacity', 'issue', 'audit', 'operate']),
    allowed_networks  CIDR[] NOT NULL DEFAULT '{}',
    created_at        TIMESTAMPTZ NOT NULL,
    expires_at        TIMESTAMPTZ,
    revoked_at        TIMESTAMPTZ,
    maker_key_id      BIGINT REFERENCES api_key (id)
);
CREATE INDEX api_key_of_participant ON api_key (participant_id, id);

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
