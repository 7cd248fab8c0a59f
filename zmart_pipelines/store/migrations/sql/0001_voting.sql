-- Ballots, tallies, and the queue of votes that changed.

CREATE TABLE voting.ballots (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_ballots_kind CHECK (kind IN ('proposal', 'dispute')),
    round INTEGER DEFAULT '0' NOT NULL,
    wallet BYTEA NOT NULL,
    source TEXT DEFAULT 'wallet' NOT NULL,
    choice BOOLEAN NOT NULL,
    scheme TEXT NOT NULL,
    message TEXT NOT NULL,
    signature BYTEA NOT NULL,
    nonce TEXT NOT NULL,
    idempotency_key TEXT,
    accepted_at timestamptz DEFAULT now() NOT NULL,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    weight BIGINT DEFAULT '1' NOT NULL CONSTRAINT ck_ballots_weight CHECK (weight > 0),
    CONSTRAINT pk_ballots PRIMARY KEY (id),
    CONSTRAINT uq_ballots_market_id_kind_round_wallet_source
        UNIQUE (market_id, kind, round, wallet, source),
    CONSTRAINT uq_ballots_signature UNIQUE (signature),
    CONSTRAINT uq_ballots_wallet_idempotency_key UNIQUE (wallet, idempotency_key),
    CONSTRAINT ck_ballots_market_id CHECK (octet_length(market_id) = 32),
    CONSTRAINT ck_ballots_wallet CHECK (octet_length(wallet) = 32),
    CONSTRAINT ck_ballots_signature CHECK (octet_length(signature) = 64)
);
CREATE INDEX ix_ballots_wallet ON voting.ballots (wallet);

CREATE TABLE voting.change_queue (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT ck_change_queue_kind CHECK (kind IN ('proposal', 'dispute', 'state')),
    CONSTRAINT pk_change_queue PRIMARY KEY (id)
);

CREATE TABLE voting.counted_ballots (
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_counted_ballots_kind CHECK (kind IN ('proposal', 'dispute')),
    round INTEGER NOT NULL,
    wallet BYTEA NOT NULL,
    source TEXT NOT NULL CONSTRAINT ck_counted_ballots_source CHECK (source IN ('wallet', 'chain')),
    choice BOOLEAN NOT NULL,
    proof JSONB NOT NULL,
    weight BIGINT DEFAULT '1' NOT NULL CONSTRAINT ck_counted_ballots_weight CHECK (weight > 0),
    CONSTRAINT pk_counted_ballots PRIMARY KEY (market_id, kind, round, wallet)
);

CREATE TABLE voting.scans (
    kind TEXT NOT NULL CONSTRAINT ck_scans_kind CHECK (kind IN ('proposal', 'dispute')),
    threshold_bps INTEGER NOT NULL,
    minimum_votes BIGINT NOT NULL,
    CONSTRAINT pk_scans PRIMARY KEY (kind)
);

CREATE TABLE voting.tallies (
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_tallies_kind CHECK (kind IN ('proposal', 'dispute')),
    round INTEGER DEFAULT '0' NOT NULL,
    status TEXT DEFAULT 'open' NOT NULL
        CONSTRAINT ck_tallies_status CHECK (status IN ('open', 'frozen', 'reopened')),
    votes_for BIGINT DEFAULT '0' NOT NULL,
    votes_against BIGINT DEFAULT '0' NOT NULL,
    frozen_slot BIGINT,
    frozen_chain_time BIGINT,
    bundle_cid TEXT,
    opened_at timestamptz DEFAULT now() NOT NULL,
    frozen_at timestamptz,
    counted_at timestamptz,
    weight_unit BIGINT CONSTRAINT ck_tallies_weight_unit CHECK (weight_unit > 0),
    ballots BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_tallies_ballots CHECK (ballots >= 0),
    CONSTRAINT pk_tallies PRIMARY KEY (market_id, kind, round),
    CONSTRAINT ck_tallies_counts CHECK (votes_for >= 0 AND votes_against >= 0),
    CONSTRAINT ck_tallies_frozen CHECK ((status = 'open') = (frozen_slot IS NULL))
);
