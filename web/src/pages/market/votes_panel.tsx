import type { MarketTallies, Tally } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { basisPoints, grouped } from '../../format/amounts.ts'
import { assetLink, TALLY_ASSETS } from '../../links/dagster.ts'
import { freshSeconds, type MarketPanelProps } from './reading.ts'

const WORDS = {
  proposal: { title: 'Proposal', yes: 'like', no: 'dislike' },
  dispute: { title: 'Dispute', yes: 'agree', no: 'disagree' },
} as const

interface VotesPanelProps extends MarketPanelProps {
  readonly tallies: Resource<MarketTallies>
}

/** Votes against the threshold, with the rule in words. */
export function VotesPanel({ tallies, ...props }: VotesPanelProps) {
  return (
    <ReadPanel title="Votes" class="third" resource={tallies} freshFor={freshSeconds()}>
      {(found) =>
        found.tallies.length === 0 ? (
          <p class="quiet">No vote has been cast yet.</p>
        ) : (
          found.tallies.map((tally) => (
            <TallyBar key={`${tally.kind} ${tally.round}`} tally={tally} {...props} />
          ))
        )
      }
    </ReadPanel>
  )
}

function TallyBar({ tally, network }: { tally: Tally } & MarketPanelProps) {
  const { title, yes, no } = WORDS[tally.kind]
  const { threshold_bps: threshold, is_met: isMet } = tally.rule
  const asset = assetLink(TALLY_ASSETS[tally.kind], network)
  const label =
    `${title}: ${basisPoints(tally.share_bps)} ${yes}` +
    (threshold === null ? '' : `, ${basisPoints(threshold)} needed`)
  return (
    <section class="tally" aria-label={`${title}, round ${tally.round}`}>
      <header>
        <h3>
          {title}
          {tally.round > 0 && ` · round ${tally.round}`}
        </h3>
        <Status level={verdictLevel(tally)}>{verdict(tally)}</Status>
      </header>
      <svg class="vote-bar" viewBox="0 0 1000 34" preserveAspectRatio="none" role="img" aria-label={label}>
        <rect class="track" width="1000" height="22" y="6" rx="4" />
        <rect class={isMet === true ? 'share met' : 'share'} width={tally.share_bps / 10} height="22" y="6" rx="4" />
        {threshold !== null && <line class="threshold" x1={threshold / 10} x2={threshold / 10} y1="0" y2="34" />}
      </svg>
      <p class="vote-counts">
        <strong>{grouped(tally.exact.votes_for)}</strong> {yes} · <strong>{grouped(tally.exact.votes_against)}</strong>{' '}
        {no} · <strong>{basisPoints(tally.share_bps)}</strong>
        {threshold !== null && <> of {basisPoints(threshold)} needed</>}
      </p>
      <p class="small">{tally.rule.text}</p>
      <p class="small quiet">
        {tally.ballots} wallets, eligible: {tally.rule.eligibility}.{' '}
        {tally.frozen_chain_time !== null && (
          <>
            Counted <Time at={tally.frozen_chain_time} short />.{' '}
          </>
        )}
        {asset !== undefined && <a href={asset}>Asset in Dagster</a>}
      </p>
    </section>
  )
}

function verdict(tally: Tally): string {
  if (tally.status === 'reopened') return 'reopened'
  const reached = tally.rule.is_met === true ? 'threshold reached' : 'below the threshold'
  return tally.status === 'open' ? `open, ${reached}` : reached
}

function verdictLevel(tally: Tally): 'ok' | 'info' | 'idle' {
  if (tally.status === 'open') return 'info'
  return tally.rule.is_met === true ? 'ok' : 'idle'
}
