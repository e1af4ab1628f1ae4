-- The whole schema, for reading. A test builds one database from this file and one from the numbered
-- migrations and compares them; change both together.

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

-- What is traded: reviewed facts about accelerators and places, and the products made of them.

CREATE TABLE accelerator (
    id                        TEXT PRIMARY KEY CHECK (id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    vendor                    TEXT NOT NULL,
    name                      TEXT NOT NULL,
    origin                    TEXT NOT NULL CHECK (origin IN ('domestic', 'foreign')),
    memory_gb                 INTEGER CHECK (memory_gb > 0),
    fp16_dense_tflops_tenths  INTEGER CHECK (fp16_dense_tflops_tenths > 0),
    confidence                TEXT NOT NULL CHECK (confidence IN ('vendor', 'reported', 'disputed')),
    sources                   JSONB NOT NULL,
    note                      TEXT NOT NULL DEFAULT ''
);

CREATE TABLE hub (
    code     TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name_en  TEXT NOT NULL,
    name_zh  TEXT NOT NULL
);

CREATE TABLE cluster (
    code      TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    hub_code  TEXT NOT NULL REFERENCES hub (code),
    name_en   TEXT NOT NULL,
    name_zh   TEXT NOT NULL,
    province  TEXT NOT NULL
);

-- The catalogue may learn more about what is traded; where it comes from and where it stands are part of what was traded.
CREATE TRIGGER accelerator_is_what_it_was BEFORE UPDATE ON accelerator FOR EACH ROW
    WHEN (OLD.origin IS DISTINCT FROM NEW.origin) EXECUTE FUNCTION refuse_other();
CREATE TRIGGER cluster_is_what_it_was BEFORE UPDATE ON cluster FOR EACH ROW
    WHEN (OLD.hub_code IS DISTINCT FROM NEW.hub_code) EXECUTE FUNCTION refuse_other();
ALTER TABLE accelerator ENABLE ALWAYS TRIGGER accelerator_is_what_it_was;
ALTER TABLE cluster ENABLE ALWAYS TRIGGER cluster_is_what_it_was;

CREATE TABLE interconnect (
    code         TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL
);

CREATE TABLE product (
    id                     TEXT PRIMARY KEY CHECK (id ~ '^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*){2}$'),
    accelerator_id         TEXT NOT NULL REFERENCES accelerator (id),
    cluster_code           TEXT NOT NULL REFERENCES cluster (code),
    interconnect_code      TEXT NOT NULL REFERENCES interconnect (code),
    lot_gpus               INTEGER NOT NULL CHECK (lot_gpus > 0),
    tick_fen               INTEGER NOT NULL DEFAULT 1 CHECK (tick_fen = 1),
    collar_bps             INTEGER NOT NULL CHECK (collar_bps > 0),
    reference_price_ticks  BIGINT NOT NULL CHECK (reference_price_ticks > 0),
    listing_horizon_hours  INTEGER NOT NULL CHECK (listing_horizon_hours BETWEEN 24 AND 8784),
    partition_id           INTEGER NOT NULL DEFAULT 1 CHECK (partition_id > 0),
    UNIQUE (accelerator_id, cluster_code, interconnect_code)
);
CREATE TRIGGER product_stays BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON product
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE product ENABLE ALWAYS TRIGGER product_stays;
CREATE TRIGGER product_is_what_it_was BEFORE UPDATE ON product FOR EACH ROW
    WHEN ((OLD.accelerator_id, OLD.cluster_code, OLD.interconnect_code)
        IS DISTINCT FROM (NEW.accelerator_id, NEW.cluster_code, NEW.interconnect_code))
    EXECUTE FUNCTION refuse_other();
ALTER TABLE product ENABLE ALWAYS TRIGGER product_is_what_it_was;

-- Double entry in integer fen. A balance is the fold of the transfers of its account: the triggers below change it
-- as transfers are inserted, and let nothing else change it. So at the end of every statement, and of every commit, the
-- debits of an asset equal its credits, posted and pending: each transfer adds the same to one of either.

-- Refuses every change to a table whose rows are a record: they are written once.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is insert-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TABLE asset (
    code        TEXT PRIMARY KEY CHECK (code = 'CNY' OR code ~ '^prg_[0-9a-z]{13}$'),
    created_at  TIMESTAMPTZ NOT NULL
);
INSERT INTO asset (code, created_at) VALUES ('CNY', '2020-01-01T00:00:00Z');

CREATE TABLE ledger_account (
    id                   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    participant_id       BIGINT NOT NULL REFERENCES participant (id),
    asset                TEXT NOT NULL REFERENCES asset (code),
    purpose              TEXT NOT NULL CHECK (purpose IN (
        'cash', 'escrow', 'fees', 'external',
        'programme_source', 'budget', 'redeemed', 'voucher', 'voucher_escrow', 'receivable', 'claimed')),
    reference            BIGINT NOT NULL DEFAULT 0,
    allows_overdraft     BOOLEAN NOT NULL DEFAULT FALSE,
    debits_pending_fen   BIGINT NOT NULL DEFAULT 0 CHECK (debits_pending_fen >= 0),
    debits_posted_fen    BIGINT NOT NULL DEFAULT 0 CHECK (debits_posted_fen >= 0),
    credits_pending_fen  BIGINT NOT NULL DEFAULT 0 CHECK (credits_pending_fen >= 0),
    credits_posted_fen   BIGINT NOT NULL DEFAULT 0 CHECK (credits_posted_fen >= 0),
    created_at           TIMESTAMPTZ NOT NULL,
    UNIQUE (participant_id, asset, purpose, reference),
    UNIQUE (id, asset),
    CONSTRAINT ledger_account_not_overdrawn
        CHECK (allows_overdraft OR debits_pending_fen + debits_posted_fen <= credits_posted_fen),
    CONSTRAINT ledger_account_overdraft_purpose
        CHECK (NOT allows_overdraft OR purpose IN ('external', 'programme_source'))
) WITH (fillfactor = 60);
-- The rows change with every order: room on the page keeps those updates off the indexes.

INSERT INTO ledger_account (participant_id, asset, purpose, allows_overdraft, created_at) VALUES
    (1, 'CNY', 'external', TRUE, '2020-01-01T00:00:00Z'),
    (1, 'CNY', 'fees', FALSE, '2020-01-01T00:00:00Z');

-- kind: posted moves money; pending sets it aside; post_pending and void_pending resolve what was set aside.
-- group_id links the transfers that are one all-or-none set; subject_id is the order, trade, lease, voucher
-- or claim that the reason speaks of; delivery_hour stands with deliveries and their refunds.
CREATE TABLE ledger_transfer (
    id                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id           BIGINT NOT NULL,
    kind               TEXT NOT NULL CHECK (kind IN ('posted', 'pending', 'post_pending', 'void_pending')),
    reason             TEXT NOT NULL CHECK (reason IN (
        'deposit', 'withdrawal', 'hold', 'hold_release', 'trade', 'delivery', 'fee', 'delivery_refund',
        'programme_budget', 'programme_budget_return',
        'voucher_issue', 'voucher_expiry', 'voucher_revocation',
        'claim_submission', 'claim_return', 'claim_reduction', 'claim_redemption', 'claim_payment',
        'clawback_return', 'clawback_payment')),
    asset              TEXT NOT NULL,
    debit_account_id   BIGINT NOT NULL,
    credit_account_id  BIGINT NOT NULL,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    subject_id         BIGINT NOT NULL,
    delivery_hour      INTEGER,
    created_at         TIMESTAMPTZ NOT NULL,
    CHECK (debit_account_id <> credit_account_id)
);
CREATE INDEX ledger_transfer_debits ON ledger_transfer (debit_account_id, id);
CREATE INDEX ledger_transfer_credits ON ledger_transfer (credit_account_id, id);
CREATE INDEX ledger_transfer_delivered ON ledger_transfer (credit_account_id, delivery_hour) WHERE reason = 'delivery';

-- Moves the balances by the transfers that a statement added. The accounts are locked in the order of their ids first,
-- so that two callers never wait for each other. Both accounts of a transfer exist and are of its asset: an account
-- never changes its asset and is never deleted, so two foreign keys would say the same, row by row.
-- What is resolved was set aside: a pending sum falls below 0 for nobody. SECURITY DEFINER: nobody else may do this.
CREATE FUNCTION book_transfers() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    stray BOOLEAN;
BEGIN
    WITH leg AS (
        SELECT debit_account_id AS account_id, asset, kind, amount_fen AS debit_fen, 0::BIGINT AS credit_fen FROM added
        UNION ALL
        SELECT credit_account_id, asset, kind, 0, amount_fen FROM added
    ), change AS MATERIALIZED (
        SELECT
            account_id, asset,
            sum(CASE kind WHEN 'posted' THEN 0 WHEN 'pending' THEN debit_fen ELSE -debit_fen END)::BIGINT
                AS debits_pending_fen,
            sum(CASE WHEN kind IN ('posted', 'post_pending') THEN debit_fen ELSE 0 END)::BIGINT AS debits_posted_fen,
            sum(CASE kind WHEN 'posted' THEN 0 WHEN 'pending' THEN credit_fen ELSE -credit_fen END)::BIGINT
                AS credits_pending_fen,
            sum(CASE WHEN kind IN ('posted', 'post_pending') THEN credit_fen ELSE 0 END)::BIGINT AS credits_posted_fen
        FROM leg
        GROUP BY account_id, asset
    ), locked AS MATERIALIZED (
        SELECT change.*
        FROM change
        JOIN ledger_account AS account ON account.id = change.account_id AND account.asset = change.asset
        ORDER BY account.id
        FOR NO KEY UPDATE OF account
    ), moved AS (
        UPDATE ledger_account AS account SET
            debits_pending_fen = account.debits_pending_fen + locked.debits_pending_fen,
            debits_posted_fen = account.debits_posted_fen + locked.debits_posted_fen,
            credits_pending_fen = account.credits_pending_fen + locked.credits_pending_fen,
            credits_posted_fen = account.credits_posted_fen + locked.credits_posted_fen
        FROM locked
        WHERE account.id = locked.account_id
        RETURNING account.id
    )
    SELECT (SELECT count(*) FROM moved) <> (SELECT count(*) FROM change) INTO stray;
    IF stray THEN
        RAISE EXCEPTION 'a transfer is not between two accounts of its asset'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_transfer_accounts';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER ledger_transfer_books AFTER INSERT ON ledger_transfer
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION book_transfers();
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_books;

CREATE FUNCTION refuse_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a ledger account begins empty, keeps its owner, asset and purpose, is never deleted, and is moved by transfers only'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER ledger_account_empty BEFORE INSERT ON ledger_account FOR EACH ROW
    WHEN (NEW.debits_pending_fen + NEW.debits_posted_fen + NEW.credits_pending_fen + NEW.credits_posted_fen <> 0)
    EXECUTE FUNCTION refuse_account_change();
CREATE TRIGGER ledger_account_stays BEFORE DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_account_change();
CREATE TRIGGER ledger_account_identity BEFORE UPDATE OF
    id, participant_id, asset, purpose, reference, allows_overdraft, created_at ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_account_change();
-- Depth 0 is a statement of a client's, 1 that of the trigger above.
CREATE TRIGGER ledger_account_moved_by_transfers BEFORE UPDATE OF
    debits_pending_fen, debits_posted_fen, credits_pending_fen, credits_posted_fen ON ledger_account
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_account_change();
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_empty;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_stays;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_identity;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_moved_by_transfers;
CREATE TRIGGER ledger_transfer_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_insert_only;

-- Computing-voucher programmes as data, the vouchers they issue, and what is claimed for them.

-- version_last is the programme's newest version of the rules, step_count its last step. The budget is what the rules in
-- force say; it is booked while the programme is open or exhausted, which is to say all issued, and where it is closed
-- what was not issued has gone back.
CREATE TABLE programme (
    id          BIGINT PRIMARY KEY CHECK (id > 0),
    issuer_id   BIGINT NOT NULL REFERENCES participant (id),
    code        TEXT NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    asset       TEXT NOT NULL UNIQUE REFERENCES asset (code),
    status      TEXT NOT NULL CHECK (status IN ('draft', 'open', 'exhausted', 'closed')),
    step_count  INTEGER NOT NULL DEFAULT 0,
    budget_fen  BIGINT NOT NULL CHECK (budget_fen > 0),
    issued_fen  BIGINT NOT NULL DEFAULT 0 CHECK (issued_fen >= 0),
    version_last INTEGER NOT NULL DEFAULT 1 CHECK (version_last > 0),
    created_at  TIMESTAMPTZ NOT NULL,
    CONSTRAINT programme_within_budget CHECK (issued_fen <= budget_fen),
    CONSTRAINT programme_exhausted_when_issued
        CHECK (status IN ('draft', 'closed') OR (status = 'exhausted') = (issued_fen = budget_fen)),
    CONSTRAINT programme_draft_issues_nothing CHECK (status <> 'draft' OR issued_fen = 0)
);

-- The numbers of the eligibility bits: an ask has the bits of the versions that admit it.
CREATE SEQUENCE programme_version_ordinal AS INTEGER;

-- A version's rules never change. At any time the highest version that has begun is in force, whatever the times of those
-- before it. ordinal is its bit in the eligibility masks of orders, the one of the version before it where both admit the
-- same asks.
CREATE TABLE programme_version (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    version         INTEGER NOT NULL CHECK (version BETWEEN 1 AND 1000),
    ordinal         INTEGER NOT NULL CHECK (ordinal > 0),
    effective_from  TIMESTAMPTZ NOT NULL,
    effective_until TIMESTAMPTZ CHECK (effective_until > effective_from),
    rules           JSONB NOT NULL,
    PRIMARY KEY (programme_id, version)
);
CREATE INDEX programme_version_of_ordinal ON programme_version (ordinal);
CREATE TRIGGER programme_version_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE programme_version ENABLE ALWAYS TRIGGER programme_version_insert_only;

-- A bit admits by one rule only: else an ask that one version admits would be paid by the vouchers of another.
CREATE FUNCTION refuse_shared_ordinal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM programme_version WHERE ordinal = NEW.ordinal) AND NOT EXISTS (
        SELECT FROM programme_version AS earlier
        WHERE earlier.programme_id = NEW.programme_id AND earlier.version = NEW.version - 1
            AND earlier.ordinal = NEW.ordinal
            AND earlier.rules -> 'provider' = NEW.rules -> 'provider'
            AND earlier.rules -> 'capacity' = NEW.rules -> 'capacity'
            AND earlier.rules -> 'price_cap' = NEW.rules -> 'price_cap'
    ) THEN
        RAISE EXCEPTION 'version % of programme % does not admit what bit % stands for',
            NEW.version, NEW.programme_id, NEW.ordinal
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_version_bit_is_its_own';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_version_bit_is_its_own BEFORE INSERT ON programme_version
    FOR EACH ROW EXECUTE FUNCTION refuse_shared_ordinal();
