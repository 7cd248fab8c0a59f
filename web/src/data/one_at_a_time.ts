/**
 * Serialize calls of `work`. Calls during a run are coalesced into one more run after it, because
 * what the current run reads may be older than they are; the promise settles with the last run.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let isAskedAgain = false

  const run = async () => {
    try {
      do {
        isAskedAgain = false
        await work()
      } while (isAskedAgain)
    } finally {
      running = undefined
    }
  }
  return () => {
    isAskedAgain = true
    running ??= run()
    return running
  }
}
