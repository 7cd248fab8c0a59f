import type { MarketTallies, Tally } from '@zmart/client'
import { useState } from 'preact/hooks'
import { Name } from '../../components/name.tsx'
import { Panel, Waiting } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { type Resource, inWords } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { utc } from '../../format/times.ts'
import { transactionLink } from '../../links/explorer.ts'
import type { Check } from '../../recount/verification.ts'
import type { MarketPanelProps } from './reading.ts'
import { isRight, isWrong, recountTally, type Verdict } from './recount.ts'

interface RecountPanelProps extends MarketPanelProps {
  readonly tallies: Resource<MarketTallies>
}

/** Whether the tallies can be trusted: each is recounted here, by one click. */
export function RecountPanel({ tallies, ...props }: RecountPanelProps) {
  const counted = tallies.data?.tallies.filter(({ bundle_cid }) => bundle_cid !== null)
  return (
    <Panel
      title="Can I trust the count?"
      hint="Your browser reads the published ballots and checks every signature itself."
      class="half recount"
    >
      {counted === undefined && <Waiting />}
      {counted?.length === 0 && (
        <p class="quiet">Nothing to recount yet: ballots are published when a vote is counted.</p>
      )}
      {counted?.map((tally) => (
        <RecountOf key={tally.bundle_cid} tally={tally} {...props} />
      ))}
    </Panel>
  )
}

type Progress =
  | { readonly is: 'waiting' }
  | { readonly is: 'counting'; readonly checked: number; readonly of: number }
  | { readonly is: 'done'; readonly verdict: Verdict; readonly at: number }
  | { readonly is: 'failed'; readonly why: string }

function RecountOf({ tally, market, network }: { tally: Tally } & MarketPanelProps) {
  const [progress, setProgress] = useState<Progress>({ is: 'waiting' })
  const begin = async () => {
    if (network === undefined) return
    setProgress({ is: 'counting', checked: 0, of: tally.ballots })
    try {
      const verdict = await recountTally(tally, market, network, (checked, of) =>
        setProgress({ is: 'counting', checked, of }),
      )
      setProgress({ is: 'done', verdict, at: Date.now() })
    } catch (error) {
      setProgress({ is: 'failed', why: inWords(error) })
    }
  }
  const isBusy = progress.is === 'counting' || network === undefined
  const wrote = tally.submission?.signature
  const href = wrote == null ? undefined : transactionLink(wrote, network)
  return (
    <section class="recount-of" aria-label={`Recount of the ${tally.kind} vote`}>
      <header>
        <h3>
          {tally.kind === 'proposal' ? 'Proposal' : 'Dispute'}
          {tally.round > 0 && ` · round ${tally.round}`}: {grouped(tally.exact.votes_for)} to{' '}
          {grouped(tally.exact.votes_against)}
        </h3>
        <button type="button" class="primary" disabled={isBusy || !isSecureContext} onClick={begin}>
          {progress.is === 'waiting' ? 'Recount' : 'Recount again'}
        </button>
      </header>
      {!isSecureContext && (
        <Status level="warning">
          Checking signatures needs WebCrypto, which browsers offer only on https:// or localhost.
        </Status>
      )}
      <div role="status" aria-live="polite">
        <Result progress={progress} />
      </div>
      <p class="small">
        Ballots <Name of={tally.bundle_cid ?? ''} href={tally.bundle_url ?? ''} ends={6} />
        {wrote != null && (
          <>
            {' '}
            · written by <Name of={wrote} {...(href && { href })} />
          </>
        )}
        {' '}· or by command: <code>zmart verify-tally</code>
      </p>
    </section>
  )
}

function Result({ progress }: { progress: Progress }) {
  switch (progress.is) {
    case 'waiting':
      return null
    case 'counting':
      return (
        <p class="quiet">
          Checking ballot {progress.checked} of {progress.of} …
        </p>
      )
    case 'failed':
      return <Status level="bad">The recount failed: {progress.why}</Status>
    case 'done':
      return <Done verdict={progress.verdict} at={progress.at} />
  }
}

function Done({ verdict, at }: { verdict: Verdict; at: number }) {
  const unbound = verdict.recount?.unbound ?? 0
  return (
    <>
      <Headline verdict={verdict} />
      <ul class="checks">
        {verdict.checks.map((check) => (
          <CheckItem key={check.title} check={check} />
        ))}
      </ul>
      {verdict.unchecked !== undefined && <Status level="warning">{verdict.unchecked}</Status>}
      {unbound > 0 && (
        <p class="small">
          {unbound} ballots use an older scheme: their signatures prove the wallet, not the choice.
        </p>
      )}
      <p class="as-of">recounted {utc(at)}</p>
    </>
  )
}

function Headline({ verdict }: { verdict: Verdict }) {
  const counts = verdict.recount && `${verdict.recount.votesFor} to ${verdict.recount.votesAgainst}`
  if (isWrong(verdict)) {
    return (
      <p class="verdict wrong">
        <Status level="bad">Do not trust this count{counts && `: the ballots give ${counts}`}</Status>
      </p>
    )
  }
  if (isRight(verdict)) {
    return (
      <p class="verdict right">
        <Status level="ok">The count is right: {counts}</Status>
      </p>
    )
  }
  return (
    <p class="verdict">
      <Status level="warning">{counts === undefined ? 'Not recounted' : `The ballots give ${counts}; not all was checked`}</Status>
    </p>
  )
}

function CheckItem({ check }: { check: Check }) {
  return (
    <li>
      <Status level={check.problems.length === 0 ? 'ok' : 'bad'}>{check.title}</Status>
      {check.problems.length > 0 && (
        <ul class="problems">
          {check.problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
    </li>
  )
}
