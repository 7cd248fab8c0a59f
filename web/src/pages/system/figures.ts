/** Seconds after which the figures of the system are read again. */
export const FIGURES_SECONDS = 10
/** Seconds after which figures that could not be read again are marked as stale. */
export const FIGURES_FRESH_SECONDS = 3 * FIGURES_SECONDS
