-- Markets of the staging table ``made``, as the ledger and the API would have stored them: drafts,
-- trades, statistics, tallies and ballots. Every tenth market has no draft.
-- Parameters: {now} the chain's time in seconds, and the numbers of the states.

INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document, question,
    description, category, tags, ends_at, created_at, expires_at, matched_at)
SELECT market_id, creator, substr(market_id, 1, 16), 'Qm' || substr(encode(market_id, 'hex'), 1, 44),
    '{{}}', question, description, category, tags, to_timestamp(created_at + 86400 * (2 + n % 200)),
    to_timestamp(created_at - 60), to_timestamp(created_at + 3600), to_timestamp(created_at + 1)
FROM made WHERE n % 10 <> 9;

-- The columns that end in _text hold keys in base58 for the rivals, which cannot make it cheaply.
ALTER TABLE market.markets
    ADD COLUMN address_text text, ADD COLUMN creator_text text, ADD COLUMN resolver_text text;

INSERT INTO market.markets (market_id, address, creator, state, b_parameter, initial_liquidity,
    current_liquidity, shares_yes, shares_no, total_volume, created_at, approved_at, activated_at,
    resolution_proposed_at, resolved_at, finalized_at, resolver, proposed_outcome, final_outcome,
    question_hash, evidence_hash, dispute_initiated_at, accumulated_resolver_fees,
    accumulated_lp_fees, proposal_likes, proposal_dislikes, dispute_agree, dispute_disagree,
    was_disputed, price_yes, trades_count, as_of_slot, as_of_index, as_of_log, commitment,
    updated_at, address_text, creator_text, resolver_text)
SELECT market_id, address, creator, state, 100000000000, 100000000, 100000000 + n * 1000,
    100000000 + n * 7919, 100000000 + n * 104729 % 900000000, trades * (1000000000 + n * 1000),
    created_at, CASE WHEN state > {PROPOSED} THEN created_at + 3600 ELSE 0 END,
    CASE WHEN state >= {ACTIVE} THEN created_at + 7200 ELSE 0 END,
    CASE WHEN state >= {RESOLVING} THEN created_at + 86400 ELSE 0 END, 0,
    CASE WHEN state = {FINALIZED} THEN created_at + 172800 ELSE 0 END,
    CASE WHEN state >= {RESOLVING} THEN creator END, CASE WHEN state >= {RESOLVING} THEN n % 2 = 0 END,
    CASE WHEN state = {FINALIZED} THEN n % 2 = 0 END,
    'Qm' || substr(encode(market_id, 'hex'), 1, 44),
    CASE WHEN state >= {RESOLVING} THEN 'Qm' || substr(encode(address, 'hex'), 1, 44) END,
    CASE WHEN state = {DISPUTED} THEN created_at + 90000 ELSE 0 END, trades * 1500, trades * 2500,
    CASE WHEN state > {PROPOSED} THEN 10 ELSE 0 END, CASE WHEN state > {PROPOSED} THEN 2 ELSE 0 END,
    0, 0, state = {DISPUTED}, 500000000 + (n * 7919 % 800000000 - 400000000) * sign(trades)::int8,
    trades, 1000 + n, n % 50, 4, 'finalized', to_timestamp(created_at + 200000) + n * interval '1.001 ms',
    address_text, creator_text, CASE WHEN state >= {RESOLVING} THEN creator_text END
FROM made;

INSERT INTO market.trades (signature, log_index, market_id, "user", trade_type, outcome, shares, cost,
    price_yes, traded_at, slot, index_in_block, commitment)
SELECT sha512(market_id || int4send(t)), 4, market_id, sha256(int8send((n * 31 + t * 17) % 2000)),
    CASE t % 4 WHEN 3 THEN 'sell' ELSE 'buy' END, (n + t) % 2 = 0, 900000000 + t,
    1000000000 + n * 1000, 500000000 + (n * 7919 % 800000000 - 400000000),
    -- Of the markets, one in eight was traded within the last day.
    CASE n % 8 WHEN 0 THEN {now} - (n * 61 + t * 997) % 80000
        ELSE least(created_at + 7200 + t * 600, {now} - 100000) END,
    1000 + n, t, 'finalized'
FROM made CROSS JOIN LATERAL generate_series(1, trades) AS t;

INSERT INTO market.market_statistics (market_id, total_trades, unique_traders, total_volume,
    buy_volume, sell_volume, volume_24h, traders_24h, price_yes, price_24h_ago, price_change_bps,
    last_trade_at, as_of, valid_until, market_updated_at)
SELECT m.market_id, count(t.*), count(DISTINCT t."user"), coalesce(sum(t.cost), 0),
    coalesce(sum(t.cost) FILTER (WHERE t.trade_type = 'buy'), 0),
    coalesce(sum(t.cost) FILTER (WHERE t.trade_type = 'sell'), 0),
    coalesce(sum(t.cost) FILTER (WHERE t.traded_at > {now} - 86400), 0),
    count(DISTINCT t."user") FILTER (WHERE t.traded_at > {now} - 86400), m.price_yes,
    CASE WHEN max(t.traded_at) > {now} - 86400 THEN 500000000 ELSE m.price_yes END, 0,
    max(t.traded_at), {now}, {now} + 86400, m.updated_at
FROM market.markets AS m LEFT JOIN market.trades AS t USING (market_id)
GROUP BY m.market_id;

ALTER TABLE voting.tallies DISABLE TRIGGER guard_new; -- which refuses tallies that begin frozen
INSERT INTO voting.tallies (market_id, kind, round, status, votes_for, votes_against, ballots,
    frozen_slot, frozen_chain_time)
SELECT market_id, 'proposal', 0, CASE WHEN state = {PROPOSED} THEN 'open' ELSE 'frozen' END, 1, 1, 2,
    CASE WHEN state <> {PROPOSED} THEN 1 END, CASE WHEN state <> {PROPOSED} THEN 1 END
FROM made;
ALTER TABLE voting.tallies ENABLE TRIGGER guard_new;

INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message, signature, nonce)
SELECT market_id, 'proposal', sha256(market_id || int4send(b)), b = 1, 'zmart-1', 'message',
    sha512(market_id || int4send(b)), 'nonce'
FROM made CROSS JOIN generate_series(1, 2) AS b WHERE state = {PROPOSED};

DROP TABLE made;
