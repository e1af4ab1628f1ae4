-- The record under signed checkpoints: which records were sealed, in which order, and the hashes that prove it.

-- Whose signatures the checkpoints have, the latest last. endorsement: what the key before signed to say that this one
-- follows it; acceptance: what this one signed to say that it follows that one. The first has neither. One that was put in
-- the place of a lost key has no endorsement; after_size, after_digest: the last checkpoint before it, its size and the
-- SHA-256 of its text (0 and zeros where there was none), which its acceptance says as well.
CREATE TABLE audit_key (
    number       INTEGER PRIMARY KEY CHECK (number > 0),
    origin       TEXT NOT NULL CHECK (origin ~ '^[a-z0-9][a-z0-9./-]{0,99}$'),
    public_key   BYTEA NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    endorsement  BYTEA CHECK (octet_length(endorsement) = 64),
    acceptance   BYTEA CHECK (octet_length(acceptance) = 64),
    begun_at     TIMESTAMPTZ NOT NULL,
    after_size   BIGINT CHECK (after_size >= 0),
    after_digest BYTEA CHECK (octet_length(after_digest) = 32),
    CHECK ((number = 1) = (acceptance IS NULL) AND (after_size IS NULL) = (after_digest IS NULL)),
    CHECK ((endorsement IS NULL) = (number = 1 OR after_size IS NOT NULL) AND (number > 1 OR after_size IS NULL))
);
CREATE TRIGGER audit_key_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_key ENABLE ALWAYS TRIGGER audit_key_insert_only;

-- A block: the records of some transactions, by (xact_id, id), at positions from first_position until before size; each
-- block begins where one ends. hashes: the leaf of each record and, after the leaf that completes it, each node of the
-- Merkle tree over all records (RFC 6962), 32 bytes each. note: the signed checkpoint of the tree as it is after it.
CREATE TABLE audit_block (
    first_position  BIGINT PRIMARY KEY CHECK (first_position >= 0),
    size            BIGINT NOT NULL UNIQUE CHECK (size > first_position),
    previous_size   BIGINT GENERATED ALWAYS AS (nullif(first_position, 0)) STORED REFERENCES audit_block (size),
    from_xact       XID8 NOT NULL,
    until_xact      XID8 NOT NULL UNIQUE CHECK (until_xact > from_xact),
    form            INTEGER NOT NULL CHECK (form > 0),
    hashes          BYTEA NOT NULL,
    root            BYTEA NOT NULL CHECK (octet_length(root) = 32),
    note            TEXT NOT NULL,
    sealed_at       TIMESTAMPTZ NOT NULL,
    CONSTRAINT audit_block_has_every_hash CHECK (octet_length(hashes) = 32 * (
        2 * (size - first_position) - bit_count(size::BIT(64)) + bit_count(first_position::BIT(64))))
);
-- Not compressed, so that one hash is read without the others.
ALTER TABLE audit_block ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE INDEX audit_block_by_time ON audit_block (sealed_at);
CREATE TRIGGER audit_block_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_block ENABLE ALWAYS TRIGGER audit_block_insert_only;
