/** Seconds before the next connection: random, so that clients of a restarted server spread. */
export class Backoff {
  readonly #first: number
  readonly #longest: number
  readonly #random: () => number
  #failures = 0

  constructor(first: number, longest: number, random: () => number = Math.random) {
    this.#first = first
    this.#longest = longest
    this.#random = random
  }

  /** Connections that failed since the last one that worked. */
  get failures(): number {
    return this.#failures
  }

  /** After a failure: anywhere below a bound that doubles with each. */
  next(): number {
    return this.#random() * Math.min(this.#longest, this.#first * 2 ** this.#failures++)
  }

  /** Where the server has asked for fewer connections: at least half of the longest wait. */
  long(): number {
    this.#failures++
    return ((1 + this.#random()) / 2) * this.#longest
  }

  /** A connection works. */
  succeeded(): void {
    this.#failures = 0
  }
}
