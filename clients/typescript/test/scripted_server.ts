import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Scripted {
  readonly status: number
  readonly body: unknown
  readonly headers?: Record<string, string>
}

type Answer = Scripted | 'cut'
type Script = (request: Received, number: number) => Answer | Promise<Answer>

/** A server that answers as the script says; it may also cut the connection. */
export class ScriptedServer implements AsyncDisposable {
  readonly received: Received[] = []
  readonly #server = createServer()
  readonly #script: Script

  constructor(script: Script) {
    this.#script = script
    this.#server.on('request', async (request, response) => {
      const { method = '', url = '', headers } = request
      const received = { method, url, headers, body: await text(request) }
      this.received.push(received)
      const answer = await this.#script(received, this.received.length)
      if (answer === 'cut') {
        request.socket.destroy()
        return
      }
      response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
      response.end(JSON.stringify(answer.body))
    })
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** The body of an error as the API sends it. */
export function errorBody(status: number, code: string): Scripted['body'] {
  return { error: 'Error', code, message: `it is ${code}`, status, path: '/', timestamp: '' }
}
