-- name: insert_participant
-- A new participant.
INSERT INTO participant (
    id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: participant_by_id
-- One participant.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id = $1;

-- name: participants_after
-- A page of participants in the order of their ids, all kinds or one.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id > $1 AND ($2::TEXT IS NULL OR kind = $2)
ORDER BY id
LIMIT $3;

-- name: participants_by_ids
-- Several participants at once.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id = ANY ($1::BIGINT[]);

-- name: insert_trade_group
-- A new trade group.
INSERT INTO trade_group (id, name, created_at) VALUES ($1, $2, $3);

-- name: trade_group_exists
-- Whether there is such a trade group.
SELECT EXISTS (SELECT FROM trade_group WHERE id = $1);

-- name: trade_groups_after
-- A page of trade groups in the order of their ids.
SELECT id, name, created_at FROM trade_group WHERE id > $1 ORDER BY id LIMIT $2;

-- name: insert_key
-- A new key; of its secret only the hash.
INSERT INTO api_key (
    id, participant_id, label, secret_sha256, scopes, allowed_networks, created_at, expires_at, maker_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: key_by_id
-- What may be shown of one key.
SELECT id, participant_id, label, scopes, allowed_networks, created_at, expires_at, revoked_at
FROM api_key
WHERE id = $1;

-- name: key_root
-- The key that a key comes of in the end, following its makers within its participant; a key nobody made is its own.
SELECT api_key_root($1);

-- name: keys_after
-- A page of one participant's keys in the order of their ids.
SELECT id, participant_id, label, scopes, allowed_networks, created_at, expires_at, revoked_at
FROM api_key
WHERE participant_id = $1 AND id > $2
ORDER BY id
LIMIT $3;

-- name: revoke_key
-- Revoke a key once; gives no row when it is revoked already.
UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id;

-- name: stored_key
-- What the door needs to know of a key that is not revoked, with its participant.
SELECT
    key.id, key.secret_sha256, key.scopes, key.allowed_networks, key.expires_at,
    owner.id AS participant_id, owner.kind, owner.name, owner.trade_group_id
FROM api_key AS key
JOIN participant AS owner ON owner.id = key.participant_id
WHERE key.id = $1 AND key.revoked_at IS NULL;

-- name: lock_key_table
-- Let one starter at a time ask whether there is any key; readers are not held up.
LOCK TABLE api_key IN SHARE ROW EXCLUSIVE MODE;

-- name: any_key_exists
-- Whether any key was ever made.
SELECT EXISTS (SELECT FROM api_key);
