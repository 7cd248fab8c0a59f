import type { PageProps } from '../../app/pages.ts'
import { Name } from '../../components/name.tsx'
import { Page } from '../../components/page.tsx'
import { useNetwork } from '../../data/network.ts'
import { accountLink } from '../../links/explorer.ts'
import { ActivityPanel } from './activity_panel.tsx'
import { ClaimsPanel } from './claims_panel.tsx'
import { PositionsPanel } from './positions_panel.tsx'
import { ResultPanel } from './result_panel.tsx'
import { isOwn, useWalletChannel } from './reading.ts'
import { VotesPanel } from './votes_panel.tsx'

/** Everything public about one wallet: what it holds, made, may claim, voted and sent. */
export default function WalletPage({ params }: PageProps) {
  const wallet = params.wallet ?? ''
  const network = useNetwork().data
  useWalletChannel(wallet)
  const account = accountLink(wallet, network)
  const shared = { wallet, network }
  return (
    <Page title="Wallet" lead={<Lead wallet={wallet} href={account} />}>
      <div class="grid wallet" key={wallet}>
        <ResultPanel {...shared} />
        <ClaimsPanel {...shared} />
        <PositionsPanel {...shared} />
        <ActivityPanel {...shared} />
        <VotesPanel {...shared} />
      </div>
    </Page>
  )
}

function Lead({ wallet, href }: { wallet: string; href: string | undefined }) {
  return (
    <>
      <Name of={wallet} ends={10} {...(href && { href })} />
      {isOwn(wallet) && <span class="tag">yours: followed live</span>}
    </>
  )
}