ALTER TABLE programme_version ENABLE ALWAYS TRIGGER programme_version_bit_is_its_own;

-- Tells of a change at its commit, on the channel that the trigger names first, by the column that it names second.
CREATE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1]);
    RETURN NULL;
END
$$;

-- Every process keeps all rules but those of drafts in memory: channel programme, the programme's id.
CREATE TRIGGER programme_tell AFTER UPDATE OF status ON programme
    FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION tell_of_change('programme', 'id');
CREATE TRIGGER programme_version_tell AFTER INSERT ON programme_version
    FOR EACH ROW EXECUTE FUNCTION tell_of_change('programme', 'programme_id');

-- The budget is what the newest rules say, and stays where the programme is closed.
CREATE FUNCTION refuse_budget_without_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' OR NOT EXISTS (
        SELECT FROM programme_version AS newest
        WHERE newest.programme_id = NEW.id AND newest.version = NEW.version_last
            AND (newest.rules ->> 'budget_fen')::BIGINT = NEW.budget_fen
    ) THEN
        RAISE EXCEPTION 'no rules of programme % give it a budget of % fen', NEW.id, NEW.budget_fen
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_budget_follows_rules';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_budget_follows_rules BEFORE UPDATE OF budget_fen ON programme
    FOR EACH ROW WHEN (NEW.budget_fen <> OLD.budget_fen) EXECUTE FUNCTION refuse_budget_without_rules();
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_budget_follows_rules;

-- The steps a programme may take, and whose each is. That all of the budget is issued, or no longer all, is told by the
-- venue.
CREATE FUNCTION programme_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('draft', 'open', 'issuer'),
        ('open', 'closed', 'issuer'),
        ('exhausted', 'closed', 'issuer'),
        ('open', 'exhausted', 'exchange'),
        ('exhausted', 'open', 'exchange'))
$$;

-- Every step of every programme: who, what, when and why. returned_fen: the part of the budget that was never issued,
-- which goes back to its source when the programme is closed.
CREATE TABLE programme_step (
    programme_id  BIGINT NOT NULL REFERENCES programme (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    from_status   TEXT NOT NULL,
    to_status     TEXT NOT NULL,
    actor_role    TEXT NOT NULL,
    actor_id      BIGINT NOT NULL REFERENCES participant (id),
    returned_fen  BIGINT NOT NULL CHECK (returned_fen >= 0),
    reason        TEXT NOT NULL CHECK (reason <> ''),
    stepped_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (programme_id, number),
    CONSTRAINT programme_step_is_allowed CHECK (programme_step_allowed(from_status, to_status, actor_role))
);
CREATE TRIGGER programme_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE programme_step ENABLE ALWAYS TRIGGER programme_step_insert_only;

-- A step begins where the programme stands, is taken by the one whose role it says, and returns what is not issued where
-- it closes, nothing elsewhere.
CREATE FUNCTION refuse_stray_programme_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM programme
        WHERE programme.id = NEW.programme_id AND programme.status = NEW.from_status
            AND programme.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
            AND NEW.returned_fen
                = CASE NEW.to_status WHEN 'closed' THEN programme.budget_fen - programme.issued_fen ELSE 0 END
    ) THEN
        RAISE EXCEPTION 'step % of programme % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.programme_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_step_follows BEFORE INSERT ON programme_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_programme_step();
ALTER TABLE programme_step ENABLE ALWAYS TRIGGER programme_step_follows;

-- A programme begins as a draft or open, and its state is the last step's: none without a step on record, and no step left
-- out. What a closed one has issued stays.
CREATE FUNCTION refuse_programme_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('draft', 'open') OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a programme begins as a draft or open'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_follows_its_steps';
        END IF;
    ELSIF (NEW.status, NEW.step_count) <> (OLD.status, OLD.step_count) AND (
        NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
            SELECT FROM programme_step AS step
            WHERE step.programme_id = NEW.id AND step.number = NEW.step_count
                AND step.from_status = OLD.status AND step.to_status = NEW.status)
    ) THEN
        RAISE EXCEPTION 'programme % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_follows_its_steps';
    ELSIF OLD.status = 'closed' AND NEW.issued_fen <> OLD.issued_fen THEN
        RAISE EXCEPTION 'programme % is closed, and issues nothing', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_closed_issues_nothing';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER programme_begins BEFORE INSERT ON programme
    FOR EACH ROW EXECUTE FUNCTION refuse_programme_without_step();
CREATE TRIGGER programme_follows_its_steps BEFORE UPDATE OF status, step_count, issued_fen ON programme
    FOR EACH ROW EXECUTE FUNCTION refuse_programme_without_step();
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_begins;
ALTER TABLE programme ENABLE ALWAYS TRIGGER programme_follows_its_steps;

-- What one company was issued in one calendar year, never above the programme's cap (null: there is none). A cap by
-- trade group is the sum of its members' rows, and is kept by the lock that issuance takes on the programme.
CREATE TABLE programme_year_use (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    participant_id  BIGINT NOT NULL REFERENCES participant (id),
    year            INTEGER NOT NULL,
    issued_fen      BIGINT NOT NULL CHECK (issued_fen >= 0),
    cap_fen         BIGINT CHECK (cap_fen > 0),
    PRIMARY KEY (programme_id, participant_id, year),
    CONSTRAINT programme_year_use_within_cap CHECK (issued_fen <= cap_fen)
);

-- What the orders of one calendar year use of a programme, by company, and by trade group where it has one: what they
-- set aside, traded and were delivered of its vouchers, less what came back. Kept by triggers on order_hold and
-- lease_funding, for rules whose yearly cap counts what is redeemed; cap_fen (null: none) is the cap of the last order.
CREATE TABLE programme_use (
    programme_id  BIGINT NOT NULL REFERENCES programme (id),
    subject_id    BIGINT NOT NULL,
    year          INTEGER NOT NULL,
    used_fen      BIGINT NOT NULL CHECK (used_fen >= 0),
    cap_fen       BIGINT CHECK (cap_fen > 0),
    PRIMARY KEY (programme_id, subject_id, year),
    CONSTRAINT programme_use_within_cap CHECK (used_fen <= cap_fen)
) WITH (fillfactor = 60);

