import type { Claim } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { api } from '../../data/api.ts'
import { sol } from '../../format/amounts.ts'
import { FRESH_SECONDS, useWalletPart, type WalletPanelProps } from './reading.ts'

/** What the wallet may claim now. */
export function ClaimsPanel({ wallet }: WalletPanelProps) {
  const claims = useWalletPart(wallet, 'claims', () =>
    api.reading('/api/users/{wallet}/claims', { params: { path: { wallet } } }),
  )
  return (
    <ReadPanel title="Claims due" class="third" resource={claims} freshFor={FRESH_SECONDS}>
      {(found) => (
        <>
          <DataTable<Claim>
            caption="Claims that are due"
            rows={found.claims}
            rowKey={(claim) => claim.market_id}
            empty={<Status level="idle">Nothing to claim</Status>}
            columns={[
              {
                title: 'Market',
                cell: (claim) => <a href={`/app/markets/${claim.market_id}`}>{claim.question}</a>,
              },
              { title: 'Amount', numeric: true, cell: (claim) => sol(claim.exact.amount) },
              {
                title: 'Now',
                cell: ({ claim_refusal: refusal }) =>
                  refusal === null ? (
                    <Status level="ok">payable</Status>
                  ) : (
                    <Status level="warning">{refusal}</Status>
                  ),
              },
            ]}
          />
          <p class="small quiet">Claimed so far: {sol(found.exact.claimed)}</p>
        </>
      )}
    </ReadPanel>
  )
}
