-- name: insert_participant
-- A new participant.
INSERT INTO participant (
    id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at, name_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: participant_by_id
-- One participant.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id = $1;

-- name: participants_after
-- A page of participants in the order of their ids, all kinds or one; without the exchange itself.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id > $1 AND id <> 1 AND ($2::TEXT IS NULL OR kind = $2)
ORDER BY id
LIMIT $3;

-- name: buyers_found
-- A page of buyers in the order of their ids, whose name has a text in it or whose id is $2: those that a key lets in,
-- or let in after $3.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id > $4 AND kind = 'buyer' AND (strpos(lower(name), lower($1)) > 0 OR id = $2) AND EXISTS (
    SELECT
    FROM api_key AS key
    WHERE key.participant_id = participant.id AND key.revoked_at IS NULL AND (key.expires_at > $3) IS NOT FALSE
)
ORDER BY id
LIMIT $5;

-- name: participants_by_ids
-- Several participants at once.
SELECT id, kind, name, trade_group_id, region, ownership, size_class, founded_on, sectors, created_at
FROM participant
WHERE id = ANY ($1::BIGINT[]);

-- name: insert_trade_group
-- A new trade group.
INSERT INTO trade_group (id, name, created_at, name_key) VALUES ($1, $2, $3, $4);

-- name: trade_group_exists
-- Whether there is such a trade group.
SELECT EXISTS (SELECT FROM trade_group WHERE id = $1);

-- name: trade_groups_after
-- A page of trade groups in the order of their ids.
SELECT id, name, created_at FROM trade_group WHERE id > $1 ORDER BY id LIMIT $2;

-- name: insert_key
-- A new key; of its secret only the hash.
INSERT INTO api_key (
    id, participant_id, label, secret_sha256, scopes, allowed_networks, created_at, expires_at, maker_key_id,
    signing_public_key, algorithm)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- part: shown_keys
-- What may be shown of keys.
SELECT id, participant_id, label, scopes, allowed_networks, created_at, expires_at, revoked_at, signing_public_key,
    algorithm, successor_key_id, last_used_at, last_used_from, (
        SELECT maker.id
        FROM api_key AS maker
        WHERE maker.id = key.maker_key_id AND maker.participant_id = key.participant_id
    ) AS maker_key_id
FROM api_key AS key

-- name: key_by_id
-- What may be shown of one key.
{shown_keys}
WHERE id = $1;

-- name: lock_key
-- The same, while others wait to change the key.
{shown_keys}
WHERE id = $1
FOR NO KEY UPDATE;

-- name: key_root
-- The key that a key comes of in the end, following its makers within its participant; a key nobody made is its own.
SELECT api_key_root($1);

-- name: keys_after
-- A page of one participant's keys in the order of their ids.
{shown_keys}
WHERE participant_id = $1 AND id > $2
ORDER BY id
LIMIT $3;

-- name: revoke_key
-- Revoke a key once; gives no row when it is revoked already.
UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id;

-- name: succeed_key
-- Put a key in the place of another, which ends at a time.
UPDATE api_key SET successor_key_id = $2, expires_at = $3 WHERE id = $1;

-- name: ended_keys
-- Those of the keys that open nothing any more.
SELECT id FROM api_key WHERE id = ANY ($1::BIGINT[]) AND (revoked_at IS NOT NULL OR expires_at <= $2);

-- name: mark_keys_used
-- When keys were last used and from where, unless another process knows better; rows in one order, so that two
-- processes never wait for each other.
WITH used AS (
    SELECT key_id, used_at, address
    FROM unnest($1::BIGINT[], $2::TIMESTAMPTZ[], $3::INET[]) AS used (key_id, used_at, address)
), locked AS (
    SELECT id, last_used_at FROM api_key WHERE id IN (SELECT key_id FROM used) ORDER BY id FOR NO KEY UPDATE
)
UPDATE api_key AS key
SET last_used_at = used.used_at, last_used_from = used.address
FROM used
JOIN locked ON locked.id = used.key_id
WHERE key.id = locked.id AND (locked.last_used_at IS NULL OR locked.last_used_at < used.used_at);

-- name: stored_key
-- What the door needs to know of a key that is not revoked, with its participant.
SELECT
    key.id, key.secret_sha256, key.signing_public_key, key.scopes, key.allowed_networks, key.expires_at,
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

-- name: insert_session
-- A new session of the console; of what its cookie says only the hash.
INSERT INTO console_session (id, key_id, secret_sha256, created_at, expires_at, last_used_at, last_used_from)
VALUES ($1, $2, $3, $4, $5, $4, $6);

-- name: stored_session
-- What the door needs to know of a session that has not ended, with its key and its participant.
SELECT
    session.id AS session_id, session.secret_sha256, least(session.expires_at, key.expires_at) AS expires_at,
    key.id, key.scopes, key.allowed_networks,
    owner.id AS participant_id, owner.kind, owner.name, owner.trade_group_id
FROM console_session AS session
JOIN api_key AS key ON key.id = session.key_id
JOIN participant AS owner ON owner.id = key.participant_id
WHERE session.id = $1 AND session.ended_at IS NULL AND key.revoked_at IS NULL;

-- name: touch_session
-- Note that a session is used, and from where, unless it has ended or was not used since $3.
UPDATE console_session
SET last_used_at = greatest(last_used_at, $2), last_used_from = $4
WHERE id = $1 AND ended_at IS NULL AND expires_at > $2 AND last_used_at > $3
RETURNING id;

-- part: open_sessions
-- What may be shown of sessions that are open at $2, and were used after $3.
SELECT
    session.id, session.key_id, session.created_at, session.last_used_at, session.last_used_from,
    least(session.expires_at, key.expires_at) AS expires_at, key.label, key.scopes, key.participant_id
FROM api_key AS key
JOIN console_session AS session ON session.key_id = key.id
WHERE key.participant_id = $1 AND key.revoked_at IS NULL AND (key.expires_at > $2) IS NOT FALSE
    AND session.ended_at IS NULL AND session.expires_at > $2 AND session.last_used_at > $3

-- name: open_sessions_before
-- A page of a participant's open sessions, the latest first.
{open_sessions} AND session.id < $4
ORDER BY session.id DESC
LIMIT $5;

-- name: lock_open_sessions
-- A participant's open sessions while others wait to change them, in one order so that two never wait for each other;
-- only one where $4 is its id, only those of a key where $5 is its id.
{open_sessions} AND ($4::BIGINT IS NULL OR session.id = $4) AND ($5::BIGINT IS NULL OR session.key_id = $5)
ORDER BY session.id
FOR NO KEY UPDATE OF session;

-- name: end_session
-- End a session once; gives no row when it has ended already.
UPDATE console_session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id;

-- name: ended_sessions
-- Those of the sessions that open nothing any more: ended, expired, or not used since $3.
SELECT id
FROM console_session
WHERE id = ANY ($1::BIGINT[]) AND (ended_at IS NOT NULL OR expires_at <= $2 OR last_used_at <= $3);

-- name: drop_sessions
-- Drop sessions that expired before a time.
DELETE FROM console_session
WHERE id IN (SELECT id FROM console_session WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED);

-- name: insert_login
-- A new login code; of what it says only the hash.
INSERT INTO console_login (id, key_id, secret_sha256, created_at, expires_at) VALUES ($1, $2, $3, $4, $5);

-- name: login_by_id
-- A login code that is still good.
SELECT key_id, secret_sha256 FROM console_login WHERE id = $1 AND used_at IS NULL AND expires_at > $2;

-- name: use_login
-- Use a login code once; gives no row when it was used, or has expired.
UPDATE console_login SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $2 RETURNING id;

-- name: drop_logins
-- Drop login codes that expired before a time.
DELETE FROM console_login
WHERE id IN (SELECT id FROM console_login WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED);
