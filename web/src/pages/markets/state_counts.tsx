import { MARKET_STATES, MarketStateSign, type MarketState } from '../../components/market_state.tsx'
import { Sparkline } from '../../components/sparkline.tsx'
import { api } from '../../data/api.ts'
import { isStale, useResource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import type { MarketFilter } from './market_filter.ts'

const SECONDS = 10
const HISTORY_SECONDS = 60
const HOURS = 48

interface StateCountsProps {
  readonly filter: MarketFilter
  readonly onChange: (changes: Partial<MarketFilter>) => void
}

/** How many markets are in each state; pressing one lists these alone. */
export function StateCounts({ filter, onChange }: StateCountsProps) {
  const { state } = useResource('states', () => api.reading('/api/markets/states'), SECONDS)
  const counts = new Map(state.value.data?.states.map((one) => [one.state, one.markets]))
  const history = useHistory()
  const toggled = (one: MarketState) =>
    filter.states.includes(one)
      ? filter.states.filter((other) => other !== one)
      : MARKET_STATES.filter((other) => other === one || filter.states.includes(other))
  const stale = isStale(state.value, 3 * SECONDS)
  return (
    <div class={`state-counts ${stale ? 'stale' : ''}`} role="group" aria-label="Markets by state">
      {MARKET_STATES.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={filter.states.includes(one)}
          onClick={() => onChange({ states: toggled(one) })}
        >
          <span class="state-count">{grouped(counts.get(one) ?? 0)}</span>
          <MarketStateSign state={one} />
          <Sparkline
            label={`Markets in this state over the last ${HOURS} hours`}
            values={history.get(one) ?? []}
          />
        </button>
      ))}
    </div>
  )
}

/** How many markets were in each state, each hour. */
function useHistory(): ReadonlyMap<MarketState, readonly number[]> {
  const query = { interval: '1h', points: HOURS } as const
  const { state } = useResource(
    'state history',
    () => api.reading('/api/markets/states/history', { params: { query } }),
    HISTORY_SECONDS,
  )
  const { states = [], points = [] } = state.value.data ?? {}
  return new Map(states.map((one, index) => [one, points.map(({ markets }) => markets[index] ?? 0)]))
}
