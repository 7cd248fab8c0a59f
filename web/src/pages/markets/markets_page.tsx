import { useLocation } from 'preact-iso/router'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Page } from '../../components/page.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { api } from '../../data/api.ts'
import { type Resource, useResource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { FilterBar } from './filter_bar.tsx'
import { type MarketFilter, addressOf, filterOf } from './market_filter.ts'
import { MarketTable } from './market_table.tsx'
import { StateCounts } from './state_counts.tsx'

const PER_PAGE = 25
const SECONDS = 10

export default function MarketsPage() {
  const { query, route } = useLocation()
  const filter = filterOf(query)
  const key = addressOf(filter)
  const change = (changes: Partial<MarketFilter>) =>
    route(addressOf({ ...filter, cursor: undefined, ...changes }), changes.q !== undefined)
  const { state } = useResource(key, () => readPage(filter), SECONDS)
  const shown = useKept(state.value)
  const earlier = useEarlierPages(key, filter.cursor)
  return (
    <Page title="Markets" lead={<p class="quiet">Which markets are there, and what do they wait for?</p>}>
      <StateCounts filter={filter} onChange={change} />
      <ReadPanel
        title="All markets"
        hint={<FilterBar filter={filter} onChange={change} />}
        resource={shown}
        freshFor={3 * SECONDS}
      >
        {({ markets, count, count_capped: isCapped, next }) => (
          <>
            <p class="quiet small" role="status">
              {isCapped ? 'More than ' : ''}
              {grouped(count)} {count === 1 ? 'market' : 'markets'}
            </p>
            <MarketTable markets={markets} />
            <Pager
              previous={earlier}
              next={next === null ? undefined : addressOf({ ...filter, cursor: next })}
            />
          </>
        )}
      </ReadPanel>
    </Page>
  )
}

function readPage({ q, states, category, sort, cursor }: MarketFilter) {
  return api.reading('/api/markets', {
    params: {
      query: {
        limit: PER_PAGE,
        ...(q === '' ? {} : { q }),
        ...(states.length === 0 ? {} : { state: [...states] }),
        ...(category === '' ? {} : { category: [category] }),
        ...(sort === undefined ? {} : { sort }),
        ...(cursor === undefined ? {} : { cursor }),
      },
    },
  })
}

/** What was shown last, until another list has been read: nothing flickers while someone types. */
function useKept<Data>(resource: Resource<Data>): Resource<Data> {
  const kept = useRef(resource)
  if (resource.data !== undefined || resource.problem !== undefined) kept.current = resource
  return kept.current
}

/** The address of the page before, as this visit came here; a cursor leads forward only. */
function useEarlierPages(address: string, cursor: string | undefined): string | undefined {
  const trail = useRef<string[]>([])
  const [previous, setPrevious] = useState<string>()
  useEffect(() => {
    const at = trail.current.indexOf(address)
    if (cursor === undefined) trail.current = [address]
    else if (at === -1) trail.current.push(address)
    else trail.current.length = at + 1
    setPrevious(trail.current.at(-2))
  }, [address])
  return previous
}

function Pager({ previous, next }: { previous: string | undefined; next: string | undefined }) {
  if (previous === undefined && next === undefined) return null
  return (
    <nav class="pager" aria-label="Pages of the list">
      {previous !== undefined && (
        <a class="button" href={previous}>
          ← Previous
        </a>
      )}
      {next !== undefined && (
        <a class="button" href={next}>
          Next →
        </a>
      )}
    </nav>
  )
}

