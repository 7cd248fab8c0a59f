import { type Update, type ZmartClient } from '@zmart/client'
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { api } from './api.ts'
import { identity } from './identity.ts'

/** The connection of the live updates; `since` is in milliseconds since 1970. */
export interface LiveConnection {
  readonly state: 'connecting' | 'connected' | 'reconnecting'
  readonly since: number
}

export const connection = signal<LiveConnection>({ state: 'connecting', since: Date.now() })

type Consumer = (update: Update) => void
type Live = ReturnType<ZmartClient['live']>

/** Seconds: the longest pause between attempts; without a message, heartbeats come every 15. */
const OPTIONS = { longestWait: 5, silence: 20 } as const

/** The channels of one connection, each subscribed once for all that follow it here. */
class Channels {
  readonly #live: Live
  readonly #consumers = new Map<string, Set<Consumer>>()
  readonly #subscriptions = new Map<string, { close(): void }>()

  constructor(live: Live) {
    this.#live = live
  }

  /** Receive the snapshot and then every frame of a channel, until the function returned is called. */
  follow(channel: string, consumer: Consumer): () => void {
    const others = this.#consumers.get(channel)
    const all = others ?? new Set<Consumer>()
    all.add(consumer)
    // Someone who comes later needs a snapshot too, so the channel is subscribed again.
    if (others !== undefined) this.#subscriptions.get(channel)?.close()
    this.#consumers.set(channel, all)
    this.#subscribe(channel, all)
    return () => {
      all.delete(consumer)
      if (all.size > 0) return
      this.#consumers.delete(channel)
      this.#subscriptions.get(channel)?.close()
      this.#subscriptions.delete(channel)
    }
  }

  #subscribe(channel: string, all: ReadonlySet<Consumer>): void {
    const onUpdate = (update: Update) => {
      for (const consumer of all) consumer(update)
    }
    const onEnd = () => this.#subscriptions.delete(channel)
    this.#subscriptions.set(channel, this.#live.subscribe(channel, onUpdate, { onEnd }))
  }
}

/** What everyone may follow; its connection tells whether the page is live. */
const everyones = new Channels(
  api.live({
    ...OPTIONS,
    onConnection: ({ state }) => {
      if (state === 'connected') connection.value = { state: 'connected', since: Date.now() }
      else if (connection.value.state === 'connected') {
        connection.value = { state: 'reconnecting', since: Date.now() }
      }
    },
  }),
)

/** What only who signed in may follow, over a connection of its own that shows who follows. */
const personal = new WeakMap<ZmartClient, Channels>()

function personalOf(client: ZmartClient): Channels {
  const known = personal.get(client) ?? new Channels(client.live(OPTIONS))
  personal.set(client, known)
  return known
}

/** Receive a channel's updates, until the function returned is called. */
export function follow(channel: string, consumer: Consumer): () => void {
  return everyones.follow(channel, consumer)
}

/** `follow` for as long as the component is shown; nothing while `channel` is undefined. */
export function useChannel(channel: string | undefined, consumer: Consumer): void {
  useEffect(() => (channel === undefined ? undefined : follow(channel, consumer)), [channel])
}

/** `useChannel` as who signed in; nothing while no one is. */
export function usePersonalChannel(channel: string | undefined, consumer: Consumer): void {
  const client = identity.value?.client
  useEffect(
    () =>
      channel === undefined || client === undefined
        ? undefined
        : personalOf(client).follow(channel, consumer),
    [channel, client],
  )
}
