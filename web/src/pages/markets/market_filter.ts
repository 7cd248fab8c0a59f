import { MARKET_STATES, type MarketState } from '../../components/market_state.tsx'

export const SORTS = {
  newest: 'Newest',
  ending: 'Ending soonest',
  volume: 'Volume',
  volume_24h: 'Volume of the last day',
  liquidity: 'Liquidity',
  trending: 'Trending',
  closest_vote: 'Closest vote',
  relevance: 'Relevance',
} as const

export type Sort = keyof typeof SORTS

/** What the page lists. It is the query of the page's address, so that it can be kept and sent. */
export interface MarketFilter {
  readonly q: string
  readonly states: readonly MarketState[]
  readonly category: string
  readonly sort: Sort | undefined
  readonly cursor: string | undefined
}

/** The filter that an address states; what it cannot mean is left out. */
export function filterOf(query: Readonly<Record<string, string>>): MarketFilter {
  const named = (query['state'] ?? '').split(',')
  const sort = query['sort'] ?? ''
  return {
    q: query['q'] ?? '',
    states: MARKET_STATES.filter((state) => named.includes(state)),
    category: query['category'] ?? '',
    sort: sort in SORTS ? (sort as Sort) : undefined,
    cursor: query['cursor'],
  }
}

/** The address of a filter. */
export function addressOf({ q, states, category, sort, cursor }: MarketFilter): string {
  const query = new URLSearchParams()
  if (q !== '') query.set('q', q)
  if (states.length > 0) query.set('state', states.join(','))
  if (category !== '') query.set('category', category)
  if (sort !== undefined) query.set('sort', sort)
  if (cursor !== undefined) query.set('cursor', cursor)
  const text = query.toString()
  return text === '' ? '/app/markets' : `/app/markets?${text}`
}