-- Its rows are the sums of what the triggers below counted, and nothing else changes them. Depth 0 is a client's own.
CREATE FUNCTION refuse_use_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'programme_use is kept by orders and their leases: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER programme_use_counted BEFORE INSERT OR UPDATE OR DELETE ON programme_use
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_use_change();
CREATE TRIGGER programme_use_stays BEFORE TRUNCATE ON programme_use
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_use_change();
ALTER TABLE programme_use ENABLE ALWAYS TRIGGER programme_use_counted;
ALTER TABLE programme_use ENABLE ALWAYS TRIGGER programme_use_stays;

CREATE TABLE voucher (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL,
    buyer_id           BIGINT NOT NULL REFERENCES participant (id),
    face_fen           BIGINT NOT NULL CHECK (face_fen > 0),
    status             TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'expired', 'revoked')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    account_id         BIGINT NOT NULL REFERENCES ledger_account (id),
    escrow_account_id  BIGINT NOT NULL REFERENCES ledger_account (id),
    issued_at          TIMESTAMPTZ NOT NULL,
    expires_at         TIMESTAMPTZ NOT NULL CHECK (expires_at > issued_at),
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version)
);
CREATE INDEX voucher_of_buyer ON voucher (buyer_id, expires_at, id);
CREATE INDEX voucher_of_programme ON voucher (programme_id, id);
CREATE INDEX voucher_by_expiry ON voucher (expires_at);
CREATE INDEX voucher_revoked ON voucher (id) WHERE status = 'revoked';

-- The steps a voucher may take, and whose each is. What its issuer takes back of one that is over already, because an
-- order gave it free, is a step from expired to expired or from revoked to revoked, the venue's own.
CREATE FUNCTION voucher_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('active', 'suspended', 'issuer'),
        ('suspended', 'active', 'issuer'),
        ('active', 'revoked', 'issuer'),
        ('suspended', 'revoked', 'issuer'),
        ('active', 'expired', 'exchange'),
        ('suspended', 'expired', 'exchange'),
        ('expired', 'expired', 'exchange'),
        ('revoked', 'revoked', 'exchange'))
$$;

-- Every step of every voucher after its issue, for its buyer to read: who, what, when, why, and what went back to the
-- issuer with it.
CREATE TABLE voucher_step (
    voucher_id    BIGINT NOT NULL REFERENCES voucher (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    from_status   TEXT NOT NULL,
    to_status     TEXT NOT NULL,
    actor_role    TEXT NOT NULL,
    actor_id      BIGINT NOT NULL REFERENCES participant (id),
    returned_fen  BIGINT NOT NULL CHECK (returned_fen >= 0),
    reason        TEXT NOT NULL CHECK (reason <> ''),
    stepped_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (voucher_id, number),
    CONSTRAINT voucher_step_is_allowed CHECK (voucher_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT voucher_step_returns CHECK (returned_fen > 0 OR from_status <> to_status),
    CONSTRAINT voucher_step_ends_it CHECK (returned_fen = 0 OR to_status IN ('expired', 'revoked'))
);
CREATE INDEX voucher_step_by_time ON voucher_step (stepped_at, voucher_id, number);
CREATE TRIGGER voucher_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE voucher_step ENABLE ALWAYS TRIGGER voucher_step_insert_only;

-- A step begins where the voucher stands, and is taken by the one whose role it says.
CREATE FUNCTION refuse_stray_voucher_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM voucher JOIN programme ON programme.id = voucher.programme_id
        WHERE voucher.id = NEW.voucher_id AND voucher.status = NEW.from_status
            AND voucher.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of voucher % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.voucher_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER voucher_step_follows BEFORE INSERT ON voucher_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_voucher_step();
ALTER TABLE voucher_step ENABLE ALWAYS TRIGGER voucher_step_follows;

-- A voucher begins active, and its state is the last step's: none without a step on record, and no step left out.
CREATE FUNCTION refuse_voucher_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'active' OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a voucher begins active'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_follows_its_steps';
        END IF;
    ELSIF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM voucher_step AS step
        WHERE step.voucher_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'voucher % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_follows_its_steps';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER voucher_begins_active BEFORE INSERT ON voucher
    FOR EACH ROW EXECUTE FUNCTION refuse_voucher_without_step();
CREATE TRIGGER voucher_follows_its_steps BEFORE UPDATE OF status, step_count ON voucher
    FOR EACH ROW EXECUTE FUNCTION refuse_voucher_without_step();
ALTER TABLE voucher ENABLE ALWAYS TRIGGER voucher_begins_active;
ALTER TABLE voucher ENABLE ALWAYS TRIGGER voucher_follows_its_steps;

-- The steps an application may take, and whose each is. From submitted to submitted its issuer gives it a score; the
-- venue itself approves what a programme's rules leave to it.
CREATE FUNCTION application_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('submitted', 'submitted', 'issuer'),
        ('submitted', 'in_committee', 'issuer'),
        ('submitted', 'approved', 'issuer'),
        ('submitted', 'approved', 'exchange'),
        ('submitted', 'rejected', 'issuer'),
        ('submitted', 'withdrawn', 'buyer'),
        ('in_committee', 'approved', 'issuer'),
        ('in_committee', 'rejected', 'issuer'),
        ('in_committee', 'withdrawn', 'buyer'))
$$;

-- A company's wish for a voucher. programme_version: the rules in force when it was submitted. approved_fen: what its
-- issuer granted, in a committee what the first of the two keys did. reason: the last step's.
CREATE TABLE application (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL REFERENCES programme (id),
    programme_version  INTEGER NOT NULL,
    buyer_id           BIGINT NOT NULL REFERENCES participant (id),
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    purpose            TEXT NOT NULL CHECK (length(purpose) BETWEEN 1 AND 2000),
    status             TEXT NOT NULL CHECK (status IN (
        'submitted', 'in_committee', 'approved', 'rejected', 'withdrawn')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    score              INTEGER CHECK (score BETWEEN 0 AND 1000),
    approved_fen       BIGINT CHECK (approved_fen BETWEEN 1 AND amount_fen),
    voucher_id         BIGINT UNIQUE REFERENCES voucher (id),
    reason             TEXT NOT NULL DEFAULT '',
    submitted_at       TIMESTAMPTZ NOT NULL,
    decided_at         TIMESTAMPTZ,
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version),
    CONSTRAINT application_approved_has_voucher CHECK ((status = 'approved') = (voucher_id IS NOT NULL)),
    CONSTRAINT application_approved_has_amount CHECK (
        (status IN ('in_committee', 'approved')) = (approved_fen IS NOT NULL)),
    CONSTRAINT application_decided_has_time CHECK (
        (status IN ('submitted', 'in_committee')) = (decided_at IS NULL))
);
CREATE INDEX application_of_programme ON application (programme_id, id);
CREATE INDEX application_of_buyer ON application (buyer_id, id);
CREATE INDEX application_scored ON application (programme_id, id) WHERE status = 'submitted' AND score IS NOT NULL;

-- Every step of every application after its submission: who, by which key, what, when and why. amount_fen: what was
-- approved. score: what the step gave it.
CREATE TABLE application_step (
    application_id  BIGINT NOT NULL REFERENCES application (id),
    number          INTEGER NOT NULL CHECK (number > 0),
    from_status     TEXT NOT NULL,
    to_status       TEXT NOT NULL,
    actor_role      TEXT NOT NULL,
    actor_id        BIGINT NOT NULL REFERENCES participant (id),
    key_id          BIGINT,
    amount_fen      BIGINT CHECK (amount_fen > 0),
    score           INTEGER CHECK (score BETWEEN 0 AND 1000),
    reason          TEXT NOT NULL,
    stepped_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (application_id, number),
    CONSTRAINT application_step_is_allowed CHECK (application_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT application_step_has_a_reason CHECK (
        reason <> '' OR to_status IN ('in_committee', 'approved', 'withdrawn')),
    CONSTRAINT application_step_has_its_amount CHECK (
        (to_status IN ('in_committee', 'approved')) = (amount_fen IS NOT NULL)),
    CONSTRAINT application_step_has_its_score CHECK ((to_status = 'submitted') = (score IS NOT NULL)),
    CONSTRAINT application_step_has_its_key CHECK ((actor_role = 'exchange') = (key_id IS NULL))
);
CREATE TRIGGER application_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON application_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE application_step ENABLE ALWAYS TRIGGER application_step_insert_only;

-- A step begins where the application stands, and is taken by the one whose role it says. What a committee approves is
-- at most what its first key did, and by another key that does not come of the same root.
CREATE FUNCTION refuse_stray_application_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM application JOIN programme ON programme.id = application.programme_id
        WHERE application.id = NEW.application_id AND application.status = NEW.from_status
            AND application.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role
                WHEN 'buyer' THEN application.buyer_id WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of application % does not begin where it stands, or is not for participant %',
            NEW.number, NEW.application_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_step_follows';
    END IF;
    IF NEW.from_status = 'in_committee' AND NEW.to_status = 'approved' AND EXISTS (
        SELECT FROM application_step AS first_key
        WHERE first_key.application_id = NEW.application_id AND first_key.to_status = 'in_committee'
            AND (
                api_key_root(first_key.key_id) = api_key_root(NEW.key_id) OR first_key.amount_fen < NEW.amount_fen)
    ) THEN
        RAISE EXCEPTION 'application % needs two keys that approve the same', NEW.application_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_step_of_a_second_key';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER application_step_follows BEFORE INSERT ON application_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_application_step();
ALTER TABLE application_step ENABLE ALWAYS TRIGGER application_step_follows;

-- An application begins submitted; what it asks for never changes, and all else is as its last step says. Its voucher
-- is of its programme, its company and the amount approved.
CREATE FUNCTION refuse_application_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'submitted' OR NEW.step_count <> 0 OR NEW.score IS NOT NULL THEN
            RAISE EXCEPTION 'an application begins submitted'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'application_follows_its_steps';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.programme_id, NEW.programme_version, NEW.buyer_id, NEW.amount_fen, NEW.purpose, NEW.submitted_at)
        <> (OLD.id, OLD.programme_id, OLD.programme_version, OLD.buyer_id, OLD.amount_fen, OLD.purpose, OLD.submitted_at)
    THEN
        RAISE EXCEPTION 'what application % asks for never changes', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_stays_what_it_is';
    END IF;
    IF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM application_step AS step
        WHERE step.application_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
            AND NEW.score IS NOT DISTINCT FROM coalesce(step.score, OLD.score)
            AND NEW.approved_fen IS NOT DISTINCT FROM step.amount_fen
            AND NEW.reason = step.reason
    ) THEN
        RAISE EXCEPTION 'application % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_follows_its_steps';
    END IF;
    IF NEW.voucher_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM voucher
        WHERE voucher.id = NEW.voucher_id AND voucher.programme_id = NEW.programme_id
            AND voucher.buyer_id = NEW.buyer_id AND voucher.face_fen = NEW.approved_fen
    ) THEN
        RAISE EXCEPTION 'voucher % is not what application % was granted', NEW.voucher_id, NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_has_its_own_voucher';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER application_follows_its_steps BEFORE INSERT OR UPDATE ON application
    FOR EACH ROW EXECUTE FUNCTION refuse_application_without_step();
