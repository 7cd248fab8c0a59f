import type { ComponentChildren } from 'preact'

/** How good something is. Each level has a shape of its own, so colour is never alone. */
export type Level = 'ok' | 'info' | 'idle' | 'warning' | 'bad'

const SHAPES: Record<Level, ComponentChildren> = {
  ok: <path d="M3.500 8.500 6.800 11.600 12.500 4.800" class="stroke" />,
  info: <path d="M8 2.500a5.500 5.500 0 1 1-5.500 5.500" class="stroke" />,
  idle: <circle cx="8" cy="8" r="4.500" class="stroke" />,
  warning: <path d="M8 2.200 14.500 13.500h-13z" class="fill" />,
  bad: <path d="M5.300 1.800h5.400l3.700 3.800v4.800l-3.700 3.800H5.300l-3.700-3.800V5.600z" class="fill" />,
}

export function StatusIcon({ level }: { level: Level }) {
  return (
    <svg class={`status-icon ${level}`} viewBox="0 0 16 16" aria-hidden="true">
      {SHAPES[level]}
    </svg>
  )
}

/** A word with its level: `<Status level="ok">running</Status>`. */
export function Status({ level, children }: { level: Level; children: ComponentChildren }) {
  return (
    <span class={`status ${level}`}>
      <StatusIcon level={level} />
      <span>{children}</span>
    </span>
  )
}
