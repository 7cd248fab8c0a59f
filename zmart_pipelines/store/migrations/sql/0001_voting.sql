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
COMMENT ON COLUMN voting.ballots.id IS 'Database: identity sequence';
COMMENT ON COLUMN voting.ballots.market_id IS 'Signed text: the market voted on';
COMMENT ON COLUMN voting.ballots.kind IS 'Signed text: kind of vote';
COMMENT ON COLUMN voting.ballots.round IS 'Signed text, or the open round of the vote';
COMMENT ON COLUMN voting.ballots.wallet IS 'Request: wallet whose signature was verified';
COMMENT ON COLUMN voting.ballots.source IS 'API: always wallet';
COMMENT ON COLUMN voting.ballots.choice IS 'Signed text: like, or agreement with the dispute';
COMMENT ON COLUMN voting.ballots.scheme IS 'API: form of the signed text';
COMMENT ON COLUMN voting.ballots.message IS 'Request: text that the wallet signed';
COMMENT ON COLUMN voting.ballots.signature IS 'Request: the wallet''s signature of message';
COMMENT ON COLUMN voting.ballots.nonce IS 'Signed text: makes the ballot unique';
COMMENT ON COLUMN voting.ballots.idempotency_key IS 'Request: header Idempotency-Key';
COMMENT ON COLUMN voting.ballots.accepted_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN voting.ballots.xid IS 'Database: id of the inserting transaction';
COMMENT ON COLUMN voting.ballots.weight
    IS 'Computed: votes by the shares held at the dispute, 1 without weights';

CREATE TABLE voting.change_queue (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT ck_change_queue_kind CHECK (kind IN ('proposal', 'dispute', 'state')),
    CONSTRAINT pk_change_queue PRIMARY KEY (id)
);
COMMENT ON COLUMN voting.change_queue.id IS 'Database: identity sequence';
COMMENT ON COLUMN voting.change_queue.market_id
    IS 'Ballot, event or operator action that changed the vote or state';
COMMENT ON COLUMN voting.change_queue.kind
    IS 'What changed: the votes of a kind, or the market''s state';

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
COMMENT ON COLUMN voting.counted_ballots.market_id IS 'Tally';
COMMENT ON COLUMN voting.counted_ballots.kind IS 'Tally';
COMMENT ON COLUMN voting.counted_ballots.round IS 'Tally';
COMMENT ON COLUMN voting.counted_ballots.wallet IS 'Ballot or on-chain vote';
COMMENT ON COLUMN voting.counted_ballots.source
    IS 'Tally: whether the signed ballot or the VoteRecord counts';
COMMENT ON COLUMN voting.counted_ballots.choice IS 'Ballot or on-chain vote';
COMMENT ON COLUMN voting.counted_ballots.proof
    IS 'Ballot''s signed text and signature, or the VoteRecord''s address';
COMMENT ON COLUMN voting.counted_ballots.weight IS 'Ballot, or computed for an on-chain vote';

CREATE TABLE voting.scans (
    kind TEXT NOT NULL CONSTRAINT ck_scans_kind CHECK (kind IN ('proposal', 'dispute')),
    threshold_bps INTEGER NOT NULL,
    minimum_votes BIGINT NOT NULL,
    CONSTRAINT pk_scans PRIMARY KEY (kind)
);
COMMENT ON COLUMN voting.scans.kind IS 'Aggregator: kind of vote scanned';
COMMENT ON COLUMN voting.scans.threshold_bps
    IS 'GlobalConfig: threshold of the last full scan, in basis points';
COMMENT ON COLUMN voting.scans.minimum_votes
    IS 'Settings: least number of votes at the last full scan';

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
COMMENT ON COLUMN voting.tallies.market_id IS 'Ballot or on-chain vote: the market voted on';
COMMENT ON COLUMN voting.tallies.kind IS 'Ballot or on-chain vote: kind of vote';
COMMENT ON COLUMN voting.tallies.round IS 'Operators: 0, plus one per reopening';
COMMENT ON COLUMN voting.tallies.status IS 'Tally: open, frozen or reopened';
COMMENT ON COLUMN voting.tallies.votes_for IS 'Computed: sum of the weights of ballots in favour';
COMMENT ON COLUMN voting.tallies.votes_against IS 'Computed: sum of the weights of ballots against';
COMMENT ON COLUMN voting.tallies.frozen_slot
    IS 'Chain: finalized slot of the on-chain votes counted';
COMMENT ON COLUMN voting.tallies.frozen_chain_time
    IS 'Chain clock: when the tally was frozen, in seconds';
COMMENT ON COLUMN voting.tallies.bundle_cid IS 'Computed: CID of the ballot bundle';
COMMENT ON COLUMN voting.tallies.opened_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN voting.tallies.frozen_at IS 'Database clock: when the tally was frozen';
COMMENT ON COLUMN voting.tallies.counted_at IS 'Database clock: when the counts last changed';
COMMENT ON COLUMN voting.tallies.weight_unit
    IS 'Settings when the tally opened: shares per vote (9 decimals); null counts wallets';
COMMENT ON COLUMN voting.tallies.ballots IS 'Computed: number of ballots counted';