ALTER TABLE application ENABLE ALWAYS TRIGGER application_follows_its_steps;

-- The steps a claim may take, and whose each is. `exchange` is the venue itself, which draws claims for audit.
CREATE FUNCTION claim_step_allowed(from_status TEXT, to_status TEXT, actor_role TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_status, to_status, actor_role) IN (VALUES
        ('open', 'submitted', 'claimant'),
        ('submitted', 'in_audit', 'issuer'),
        ('submitted', 'in_audit', 'exchange'),
        ('in_audit', 'queried', 'issuer'),
        ('queried', 'in_audit', 'claimant'),
        ('submitted', 'approved', 'issuer'),
        ('submitted', 'reduced', 'issuer'),
        ('submitted', 'rejected', 'issuer'),
        ('in_audit', 'approved', 'issuer'),
        ('in_audit', 'reduced', 'issuer'),
        ('in_audit', 'rejected', 'issuer'),
        ('approved', 'paid', 'issuer'),
        ('reduced', 'paid', 'issuer'),
        ('paid', 'closed', 'issuer'),
        ('paid', 'clawback_open', 'issuer'),
        ('closed', 'clawback_open', 'issuer'),
        ('clawback_open', 'recovered', 'claimant'),
        ('clawback_open', 'written_off', 'issuer'))
$$;

-- claimant_id: the provider whose captures it claims, or in reimburse mode the buyer. programme_version: the rules by
-- which it is judged. approved_fen: what is paid, once that is decided. clawback_fen: what of that is demanded back.
-- reason: the last step's.
CREATE TABLE claim (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL REFERENCES programme (id),
    programme_version  INTEGER NOT NULL,
    claimant_id        BIGINT NOT NULL REFERENCES participant (id),
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    approved_fen       BIGINT CHECK (approved_fen BETWEEN 1 AND amount_fen),
    clawback_fen       BIGINT CHECK (clawback_fen BETWEEN 1 AND approved_fen),
    status             TEXT NOT NULL CHECK (status IN (
        'open', 'submitted', 'in_audit', 'queried', 'approved', 'reduced', 'rejected', 'paid', 'closed',
        'clawback_open', 'recovered', 'written_off')),
    step_count         INTEGER NOT NULL DEFAULT 0,
    reason             TEXT NOT NULL DEFAULT '',
    opened_at          TIMESTAMPTZ NOT NULL,
    submitted_at       TIMESTAMPTZ,
    decided_at         TIMESTAMPTZ,
    paid_at            TIMESTAMPTZ,
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version),
    CONSTRAINT claim_is_of_one UNIQUE (id, programme_id, claimant_id)
);
CREATE INDEX claim_of_programme ON claim (programme_id, id);
CREATE INDEX claim_of_claimant ON claim (claimant_id, id);

-- Every step of every claim: who, what, when and why. amount_fen: what the step was about.
CREATE TABLE claim_step (
    claim_id     BIGINT NOT NULL REFERENCES claim (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    from_status  TEXT NOT NULL,
    to_status    TEXT NOT NULL,
    actor_role   TEXT NOT NULL,
    actor_id     BIGINT NOT NULL REFERENCES participant (id),
    amount_fen   BIGINT NOT NULL CHECK (amount_fen > 0),
    reason       TEXT NOT NULL,
    stepped_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (claim_id, number),
    CONSTRAINT claim_step_is_allowed CHECK (claim_step_allowed(from_status, to_status, actor_role)),
    CONSTRAINT claim_step_has_a_reason CHECK (reason <> ''
        OR to_status IN ('submitted', 'approved', 'paid', 'closed', 'recovered'))
);
CREATE TRIGGER claim_step_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_step ENABLE ALWAYS TRIGGER claim_step_insert_only;

-- A step begins where the claim stands, and is taken by the one whose role it says.
CREATE FUNCTION refuse_stray_claim_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM claim JOIN programme ON programme.id = claim.programme_id
        WHERE claim.id = NEW.claim_id AND claim.status = NEW.from_status AND claim.step_count = NEW.number - 1
            AND NEW.actor_id = CASE NEW.actor_role
                WHEN 'claimant' THEN claim.claimant_id WHEN 'issuer' THEN programme.issuer_id ELSE 1 END
    ) THEN
        RAISE EXCEPTION 'step % of claim % does not begin where the claim stands, or is not for participant %',
            NEW.number, NEW.claim_id, NEW.actor_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_step_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER claim_step_follows BEFORE INSERT ON claim_step
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_claim_step();
ALTER TABLE claim_step ENABLE ALWAYS TRIGGER claim_step_follows;

