import type { Middleware } from 'openapi-fetch'
import type { ErrorBody, ErrorCode, RelayedTransaction } from './schema.ts'

/** The code where something else than the API answered, such as a proxy. */
export const UNREADABLE = 'unreadable_answer'

/** The API answered with an error. Programs test `code`, which docs/api.md lists. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: ErrorCode | typeof UNREADABLE
  /** All members of the error; undefined where something else than the API answered. */
  readonly body: ErrorBody | undefined
  /** The answer as JSON, whatever it is: health that is not ok is no error's body. */
  readonly answer: unknown
  /** Names the request in the server's log. */
  readonly requestId: string | undefined
  /** Seconds after which the same request may succeed, where the API names them. */
  readonly retryAfter: number | undefined

  constructor(status: number, answer: unknown, headers: Headers) {
    const body = isErrorBody(answer) ? answer : undefined
    super(body?.message ?? `HTTP status ${status}`)
    this.status = status
    this.answer = answer
    this.body = body
    this.code = body?.code ?? UNREADABLE
    this.requestId = headers.get('x-request-id') ?? undefined
    this.retryAfter = retryAfter(headers)
  }
}

/** A transaction that was handed in did not take effect, and never will. */
export class TransactionFailed extends Error {
  override readonly name = 'TransactionFailed'
  readonly transaction: RelayedTransaction
  /** Name of the program's or the runtime's error; `expired` where it did not land. */
  readonly reason: string

  constructor(transaction: RelayedTransaction) {
    const reason = transaction.error?.name ?? transaction.state
    super(`${transaction.signature}: ${reason}`)
    this.transaction = transaction
    this.reason = reason
  }
}

/** The error that a response states. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text()
  return new ApiError(response.status, parsed(text), response.headers)
}

export const throwErrors: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await errorOf(response)
  },
}

/** The seconds of `Retry-After`; undefined without one in seconds. */
export function retryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  return /^\d+$/.test(text) ? Number(text) : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isErrorBody(body: unknown): body is ErrorBody {
  return typeof body === 'object' && body !== null && 'code' in body && 'message' in body
}
