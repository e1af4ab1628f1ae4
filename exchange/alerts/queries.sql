-- name: rules_versions
-- Every version of the rules, oldest first.
SELECT version, rules::text, effective_from, reason, changed_by, key_id, changed_at FROM alert_rules ORDER BY version;

-- name: rules_before
-- Versions of the rules below a number, newest first.
SELECT version, rules::text, effective_from, reason, changed_by, key_id, changed_at
FROM alert_rules WHERE version < $1 ORDER BY version DESC LIMIT $2;

-- name: rules_version
-- One version of the rules.
SELECT version, rules::text, effective_from, reason, changed_by, key_id, changed_at
FROM alert_rules WHERE version = $1;

-- name: lock_rules
-- Let one caller at a time add a version of the rules.
SELECT pg_advisory_xact_lock(hashtext('alert_rules'));

-- name: insert_rules
-- Store a version of the rules; the first is there once, whoever starts first.
INSERT INTO alert_rules (version, rules, effective_from, reason, changed_by, key_id, changed_at)
VALUES ($1, $2::jsonb, $3, $4, $5, $6, $7)
ON CONFLICT (version) DO NOTHING;

-- name: alerts_before
-- Alerts that fit a filter, before a place, newest first.
SELECT * FROM alert
WHERE ($1::TEXT IS NULL OR status = $1)
    AND ($2::TEXT IS NULL OR detector = $2)
    AND ($3::TEXT IS NULL OR severity = $3)
    AND ($4::BIGINT IS NULL OR participant_ids @> ARRAY[$4::BIGINT])
    AND ($5::TEXT IS NULL OR product_id = $5)
    AND ($6::BIGINT IS NULL OR programme_id = $6)
    AND ($7::TIMESTAMPTZ IS NULL OR found_at >= $7)
    AND ($8::TIMESTAMPTZ IS NULL OR found_at < $8)
    AND ($9::TIMESTAMPTZ IS NULL OR (found_at, id) < ($9, $10::BIGINT))
ORDER BY found_at DESC, id DESC
LIMIT $11;

-- name: alert_by_id
-- One alert.
SELECT * FROM alert WHERE id = $1;

-- name: lock_alert
-- One alert, locked: its case takes one step at a time.
SELECT * FROM alert WHERE id = $1 FOR NO KEY UPDATE;

-- name: steps_of_alert
-- Every step of an alert's case, in order.
SELECT * FROM alert_step WHERE alert_id = $1 ORDER BY number;

