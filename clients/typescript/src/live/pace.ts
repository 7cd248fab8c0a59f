/** At most so many messages in each minute, so that the server does not close the connection. */
export class Pace {
  readonly #perMinute: number
  readonly #times: number[] = []

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** Counts a message; returns the milliseconds after which it may be sent. */
  wait(now: number): number {
    while (this.#times[0] !== undefined && this.#times[0] <= now - 60_000) this.#times.shift()
    const earliest = this.#times.at(-this.#perMinute)
    const due = earliest === undefined ? now : Math.max(now, earliest + 60_000)
    this.#times.push(due)
    return due - now
  }
}
