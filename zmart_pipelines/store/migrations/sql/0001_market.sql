-- The projection, a fold of the ledger.

CREATE TABLE market.config_history (
    signature BYTEA NOT NULL,
    log_index INTEGER NOT NULL,
    slot BIGINT NOT NULL,
    index_in_block INTEGER NOT NULL,
    changed_at BIGINT NOT NULL,
    protocol_fee_bps INTEGER NOT NULL,
    resolver_reward_bps INTEGER NOT NULL,
    liquidity_provider_fee_bps INTEGER NOT NULL,
    proposal_approval_threshold INTEGER NOT NULL,
    dispute_success_threshold INTEGER NOT NULL,
    min_resolution_delay BIGINT NOT NULL,
    dispute_period BIGINT NOT NULL,
    is_paused BOOLEAN NOT NULL,
    CONSTRAINT pk_config_history PRIMARY KEY (signature, log_index)
);
CREATE INDEX ix_config_history_slot_index_in_block_log_index
    ON market.config_history (slot, index_in_block, log_index);

CREATE TABLE market.markets (
    market_id BYTEA NOT NULL,
    address BYTEA NOT NULL,
    creator BYTEA NOT NULL,
    state SMALLINT NOT NULL CONSTRAINT ck_markets_state CHECK (state BETWEEN 0 AND 6),
    b_parameter NUMERIC(20, 0) NOT NULL,
    initial_liquidity NUMERIC(20, 0) NOT NULL,
    current_liquidity NUMERIC(20, 0) NOT NULL,
    shares_yes NUMERIC(20, 0) NOT NULL,
    shares_no NUMERIC(20, 0) NOT NULL,
    total_volume NUMERIC(20, 0) NOT NULL,
    created_at BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    activated_at BIGINT NOT NULL,
    resolution_proposed_at BIGINT NOT NULL,
    resolved_at BIGINT NOT NULL,
    finalized_at BIGINT NOT NULL,
    resolver BYTEA,
    proposed_outcome BOOLEAN,
    final_outcome BOOLEAN,
    question_hash TEXT,
    evidence_hash TEXT,
    dispute_initiated_at BIGINT NOT NULL,
    dispute_initiator BYTEA,
    accumulated_resolver_fees NUMERIC(20, 0) NOT NULL,
    accumulated_lp_fees NUMERIC(20, 0) NOT NULL,
    proposal_likes BIGINT NOT NULL,
    proposal_dislikes BIGINT NOT NULL,
    dispute_agree BIGINT NOT NULL,
    dispute_disagree BIGINT NOT NULL,
    was_disputed BOOLEAN NOT NULL,
    cancelled_at BIGINT,
    price_yes BIGINT NOT NULL,
    trades_count INTEGER NOT NULL,
    as_of_slot BIGINT NOT NULL,
    as_of_index INTEGER NOT NULL,
    as_of_log INTEGER NOT NULL,
    commitment chain.commitment NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_markets PRIMARY KEY (market_id),
    CONSTRAINT ck_markets_market_id CHECK (octet_length(market_id) = 32),
    CONSTRAINT ck_markets_address CHECK (octet_length(address) = 32),
    CONSTRAINT uq_markets_address UNIQUE (address)
);
CREATE INDEX ix_markets_created_at_market_id ON market.markets (created_at, market_id);
CREATE INDEX ix_markets_creator ON market.markets (creator);
CREATE INDEX ix_markets_state_created_at ON market.markets (state, created_at);

CREATE TABLE market.chain_votes (
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_chain_votes_kind CHECK (kind IN ('proposal', 'dispute')),
    wallet BYTEA NOT NULL,
    choice BOOLEAN NOT NULL,
    voted_at BIGINT NOT NULL,
    signature BYTEA NOT NULL,
    slot BIGINT NOT NULL,
    commitment chain.commitment NOT NULL,
    CONSTRAINT pk_chain_votes PRIMARY KEY (market_id, kind, wallet),
    CONSTRAINT fk_chain_votes_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_chain_votes_signature ON market.chain_votes (signature);
CREATE INDEX ix_chain_votes_wallet ON market.chain_votes (wallet);

CREATE TABLE market.claims (
    signature BYTEA NOT NULL,
    log_index INTEGER NOT NULL,
    market_id BYTEA NOT NULL,
    "user" BYTEA NOT NULL,
    outcome BOOLEAN,
    amount NUMERIC(20, 0) NOT NULL,
    claimed_at BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    commitment chain.commitment NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (signature, log_index),
    CONSTRAINT fk_claims_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_claims_market_id ON market.claims (market_id);
CREATE INDEX ix_claims_user_slot ON market.claims ("user", slot);

CREATE TABLE market.positions (
    market_id BYTEA NOT NULL,
    "user" BYTEA NOT NULL,
    shares_yes NUMERIC(20, 0) NOT NULL,
    shares_no NUMERIC(20, 0) NOT NULL,
    total_invested NUMERIC(20, 0) NOT NULL,
    trades_count BIGINT NOT NULL,
    first_trade_at BIGINT NOT NULL,
    last_trade_at BIGINT NOT NULL,
    has_claimed BOOLEAN NOT NULL,
    claimed_amount NUMERIC(20, 0) NOT NULL,
    as_of_slot BIGINT NOT NULL,
    CONSTRAINT pk_positions PRIMARY KEY (market_id, "user"),
    CONSTRAINT fk_positions_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_positions_user ON market.positions ("user");

CREATE TABLE market.trades (
    signature BYTEA NOT NULL,
    log_index INTEGER NOT NULL,
    market_id BYTEA NOT NULL,
    "user" BYTEA NOT NULL,
    trade_type TEXT NOT NULL CONSTRAINT ck_trades_trade_type CHECK (trade_type IN ('buy', 'sell')),
    outcome BOOLEAN NOT NULL,
    shares NUMERIC(20, 0) NOT NULL,
    cost NUMERIC(20, 0) NOT NULL,
    price_yes BIGINT NOT NULL,
    traded_at BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    index_in_block INTEGER NOT NULL,
    commitment chain.commitment NOT NULL,
    CONSTRAINT pk_trades PRIMARY KEY (signature, log_index),
    CONSTRAINT fk_trades_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_trades_market_id_slot_index_in_block_log_index
    ON market.trades (market_id, slot, index_in_block, log_index);
CREATE INDEX ix_trades_slot_index_in_block_log_index
    ON market.trades (slot, index_in_block, log_index);
CREATE INDEX ix_trades_user_slot ON market.trades ("user", slot);

CREATE TABLE market.withdrawals (
    signature BYTEA NOT NULL,
    log_index INTEGER NOT NULL,
    market_id BYTEA NOT NULL,
    creator BYTEA NOT NULL,
    amount NUMERIC(20, 0) NOT NULL,
    withdrawn_at BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    CONSTRAINT pk_withdrawals PRIMARY KEY (signature, log_index),
    CONSTRAINT fk_withdrawals_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_withdrawals_market_id ON market.withdrawals (market_id);
