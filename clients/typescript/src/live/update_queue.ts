import type { Consumer, SubscriptionEnded } from './channel.ts'
import type { Update } from './messages.ts'

/** Updates that a loop has not taken yet; more than this are too many. */
export const MOST_WAITING = 10_000

/** The updates of a subscription for a loop that takes them one after another. */
export class UpdateQueue implements Consumer {
  #updates: Update[] = []
  #hasOverflowed = false
  #ended: { readonly error: SubscriptionEnded | undefined } | undefined
  #wake: () => void = () => undefined

  update(update: Update): void {
    if (this.#updates.length >= MOST_WAITING) this.#hasOverflowed = true
    if (!this.#hasOverflowed) this.#updates.push(update)
    this.#wake()
  }

  end(error?: SubscriptionEnded): void {
    this.#ended = { error }
    this.#wake()
  }

  /** Whether updates were left out since the last call; the rest is then given up too. */
  overflowed(): boolean {
    if (!this.#hasOverflowed) return false
    this.#hasOverflowed = false
    this.#updates = []
    return true
  }

  /** The next update; undefined at the end. Throws where the server has ended the subscription. */
  async next(): Promise<Update | undefined> {
    for (;;) {
      const update = this.#updates.shift()
      if (update !== undefined) return update
      if (this.#ended?.error !== undefined) throw this.#ended.error
      if (this.#ended !== undefined) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
