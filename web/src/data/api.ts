import { ZmartClient } from '@zmart/client'

/** Milliseconds that a read may take; the API itself gives up earlier. */
const PATIENCE = 20_000

/** The one client of this page. The API that serves the page is the API that it reads. */
export const api = new ZmartClient({
  url: location.origin,
  cookies: true,
  // Pages show an outage at once and read again by themselves.
  retries: { attempts: 1 },
  fetch: patient,
})

/** A read that is not answered in time has failed: the next one may go through. */
function patient(request: Request): Promise<Response> {
  const isRead = request.method === 'GET' && request.headers.get('Accept') !== 'text/event-stream'
  return isRead ? fetch(request, { signal: AbortSignal.timeout(PATIENCE) }) : fetch(request)
}
