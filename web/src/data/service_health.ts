import { ApiError, type Reading, type ServiceHealthList } from '@zmart/client'
import { api } from './api.ts'

/** The health of every service. It is answered with 503 while one is down, and is no error then. */
export async function readServiceHealth(): Promise<Reading<ServiceHealthList>> {
  try {
    return await api.reading('/health/services')
  } catch (error) {
    if (error instanceof ApiError && isHealth(error.answer)) {
      return { data: error.answer, asOfSlot: undefined, lagSlots: undefined }
    }
    throw error
  }
}

function isHealth(answer: unknown): answer is ServiceHealthList {
  return typeof answer === 'object' && answer !== null && 'services' in answer
}
