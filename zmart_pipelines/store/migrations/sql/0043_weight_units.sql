-- A dispute's vote begins with a unit with which the weights of all holders fit the chain's u32.

SET LOCAL ROLE zmart_owner;

-- The unit of a new round: the given one, or the smallest larger one with which the weights of all
-- who held shares at the dispute fit a u32 together. A weight is max(1, shares div unit), so all of
-- them are at most total div unit + holders; what is solved here is
-- total / unit + holders <= 4294967295. Null, where each wallet counts once, stays null.
CREATE FUNCTION voting.fitting_weight_unit(market BYTEA, asked BIGINT) RETURNS BIGINT
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN asked IS NOT NULL THEN (
        SELECT greatest(asked, div(held.shares + room.votes - 1, room.votes))::bigint
        FROM (
            SELECT count(*) AS holders, coalesce(sum(p.shares_yes + p.shares_no), 0) - coalesce((
                SELECT sum(CASE t.trade_type WHEN 'buy' THEN t.shares ELSE -t.shares END)
                FROM market.trades AS t
                WHERE t.market_id = market AND t.slot > (
                    SELECT max(e.slot) FROM chain.events AS e
                    WHERE e.market_id = market AND e.name = 'DisputeInitiated'
                        AND e.commitment <> 'orphaned'
                )
            ), 0) AS shares
            FROM market.positions AS p
            WHERE p.market_id = market
        ) AS held
        CROSS JOIN LATERAL (SELECT greatest(1, 4294967295 - held.holders)::numeric AS votes) AS room
    ) END
$$;

CREATE FUNCTION voting.guard_weight_unit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.weight_unit < voting.fitting_weight_unit(NEW.market_id, NEW.weight_unit) THEN
        RAISE EXCEPTION 'with a unit of % shares the votes would not fit a u32', NEW.weight_unit
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_unit BEFORE INSERT ON voting.tallies
    FOR EACH ROW WHEN (NEW.weight_unit IS NOT NULL) EXECUTE FUNCTION voting.guard_weight_unit();

COMMENT ON COLUMN voting.tallies.weight_unit
    IS 'Settings when the tally opened, or the smallest unit above with which the votes of all holders fit a u32: shares per vote (9 decimals); null counts wallets';

RESET ROLE;