-- A claim begins open, and its state is the last step's: none without a step on record, and no step left out.
CREATE FUNCTION refuse_claim_without_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'open' OR NEW.step_count <> 0 THEN
            RAISE EXCEPTION 'a claim begins open'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_follows_its_steps';
        END IF;
    ELSIF NEW.step_count <> OLD.step_count + 1 OR NOT EXISTS (
        SELECT FROM claim_step AS step
        WHERE step.claim_id = NEW.id AND step.number = NEW.step_count
            AND step.from_status = OLD.status AND step.to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'claim % has no step from % to %', NEW.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_follows_its_steps';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER claim_begins_open BEFORE INSERT ON claim
    FOR EACH ROW EXECUTE FUNCTION refuse_claim_without_step();
CREATE TRIGGER claim_follows_its_steps BEFORE UPDATE OF status, step_count ON claim
    FOR EACH ROW EXECUTE FUNCTION refuse_claim_without_step();
ALTER TABLE claim ENABLE ALWAYS TRIGGER claim_begins_open;
ALTER TABLE claim ENABLE ALWAYS TRIGGER claim_follows_its_steps;

-- The draw of a claim for audit, so that anyone can do it again: drawn_number comes of the seed and the claim's id.
CREATE TABLE claim_draw (
    claim_id      BIGINT PRIMARY KEY REFERENCES claim (id),
    sample_bps    INTEGER NOT NULL CHECK (sample_bps BETWEEN 1 AND 10000),
    seed          BYTEA NOT NULL CHECK (length(seed) = 32),
    drawn_number  INTEGER NOT NULL CHECK (drawn_number BETWEEN 0 AND 9999),
    drawn_at      TIMESTAMPTZ NOT NULL
);
CREATE TRIGGER claim_draw_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_draw
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_draw ENABLE ALWAYS TRIGGER claim_draw_insert_only;

-- What a claimant attached to a claim to prove it: the bytes, and what they are.
CREATE TABLE claim_evidence (
    id            BIGINT PRIMARY KEY CHECK (id > 0),
    claim_id      BIGINT NOT NULL REFERENCES claim (id),
    name          TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    content_type  TEXT NOT NULL CHECK (length(content_type) BETWEEN 3 AND 200),
    size_bytes    INTEGER NOT NULL CHECK (size_bytes BETWEEN 1 AND 10485760),
    sha256        BYTEA NOT NULL,
    content       BYTEA NOT NULL,
    attached_by   BIGINT NOT NULL REFERENCES participant (id),
    attached_at   TIMESTAMPTZ NOT NULL,
    CONSTRAINT claim_evidence_is_what_it_says CHECK (size_bytes = length(content) AND sha256 = sha256(content))
);
CREATE INDEX claim_evidence_of_claim ON claim_evidence (claim_id, id);
CREATE TRIGGER claim_evidence_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE claim_evidence ENABLE ALWAYS TRIGGER claim_evidence_insert_only;

-- One delivered hour paid in part by one voucher: the lines of a claim.
-- programme_version: the rules it was held under. provider_id: who delivered. claimant_id: who may claim it.
-- reduced_fen: refused by its claim; recovered_fen: paid back. A line's claim is its claimant's and on its programme.
CREATE TABLE voucher_capture (
    lease_id           BIGINT NOT NULL,
    delivery_hour      INTEGER NOT NULL,
    voucher_id         BIGINT NOT NULL REFERENCES voucher (id),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL CHECK (programme_version > 0),
    provider_id        BIGINT NOT NULL,
    claimant_id        BIGINT NOT NULL,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    reduced_fen        BIGINT NOT NULL DEFAULT 0 CHECK (reduced_fen >= 0),
    recovered_fen      BIGINT NOT NULL DEFAULT 0 CHECK (recovered_fen >= 0),
    claim_id           BIGINT,
    captured_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (lease_id, delivery_hour, voucher_id),
    CONSTRAINT voucher_capture_claimed_as_its_own FOREIGN KEY (claim_id, programme_id, claimant_id)
        REFERENCES claim (id, programme_id, claimant_id),
    CONSTRAINT voucher_capture_within_amount CHECK (reduced_fen + recovered_fen <= amount_fen)
);
CREATE INDEX voucher_capture_unclaimed ON voucher_capture (claimant_id, programme_id) WHERE claim_id IS NULL;
CREATE INDEX voucher_capture_of_claim ON voucher_capture (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX voucher_capture_of_voucher ON voucher_capture (voucher_id);

-- Who may claim an hour is said by the rules it was held under: its provider, or with `mode` reimburse the voucher's
-- buyer, who paid the hour in full. By no other way does a voucher become a buyer's cash.
CREATE FUNCTION refuse_stray_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray RECORD;
BEGIN
    WITH held AS MATERIALIZED (
        SELECT version.programme_id, version.version, version.rules ->> 'mode' = 'reimburse' AS is_reimbursed
        FROM (SELECT DISTINCT programme_id, programme_version FROM added) AS named
        JOIN programme_version AS version
            ON version.programme_id = named.programme_id AND version.version = named.programme_version
    )
    SELECT added.lease_id, added.delivery_hour, added.voucher_id, added.claimant_id INTO stray
    FROM added
    LEFT JOIN voucher ON voucher.id = added.voucher_id AND voucher.programme_id = added.programme_id
    LEFT JOIN held ON held.programme_id = added.programme_id AND held.version = added.programme_version
    WHERE added.claimant_id
        IS DISTINCT FROM CASE WHEN held.is_reimbursed THEN voucher.buyer_id ELSE added.provider_id END
        OR voucher.id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'hour % of lease %, paid by voucher %, is not for participant % to claim',
            stray.delivery_hour, stray.lease_id, stray.voucher_id, stray.claimant_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_capture_for_its_claimant';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER voucher_capture_for_its_claimant AFTER INSERT ON voucher_capture
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_stray_capture();
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_for_its_claimant;

-- What was captured stays as it was. A line is claimed while it is free, freed again, cut and paid back, nothing else.
CREATE FUNCTION refuse_changed_capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what vouchers paid for a delivered hour stays as it was captured: % refused', TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_capture_stays';
END
$$;
CREATE TRIGGER voucher_capture_keeps_its_facts BEFORE UPDATE ON voucher_capture FOR EACH ROW
    WHEN ((NEW.lease_id, NEW.delivery_hour, NEW.voucher_id, NEW.programme_id, NEW.programme_version, NEW.provider_id,
            NEW.claimant_id, NEW.amount_fen, NEW.captured_at)
        <> (OLD.lease_id, OLD.delivery_hour, OLD.voucher_id, OLD.programme_id, OLD.programme_version, OLD.provider_id,
            OLD.claimant_id, OLD.amount_fen, OLD.captured_at)
        OR NEW.claim_id <> OLD.claim_id OR NEW.reduced_fen < OLD.reduced_fen OR NEW.recovered_fen < OLD.recovered_fen)
    EXECUTE FUNCTION refuse_changed_capture();
CREATE TRIGGER voucher_capture_stays BEFORE DELETE OR TRUNCATE ON voucher_capture
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_changed_capture();
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_keeps_its_facts;
ALTER TABLE voucher_capture ENABLE ALWAYS TRIGGER voucher_capture_stays;

-- The sequenced market: each partition's head and journal, the orders, and what is held for them.

-- One row per partition. Every commit moves it, under the leader's epoch: a stale leader moves nothing.
-- intake_offset: what of the partition's stream in Redis had its effect or its refusal by then; '' before the first.
CREATE TABLE partition_head (
    partition_id   INTEGER PRIMARY KEY CHECK (partition_id > 0),
    epoch          BIGINT NOT NULL CHECK (epoch >= 0),
    last_sequence  BIGINT NOT NULL CHECK (last_sequence >= 0),
    last_hash      BYTEA NOT NULL CHECK (octet_length(last_hash) = 32),
    last_event_at  TIMESTAMPTZ NOT NULL,
    -- Since when it was led all the time, but for less than an hour: nobody could report before that what had failed.
    served_since_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    intake_offset  TEXT NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- Which process leads a partition where several could, by the database's clock alone. This says who may try; that only one
-- can write is said by the head's epoch.
CREATE TABLE partition_lease (
    partition_id  INTEGER PRIMARY KEY CHECK (partition_id > 0),
    holder        TEXT NOT NULL CHECK (holder <> ''),
    epoch         BIGINT NOT NULL CHECK (epoch >= 0),
    leads_until   TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);

-- What each process says of itself every few seconds, for operators. Of now only: a crash of the database empties it, and
-- who lives writes it again. seen_at: by the database's clock.
CREATE UNLOGGED TABLE process (
    name          TEXT PRIMARY KEY CHECK (name <> ''),
    role          TEXT NOT NULL CHECK (role IN ('all', 'gateway', 'engine')),
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen_at       TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    report        BYTEA NOT NULL
) WITH (fillfactor = 50);

-- Each leader's term: after which command it began, and the version of the engine that decides its commands.
CREATE TABLE partition_term (
    partition_id    INTEGER NOT NULL,
    epoch           BIGINT NOT NULL CHECK (epoch > 0),
    after_sequence  BIGINT NOT NULL CHECK (after_sequence >= 0),
    began_at        TIMESTAMPTZ NOT NULL,
    engine_version  TEXT NOT NULL CHECK (engine_version <> ''),
    PRIMARY KEY (partition_id, epoch)
);
CREATE TRIGGER partition_term_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partition_term
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE partition_term ENABLE ALWAYS TRIGGER partition_term_insert_only;

-- One command to one book and the events it had; hash chains each row to the one before it. epoch: whose term it was.
CREATE TABLE journal (
    partition_id  INTEGER NOT NULL,
    sequence      BIGINT NOT NULL,
    epoch         BIGINT NOT NULL CHECK (epoch > 0),
    product_id    TEXT NOT NULL,
    event_at      TIMESTAMPTZ NOT NULL,
    command       BYTEA NOT NULL,
    events        BYTEA NOT NULL,
    hash          BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (partition_id, sequence)
);
CREATE TRIGGER journal_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_insert_only;

-- A book as it stood after a sequence: start-up folds only the journal after it. Derived, so replaceable.
CREATE TABLE book_snapshot (
    partition_id  INTEGER NOT NULL,
    product_id    TEXT NOT NULL,
    sequence      BIGINT NOT NULL,
    book          BYTEA NOT NULL,
    PRIMARY KEY (partition_id, product_id)
);

-- sequence is null for an order denied before it reached the book; denial is then what its sender was told.
-- collar is what the book would have let in where it rejected the order for its price.
-- starts_hour/ends_hour: an ask's window, a bid's outer window; run_starts_hour: where a filled bid was pinned.
-- eligible_fen: for each voucher programme that pays for a bid, in the order of its terms, the part filled that it is of.
-- amendment: how often the order has been replaced. Each time it ends, and a row of the same client_order_id goes on:
-- replaces_id and replaced_by_id tell which. What traded stays with the row, under whose terms it did.
CREATE TABLE orders (
    id                   BIGINT PRIMARY KEY CHECK (id > 0),
    partition_id         INTEGER NOT NULL,
    sequence             BIGINT,
    participant_id       BIGINT NOT NULL,
    key_id               BIGINT NOT NULL,
    -- Its length apart: a repetition that is counted takes ten times as long, for every row that is written.
    client_order_id      TEXT NOT NULL CHECK (client_order_id ~ '^[A-Za-z0-9._-]+$' AND length(client_order_id) <= 64),
    amendment            INTEGER NOT NULL DEFAULT 0 CHECK (amendment >= 0),
    replaces_id          BIGINT,
    replaced_by_id       BIGINT,
    fingerprint          BYTEA NOT NULL,
    product_id           TEXT NOT NULL,
    side                 TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity_gpus        INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour          INTEGER NOT NULL,
    ends_hour            INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    hours                INTEGER NOT NULL CHECK (hours BETWEEN 1 AND ends_hour - starts_hour),
    price_ticks          BIGINT NOT NULL CHECK (price_ticks > 0),
    terms                JSON NOT NULL,
    status               TEXT NOT NULL CHECK (status IN (
        'accepted', 'resting', 'partially_filled', 'filled', 'cancelled', 'expired', 'rejected')),
    reason               TEXT NOT NULL DEFAULT '',
    denial               JSON,
    collar               JSON,
    filled_gpus          INTEGER NOT NULL DEFAULT 0 CHECK (filled_gpus >= 0),
    filled_gpu_hours     BIGINT NOT NULL DEFAULT 0 CHECK (filled_gpu_hours >= 0),
    filled_notional_fen  BIGINT NOT NULL DEFAULT 0 CHECK (filled_notional_fen >= 0),
    eligible_fen         BIGINT[] NOT NULL DEFAULT '{}',
    run_starts_hour      INTEGER,
    created_at           TIMESTAMPTZ NOT NULL,
    updated_at           TIMESTAMPTZ NOT NULL,
    UNIQUE (participant_id, client_order_id, amendment),
    CONSTRAINT orders_replaces CHECK ((amendment > 0) = (replaces_id IS NOT NULL)),
    CONSTRAINT orders_replaced CHECK (replaced_by_id IS NULL OR status = 'cancelled'),
    -- An ask may be reduced below what it has sold in some hours; lease_within_ask watches it hour by hour.
    CONSTRAINT orders_bid_not_filled_longer CHECK (side = 'sell' OR filled_gpu_hours <= quantity_gpus::BIGINT * hours),
    CONSTRAINT orders_bid_not_overfilled CHECK (side = 'sell' OR filled_gpus <= quantity_gpus),
    CONSTRAINT orders_eligible_was_filled
        CHECK (0 <= ALL (eligible_fen) AND filled_notional_fen >= ALL (eligible_fen)),
    CONSTRAINT orders_denied_before_the_book CHECK (denial IS NULL OR (status = 'rejected' AND sequence IS NULL)),
    CONSTRAINT orders_collar_of_rejected
        CHECK ((collar IS NOT NULL) = (status = 'rejected' AND reason = 'price_outside_collar'))
) WITH (fillfactor = 80);
-- Partial, although every id is positive: so it serves only who asks for pages. While the table is small it looks as
-- good as the unique index for finding a client order id, and it would be walked for that long after.
CREATE INDEX orders_of_participant ON orders (participant_id, id) WHERE id > 0;
CREATE INDEX orders_live ON orders (participant_id, id) WHERE status IN ('accepted', 'resting', 'partially_filled');
CREATE INDEX orders_asks ON orders (participant_id, ends_hour) WHERE side = 'sell';
CREATE TRIGGER orders_stay BEFORE DELETE OR TRUNCATE OR UPDATE OF id, participant_id, product_id, side ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE orders ENABLE ALWAYS TRIGGER orders_stay;

-- What the rows on an order's way name is looked for once a statement, for all of its rows, and not by a foreign key, row
-- by row and with a lock on each: what is there stays, as the triggers above see to, so both say the same. These also
-- look whether it is what it should be. A subquery in the place of a join keeps each a look-up by the primary key,
-- however small the tables were when it was planned.
CREATE FUNCTION refuse_strange_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added
        WHERE (SELECT id FROM public.participant WHERE id = added.participant_id) IS NULL
            OR (SELECT id FROM public.product WHERE id = added.product_id) IS NULL
    ) THEN
        RAISE EXCEPTION 'an order is of nobody, or of no product'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'orders_of_known';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER orders_of_known AFTER INSERT ON orders
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_orders();
ALTER TABLE orders ENABLE ALWAYS TRIGGER orders_of_known;

-- What an order sets aside: its cash (voucher_id 0) and each voucher. Open = placed - committed - released.
-- programme_version: the rules that a voucher is held under. cap_year: the year in which it counts against their cap,
-- where that counts what is redeemed.
-- The accounts are checked by the transfers, without which no hold exists.
CREATE TABLE order_hold (
    order_id           BIGINT NOT NULL,
    voucher_id         BIGINT NOT NULL DEFAULT 0,
    position           SMALLINT NOT NULL,
    programme_version  INTEGER NOT NULL DEFAULT 0,
    cap_year           INTEGER,
    source_account_id  BIGINT NOT NULL,
    escrow_account_id  BIGINT NOT NULL,
    placed_fen         BIGINT NOT NULL CHECK (placed_fen >= 0),
    committed_fen      BIGINT NOT NULL DEFAULT 0 CHECK (committed_fen >= 0),
    released_fen       BIGINT NOT NULL DEFAULT 0 CHECK (released_fen >= 0),
    PRIMARY KEY (order_id, voucher_id),
    CONSTRAINT order_hold_within_placed CHECK (committed_fen + released_fen <= placed_fen)
) WITH (fillfactor = 80);

-- Every fen of a hold is resolved once: what was committed or released stays so (here), and both together never exceed
-- what was placed (above). The same of a lease's funding.
CREATE FUNCTION refuse_unresolving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was resolved of % stays resolved, and its row stays: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER order_hold_resolves_once BEFORE UPDATE ON order_hold FOR EACH ROW
    WHEN (NEW.committed_fen < OLD.committed_fen OR NEW.released_fen < OLD.released_fen
        OR NEW.placed_fen <> OLD.placed_fen OR NEW.order_id <> OLD.order_id OR NEW.voucher_id <> OLD.voucher_id
        OR NEW.programme_version <> OLD.programme_version OR NEW.cap_year IS DISTINCT FROM OLD.cap_year
        OR NEW.source_account_id <> OLD.source_account_id OR NEW.escrow_account_id <> OLD.escrow_account_id)
    EXECUTE FUNCTION refuse_unresolving();
CREATE TRIGGER order_hold_stays BEFORE DELETE OR TRUNCATE ON order_hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unresolving();
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_resolves_once;
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_stays;

-- Counts what vouchers of some holds set aside more, or less, in a year, for their company and its trade group, each under
-- the cap of the rules that the voucher is held under. Locks what is there in order first, so that two callers never
-- wait for each other. SECURITY DEFINER: the service itself may only read and lock programme_use.
CREATE FUNCTION count_use(voucher_ids BIGINT[], versions INTEGER[], years INTEGER[], changes_fen BIGINT[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    each RECORD;
BEGIN
    FOR each IN
        SELECT voucher.programme_id, subject.id AS subject_id, changed.year, sum(changed.fen)::BIGINT AS fen,
            max(CASE WHEN subject.is_capped THEN (version.rules ->> 'cap_per_year_fen')::BIGINT END) AS cap_fen
        FROM unnest(voucher_ids, versions, years, changes_fen) AS changed (voucher_id, version, year, fen)
        JOIN voucher ON voucher.id = changed.voucher_id
        JOIN programme_version AS version
            ON version.programme_id = voucher.programme_id AND version.version = changed.version
        JOIN participant AS buyer ON buyer.id = voucher.buyer_id
        CROSS JOIN LATERAL (VALUES
            (buyer.id, version.rules ->> 'cap_basis' = 'entity' OR buyer.trade_group_id IS NULL),
            (buyer.trade_group_id, version.rules ->> 'cap_basis' = 'group')) AS subject (id, is_capped)
        WHERE subject.id IS NOT NULL
        GROUP BY voucher.programme_id, subject.id, changed.year
        HAVING sum(changed.fen) <> 0
        ORDER BY voucher.programme_id, subject.id, changed.year
    LOOP
        IF each.fen < 0 THEN
            UPDATE programme_use SET used_fen = used_fen + each.fen
            WHERE (programme_id, subject_id, year) = (each.programme_id, each.subject_id, each.year);
        ELSE
            INSERT INTO programme_use AS use (programme_id, subject_id, year, used_fen, cap_fen)
            VALUES (each.programme_id, each.subject_id, each.year, each.fen, each.cap_fen)
            ON CONFLICT (programme_id, subject_id, year) DO UPDATE
            SET used_fen = use.used_fen + EXCLUDED.used_fen, cap_fen = EXCLUDED.cap_fen;
        END IF;
    END LOOP;
END
$$;

-- Holds of rules whose yearly cap counts what is redeemed: what they set aside is used, what they release is not. New ones
-- are of bids.
CREATE FUNCTION count_use_of_holds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    are_of_bids BOOLEAN;
    are_counted BOOLEAN;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT
            bool_and((SELECT side FROM public.orders WHERE id = added.order_id) IS NOT DISTINCT FROM 'buy'),
            bool_or(cap_year IS NOT NULL)
        INTO are_of_bids, are_counted
        FROM added;
        IF NOT are_of_bids THEN
            RAISE EXCEPTION 'a hold is of no bid'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'order_hold_of_bid';
        END IF;
        IF are_counted THEN
            PERFORM count_use(array_agg(voucher_id), array_agg(programme_version), array_agg(cap_year),
                array_agg(placed_fen - released_fen))
            FROM added WHERE cap_year IS NOT NULL;
        END IF;
    ELSIF EXISTS (SELECT FROM added WHERE cap_year IS NOT NULL) THEN
        PERFORM count_use(array_agg(added.voucher_id), array_agg(added.programme_version), array_agg(added.cap_year),
            array_agg(removed.released_fen - added.released_fen))
        FROM added JOIN removed USING (order_id, voucher_id)
        WHERE added.cap_year IS NOT NULL AND added.released_fen <> removed.released_fen;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER order_hold_uses AFTER INSERT ON order_hold
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_holds();
CREATE TRIGGER order_hold_frees AFTER UPDATE ON order_hold
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_holds();
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_uses;
ALTER TABLE order_hold ENABLE ALWAYS TRIGGER order_hold_frees;

-- Dead man's switches: in each partition, when all orders of a participant are cancelled unless it is put off (null: not
-- at all). By the database's clock, which is one for all processes.
CREATE TABLE cancel_switch (
    participant_id  BIGINT NOT NULL REFERENCES participant (id),
    partition_id    INTEGER NOT NULL CHECK (partition_id > 0),
    key_id          BIGINT NOT NULL,
    fires_at        TIMESTAMPTZ,
    PRIMARY KEY (participant_id, partition_id)
) WITH (fillfactor = 50);
CREATE INDEX cancel_switch_due ON cancel_switch (partition_id, fires_at) WHERE fires_at IS NOT NULL;

-- From the trade to the delivered hour. What the rows of a trade name is looked for by triggers, once a statement, as
-- beside the orders; an account's existence is checked by the transfers that move its money.

-- voucher_fen of the price is paid by vouchers; reimbursable_fen of the buyer's own part can be claimed from programmes
-- that reimburse. programme_ids: those that pay either, in spending order.
CREATE TABLE trade (
    id               BIGINT PRIMARY KEY CHECK (id > 0),
    partition_id     INTEGER NOT NULL,
    sequence         BIGINT NOT NULL,
    product_id       TEXT NOT NULL,
    bid_order_id     BIGINT NOT NULL,
    ask_order_id     BIGINT NOT NULL,
    buyer_id         BIGINT NOT NULL,
    provider_id      BIGINT NOT NULL,
    aggressor        TEXT NOT NULL CHECK (aggressor IN ('buy', 'sell')),
    quantity_gpus    INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour      INTEGER NOT NULL,
    ends_hour        INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    price_ticks      BIGINT NOT NULL CHECK (price_ticks > 0),
    notional_fen     BIGINT NOT NULL,
    voucher_fen      BIGINT NOT NULL CHECK (voucher_fen >= 0),
    reimbursable_fen BIGINT NOT NULL CHECK (reimbursable_fen >= 0),
    programme_ids    BIGINT[] NOT NULL,
    fee_bps          INTEGER NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    traded_at        TIMESTAMPTZ NOT NULL,
    CONSTRAINT trade_before_its_hours CHECK (extract(epoch FROM traded_at) < starts_hour::BIGINT * 3600),
    CONSTRAINT trade_notional_exact CHECK (notional_fen = price_ticks * quantity_gpus * (ends_hour - starts_hour)),
    CONSTRAINT trade_aid_within_price CHECK (voucher_fen + reimbursable_fen <= notional_fen),
    CONSTRAINT trade_programmes_named CHECK ((voucher_fen + reimbursable_fen > 0) = (cardinality(programme_ids) > 0))
);
CREATE INDEX trade_by_product ON trade (product_id, id);
CREATE INDEX trade_of_bid ON trade (bid_order_id);
CREATE INDEX trade_of_ask ON trade (ask_order_id);
CREATE TRIGGER trade_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trade
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE trade ENABLE ALWAYS TRIGGER trade_insert_only;

-- A trade is of a bid and an ask of its product and its parties.
CREATE FUNCTION refuse_strange_trades() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added
        WHERE (
                SELECT side = 'buy' AND participant_id = added.buyer_id AND product_id = added.product_id
                FROM public.orders WHERE id = added.bid_order_id
            ) IS NOT TRUE
            OR (
                SELECT side = 'sell' AND participant_id = added.provider_id AND product_id = added.product_id
                FROM public.orders WHERE id = added.ask_order_id
            ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a trade is not of a bid and an ask of its product and its parties'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'trade_of_its_orders';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trade_of_its_orders AFTER INSERT ON trade
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_trades();
ALTER TABLE trade ENABLE ALWAYS TRIGGER trade_of_its_orders;

-- The right to the hours of the trade whose id it has. next_settlement_hour is the first hour whose money is still in escrow;
-- fee_fen was taken of those before it, and is no more than their share of the price, rounded up to the fen.
CREATE TABLE lease (
    id                    BIGINT PRIMARY KEY,
    partition_id          INTEGER NOT NULL,
    product_id            TEXT NOT NULL,
    ask_order_id          BIGINT NOT NULL,
    buyer_id              BIGINT NOT NULL,
    provider_id           BIGINT NOT NULL,
    quantity_gpus         INTEGER NOT NULL CHECK (quantity_gpus > 0),
    starts_hour           INTEGER NOT NULL,
    ends_hour             INTEGER NOT NULL CHECK (ends_hour > starts_hour),
    price_ticks           BIGINT NOT NULL CHECK (price_ticks > 0),
    fee_bps               INTEGER NOT NULL,
    next_settlement_hour  INTEGER NOT NULL CHECK (next_settlement_hour BETWEEN starts_hour AND ends_hour),
    failed_hours          INTEGER NOT NULL DEFAULT 0 CHECK (failed_hours BETWEEN 0 AND next_settlement_hour - starts_hour),
    fee_fen               BIGINT NOT NULL DEFAULT 0 CHECK (fee_fen >= 0),
    created_at            TIMESTAMPTZ NOT NULL,
    CONSTRAINT lease_fee_of_delivered_hours CHECK (
        fee_fen <= ceil(
            price_ticks::NUMERIC * quantity_gpus * (next_settlement_hour - starts_hour - failed_hours) * fee_bps / 10000))
) WITH (fillfactor = 80);
CREATE INDEX lease_due ON lease (partition_id, next_settlement_hour) WHERE next_settlement_hour < ends_hour;
CREATE INDEX lease_of_buyer ON lease (buyer_id, id);
CREATE INDEX lease_of_provider ON lease (provider_id, id);
CREATE TRIGGER lease_stays BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON lease
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE lease ENABLE ALWAYS TRIGGER lease_stays;

-- What an ask has sold, by rectangle: kept by the trigger below from the leases themselves, and by nothing else.
CREATE TABLE ask_load (
    ask_order_id  BIGINT NOT NULL,
    starts_hour   INTEGER NOT NULL,
    ends_hour     INTEGER NOT NULL,
    sold_gpus     BIGINT NOT NULL CHECK (sold_gpus > 0),
    PRIMARY KEY (ask_order_id, ends_hour, starts_hour)
) WITH (fillfactor = 60);

-- No hour of any GPU is sold twice: the database's own word for it, beside the book's. The load on an ask can only
-- peak where some rectangle begins, so those hours are the ones to test, once for each distinct rectangle.
-- SECURITY DEFINER: the service itself may only read ask_load.
CREATE FUNCTION refuse_oversold_ask() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    oversold RECORD;
    are_within_asks BOOLEAN;
    are_of_trades BOOLEAN;
BEGIN
    INSERT INTO ask_load AS load (ask_order_id, starts_hour, ends_hour, sold_gpus)
    SELECT ask_order_id, starts_hour, ends_hour, sum(quantity_gpus)
    FROM added
    GROUP BY ask_order_id, starts_hour, ends_hour
    ON CONFLICT (ask_order_id, ends_hour, starts_hour) DO UPDATE SET sold_gpus = load.sold_gpus + EXCLUDED.sold_gpus;

    SELECT peak.ask_order_id, peak.hour INTO oversold
    FROM (
        SELECT DISTINCT sold.ask_order_id, begun.starts_hour AS hour
        FROM (SELECT DISTINCT ask_order_id, starts_hour, ends_hour FROM added) AS sold
        JOIN ask_load AS begun ON begun.ask_order_id = sold.ask_order_id
            AND begun.ends_hour > sold.starts_hour
            AND begun.starts_hour >= sold.starts_hour AND begun.starts_hour < sold.ends_hour
    ) AS peak
    JOIN orders AS ask ON ask.id = peak.ask_order_id
    CROSS JOIN LATERAL (
        SELECT sum(held.sold_gpus) AS gpus
        FROM ask_load AS held
        WHERE held.ask_order_id = peak.ask_order_id
            AND held.ends_hour > peak.hour AND held.starts_hour <= peak.hour
    ) AS load
    WHERE load.gpus > ask.quantity_gpus
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ask % is sold beyond its capacity in hour %', oversold.ask_order_id, oversold.hour
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lease_within_ask';
    END IF;
    SELECT
        bool_and((
            SELECT ask.side = 'sell' AND added.starts_hour >= ask.starts_hour AND added.ends_hour <= ask.ends_hour
            FROM orders AS ask WHERE ask.id = added.ask_order_id
        ) IS TRUE),
        bool_and((SELECT trade.ask_order_id FROM trade WHERE trade.id = added.id) IS NOT DISTINCT FROM added.ask_order_id)
    INTO are_within_asks, are_of_trades
    FROM added;
    IF NOT are_within_asks THEN
        RAISE EXCEPTION 'a lease lies outside the window of its ask'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lease_within_ask';
    END IF;
    IF NOT are_of_trades THEN
        RAISE EXCEPTION 'a lease is of no trade of its ask'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_of_its_trade';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_within_ask AFTER INSERT ON lease
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_oversold_ask();
ALTER TABLE lease ENABLE ALWAYS TRIGGER lease_within_ask;

-- Where a lease's escrowed money came from (voucher_id 0: cash), and where it went hour by hour. A reimbursed part is no
-- part of the price: the buyer has paid that in cash, and claims the part once the hours are delivered.
CREATE TABLE lease_funding (
    lease_id           BIGINT NOT NULL,
    voucher_id         BIGINT NOT NULL DEFAULT 0,
    programme_version  INTEGER NOT NULL DEFAULT 0,
    reimbursed         BOOLEAN NOT NULL DEFAULT FALSE,
    source_account_id  BIGINT NOT NULL,
    escrow_account_id  BIGINT NOT NULL,
    committed_fen      BIGINT NOT NULL CHECK (committed_fen > 0),
    captured_fen       BIGINT NOT NULL DEFAULT 0 CHECK (captured_fen >= 0),
    returned_fen       BIGINT NOT NULL DEFAULT 0 CHECK (returned_fen >= 0),
    PRIMARY KEY (lease_id, voucher_id),
    CONSTRAINT lease_funding_within_committed CHECK (captured_fen + returned_fen <= committed_fen)
) WITH (fillfactor = 80);
CREATE TRIGGER lease_funding_resolves_once BEFORE UPDATE ON lease_funding FOR EACH ROW
    WHEN (NEW.captured_fen < OLD.captured_fen OR NEW.returned_fen < OLD.returned_fen
        OR NEW.committed_fen <> OLD.committed_fen OR NEW.lease_id <> OLD.lease_id OR NEW.voucher_id <> OLD.voucher_id
        OR NEW.programme_version <> OLD.programme_version OR NEW.reimbursed <> OLD.reimbursed
        OR NEW.source_account_id <> OLD.source_account_id OR NEW.escrow_account_id <> OLD.escrow_account_id)
    EXECUTE FUNCTION refuse_unresolving();
CREATE TRIGGER lease_funding_stays BEFORE DELETE OR TRUNCATE ON lease_funding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unresolving();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_resolves_once;
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_stays;

CREATE FUNCTION refuse_strange_funding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE (SELECT id FROM public.lease WHERE id = added.lease_id) IS NULL) THEN
        RAISE EXCEPTION 'money is of no lease'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_funding_of_lease';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_funding_of_lease AFTER INSERT ON lease_funding
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_strange_funding();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_of_lease;

-- What a failed hour gives back of a voucher is not used either, in the year in which its order was placed.
CREATE FUNCTION count_use_of_leases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE voucher_id <> 0 AND returned_fen > 0) THEN
        PERFORM count_use(array_agg(hold.voucher_id), array_agg(hold.programme_version), array_agg(hold.cap_year),
            array_agg(removed.returned_fen - added.returned_fen))
        FROM added
        JOIN removed USING (lease_id, voucher_id)
        JOIN trade ON trade.id = added.lease_id
        JOIN order_hold AS hold ON hold.order_id = trade.bid_order_id AND hold.voucher_id = added.voucher_id
        WHERE hold.cap_year IS NOT NULL AND added.returned_fen <> removed.returned_fen;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lease_funding_frees AFTER UPDATE ON lease_funding
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_use_of_leases();
ALTER TABLE lease_funding ENABLE ALWAYS TRIGGER lease_funding_frees;

-- An hour that the provider says it did not deliver: its money goes back to the buyer.
CREATE TABLE outage (
    lease_id       BIGINT NOT NULL REFERENCES lease (id),
    delivery_hour  INTEGER NOT NULL,
    reason         TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    reported_by    BIGINT NOT NULL REFERENCES participant (id),
    reported_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (lease_id, delivery_hour)
);
CREATE TRIGGER outage_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outage
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE outage ENABLE ALWAYS TRIGGER outage_insert_only;

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

-- What a regulator asks of the trades: indexes in the order of venue time, and one row with everything.

-- Pages and exports walk (traded_at, id); a row's place never changes, so a cursor stays good under inserts.
CREATE INDEX trade_by_time ON trade (traded_at, id);
-- The other side is in these as well, so that trades between two are found without a look at the trades of either.
CREATE INDEX trade_of_buyer ON trade (buyer_id, traded_at, id, provider_id);
CREATE INDEX trade_of_provider ON trade (provider_id, traded_at, id, buyer_id);
CREATE INDEX trade_of_programme ON trade USING gin (programme_ids) WHERE cardinality(programme_ids) > 0;
DROP INDEX trade_by_product;
CREATE INDEX trade_by_product ON trade (product_id, traded_at, id);

CREATE INDEX participant_of_trade_group ON participant (trade_group_id, id) WHERE trade_group_id IS NOT NULL;

-- Questions to the record and their answers; both cost other records nothing.
CREATE INDEX audit_record_question ON audit_record (id) WHERE code = 'QURY';
CREATE INDEX audit_record_answer ON audit_record (subject_id) WHERE code = 'QURA';
-- Changes of trading phases, as rare.
CREATE INDEX audit_record_phase ON audit_record (id) WHERE code = 'PHAS';
-- Whose record it is, and the steps of a trade and of its lease.
CREATE INDEX audit_record_of_participant ON audit_record (participant_id, id) WHERE participant_id IS NOT NULL;
CREATE INDEX audit_record_of_trade ON audit_record (trade_id) WHERE trade_id IS NOT NULL;
-- Records come nearly in the order of their times: a few bytes for every 128 pages tell which to look into.
CREATE INDEX audit_record_by_time ON audit_record USING brin (event_at);

-- A trade with its product, its orders and its parties. Parties are as they are registered now.
CREATE VIEW oversight_trade AS
SELECT
    trade.id, trade.partition_id, trade.sequence, trade.traded_at, trade.product_id,
    product.accelerator_id, accelerator.origin, cluster.hub_code, product.cluster_code, product.interconnect_code,
    trade.quantity_gpus, trade.starts_hour, trade.ends_hour, trade.price_ticks, trade.notional_fen,
    trade.voucher_fen, trade.reimbursable_fen, trade.programme_ids, paying.codes AS programme_codes, trade.fee_bps,
    trade.aggressor,
    trade.bid_order_id, bid.client_order_id AS bid_client_order_id,
    trade.ask_order_id, ask.client_order_id AS ask_client_order_id,
    trade.buyer_id, buyer.name AS buyer_name, buyer.size_class AS buyer_size_class, buyer.region AS buyer_region,
    buyer.trade_group_id AS buyer_trade_group_id, buyer_group.name AS buyer_trade_group_name,
    trade.provider_id, provider.name AS provider_name, provider.ownership AS provider_ownership,
    provider.region AS provider_region,
    provider.trade_group_id AS provider_trade_group_id, provider_group.name AS provider_trade_group_name
FROM trade
JOIN product ON product.id = trade.product_id
JOIN accelerator ON accelerator.id = product.accelerator_id
JOIN cluster ON cluster.code = product.cluster_code
JOIN orders AS bid ON bid.id = trade.bid_order_id
JOIN orders AS ask ON ask.id = trade.ask_order_id
JOIN participant AS buyer ON buyer.id = trade.buyer_id
JOIN participant AS provider ON provider.id = trade.provider_id
LEFT JOIN trade_group AS buyer_group ON buyer_group.id = buyer.trade_group_id
LEFT JOIN trade_group AS provider_group ON provider_group.id = provider.trade_group_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(programme.code ORDER BY named.position), '{}') AS codes
    FROM unnest(trade.programme_ids) WITH ORDINALITY AS named (id, position)
    JOIN programme ON programme.id = named.id
) AS paying;

