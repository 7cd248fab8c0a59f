import type { Vote } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { shortened } from '../../format/names.ts'
import { transactionLink } from '../../links/explorer.ts'
import { FRESH_SECONDS, useWalletPart, type WalletPanelProps } from './reading.ts'

const ROWS = 20

/** How the wallet voted, each vote with its proof. */
export function VotesPanel({ wallet, network }: WalletPanelProps) {
  const votes = useWalletPart(wallet, 'votes', () =>
    api.reading('/api/users/{wallet}/votes', {
      params: { path: { wallet }, query: { limit: ROWS } },
    }),
  )
  return (
    <ReadPanel title="Votes" class="half" resource={votes} freshFor={FRESH_SECONDS}>
      {(found) => (
        <DataTable<Vote>
          caption={`The newest ${found.count} of ${found.total} votes`}
          rows={[...found.proposal_votes, ...found.dispute_votes].sort(newestFirst)}
          rowKey={(vote) => vote.id}
          empty="This wallet has never voted."
          columns={[
            { title: 'When', cell: (vote) => <Time at={vote.voted_at} short /> },
            {
              title: 'Market',
              cell: (vote) => <a href={`/app/markets/${vote.market_id}`}>{shortened(vote.market_id)}</a>,
            },
            { title: 'Vote', cell: (vote) => `${vote.vote_type}: ${vote.choice}` },
            {
              title: 'Proof',
              cell: (vote) => <Proof vote={vote} network={network} />,
            },
          ]}
        />
      )}
    </ReadPanel>
  )
}

function Proof({ vote, network }: { vote: Vote; network: WalletPanelProps['network'] }) {
  if (vote.tx_signature === null) {
    return (
      <>
        ballot <Name of={vote.signature} />
      </>
    )
  }
  const href = transactionLink(vote.tx_signature, network)
  return (
    <>
      on chain <Name of={vote.tx_signature} {...(href && { href })} />
    </>
  )
}

function newestFirst(one: Vote, other: Vote): number {
  return other.voted_at.localeCompare(one.voted_at)
}
