import type { Network } from '@zmart/client'
import { api } from './api.ts'
import { useResource, type Resource } from './resource.ts'

const READ_AGAIN_SECONDS = 300

/** The chain of this system, and where its parts can be seen. */
export function useNetwork(): Resource<Network> {
  return useResource('network', () => api.reading('/api/network'), READ_AGAIN_SECONDS).state.value
}