-- Books as they stood, so that any moment is rebuilt from few journal rows: at each mark the book of every product is the
-- latest stored one at or before it. A book is stored where the product had a command since the mark before. Compressed
-- (zlib). Derived from the journal, and never changed.
CREATE TABLE book_mark (
    partition_id  INTEGER NOT NULL CHECK (partition_id > 0),
    sequence      BIGINT NOT NULL CHECK (sequence > 0),
    event_at      TIMESTAMPTZ NOT NULL,
    hash          BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (partition_id, sequence)
);
CREATE INDEX book_mark_by_time ON book_mark (partition_id, event_at, sequence);
CREATE TABLE book_history (
    product_id    TEXT NOT NULL REFERENCES product (id),
    sequence      BIGINT NOT NULL CHECK (sequence > 0),
    partition_id  INTEGER NOT NULL,
    book          BYTEA NOT NULL,
    PRIMARY KEY (product_id, sequence),
    FOREIGN KEY (partition_id, sequence) REFERENCES book_mark (partition_id, sequence)
);
CREATE TRIGGER book_mark_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON book_mark
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER book_history_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON book_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE book_mark ENABLE ALWAYS TRIGGER book_mark_insert_only;
ALTER TABLE book_history ENABLE ALWAYS TRIGGER book_history_insert_only;

