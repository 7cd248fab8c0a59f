import type { ParamsOption, RequestBodyOption } from 'openapi-fetch'
import type {
  FilterKeys,
  MediaType,
  PathsWithMethod,
  RequiredKeysOf,
  SuccessResponse,
} from 'openapi-typescript-helpers'
import type { paths } from './schema.ts'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

/** The paths that have a method. */
export type PathWith<M extends Method> = PathsWithMethod<paths, M>

type Operation<P extends keyof paths, M extends Method> = FilterKeys<paths[P], M>

/** What every call takes beside its parameters and its body. */
interface Common {
  readonly signal?: AbortSignal
  readonly headers?: Record<string, string>
}

type Options<O> = ParamsOption<O> & RequestBodyOption<O> & Common

/** Parameters and body of a call; may be left out where nothing is required. */
export type Input<P extends keyof paths, M extends Method> =
  RequiredKeysOf<Options<Operation<P, M>>> extends never
    ? [input?: Options<Operation<P, M>>]
    : [input: Options<Operation<P, M>>]

/** What a successful call answers. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer Responses extends Record<number, unknown> }
    ? SuccessResponse<Responses, MediaType>
    : never

/** Any call's input, as far as the client itself reads it. */
export interface AnyInput extends Common {
  readonly params?: { readonly query?: Record<string, unknown> }
  readonly body?: unknown
}

/** The lists that have pages. */
export type PagedPath = {
  [P in keyof paths]: paths[P] extends { get: { parameters: { query?: infer Query } } }
    ? 'cursor' extends keyof NonNullable<Query>
      ? P
      : never
    : never
}[keyof paths]
