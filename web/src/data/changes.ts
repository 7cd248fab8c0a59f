/** Requests are limited, so that bursts of frames lead to one reading. */
const QUIET_MILLISECONDS = 3000

/** Tells followers of a topic that it has changed, at most once in each quiet interval. */
export class Changes<Topic extends string> {
  readonly #followers = new Map<() => void, readonly Topic[]>()
  readonly #pending = new Set<Topic>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #toldAt = 0

  announce(...topics: readonly Topic[]): void {
    for (const topic of topics) this.#pending.add(topic)
    const wait = Math.max(0, this.#toldAt + QUIET_MILLISECONDS - Date.now())
    this.#timer ??= setTimeout(() => this.#tell(), wait)
  }

  /** Call `follower` after changes of its topics, until the function returned is called. */
  follow(topics: readonly Topic[], follower: () => void): () => void {
    this.#followers.set(follower, topics)
    return () => this.#followers.delete(follower)
  }

  #tell(): void {
    const changed = new Set(this.#pending)
    this.#pending.clear()
    this.#timer = undefined
    this.#toldAt = Date.now()
    for (const [follower, topics] of this.#followers) {
      if (topics.some((topic) => changed.has(topic))) follower()
    }
  }
}
