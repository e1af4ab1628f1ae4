-- Computing-voucher programmes as data, the vouchers they issue, and what providers claim for them.

-- ordinal is the programme's bit in the eligibility masks of orders.
CREATE TABLE programme (
    id          BIGINT PRIMARY KEY CHECK (id > 0),
    ordinal     INTEGER GENERATED ALWAYS AS IDENTITY UNIQUE,
    issuer_id   BIGINT NOT NULL REFERENCES participant (id),
    code        TEXT NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    asset       TEXT NOT NULL UNIQUE REFERENCES asset (code),
    status      TEXT NOT NULL CHECK (status IN ('draft', 'open', 'exhausted', 'closed')),
    budget_fen  BIGINT NOT NULL CHECK (budget_fen > 0),
    issued_fen  BIGINT NOT NULL DEFAULT 0 CHECK (issued_fen >= 0),
    created_at  TIMESTAMPTZ NOT NULL,
    CONSTRAINT programme_within_budget CHECK (issued_fen <= budget_fen)
);

-- A version's rules never change; a new version takes effect at its time.
CREATE TABLE programme_version (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    version         INTEGER NOT NULL CHECK (version > 0),
    effective_from  TIMESTAMPTZ NOT NULL,
    rules           JSONB NOT NULL,
    PRIMARY KEY (programme_id, version)
);
CREATE TRIGGER programme_version_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE programme_version ENABLE ALWAYS TRIGGER programme_version_insert_only;

-- What one company was issued in one calendar year, never above the programme's cap.
CREATE TABLE programme_year_use (
    programme_id    BIGINT NOT NULL REFERENCES programme (id),
    participant_id  BIGINT NOT NULL REFERENCES participant (id),
    year            INTEGER NOT NULL,
    issued_fen      BIGINT NOT NULL CHECK (issued_fen >= 0),
    cap_fen         BIGINT NOT NULL CHECK (cap_fen > 0),
    PRIMARY KEY (programme_id, participant_id, year),
    CONSTRAINT programme_year_use_within_cap CHECK (issued_fen <= cap_fen)
);

CREATE TABLE voucher (
    id                 BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL,
    buyer_id           BIGINT NOT NULL REFERENCES participant (id),
    face_fen           BIGINT NOT NULL CHECK (face_fen > 0),
    status             TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'expired', 'revoked')),
    account_id         BIGINT NOT NULL REFERENCES ledger_account (id),
    escrow_account_id  BIGINT NOT NULL REFERENCES ledger_account (id),
    issued_at          TIMESTAMPTZ NOT NULL,
    expires_at         TIMESTAMPTZ NOT NULL CHECK (expires_at > issued_at),
    FOREIGN KEY (programme_id, programme_version) REFERENCES programme_version (programme_id, version)
);
CREATE INDEX voucher_of_buyer ON voucher (buyer_id, expires_at, id);
CREATE INDEX voucher_of_programme ON voucher (programme_id, id);
CREATE INDEX voucher_by_expiry ON voucher (expires_at);

CREATE TABLE claim (
    id            BIGINT PRIMARY KEY CHECK (id > 0),
    programme_id  BIGINT NOT NULL REFERENCES programme (id),
    provider_id   BIGINT NOT NULL REFERENCES participant (id),
    amount_fen    BIGINT NOT NULL CHECK (amount_fen > 0),
    status        TEXT NOT NULL CHECK (status IN ('submitted', 'approved', 'rejected', 'paid')),
    reason        TEXT NOT NULL DEFAULT '',
    submitted_at  TIMESTAMPTZ NOT NULL,
    decided_at    TIMESTAMPTZ,
    decided_by    BIGINT REFERENCES participant (id),
    paid_at       TIMESTAMPTZ
);
CREATE INDEX claim_of_programme ON claim (programme_id, id);
CREATE INDEX claim_of_provider ON claim (provider_id, id);

-- One delivered hour paid in part by one voucher: the lines of a claim.
-- programme_version: the rules it was held under, by which a claim on it is judged.
CREATE TABLE voucher_capture (
    lease_id           BIGINT NOT NULL,
    delivery_hour      INTEGER NOT NULL,
    voucher_id         BIGINT NOT NULL REFERENCES voucher (id),
    programme_id       BIGINT NOT NULL,
    programme_version  INTEGER NOT NULL CHECK (programme_version > 0),
    provider_id        BIGINT NOT NULL,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    claim_id           BIGINT REFERENCES claim (id),
    captured_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (lease_id, delivery_hour, voucher_id)
);
CREATE INDEX voucher_capture_unclaimed ON voucher_capture (programme_id, provider_id) WHERE claim_id IS NULL;
CREATE INDEX voucher_capture_of_claim ON voucher_capture (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX voucher_capture_of_voucher ON voucher_capture (voucher_id);
