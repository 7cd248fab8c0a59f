import type { Network } from '@zmart/client'

/** The asset whose runs send a transaction, by the action that it carries out. */
const ASSETS: Readonly<Record<string, string>> = {
  aggregate_proposal_votes: 'submissions/proposal_aggregations',
  approve_proposal: 'submissions/proposal_approvals',
  activate_market: 'submissions/market_activations',
  finalize_market: 'submissions/market_finalizations',
  resolve_market: 'submissions/market_resolutions',
}

export const TALLY_ASSETS = {
  proposal: 'voting/proposal_tallies',
  dispute: 'voting/dispute_tallies',
} as const
export const SNAPSHOT_ASSET = 'community/discussion_snapshots'

export function assetOfAction(action: string): string | undefined {
  return ASSETS[action]
}

/** An asset's page in Dagster; undefined where its webserver's address is not known. */
export function assetLink(
  asset: string,
  network: Network | undefined,
  partition?: string,
): string | undefined {
  const of = partition === undefined ? '' : `?view=partitions&partition=${encodeURIComponent(partition)}`
  return network?.dagster_url == null ? undefined : `${network.dagster_url}/assets/${asset}${of}`
}

export function runLink(run: string, network: Network | undefined): string | undefined {
  return network?.dagster_url == null ? undefined : `${network.dagster_url}/runs/${run}`
}
