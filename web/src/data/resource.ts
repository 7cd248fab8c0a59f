import { ApiError, type Reading } from '@zmart/client'
import { type ReadonlySignal, signal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { now } from './clock.ts'
import { connection } from './live.ts'
import { oneAtATime } from './one_at_a_time.ts'

/** What was read last, when, and what went wrong since. Times are milliseconds since 1970. */
export interface Resource<Data> {
  /** The last answer; kept, and marked as stale, while later reads fail. */
  readonly data: Data | undefined
  readonly asOfSlot: number | undefined
  readonly readAt: number | undefined
  /** Why the newest read failed, in words; undefined where it succeeded. */
  readonly problem: string | undefined
  readonly failingSince: number | undefined
  /** Status of the answer that refused; undefined where none came. */
  readonly status: number | undefined
}

const UNREAD: Resource<never> = {
  data: undefined,
  asOfSlot: undefined,
  readAt: undefined,
  problem: undefined,
  failingSince: undefined,
  status: undefined,
}

export interface Watched<Data> {
  readonly state: ReadonlySignal<Resource<Data>>
  /** Read now, such as after an act that changes what is shown. */
  refresh(): Promise<void>
}

/**
 * Read again and again while the component is shown: every `seconds`, or once where it is
 * undefined. `key` names what is read; another key starts from nothing.
 */
export function useResource<Data>(
  key: string,
  read: () => Promise<Reading<Data>>,
  seconds?: number,
): Watched<Data> {
  const watched = useMemo(() => watch(read), [key])
  useEffect(() => watched.start(seconds), [watched, seconds])
  return watched
}

interface Startable<Data> extends Watched<Data> {
  start(seconds: number | undefined): () => void
}

export function watch<Data>(read: () => Promise<Reading<Data>>): Startable<Data> {
  const state = signal<Resource<Data>>(UNREAD)
  const refresh = oneAtATime(() => readInto(state, read))
  const start = (seconds: number | undefined) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let isStopped = false
    const turn = async () => {
      // A page in the background asks for nothing; it reads when it is shown again.
      if (!document.hidden) await refresh()
      if (!isStopped && seconds !== undefined) timer = setTimeout(turn, seconds * 1000)
    }
    const shown = () => {
      if (!document.hidden) void refresh()
    }
    document.addEventListener('visibilitychange', shown)
    // What changed while the API was away is read as soon as it is there again.
    let wasAway = false
    const unfollow = connection.subscribe(({ state: live }) => {
      if (live === 'reconnecting') wasAway = true
      if (live !== 'connected' || !wasAway) return
      wasAway = false
      shown()
    })
    void turn()
    return () => {
      isStopped = true
      unfollow()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', shown)
    }
  }
  return { state, refresh, start }
}

async function readInto<Data>(
  state: { value: Resource<Data> },
  read: () => Promise<Reading<Data>>,
): Promise<void> {
  try {
    const { data, asOfSlot } = await read()
    state.value = { ...UNREAD, data, asOfSlot, readAt: Date.now() }
  } catch (error) {
    const failingSince = state.value.failingSince ?? Date.now()
    const status = error instanceof ApiError ? error.status : undefined
    state.value = { ...state.value, problem: inWords(error), failingSince, status }
  }
}

/** What went wrong, for people. */
export function inWords(error: unknown): string {
  if (error instanceof ApiError) return error.message
  if (error instanceof TypeError || isTimeout(error)) return 'The API does not answer.'
  return error instanceof Error ? error.message : String(error)
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}

/** Whether figures may no longer be taken as current: reads fail, or the last one is too old. */
export function isStale(resource: Resource<unknown>, seconds: number): boolean {
  if (resource.problem !== undefined) return true
  return resource.readAt !== undefined && now.value - resource.readAt > seconds * 1000
}
