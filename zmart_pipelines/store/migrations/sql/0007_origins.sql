-- Where every column of the ledger and its projection comes from, a day's traders, and the
-- history of comparisons with the chain's accounts and of repairs.
SET LOCAL ROLE zmart_owner;

-- Made anew by the next refresh.
DELETE FROM market.market_statistics;
ALTER TABLE market.market_statistics
    ADD COLUMN traders_last_day INTEGER NOT NULL,
    ADD CONSTRAINT ck_market_statistics_traders
        CHECK (traders_last_day BETWEEN 0 AND unique_traders);

CREATE TABLE ops.comparisons (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    compared_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    market_slot BIGINT NOT NULL,
    position_slot BIGINT NOT NULL,
    covered_slot BIGINT,
    markets INTEGER NOT NULL,
    positions INTEGER NOT NULL,
    in_motion INTEGER NOT NULL,
    lag INTEGER NOT NULL,
    missing_event INTEGER NOT NULL,
    decode_error INTEGER NOT NULL,
    drift INTEGER NOT NULL,
    CONSTRAINT pk_comparisons PRIMARY KEY (id)
);
CREATE INDEX ix_comparisons_compared_at ON ops.comparisons (compared_at);

CREATE TABLE ops.repairs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    repaired_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    reading TEXT NOT NULL CONSTRAINT ck_repairs_reading CHECK (reading IN ('missing', 'everything')),
    listed INTEGER NOT NULL,
    read INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    contradicted INTEGER NOT NULL,
    new_transactions INTEGER NOT NULL,
    new_events INTEGER NOT NULL,
    refolded BOOLEAN NOT NULL,
    CONSTRAINT pk_repairs PRIMARY KEY (id),
    CONSTRAINT ck_repairs_market_id CHECK (octet_length(market_id) = 32)
);
CREATE INDEX ix_repairs_market_id_repaired_at ON ops.repairs (market_id, repaired_at);

GRANT SELECT ON ops.comparisons, ops.repairs
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT ON ops.comparisons, ops.repairs TO zmart_ingest;

COMMENT ON COLUMN chain.coverage.id IS 'Database';
COMMENT ON COLUMN chain.coverage.slots IS 'Windows closed by the finalized reader and backfill';
COMMENT ON COLUMN chain.coverage.covered_at IS 'Clock of the database';
COMMENT ON COLUMN chain.cursors.name IS 'Reader';
COMMENT ON COLUMN chain.cursors.slot IS 'Reader: how far it has read';
COMMENT ON COLUMN chain.cursors.xid IS 'Observer: how far it has looked';
COMMENT ON COLUMN chain.cursors.updated_at IS 'Clock of the database';
COMMENT ON COLUMN chain.deliveries.id IS 'Database';
COMMENT ON COLUMN chain.deliveries.source IS 'Door it came through';
COMMENT ON COLUMN chain.deliveries.body IS 'Request as received';
COMMENT ON COLUMN chain.deliveries.body_sha256 IS 'Computed of the body';
COMMENT ON COLUMN chain.deliveries.transaction_count IS 'Counted in the body';
COMMENT ON COLUMN chain.deliveries.status IS 'Intake';
COMMENT ON COLUMN chain.deliveries.error IS 'Intake';
COMMENT ON COLUMN chain.deliveries.attempts IS 'Intake';
COMMENT ON COLUMN chain.deliveries.received_at IS 'Clock of the database';
COMMENT ON COLUMN chain.deliveries.ingested_at IS 'Clock of the database';
COMMENT ON COLUMN chain.gaps.id IS 'Database';
COMMENT ON COLUMN chain.gaps.signature IS 'Listing or transaction';
COMMENT ON COLUMN chain.gaps.kind IS 'Reader, decoder or fold';
COMMENT ON COLUMN chain.gaps.slot IS 'Listing or transaction';
COMMENT ON COLUMN chain.gaps.reason IS 'What the reader, decoder or fold found';
COMMENT ON COLUMN chain.gaps.attempts IS 'Reader';
COMMENT ON COLUMN chain.gaps.opened_at IS 'Clock of the database';
COMMENT ON COLUMN chain.gaps.retry_at IS 'Reader';
COMMENT ON COLUMN chain.gaps.closed_at IS 'Clock of the database';
COMMENT ON COLUMN market.config_history.signature IS 'Transaction';
COMMENT ON COLUMN market.config_history.log_index IS 'Line of the transaction''s log';
COMMENT ON COLUMN market.config_history.slot IS 'Transaction';
COMMENT ON COLUMN market.config_history.index_in_block IS 'Transaction; -1 where no node tells it';
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
COMMENT ON COLUMN market.markets.market_id IS 'MarketCreated';
COMMENT ON COLUMN market.markets.address IS 'Computed: the PDA of market_id';
COMMENT ON COLUMN market.markets.creator IS 'MarketCreated';
COMMENT ON COLUMN market.markets.state IS 'Last event that moves it; 0 PROPOSED to 6 CANCELLED';
COMMENT ON COLUMN market.markets.b_parameter IS 'MarketCreated';
COMMENT ON COLUMN market.markets.initial_liquidity IS 'Data of create_market';
COMMENT ON COLUMN market.markets.current_liquidity
    IS 'Data of create_market, then recomputed of each trade; 0 after LiquidityWithdrawn';