-- Summaries for reports, kept up to date by who follows the record, and recomputed from it where they are doubted. Days
-- are of venue time, UTC. What a row sums up, and when it counts: docs/oversight.md.

-- Up to which transaction the record is summed up, and what time the last record of it was of.
CREATE TABLE report_position (
    only_row  BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    xact_id   XID8 NOT NULL,
    event_at  TIMESTAMPTZ
) WITH (fillfactor = 50);
INSERT INTO report_position (xact_id) VALUES ('0');

-- Trades by the day on which they were made; programmes: how many paid a part of each.
CREATE TABLE report_trade (
    day               DATE NOT NULL,
    product_id        TEXT NOT NULL,
    buyer_id          BIGINT NOT NULL,
    provider_id       BIGINT NOT NULL,
    programmes        INTEGER NOT NULL,
    trades            BIGINT NOT NULL,
    gpu_hours         BIGINT NOT NULL,
    notional_fen      BIGINT NOT NULL,
    voucher_fen       BIGINT NOT NULL,
    reimbursable_fen  BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, buyer_id, provider_id, programmes)
) WITH (fillfactor = 70);

-- Bids by the day on which they ended. waited_us: from their coming to their first fill, of the filled ones; the five
-- counts after it tell how many of those waited how long.
CREATE TABLE report_bid (
    day                DATE NOT NULL,
    product_id         TEXT NOT NULL,
    buyer_id           BIGINT NOT NULL,
    status             TEXT NOT NULL,
    reason             TEXT NOT NULL,
    bids               BIGINT NOT NULL,
    wanted_gpu_hours   BIGINT NOT NULL,
    filled_gpu_hours   BIGINT NOT NULL,
    filled             BIGINT NOT NULL,
    waited_us          BIGINT NOT NULL,
    waited_0s          BIGINT NOT NULL,
    waited_1min        BIGINT NOT NULL,
    waited_1h          BIGINT NOT NULL,
    waited_1d          BIGINT NOT NULL,
    waited_longer      BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, buyer_id, status, reason)
) WITH (fillfactor = 70);

