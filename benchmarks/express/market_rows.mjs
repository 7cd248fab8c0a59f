// A row of the database as the JSON that the API sends for a market.

const STATES = ["PROPOSED", "APPROVED", "ACTIVE", "RESOLVING", "DISPUTED", "FINALIZED", "CANCELLED"];
const PRICE_SCALE = 1_000_000_000;

// Of a market on chain and of its draft. Keys come as text, which a rival may store.
export const COLUMNS = `m.market_id, m.address_text, m.creator_text, m.resolver_text, m.state,
  m.b_parameter, m.initial_liquidity, m.current_liquidity, m.shares_yes, m.shares_no,
  m.total_volume, m.created_at, m.approved_at, m.activated_at, m.resolution_proposed_at,
  m.resolved_at, m.finalized_at, m.proposed_outcome, m.final_outcome, m.question_hash,
  m.evidence_hash, m.dispute_initiated_at, m.accumulated_resolver_fees, m.accumulated_lp_fees,
  m.proposal_likes, m.proposal_dislikes, m.dispute_agree, m.dispute_disagree, m.was_disputed,
  m.cancelled_at, m.price_yes, m.trades_count, m.as_of_slot, m.commitment, m.updated_at,
  coalesce(d.question, 'Market ' || left(encode(m.market_id, 'hex'), 8)) AS question,
  d.description, d.category, d.tags, d.ends_at, t.votes_for, t.votes_against`;

export const TABLES = `market.markets m LEFT JOIN community.market_drafts d
  ON d.market_id = m.market_id AND d.matched_at IS NOT NULL`;

// Of an open vote the counts are those of its tally.
export const TABLES_WITH_VOTES = `${TABLES} LEFT JOIN LATERAL (
    SELECT votes_for, votes_against, xmin FROM voting.tallies v
    WHERE v.market_id = m.market_id AND v.kind = CASE m.state WHEN 0 THEN 'proposal' WHEN 4 THEN 'dispute' END
    ORDER BY round DESC LIMIT 1
  ) t ON true`;

export const NEWEST = "ORDER BY m.created_at DESC, m.market_id DESC";

const chainTime = (seconds) =>
  seconds === null || seconds === "0" ? null : new Date(Number(seconds) * 1000).toISOString();
const time = (moment) => (moment === null ? null : moment.toISOString());

export function market(row) {
  const state = STATES[row.state];
  const price = Number(row.price_yes);
  const endsAt = time(row.ends_at);
  const exact = {
    b_parameter: row.b_parameter,
    liquidity_parameter: row.b_parameter,
    initial_liquidity: row.initial_liquidity,
    current_liquidity: row.current_liquidity,
    shares_yes: row.shares_yes,
    shares_no: row.shares_no,
    total_yes_shares: row.shares_yes,
    total_no_shares: row.shares_no,
    total_volume: row.total_volume,
    accumulated_resolver_fees: row.accumulated_resolver_fees,
    accumulated_lp_fees: row.accumulated_lp_fees,
  };
  return {
    id: row.market_id.toString("hex"),
    on_chain_address: row.address_text,
    state,
    status: state,
    state_code: row.state,
    creator_wallet: row.creator_text,
    creator: row.creator_text,
    resolver_wallet: row.resolver_text,
    dispute_initiator: null,
    b_parameter: Number(exact.b_parameter),
    liquidity_parameter: Number(exact.b_parameter),
    initial_liquidity: Number(exact.initial_liquidity),
    current_liquidity: Number(exact.current_liquidity),
    shares_yes: Number(exact.shares_yes),
    shares_no: Number(exact.shares_no),
    total_yes_shares: Number(exact.shares_yes),
    total_no_shares: Number(exact.shares_no),
    total_volume: Number(exact.total_volume),
    trades_count: row.trades_count,
    price_yes: price,
    price_no: PRICE_SCALE - price,
    current_price_yes: price / PRICE_SCALE,
    current_price_no: (PRICE_SCALE - price) / PRICE_SCALE,
    accumulated_resolver_fees: Number(exact.accumulated_resolver_fees),
    accumulated_lp_fees: Number(exact.accumulated_lp_fees),
    proposal_likes: Number(state === "PROPOSED" ? row.votes_for : row.proposal_likes),
    proposal_dislikes: Number(state === "PROPOSED" ? row.votes_against : row.proposal_dislikes),
    dispute_agree: Number(state === "DISPUTED" ? row.votes_for : row.dispute_agree),
    dispute_disagree: Number(state === "DISPUTED" ? row.votes_against : row.dispute_disagree),
    was_disputed: row.was_disputed,
    is_cancelled: state === "CANCELLED",
    proposed_outcome: row.proposed_outcome,
    final_outcome: row.final_outcome,
    ipfs_question_hash: row.question_hash,
    ipfs_evidence_hash: row.evidence_hash,
    created_at: chainTime(row.created_at),
    approved_at: chainTime(row.approved_at),
    activated_at: chainTime(row.activated_at),
    resolution_proposed_at: chainTime(row.resolution_proposed_at),
    dispute_initiated_at: chainTime(row.dispute_initiated_at),
    resolved_at: chainTime(row.resolved_at),
    finalized_at: chainTime(row.finalized_at),
    cancelled_at: chainTime(row.cancelled_at),
    commitment: row.commitment,
    as_of_slot: Number(row.as_of_slot),
    question: row.question,
    description: row.description,
    category: row.category,
    tags: row.tags ?? [],
    ends_at: endsAt,
    end_date: endsAt,
    updated_at: time(row.updated_at),
    exact,
  };
}