COMMENT ON COLUMN market.markets.shares_yes
    IS 'b_parameter / 1000, then SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.shares_no
    IS 'b_parameter / 1000, then SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.total_volume
    IS 'SharesBought; of SharesSold the gross, recomputed';
COMMENT ON COLUMN market.markets.created_at IS 'MarketCreated';
COMMENT ON COLUMN market.markets.approved_at IS 'ProposalApproved';
COMMENT ON COLUMN market.markets.activated_at IS 'MarketActivated';
COMMENT ON COLUMN market.markets.resolution_proposed_at IS 'MarketResolved';
COMMENT ON COLUMN market.markets.resolved_at IS 'DisputeAggregated of a dispute that failed';
COMMENT ON COLUMN market.markets.finalized_at IS 'MarketFinalized';
COMMENT ON COLUMN market.markets.resolver IS 'MarketResolved';
COMMENT ON COLUMN market.markets.proposed_outcome IS 'MarketResolved';
COMMENT ON COLUMN market.markets.final_outcome IS 'MarketFinalized';
COMMENT ON COLUMN market.markets.question_hash IS 'Data of create_market';
COMMENT ON COLUMN market.markets.evidence_hash IS 'MarketResolved';
COMMENT ON COLUMN market.markets.dispute_initiated_at IS 'DisputeInitiated';
COMMENT ON COLUMN market.markets.dispute_initiator IS 'DisputeInitiated';
COMMENT ON COLUMN market.markets.accumulated_resolver_fees
    IS 'Recomputed of each trade with the fees in force; 0 after WinningsClaimed';
COMMENT ON COLUMN market.markets.accumulated_lp_fees
    IS 'Recomputed of each trade with the fees in force; 0 after LiquidityWithdrawn';
COMMENT ON COLUMN market.markets.proposal_likes IS 'ProposalAggregated';
COMMENT ON COLUMN market.markets.proposal_dislikes IS 'ProposalAggregated';
COMMENT ON COLUMN market.markets.dispute_agree IS 'DisputeAggregated, or data of finalize_market';
COMMENT ON COLUMN market.markets.dispute_disagree
    IS 'DisputeAggregated, or data of finalize_market';
COMMENT ON COLUMN market.markets.was_disputed IS 'MarketFinalized or DisputeAggregated';
COMMENT ON COLUMN market.markets.cancelled_at IS 'MarketCancelled';
COMMENT ON COLUMN market.markets.price_yes
    IS 'Last SharesBought or SharesSold; even before the first';
