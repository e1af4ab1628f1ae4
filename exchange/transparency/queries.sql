-- name: claim_sealing
-- Whether this transaction may seal: one process at a time.
SELECT pg_try_advisory_xact_lock(1635083369, 0);

-- name: canonical_records
-- The records of some transactions as the bytes that are hashed, in the order in which they are sealed.
SELECT record_send(ROW(select_list)) AS canonical
FROM audit_record
WHERE xact_id >= $1::TEXT::XID8 AND xact_id < $2::TEXT::XID8
ORDER BY xact_id, id;

-- name: canonical_of_trade
-- The records of a trade as the bytes that are hashed.
SELECT record_send(ROW(select_list)) AS canonical
FROM audit_record
WHERE trade_id = $1
ORDER BY xact_id, id;

-- name: count_records
-- How many records some transactions have written.
SELECT count(*) FROM audit_record WHERE xact_id >= $1::TEXT::XID8 AND xact_id < $2::TEXT::XID8;

-- name: count_before
-- How many of the records from a transaction on come before a record.
SELECT count(*) FROM audit_record
WHERE xact_id >= $1::TEXT::XID8 AND (xact_id, id) < ($2::TEXT::XID8, $3::BIGINT);

-- name: insert_block
-- Seal: add a block where none begins yet.
INSERT INTO audit_block (first_position, size, from_xact, until_xact, form, hashes, root, note, sealed_at)
VALUES ($1, $2, $3::TEXT::XID8, $4::TEXT::XID8, $5, $6, $7, $8, $9);

-- name: last_block
-- The latest block, without its hashes.
SELECT first_position, size, from_xact::TEXT, until_xact::TEXT, form, ''::BYTEA AS hashes, root, note, sealed_at
FROM audit_block
ORDER BY first_position DESC
LIMIT 1;

-- name: blocks_from
-- Blocks that have a position or come after it, with their hashes.
SELECT first_position, size, from_xact::TEXT, until_xact::TEXT, form, hashes, root, note, sealed_at
FROM audit_block
WHERE size > $1
ORDER BY size
LIMIT $2;

-- name: outlines_from
-- Blocks that have a position or come after it, without their hashes.
SELECT first_position, size, from_xact::TEXT, until_xact::TEXT, form, ''::BYTEA AS hashes, root, note, sealed_at
FROM audit_block
WHERE size > $1
ORDER BY size
LIMIT $2;

-- name: block_of_size
-- The block with which the log came to a size, without its hashes.
SELECT first_position, size, from_xact::TEXT, until_xact::TEXT, form, ''::BYTEA AS hashes, root, note, sealed_at
FROM audit_block
WHERE size = $1;

-- name: transactions_on_record
-- The last transaction that is on record, and the next one that the server will number.
SELECT greatest((SELECT max(xact_id) FROM audit_record), (SELECT max(until_xact) FROM audit_block))::TEXT AS recorded,
    pg_snapshot_xmax(pg_current_snapshot())::TEXT AS next;

-- name: block_of_transaction
-- The block that has a transaction's records, without its hashes.
SELECT first_position, size, from_xact::TEXT, until_xact::TEXT, form, ''::BYTEA AS hashes, root, note, sealed_at
FROM audit_block
WHERE until_xact > $1::TEXT::XID8
ORDER BY audit_block.until_xact  -- the number, and not its text
LIMIT 1;

-- name: stored_hashes
-- Nodes of the tree, by the position of the leaf that completes each and by its place among all stored hashes.
SELECT substr(block.hashes, (1 + 32 * (
    wanted.index - 2 * block.first_position + bit_count(block.first_position::BIT(64))))::INTEGER, 32) AS hash
FROM unnest($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS wanted (leaf, index, number)
CROSS JOIN LATERAL (
    SELECT first_position, hashes FROM audit_block
    WHERE first_position <= wanted.leaf
    ORDER BY first_position DESC
    LIMIT 1
) AS block
ORDER BY wanted.number;

-- name: standing
-- How far the log goes, and how many records are not in it yet, counted to a limit.
SELECT coalesce(last.size, 0) AS size, last.sealed_at, (
    SELECT count(*) FROM (
        SELECT FROM audit_record WHERE xact_id >= coalesce(last.until_xact, '0'::XID8) LIMIT $1
    ) AS waiting) AS unsealed_records
FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT size, sealed_at, until_xact FROM audit_block ORDER BY first_position DESC LIMIT 1
) AS last ON true;

-- name: keys
-- The keys of the log, the latest last.
SELECT number, origin, public_key, endorsement, acceptance, begun_at, after_size, after_digest
FROM audit_key ORDER BY number;

-- name: lock_keys
-- Let nobody else add a key until this transaction ends.
SELECT pg_advisory_xact_lock(1635083369, 1);

-- name: wait_to_seal
-- Let nobody seal until this transaction ends; waits for whoever does.
SELECT pg_advisory_xact_lock(1635083369, 0);

-- name: insert_key
-- Add a key: the first, one that is endorsed by the one before, or one in the place of a lost one.
INSERT INTO audit_key (number, origin, public_key, endorsement, acceptance, begun_at, after_size, after_digest)
SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM audit_key;