-- name: insert_step
-- Store a step of an alert's case.
INSERT INTO alert_step (alert_id, number, from_status, to_status, actor_id, key_id, text, stepped_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: set_status
-- Let an alert's status follow its last step.
UPDATE alert SET status = $2, step_count = $3 WHERE id = $1;

-- name: records_by_ids
-- Steps of the record, by their ids.
SELECT code, event_at, partition_id, sequence, event_index, participant_id, product_id, order_id, trade_id, detail
FROM audit_record WHERE id = ANY ($1::BIGINT[]) ORDER BY id;

-- name: insert_findings
-- Store what was found; what rests on facts that raised an alert already is left out.
INSERT INTO alert (
    id, fingerprint, detector, rules_version, severity, status, participant_ids, trade_group_ids, product_id,
    programme_id, begins_at, ends_at, figures, record_ids, order_ids, trade_ids, found_at
)
SELECT id, fingerprint::bytea, detector, rules_version, severity, 'open', participant_ids, trade_group_ids, product_id,
    programme_id, timestamptz 'epoch' + begins_at_us * interval '1 microsecond',
    timestamptz 'epoch' + ends_at_us * interval '1 microsecond', figures, record_ids, order_ids, trade_ids,
    timestamptz 'epoch' + found_at_us * interval '1 microsecond'
FROM json_to_recordset($1::json) AS found (
    id bigint, fingerprint text, detector text, rules_version integer, severity text, participant_ids bigint[],
    trade_group_ids bigint[], product_id text, programme_id bigint, begins_at_us bigint, ends_at_us bigint,
    figures json, record_ids bigint[], order_ids bigint[], trade_ids bigint[], found_at_us bigint)
ON CONFLICT (fingerprint) DO NOTHING;

-- name: try_to_lead
-- Be the one process that reads the record for alerts, for as long as this session lasts; false where another one is.
SELECT pg_try_advisory_lock(hashtext('alerts'));

-- name: make_position
-- Begin to read the record, where nobody has.
INSERT INTO alert_position (name, record_id) VALUES ('alerts', 0) ON CONFLICT (name) DO NOTHING;

-- name: lock_position
-- How far the record was read, for the one reader that moves it; nothing while another one does.
SELECT record_id FROM alert_position WHERE name = 'alerts' FOR UPDATE SKIP LOCKED;

-- name: kept_state
-- What the detectors remembered when it was last kept.
SELECT record_id, state, state_form, state_record_id FROM alert_position WHERE name = 'alerts';

-- name: set_position
-- Move how far the record was read.
UPDATE alert_position SET record_id = $1 WHERE name = 'alerts';

-- name: keep_state
-- Move how far the record was read, and keep what the detectors remember there.
UPDATE alert_position SET record_id = $1, state = $2, state_form = $3, state_record_id = $1 WHERE name = 'alerts';

-- name: last_record_id
-- The newest committed record. Records before it may still be on their way: see `writers`.
SELECT coalesce(max(id), 0) FROM audit_record;

-- name: writers
-- The transactions that hold ids of records, or may be about to take one. Who writes a row has locked its table before
-- the row has an id, and until it is committed or undone; none of these words is ever used again.
SELECT DISTINCT virtualtransaction
FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation IN (
        SELECT 'audit_record'::regclass
        UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_record'::regclass);

-- name: first_record_at
-- The first record of a venue time or later, 0 where there is none.
SELECT coalesce(min(id), 0) FROM audit_record WHERE event_at >= $1;

-- name: last_record_before
-- The last record before a venue time, 0 where there is none. Others before it may be of later: clocks differ.
SELECT coalesce(max(id), 0) FROM audit_record WHERE event_at < $1;

-- name: walk_indexes
-- Let the next statements go from row to row by index, however large the planner takes their tables to be.
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;

-- name: records
-- What detectors read of the record, from after one id through another, with the facts that stand in other tables: the
-- party's, the trade's, the vouchers that paid it, and the programme's. Deliveries count where vouchers pay only.
SELECT
    step.id, step.code, step.event_at, step.partition_id, step.sequence, step.participant_id,
    coalesce(step.trade_group_id, party.trade_group_id) AS trade_group_id, step.product_id, step.order_id, step.trade_id,
    step.subject_id, step.detail, party.kind, party.founded_on, trade.buyer_id, trade.provider_id,
    buyer.trade_group_id AS buyer_group_id, provider.trade_group_id AS provider_group_id, trade.bid_order_id,
    trade.ask_order_id, trade.quantity_gpus, trade.starts_hour, trade.ends_hour, trade.price_ticks, trade.notional_fen,
    trade.voucher_fen, trade.reimbursable_fen, spent.vouchers, programme.id AS programme_id, programme.budget_fen,
    (version.rules -> 'review' ->> 'committee_above_fen')::BIGINT AS committee_above_fen,
    (version.rules -> 'review' ->> 'auto_below_fen')::BIGINT AS auto_below_fen
FROM audit_record AS step
LEFT JOIN participant AS party ON party.id = step.participant_id
LEFT JOIN trade ON trade.id = step.trade_id
LEFT JOIN participant AS buyer ON buyer.id = trade.buyer_id
LEFT JOIN participant AS provider ON provider.id = trade.provider_id
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(voucher.id, voucher.programme_id, part.committed_fen, voucher.face_fen,
        (extract(epoch FROM voucher.expires_at) * 1000000)::BIGINT) ORDER BY voucher.id) AS vouchers
    FROM lease_funding AS part JOIN voucher ON voucher.id = part.voucher_id
    WHERE part.lease_id = trade.id AND part.voucher_id <> 0
) AS spent ON step.code IN ('PARF', 'FILL') AND step.participant_id = trade.buyer_id
    AND trade.voucher_fen + trade.reimbursable_fen > 0
LEFT JOIN programme ON programme.id = (step.detail ->> 'programme_id')::BIGINT
    AND step.code IN ('VISS', 'VEXP', 'VREV', 'APPS')
LEFT JOIN programme_version AS version
    ON version.programme_id = programme.id AND version.version = programme.version_last AND step.code = 'APPS'
WHERE step.id > $1 AND step.id <= $2 AND step.code = ANY ($3::TEXT[])
    AND (step.code <> 'DLVR' OR trade.voucher_fen + trade.reimbursable_fen > 0)
ORDER BY step.id
LIMIT $4;

-- name: heads
-- Where every partition's journal stands by its head.
SELECT partition_id, last_sequence, last_hash, last_event_at FROM partition_head ORDER BY partition_id;

-- name: chains
-- How far every partition's journal was found whole.
SELECT chains FROM alert_position WHERE name = 'alerts';

-- name: set_chains
-- Move how far the journals were found whole.
UPDATE alert_position SET chains = $1::json WHERE name = 'alerts';

-- name: journal_after
-- Rows of a partition's journal after one sequence and through another, in order.
SELECT sequence, product_id, event_at, command, events, hash
FROM journal WHERE partition_id = $1 AND sequence > $2 AND sequence <= $3 ORDER BY sequence LIMIT $4;
