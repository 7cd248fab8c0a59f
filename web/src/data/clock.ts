import { signal } from '@preact/signals'

/** Milliseconds since 1970 by this machine's clock, once a second: for ages and countdowns. */
export const now = signal(Date.now())

setInterval(() => {
  now.value = Date.now()
}, 1000)
