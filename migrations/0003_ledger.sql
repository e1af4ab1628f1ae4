-- Double entry in integer fen. A balance is the fold of the transfers of its account, and is only ever
-- changed by the statement that inserts those transfers.

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
        'programme_budget', 'voucher_issue', 'voucher_expiry', 'voucher_revocation',
        'claim_submission', 'claim_return', 'claim_redemption', 'claim_payment')),
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

-- Both accounts exist and are of the transfer's asset: what two foreign keys would say, once a statement instead of
-- twice a row. Accounts are never deleted (the trigger below) and never change their asset.
CREATE FUNCTION refuse_stray_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray RECORD;
BEGIN
    SELECT added.debit_account_id, added.credit_account_id, added.asset INTO stray
    FROM added
    LEFT JOIN ledger_account AS debit ON debit.id = added.debit_account_id AND debit.asset = added.asset
    LEFT JOIN ledger_account AS credit ON credit.id = added.credit_account_id AND credit.asset = added.asset
    WHERE debit.id IS NULL OR credit.id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transfer from % to %: not two accounts of %',
            stray.debit_account_id, stray.credit_account_id, stray.asset
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_transfer_accounts';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER ledger_transfer_accounts AFTER INSERT ON ledger_transfer
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_stray_transfer();
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_accounts;

CREATE FUNCTION refuse_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a ledger account keeps its owner, asset and purpose, and is never deleted'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER ledger_account_stays BEFORE DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_account_change();
CREATE TRIGGER ledger_account_identity BEFORE UPDATE OF id, participant_id, asset, purpose, reference ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_account_change();
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_stays;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER ledger_account_identity;
CREATE TRIGGER ledger_transfer_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_insert_only;
