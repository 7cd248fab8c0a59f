import { type Update } from '@zmart/client'
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { api } from './api.ts'

/** The connection of the live updates; `since` is in milliseconds since 1970. */
export interface LiveConnection {
  readonly state: 'connecting' | 'connected' | 'reconnecting'
  readonly since: number
}

export const connection = signal<LiveConnection>({ state: 'connecting', since: Date.now() })

type Consumer = (update: Update) => void

const live = api.live({
  longestWait: 5,
  onConnection: ({ state }) => {
    if (state === 'connected') connection.value = { state: 'connected', since: Date.now() }
    else if (connection.value.state === 'connected') {
      connection.value = { state: 'reconnecting', since: Date.now() }
    }
  },
})

const consumers = new Map<string, Set<Consumer>>()

/** Receive the snapshot and then every frame of a channel, until the function returned is called. */
export function follow(channel: string, consumer: Consumer): () => void {
  const others = consumers.get(channel)
  const all = others ?? new Set<Consumer>()
  all.add(consumer)
  // Someone who comes later needs a snapshot too, so the channel is subscribed again.
  if (others !== undefined) subscriptions.get(channel)?.close()
  consumers.set(channel, all)
  subscribe(channel, all)
  return () => {
    all.delete(consumer)
    if (all.size > 0) return
    consumers.delete(channel)
    subscriptions.get(channel)?.close()
    subscriptions.delete(channel)
  }
}

const subscriptions = new Map<string, { close(): void }>()

function subscribe(channel: string, all: ReadonlySet<Consumer>): void {
  const onUpdate = (update: Update) => {
    for (const consumer of all) consumer(update)
  }
  const onEnd = () => subscriptions.delete(channel)
  subscriptions.set(channel, live.subscribe(channel, onUpdate, { onEnd }))
}

/** `follow` for as long as the component is shown; nothing while `channel` is undefined. */
export function useChannel(channel: string | undefined, consumer: Consumer): void {
  useEffect(() => (channel === undefined ? undefined : follow(channel, consumer)), [channel])
}
