import { useEffect, useState } from 'preact/hooks'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { type MarketFilter, SORTS, type Sort } from './market_filter.ts'

/** Milliseconds without a keystroke after which a search is made. */
const TYPING_PAUSE = 250

interface FilterBarProps {
  readonly filter: MarketFilter
  readonly onChange: (changes: Partial<MarketFilter>) => void
}

export function FilterBar({ filter, onChange }: FilterBarProps) {
  return (
    <span class="filter-bar">
      <Search q={filter.q} onChange={(q) => onChange({ q })} />
      <label>
        Category
        <Categories value={filter.category} onChange={(category) => onChange({ category })} />
      </label>
      <label>
        Sort by
        <select
          value={filter.sort ?? (filter.q === '' ? 'newest' : 'relevance')}
          onChange={(event) => onChange({ sort: event.currentTarget.value as Sort })}
        >
          {Object.entries(SORTS).map(([sort, title]) => (
            <option key={sort} value={sort} disabled={sort === 'relevance' && filter.q === ''}>
              {title}
            </option>
          ))}
        </select>
      </label>
    </span>
  )
}

function Search({ q, onChange }: { q: string; onChange: (q: string) => void }) {
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  useEffect(() => {
    if (text.trim() === q) return
    const timer = setTimeout(() => onChange(text.trim()), TYPING_PAUSE)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <label class="search">
      Search
      <input
        type="search"
        value={text}
        placeholder="Words, an id or an address"
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </label>
  )
}

function Categories({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { state } = useResource('categories', () => api.reading('/api/markets/categories'))
  const categories = state.value.data?.categories ?? []
  return (
    <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      <option value="">All</option>
      {categories.map(({ id, name, count }) => (
        <option key={id} value={id}>
          {name} ({count})
        </option>
      ))}
    </select>
  )
}