COMMENT ON COLUMN market.markets.trades_count IS 'Number of SharesBought and SharesSold';
COMMENT ON COLUMN market.markets.as_of_slot IS 'Last event folded';
COMMENT ON COLUMN market.markets.as_of_index IS 'Last event folded';
COMMENT ON COLUMN market.markets.as_of_log IS 'Last event folded';
COMMENT ON COLUMN market.markets.commitment IS 'Lowest of the events folded';
COMMENT ON COLUMN market.markets.updated_at IS 'Clock of the database';
COMMENT ON COLUMN chain.hints.signature IS 'Delivery without logs';
COMMENT ON COLUMN chain.hints.slot IS 'Delivery without logs';
COMMENT ON COLUMN chain.hints.delivery_id IS 'Delivery without logs';
COMMENT ON COLUMN chain.hints.status IS 'Reader of hints';
COMMENT ON COLUMN chain.hints.reason IS 'Reader of hints';
COMMENT ON COLUMN chain.hints.attempts IS 'Reader of hints';
COMMENT ON COLUMN chain.hints.heard_at IS 'Clock of the database';
COMMENT ON COLUMN chain.hints.retry_at IS 'Reader of hints';
COMMENT ON COLUMN chain.hints.ended_at IS 'Clock of the database';
COMMENT ON COLUMN chain.transactions.signature IS 'Transaction';
COMMENT ON COLUMN chain.transactions.digest IS 'Computed of slot, outcome, logs and instructions';
COMMENT ON COLUMN chain.transactions.slot IS 'Transaction';
COMMENT ON COLUMN chain.transactions.index_in_block IS 'Listing or webhook, where it tells it';
COMMENT ON COLUMN chain.transactions.block_time IS 'Transaction';
COMMENT ON COLUMN chain.transactions.failed IS 'Transaction: meta.err';
COMMENT ON COLUMN chain.transactions.error IS 'Transaction: meta.err';
COMMENT ON COLUMN chain.transactions.fee IS 'Transaction: meta.fee';
COMMENT ON COLUMN chain.transactions.logs IS 'Transaction: meta.logMessages';
COMMENT ON COLUMN chain.transactions.logs_truncated IS 'Computed of the logs';
COMMENT ON COLUMN chain.transactions.instructions
    IS 'Transaction: those of the program, outer and inner';
COMMENT ON COLUMN chain.transactions.commitment
    IS 'Reader that saw it last; it only climbs, or is orphaned';
COMMENT ON COLUMN chain.transactions.sources IS 'Doors it came through';
COMMENT ON COLUMN chain.transactions.delivery_id IS 'Webhook request that brought it first';
COMMENT ON COLUMN chain.transactions.seen_at IS 'Clock of the database';
COMMENT ON COLUMN chain.transactions.finalized_at IS 'Clock of the database';
COMMENT ON COLUMN chain.transactions.xid IS 'Database';
COMMENT ON COLUMN market.candles.market_id IS 'Trades';
COMMENT ON COLUMN market.candles."interval" IS 'Length of the candle';
COMMENT ON COLUMN market.candles.starts_at IS 'trades.traded_at, rounded down';
COMMENT ON COLUMN market.candles.open IS 'trades.price_yes of the first';
COMMENT ON COLUMN market.candles.high IS 'Largest trades.price_yes';
COMMENT ON COLUMN market.candles.low IS 'Smallest trades.price_yes';
COMMENT ON COLUMN market.candles.close IS 'trades.price_yes of the last';
COMMENT ON COLUMN market.candles.volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.candles.trades IS 'Number of trades';
COMMENT ON COLUMN market.chain_votes.market_id IS 'ProposalVoteSubmitted or DisputeVoteSubmitted';
COMMENT ON COLUMN market.chain_votes.kind IS 'Which of the two events';
COMMENT ON COLUMN market.chain_votes.wallet IS 'The event''s user';
COMMENT ON COLUMN market.chain_votes.choice IS 'The event''s vote';
COMMENT ON COLUMN market.chain_votes.voted_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.chain_votes.signature IS 'Transaction';
COMMENT ON COLUMN market.chain_votes.slot IS 'Transaction';
COMMENT ON COLUMN market.chain_votes.commitment IS 'Transaction';
COMMENT ON COLUMN market.claims.signature IS 'Transaction';
COMMENT ON COLUMN market.claims.log_index IS 'Line of the transaction''s log';
COMMENT ON COLUMN market.claims.market_id IS 'WinningsClaimed, by the market''s address';
COMMENT ON COLUMN market.claims."user" IS 'WinningsClaimed';
COMMENT ON COLUMN market.claims.outcome IS 'WinningsClaimed; of its older layout the market''s';
COMMENT ON COLUMN market.claims.amount IS 'WinningsClaimed';
COMMENT ON COLUMN market.claims.claimed_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.claims.slot IS 'Transaction';
COMMENT ON COLUMN market.claims.commitment IS 'Transaction';
COMMENT ON COLUMN market.market_statistics.market_id IS 'Markets';
COMMENT ON COLUMN market.market_statistics.total_trades IS 'Number of trades';
COMMENT ON COLUMN market.market_statistics.unique_traders IS 'Different trades.user';
COMMENT ON COLUMN market.market_statistics.total_volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.market_statistics.buy_volume IS 'Sum of trades.cost of buys';
COMMENT ON COLUMN market.market_statistics.sell_volume IS 'Sum of trades.cost of sales';
COMMENT ON COLUMN market.market_statistics.volume_last_day IS 'Sum of trades.cost in the last day';
COMMENT ON COLUMN market.market_statistics.traders_last_day
    IS 'Different trades.user in the last day';
