-- Reads of submissions, gaps and tallies by clients.

SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_attempts_intent_id_id ON ops.attempts (intent_id, id);
CREATE INDEX ix_gaps_signature ON chain.gaps (signature);
CREATE INDEX ix_tallies_bundle_cid ON voting.tallies (bundle_cid) WHERE bundle_cid IS NOT NULL;
CREATE INDEX ix_tallies_bundles ON voting.tallies (frozen_at, market_id, kind, round)
    WHERE bundle_cid IS NOT NULL;

RESET ROLE;
