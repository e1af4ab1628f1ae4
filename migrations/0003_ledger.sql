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
