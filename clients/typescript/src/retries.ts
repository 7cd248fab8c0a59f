import { retryAfter } from './errors.ts'

/** How often a request is sent, and how long it is waited for. */
export interface RetryPolicy {
  /** Most times that one request is sent. */
  readonly attempts: number
  /** Seconds; where the API asks for a longer wait, its error is thrown at once. */
  readonly longestWait: number
  /** Seconds before the second attempt where the API names no time; doubled after each. */
  readonly firstWait: number
}

export const DEFAULT_RETRIES: RetryPolicy = { attempts: 4, longestWait: 30, firstWait: 0.5 }

export type Send = (request: Request) => Promise<Response>

const REFUSED = 429
/** A write with the same key is still being carried out; something is away. */
const LATER = [409, 503]

/** A `fetch` that repeats what may succeed later and does no harm twice. */
export function withRetries(send: Send, policy: RetryPolicy): Send {
  return async (request) => {
    for (let attempt = 1; ; attempt++) {
      const result = await attempted(send, request)
      const wait = secondsToWait(result, request, attempt, policy)
      if (wait === undefined) {
        if (result instanceof Response) return result
        throw result.failure
      }
      await sleep(wait, request.signal)
    }
  }
}

async function attempted(send: Send, request: Request): Promise<Response | { failure: unknown }> {
  try {
    return await send(request.clone())
  } catch (failure) {
    return { failure }
  }
}

function secondsToWait(
  result: Response | { failure: unknown },
  request: Request,
  attempt: number,
  policy: RetryPolicy,
): number | undefined {
  if (attempt >= policy.attempts || request.signal.aborted) return undefined
  const asked = result instanceof Response ? retryAfter(result.headers) : undefined
  if (!isWorthRepeating(result, asked, request)) return undefined
  const seconds = asked ?? policy.firstWait * 2 ** (attempt - 1)
  return seconds <= policy.longestWait ? seconds : undefined
}

function isWorthRepeating(
  result: Response | { failure: unknown },
  asked: number | undefined,
  request: Request,
): boolean {
  if (!(result instanceof Response)) return isRepeatable(request)
  // A 429 was refused before anything was done.
  if (result.status === REFUSED) return true
  return LATER.includes(result.status) && asked !== undefined && isRepeatable(request)
}

/** Whether a request may be sent twice: it reads, or its idempotency key has it done once. */
function isRepeatable(request: Request): boolean {
  return request.method === 'GET' || request.headers.has('Idempotency-Key')
}

export function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, seconds * 1000)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
