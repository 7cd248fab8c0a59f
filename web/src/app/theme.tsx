import { effect, signal } from '@preact/signals'

type Theme = 'light' | 'dark'

const KEY = 'theme'
const dark = matchMedia('(prefers-color-scheme: dark)')
const system = (): Theme => (dark.matches ? 'dark' : 'light')
const stored = localStorage.getItem(KEY)
const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : system())

// Without a choice of its own the page follows the system.
dark.addEventListener('change', () => {
  if (localStorage.getItem(KEY) === null) theme.value = system()
})

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
})

export function ThemeButton() {
  const other: Theme = theme.value === 'dark' ? 'light' : 'dark'
  const change = () => {
    localStorage.setItem(KEY, other)
    theme.value = other
  }
  return (
    <button type="button" class="icon" onClick={change} aria-label={`Use ${other} colours`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="8" cy="8" r="5.500" class="stroke" />
        <path d="M8 2.500a5.500 5.500 0 0 1 0 11z" class="fill" />
      </svg>
    </button>
  )
}
