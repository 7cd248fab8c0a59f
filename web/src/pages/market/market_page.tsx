import type { Market, ProjectedMarket } from '@zmart/client'
import { useMemo, useState } from 'preact/hooks'
import type { PageProps } from '../../app/pages.ts'
import { Page } from '../../components/page.tsx'
import { Waiting } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { api } from '../../data/api.ts'
import { Changes } from '../../data/changes.ts'
import { useChannel } from '../../data/live.ts'
import { useNetwork } from '../../data/network.ts'
import { useResource } from '../../data/resource.ts'
import { DepthPanel } from './depth_panel.tsx'
import { DiscussionPanel } from './discussion_panel.tsx'
import { TradesPanel } from './trades_panel.tsx'
import { HoldersPanel } from './holders_panel.tsx'
import { PricePanel, readPrices } from './price_panel.tsx'
import { QuestionPanel } from './question_panel.tsx'
import { RecountPanel } from './recount_panel.tsx'
import { type Topic, topicsOf } from './topics.ts'
import { StateSign } from './state_sign.tsx'
import { TimelinePanel } from './timeline_panel.tsx'
import { VotesPanel } from './votes_panel.tsx'
import { WaitsPanel } from './waits_panel.tsx'
import { READ_SECONDS, useMarketPart } from './reading.ts'

/** Everything about one market: what it waits for, its price, its votes and their proof. */
export default function MarketPage({ params }: PageProps) {
  const id = params.market ?? ''
  const market = useResource(
    `market ${id}`,
    () => api.reading('/api/markets/{market}', { params: { path: { market: id } } }),
    READ_SECONDS,
  )
  const { data, problem, status } = market.state.value
  if (data !== undefined) return <Known market={data} refresh={market.refresh} />
  if (problem === undefined) return <Page title="Market"><Waiting /></Page>
  return (
    <Page title={status === 404 ? 'No such market' : 'Market'}>
      <p role="alert">
        <Status level="bad">{problem}</Status>
      </p>
      <p>
        <a href="/app/markets">All markets</a>
      </p>
    </Page>
  )
}

/** A market that exists: its own figures follow the frames, and panels read what frames announce. */
function Known({ market: read, refresh }: { market: Market; refresh: () => Promise<void> }) {
  const network = useNetwork().data
  const changes = useMemo(() => new Changes<Topic>(), [read.id])
  const [framed, setFramed] = useState<ProjectedMarket>()
  useChannel(`market:${read.id}`, (update) => {
    if (update.kind === 'frame' && update.type === 'market_state') setFramed(update.data.market)
    const topics = topicsOf(update)
    if (topics.includes('state')) void refresh()
    changes.announce(...topics)
  })
  const isNewer = framed !== undefined && framed.as_of_slot >= read.as_of_slot
  const market = isNewer ? { ...read, ...framed } : read
  const shared = { market, network, changes }
  const tallies = useMarketPart(shared, 'tallies', ['votes', 'state'], (id) =>
    api.reading('/api/markets/{market}/tallies', { params: { path: { market: id } } }),
  )
  const prices = useMarketPart(shared, 'prices', ['trading'], () => readPrices(market))
  return (
    <Page title={market.question} lead={<StateSign state={market.state} />}>
      <div class="grid market">
        <WaitsPanel {...shared} />
        <PricePanel {...shared} prices={prices} />
        <VotesPanel {...shared} tallies={tallies} />
        <TimelinePanel {...shared} />
        <RecountPanel {...shared} tallies={tallies} />
        <DepthPanel {...shared} />
        <TradesPanel {...shared} prices={prices} />
        <HoldersPanel {...shared} />
        <DiscussionPanel {...shared} />
        <QuestionPanel {...shared} />
      </div>
    </Page>
  )
}
