-- The projection, which is a fold of the ledger, and the statistics computed from it.

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
COMMENT ON COLUMN market.config_history.signature IS 'Transaction';
COMMENT ON COLUMN market.config_history.log_index IS 'Transaction: line number in its log';
COMMENT ON COLUMN market.config_history.slot IS 'Transaction';
COMMENT ON COLUMN market.config_history.index_in_block
    IS 'Transaction; -1 where no node reports it';
COMMENT ON COLUMN market.config_history.changed_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.config_history.protocol_fee_bps
    IS 'GlobalConfigInitialized or ConfigUpdated';
COMMENT ON COLUMN market.config_history.resolver_reward_bps
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.liquidity_provider_fee_bps
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.proposal_approval_threshold
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.dispute_success_threshold
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.min_resolution_delay
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.dispute_period
    IS 'ConfigUpdated; before it the program''s default';
COMMENT ON COLUMN market.config_history.is_paused IS 'ProtocolPauseStatusChanged';

CREATE TABLE market.markets (
    market_id BYTEA NOT NULL,
    address BYTEA NOT NULL,
    creator BYTEA NOT NULL,
    state SMALLINT NOT NULL
        CONSTRAINT ck_markets_state CHECK (state BETWEEN {{PROPOSED}} AND {{CANCELLED}}),
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
CREATE INDEX ix_markets_disputed
    ON market.markets (dispute_initiated_at) WHERE state = {{DISPUTED}};
CREATE INDEX ix_markets_resolving
    ON market.markets (resolution_proposed_at) WHERE state = {{RESOLVING}};
CREATE INDEX ix_markets_state_created_at ON market.markets (state, created_at);
COMMENT ON COLUMN market.markets.market_id IS 'MarketCreated';
COMMENT ON COLUMN market.markets.address IS 'Computed: PDA of market_id';
COMMENT ON COLUMN market.markets.creator IS 'MarketCreated';
COMMENT ON COLUMN market.markets.state IS 'Last event that changes it; a number of MarketState';
COMMENT ON COLUMN market.markets.b_parameter IS 'MarketCreated';
COMMENT ON COLUMN market.markets.initial_liquidity IS 'Data of create_market';
COMMENT ON COLUMN market.markets.current_liquidity
    IS 'Data of create_market, then recomputed for each trade; 0 after LiquidityWithdrawn';
COMMENT ON COLUMN market.markets.shares_yes
    IS 'b_parameter / 1000, then SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.shares_no
    IS 'b_parameter / 1000, then SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.total_volume
    IS 'SharesBought; for SharesSold the gross amount, recomputed';
COMMENT ON COLUMN market.markets.created_at IS 'MarketCreated';
COMMENT ON COLUMN market.markets.approved_at IS 'ProposalApproved';
COMMENT ON COLUMN market.markets.activated_at IS 'MarketActivated';
COMMENT ON COLUMN market.markets.resolution_proposed_at IS 'MarketResolved';
COMMENT ON COLUMN market.markets.resolved_at IS 'DisputeAggregated of a rejected dispute';
COMMENT ON COLUMN market.markets.finalized_at IS 'MarketFinalized';
COMMENT ON COLUMN market.markets.resolver IS 'MarketResolved';
COMMENT ON COLUMN market.markets.proposed_outcome IS 'MarketResolved';
COMMENT ON COLUMN market.markets.final_outcome IS 'MarketFinalized';
COMMENT ON COLUMN market.markets.question_hash IS 'Data of create_market';
COMMENT ON COLUMN market.markets.evidence_hash IS 'MarketResolved';
COMMENT ON COLUMN market.markets.dispute_initiated_at IS 'DisputeInitiated';
COMMENT ON COLUMN market.markets.dispute_initiator IS 'DisputeInitiated';
COMMENT ON COLUMN market.markets.accumulated_resolver_fees
    IS 'Recomputed for each trade with the fees in force; 0 after WinningsClaimed';
COMMENT ON COLUMN market.markets.accumulated_lp_fees
    IS 'Recomputed for each trade with the fees in force; 0 after LiquidityWithdrawn';
COMMENT ON COLUMN market.markets.proposal_likes IS 'ProposalAggregated';
COMMENT ON COLUMN market.markets.proposal_dislikes IS 'ProposalAggregated';
COMMENT ON COLUMN market.markets.dispute_agree IS 'DisputeAggregated, or data of finalize_market';
COMMENT ON COLUMN market.markets.dispute_disagree
    IS 'DisputeAggregated, or data of finalize_market';
COMMENT ON COLUMN market.markets.was_disputed IS 'MarketFinalized or DisputeAggregated';
COMMENT ON COLUMN market.markets.cancelled_at IS 'MarketCancelled';
COMMENT ON COLUMN market.markets.price_yes
    IS 'Last SharesBought or SharesSold; half of PRECISION before the first';
COMMENT ON COLUMN market.markets.trades_count IS 'Number of SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.as_of_slot IS 'Last event folded';
COMMENT ON COLUMN market.markets.as_of_index IS 'Last event folded';
COMMENT ON COLUMN market.markets.as_of_log IS 'Last event folded';
COMMENT ON COLUMN market.markets.commitment IS 'Lowest of the events folded';
COMMENT ON COLUMN market.markets.updated_at IS 'Database clock: when the row last changed';

CREATE TABLE market.candles (
    market_id BYTEA NOT NULL,
    interval TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    open BIGINT NOT NULL,
    high BIGINT NOT NULL,
    low BIGINT NOT NULL,
    close BIGINT NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    trades INTEGER NOT NULL,
    CONSTRAINT pk_candles PRIMARY KEY (market_id, interval, starts_at),
    CONSTRAINT ck_candles_interval CHECK (interval IN ('1m', '5m', '1h', '1d')),
    CONSTRAINT ck_candles_starts_at CHECK (
        starts_at % (CASE interval WHEN '1m' THEN 60 WHEN '5m' THEN 300 WHEN '1h' THEN 3600 ELSE
        86400 END) = 0
    ),
    CONSTRAINT ck_candles_prices CHECK (
        0 <= low AND low <= open AND low <= close AND open <= high AND close <= high AND high <=
        1000000000
    ),
    CONSTRAINT ck_candles_volume CHECK (volume >= 0 AND trades > 0),
    CONSTRAINT fk_candles_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
COMMENT ON COLUMN market.candles.market_id IS 'Trades';
COMMENT ON COLUMN market.candles.interval IS 'Configuration: length of the candle';
COMMENT ON COLUMN market.candles.starts_at IS 'trades.traded_at, rounded down';
COMMENT ON COLUMN market.candles.open IS 'trades.price_yes of the interval''s first trade';
COMMENT ON COLUMN market.candles.high IS 'Largest trades.price_yes';
COMMENT ON COLUMN market.candles.low IS 'Smallest trades.price_yes';
COMMENT ON COLUMN market.candles.close IS 'trades.price_yes of the interval''s last trade';
COMMENT ON COLUMN market.candles.volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.candles.trades IS 'Number of trades';

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
COMMENT ON COLUMN market.chain_votes.market_id IS 'ProposalVoteSubmitted or DisputeVoteSubmitted';
COMMENT ON COLUMN market.chain_votes.kind IS 'Name of the event';
COMMENT ON COLUMN market.chain_votes.wallet IS 'The event''s user';
COMMENT ON COLUMN market.chain_votes.choice IS 'The event''s vote';
COMMENT ON COLUMN market.chain_votes.voted_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.chain_votes.signature IS 'Transaction';
COMMENT ON COLUMN market.chain_votes.slot IS 'Transaction';
COMMENT ON COLUMN market.chain_votes.commitment IS 'Transaction';

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
COMMENT ON COLUMN market.claims.signature IS 'Transaction';
COMMENT ON COLUMN market.claims.log_index IS 'Transaction: line number in its log';
COMMENT ON COLUMN market.claims.market_id IS 'WinningsClaimed, by the market''s address';
COMMENT ON COLUMN market.claims."user" IS 'WinningsClaimed';
COMMENT ON COLUMN market.claims.outcome
    IS 'WinningsClaimed; for its older layout the market''s final outcome';
COMMENT ON COLUMN market.claims.amount IS 'WinningsClaimed';
COMMENT ON COLUMN market.claims.claimed_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.claims.slot IS 'Transaction';
COMMENT ON COLUMN market.claims.commitment IS 'Transaction';

CREATE TABLE market.market_statistics (
    market_id BYTEA NOT NULL,
    total_trades INTEGER NOT NULL,
    unique_traders INTEGER NOT NULL,
    total_volume NUMERIC(20, 0) NOT NULL,
    buy_volume NUMERIC(20, 0) NOT NULL,
    sell_volume NUMERIC(20, 0) NOT NULL,
    volume_24h NUMERIC(20, 0) NOT NULL,
    traders_24h INTEGER NOT NULL,
    price_yes BIGINT NOT NULL,
    price_24h_ago BIGINT NOT NULL,
    price_change_bps BIGINT,
    last_trade_at BIGINT,
    as_of BIGINT NOT NULL,
    valid_until BIGINT,
    market_updated_at timestamptz NOT NULL,
    CONSTRAINT pk_market_statistics PRIMARY KEY (market_id),
    CONSTRAINT ck_market_statistics_volume CHECK (total_volume = buy_volume + sell_volume),
    CONSTRAINT ck_market_statistics_volumes CHECK (
        buy_volume >= 0 AND sell_volume >= 0 AND volume_24h BETWEEN 0 AND total_volume
    ),
    CONSTRAINT ck_market_statistics_trades CHECK (
        unique_traders BETWEEN 0 AND total_trades AND (total_trades = 0) = (last_trade_at IS
        NULL)
    ),
    CONSTRAINT ck_market_statistics_traders CHECK (traders_24h BETWEEN 0 AND unique_traders),
    CONSTRAINT ck_market_statistics_valid_until CHECK (valid_until > as_of),
    CONSTRAINT fk_market_statistics_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
COMMENT ON COLUMN market.market_statistics.market_id IS 'Markets';
COMMENT ON COLUMN market.market_statistics.total_trades IS 'Number of trades';
COMMENT ON COLUMN market.market_statistics.unique_traders IS 'Different trades.user';
COMMENT ON COLUMN market.market_statistics.total_volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.market_statistics.buy_volume IS 'Sum of trades.cost of buys';
COMMENT ON COLUMN market.market_statistics.sell_volume IS 'Sum of trades.cost of sells';
COMMENT ON COLUMN market.market_statistics.volume_24h
    IS 'Sum of trades.cost in the 24 hours up to as_of';
COMMENT ON COLUMN market.market_statistics.traders_24h
    IS 'Different trades.user in the 24 hours up to as_of';
COMMENT ON COLUMN market.market_statistics.price_yes
    IS 'trades.price_yes of the last trade; half of PRECISION without trades';
COMMENT ON COLUMN market.market_statistics.price_24h_ago
    IS 'trades.price_yes before these 24 hours; half of PRECISION without trades';
COMMENT ON COLUMN market.market_statistics.price_change_bps
    IS 'Computed: change from price_24h_ago to price_yes, in basis points';
COMMENT ON COLUMN market.market_statistics.last_trade_at IS 'Largest trades.traded_at';
COMMENT ON COLUMN market.market_statistics.as_of
    IS 'Chain clock: when the statistics were computed, in seconds';
COMMENT ON COLUMN market.market_statistics.valid_until
    IS 'Computed: when the oldest trade leaves the 24 hours, in chain seconds';
COMMENT ON COLUMN market.market_statistics.market_updated_at
    IS 'markets.updated_at of the row that the statistics were computed from';

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
COMMENT ON COLUMN market.positions.market_id IS 'SharesBought';
COMMENT ON COLUMN market.positions."user" IS 'SharesBought';
COMMENT ON COLUMN market.positions.shares_yes IS 'SharesBought less SharesSold';
COMMENT ON COLUMN market.positions.shares_no IS 'SharesBought less SharesSold';
COMMENT ON COLUMN market.positions.total_invested IS 'Sum of SharesBought.cost';
COMMENT ON COLUMN market.positions.trades_count IS 'Number of SharesBought and SharesSold';
COMMENT ON COLUMN market.positions.first_trade_at IS 'First SharesBought';
COMMENT ON COLUMN market.positions.last_trade_at IS 'Last SharesBought or SharesSold';
COMMENT ON COLUMN market.positions.has_claimed IS 'WinningsClaimed';
COMMENT ON COLUMN market.positions.claimed_amount IS 'WinningsClaimed';
COMMENT ON COLUMN market.positions.as_of_slot IS 'Last event folded';

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
COMMENT ON COLUMN market.trades.signature IS 'Transaction';
COMMENT ON COLUMN market.trades.log_index IS 'Transaction: line number in its log';
COMMENT ON COLUMN market.trades.market_id IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades."user" IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.trade_type IS 'Name of the event';
COMMENT ON COLUMN market.trades.outcome IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.shares IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.cost
    IS 'SharesBought.cost with fees, SharesSold.proceeds after them';
COMMENT ON COLUMN market.trades.price_yes IS 'Event: new_price_yes, the price after the trade';
COMMENT ON COLUMN market.trades.traded_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.trades.slot IS 'Transaction';
COMMENT ON COLUMN market.trades.index_in_block IS 'Transaction; -1 where no node reports it';
COMMENT ON COLUMN market.trades.commitment IS 'Transaction';

CREATE TABLE market.wallet_statistics (
    wallet BYTEA NOT NULL,
    market_id BYTEA NOT NULL,
    trades INTEGER NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    invested NUMERIC(20, 0) NOT NULL,
    proceeds NUMERIC(20, 0) NOT NULL,
    claimed NUMERIC(20, 0) NOT NULL,
    open_value NUMERIC(20, 0) NOT NULL,
    settled BOOLEAN NOT NULL,
    realised_pnl NUMERIC(20, 0) NOT NULL,
    CONSTRAINT pk_wallet_statistics PRIMARY KEY (wallet, market_id),
    CONSTRAINT ck_wallet_statistics_wallet CHECK (octet_length(wallet) = 32),
    CONSTRAINT ck_wallet_statistics_amounts CHECK (
        trades >= 0 AND volume >= 0 AND invested >= 0 AND proceeds >= 0 AND claimed >= 0 AND
        open_value >= 0
    ),
    CONSTRAINT ck_wallet_statistics_settled CHECK (NOT settled OR open_value = 0),
    CONSTRAINT ck_wallet_statistics_realised_pnl CHECK (
        realised_pnl = CASE WHEN settled THEN proceeds + claimed - invested ELSE 0 END
    ),
    CONSTRAINT fk_wallet_statistics_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_wallet_statistics_market_id ON market.wallet_statistics (market_id);
COMMENT ON COLUMN market.wallet_statistics.wallet IS 'positions.user';
COMMENT ON COLUMN market.wallet_statistics.market_id IS 'Positions';
COMMENT ON COLUMN market.wallet_statistics.trades IS 'Number of trades';
COMMENT ON COLUMN market.wallet_statistics.volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.wallet_statistics.invested IS 'positions.total_invested';
COMMENT ON COLUMN market.wallet_statistics.proceeds IS 'Sum of trades.cost of sells';
COMMENT ON COLUMN market.wallet_statistics.claimed IS 'positions.claimed_amount';
COMMENT ON COLUMN market.wallet_statistics.open_value
    IS 'Computed: the program''s payout formula on positions and markets';
COMMENT ON COLUMN market.wallet_statistics.settled IS 'Computed: market finalized and open_value 0';
COMMENT ON COLUMN market.wallet_statistics.realised_pnl
    IS 'Computed: proceeds + claimed - invested once settled';

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
COMMENT ON COLUMN market.withdrawals.signature IS 'Transaction';
COMMENT ON COLUMN market.withdrawals.log_index IS 'Transaction: line number in its log';
COMMENT ON COLUMN market.withdrawals.market_id IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.creator IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.amount IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.withdrawn_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.withdrawals.slot IS 'Transaction';
