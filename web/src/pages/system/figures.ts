import type { SystemFigures } from '@zmart/client'

/** Seconds after which the figures of the system are read again. */
export const FIGURES_SECONDS = 10
/** Seconds after which figures that could not be read again are marked as stale. */
export const FIGURES_FRESH_SECONDS = 3 * FIGURES_SECONDS

/** A number of `seconds` as a rate. */
export const perMinute = (number: number, seconds: number) => `${((number * 60) / seconds).toFixed(1)}/min`

/** How fast transactions came to the ledger lately: by webhooks, and by polls alone. */
export function ratesOf({ intake }: SystemFigures): { readonly webhooks: string; readonly polls: string } {
  return {
    webhooks: perMinute(intake.by_webhook, intake.seconds),
    polls: perMinute(intake.transactions - intake.by_webhook, intake.seconds),
  }
}