COMMENT ON COLUMN market.market_statistics.price_yes
    IS 'trades.price_yes of the last; even before the first';
COMMENT ON COLUMN market.market_statistics.price_day_ago
    IS 'trades.price_yes of the last before the last day; even where there is none';
COMMENT ON COLUMN market.market_statistics.price_change_bps IS 'price_yes against price_day_ago';
COMMENT ON COLUMN market.market_statistics.last_trade_at IS 'Largest trades.traded_at';
COMMENT ON COLUMN market.market_statistics.as_of IS 'Chain second of the computation';
COMMENT ON COLUMN market.market_statistics.valid_until
    IS 'When the oldest trade leaves the last day';
COMMENT ON COLUMN market.market_statistics.market_updated_at
    IS 'markets.updated_at that it was made from';
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
COMMENT ON COLUMN market.trades.signature IS 'Transaction';
COMMENT ON COLUMN market.trades.log_index IS 'Line of the transaction''s log';
COMMENT ON COLUMN market.trades.market_id IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades."user" IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.trade_type IS 'Which of the two events';
COMMENT ON COLUMN market.trades.outcome IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.shares IS 'SharesBought or SharesSold';
COMMENT ON COLUMN market.trades.cost
    IS 'SharesBought.cost with fees, SharesSold.proceeds after them';
COMMENT ON COLUMN market.trades.price_yes IS 'new_price_yes: the price after the trade';
COMMENT ON COLUMN market.trades.traded_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.trades.slot IS 'Transaction';
COMMENT ON COLUMN market.trades.index_in_block IS 'Transaction; -1 where no node tells it';
COMMENT ON COLUMN market.trades.commitment IS 'Transaction';
COMMENT ON COLUMN market.wallet_statistics.wallet IS 'positions.user';
COMMENT ON COLUMN market.wallet_statistics.market_id IS 'Positions';
COMMENT ON COLUMN market.wallet_statistics.trades IS 'Number of trades';
COMMENT ON COLUMN market.wallet_statistics.volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.wallet_statistics.invested IS 'positions.total_invested';
COMMENT ON COLUMN market.wallet_statistics.proceeds IS 'Sum of trades.cost of sales';
COMMENT ON COLUMN market.wallet_statistics.claimed IS 'positions.claimed_amount';
COMMENT ON COLUMN market.wallet_statistics.open_value
    IS 'Payout formula of the program on positions and markets';
COMMENT ON COLUMN market.wallet_statistics.settled IS 'Market finalized and open_value 0';
COMMENT ON COLUMN market.wallet_statistics.realised_pnl
    IS 'proceeds + claimed - invested once settled';
COMMENT ON COLUMN market.withdrawals.signature IS 'Transaction';
COMMENT ON COLUMN market.withdrawals.log_index IS 'Line of the transaction''s log';
COMMENT ON COLUMN market.withdrawals.market_id IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.creator IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.amount IS 'LiquidityWithdrawn';
COMMENT ON COLUMN market.withdrawals.withdrawn_at IS 'Timestamp of the event';
COMMENT ON COLUMN market.withdrawals.slot IS 'Transaction';
COMMENT ON COLUMN chain.events.signature IS 'Transaction';
COMMENT ON COLUMN chain.events.log_index IS 'Line of the transaction''s log';
COMMENT ON COLUMN chain.events.digest IS 'Transaction';
COMMENT ON COLUMN chain.events.slot IS 'Transaction';
COMMENT ON COLUMN chain.events.index_in_block IS 'Transaction';
COMMENT ON COLUMN chain.events.name IS 'Discriminator of raw';
COMMENT ON COLUMN chain.events.market_id
    IS 'Event; of WinningsClaimed the market with that address';
COMMENT ON COLUMN chain.events.raw IS 'Log line, from base64';
COMMENT ON COLUMN chain.events.data IS 'Decoded of raw';
COMMENT ON COLUMN chain.events.instruction IS 'Data of the instruction that emitted it';
COMMENT ON COLUMN chain.events.quarantine_reason IS 'Decoder';
COMMENT ON COLUMN chain.events.commitment IS 'Transaction';
COMMENT ON COLUMN chain.events.seen_at IS 'Clock of the database';
COMMENT ON COLUMN chain.events.xid IS 'Database';

RESET ROLE;