-- Vouchers that a bid named and that could not pay, by the day on which the bid was denied for it.
CREATE TABLE report_refusal (
    day           DATE NOT NULL,
    buyer_id      BIGINT NOT NULL,
    programme_id  BIGINT NOT NULL,
    code          TEXT NOT NULL,
    refusals      BIGINT NOT NULL,
    PRIMARY KEY (day, buyer_id, programme_id, code)
) WITH (fillfactor = 70);

-- Money of programmes by the day on which it moved. Whose: the buyer's whose voucher it is; of what was paid, the
-- claimant's.
CREATE TABLE report_programme (
    day             DATE NOT NULL,
    programme_id    BIGINT NOT NULL,
    participant_id  BIGINT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('issued', 'committed', 'captured', 'expired', 'revoked', 'paid')),
    movements       BIGINT NOT NULL,
    amount_fen      BIGINT NOT NULL,
    PRIMARY KEY (day, programme_id, participant_id, kind)
) WITH (fillfactor = 70);

-- GPU-hours by the day on which they are delivered: held by buyers, settled as delivered or failed, and of asks that have
-- ended, idle: offered when their hour began, and sold to nobody.
CREATE TABLE report_capacity (
    day                  DATE NOT NULL,
    product_id           TEXT NOT NULL,
    provider_id          BIGINT NOT NULL,
    held_gpu_hours       BIGINT NOT NULL,
    delivered_gpu_hours  BIGINT NOT NULL,
    failed_gpu_hours     BIGINT NOT NULL,
    idle_gpu_hours       BIGINT NOT NULL,
    PRIMARY KEY (day, product_id, provider_id)
) WITH (fillfactor = 70);

-- The whole hour that runs at a time.
CREATE FUNCTION hour_at(at TIMESTAMPTZ) RETURNS INTEGER LANGUAGE sql IMMUTABLE AS $$
    SELECT floor(extract(epoch FROM at) / 3600)::INTEGER
$$;

-- The day of a whole hour.
CREATE FUNCTION day_of_hour(hour INTEGER) RETURNS DATE LANGUAGE sql IMMUTABLE AS $$
    SELECT DATE '1970-01-01' + hour / 24
$$;

-- What an ask has offered and sold to nobody, by day of delivery, in its hours up to one, by its quantity as it stands.
CREATE FUNCTION idle_of_ask(ask_id BIGINT, through_hour INTEGER)
RETURNS TABLE (day DATE, gpu_hours BIGINT) LANGUAGE sql STABLE AS $$
    SELECT day_of_hour(hour.hour), sum(greatest(ask.quantity_gpus - coalesce(load.gpus, 0), 0))::BIGINT
    FROM orders AS ask
    CROSS JOIN LATERAL generate_series(ask.starts_hour, least(ask.ends_hour - 1, through_hour)) AS hour (hour)
    CROSS JOIN LATERAL (
        SELECT sum(sold_gpus) AS gpus FROM ask_load
        WHERE ask_load.ask_order_id = ask.id AND ask_load.starts_hour <= hour.hour AND ask_load.ends_hour > hour.hour
    ) AS load
    WHERE ask.id = ask_id
    GROUP BY day_of_hour(hour.hour)
$$;

-- What providers publish as their list prices.

-- Every list price that a provider ever published for a product; the one of the highest number is its list price.
CREATE TABLE list_price (
    provider_id  BIGINT NOT NULL REFERENCES participant (id),
    product_id   TEXT NOT NULL REFERENCES product (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    price_ticks  BIGINT NOT NULL CHECK (price_ticks BETWEEN 1 AND 1000000000),
    listed_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (product_id, provider_id, number)
);
CREATE INDEX list_price_by_time ON list_price (product_id, listed_at, provider_id, number);
CREATE TRIGGER list_price_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON list_price
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE list_price ENABLE ALWAYS TRIGGER list_price_insert_only;

-- Numbers follow each other from 1, times never go back, a price differs from the one before it, and only a provider
-- has one.
CREATE FUNCTION refuse_stray_list_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    latest list_price;
BEGIN
    SELECT * INTO latest FROM list_price
    WHERE product_id = NEW.product_id AND provider_id = NEW.provider_id
    ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(latest.number, 0) + 1
        OR NEW.listed_at < latest.listed_at OR NEW.price_ticks = latest.price_ticks
        OR NOT EXISTS (SELECT FROM participant WHERE id = NEW.provider_id AND kind = 'provider')
    THEN
        RAISE EXCEPTION 'list price % of % by % does not follow the one before it, or is not by a provider',
            NEW.number, NEW.product_id, NEW.provider_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'list_price_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER list_price_follows BEFORE INSERT ON list_price
    FOR EACH ROW EXECUTE FUNCTION refuse_stray_list_price();
ALTER TABLE list_price ENABLE ALWAYS TRIGGER list_price_follows;

-- Every process keeps the present list prices in memory: channel list_price, the product's id.
CREATE TRIGGER list_price_tell AFTER INSERT ON list_price
    FOR EACH ROW EXECUTE FUNCTION tell_of_change('list_price', 'product_id');

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
