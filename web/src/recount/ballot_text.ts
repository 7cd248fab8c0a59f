/** The text that a wallet signs to vote, scheme `zmart-1`; docs/ballots.md describes it. */
import { base58 } from '@scure/base'
import type { Kind } from './documents.ts'

export const SCHEME = 'zmart-1'
const TITLE = `ZMART ballot ${SCHEME}`
const MAX_MESSAGE = 1000
const LABELS = ['program', 'network', 'market', 'vote', 'round', 'choice', 'nonce', 'expires'] as const
/** The words for and against, by kind of vote. */
const CHOICES: Readonly<Record<Kind, readonly [string, string]>> = {
  proposal: ['like', 'dislike'],
  dispute: ['agree', 'disagree'],
}
const SIGN_IN_TEXTS: Readonly<Record<string, RegExp>> = {
  'login-body': /^Sign this message to authenticate with ZMART\n\n?Timestamp: [0-9]{13}$/,
  'login-header': /^Sign in to ZMART\nTimestamp: [0-9]{13}$/,
}

export interface BallotText {
  readonly program: string
  readonly network: string
  readonly market: string
  readonly kind: Kind
  readonly round: number
  readonly choice: boolean
}

/** The text is not of the scheme; the message names the line. */
export class MalformedBallot extends Error {}

type Label = (typeof LABELS)[number]

/** Read a text in its one exact form; throws `MalformedBallot` for any other. */
export function parseBallot(message: string): BallotText {
  // Counted in code points.
  if ([...message].length > MAX_MESSAGE) {
    throw new MalformedBallot(`is longer than ${MAX_MESSAGE} characters`)
  }
  const values = readLines(message)
  const kind = values.vote
  if (kind !== 'proposal' && kind !== 'dispute') {
    throw new MalformedBallot('its vote is neither proposal nor dispute')
  }
  const [yes, no] = CHOICES[kind]
  if (values.choice !== yes && values.choice !== no) {
    throw new MalformedBallot(`its choice is not one of ${yes}, ${no}`)
  }
  require(values.round, /^[0-9]{1,9}$/, 'its round is not a number of 1 to 9 digits')
  require(values.market, /^[0-9a-f]{64}$/, 'its market is not 64 hexadecimal digits')
  require(values.network, /^[a-z]{1,20}$/, 'its network is not a name of 1 to 20 lower-case letters')
  require(values.nonce, /^[A-Za-z0-9_-]{8,64}$/, 'its nonce is not 8 to 64 letters, digits, - or _')
  if (keyBytes(values.program, 32) === undefined) {
    throw new MalformedBallot('its program is not an address')
  }
  if (!isTime(values.expires)) {
    throw new MalformedBallot('its expiry is not a UTC time like 2026-11-20T12:00:00Z')
  }
  if (String(Number(values.round)) !== values.round) {
    throw new MalformedBallot('is not in the exact form of this scheme')
  }
  return {
    program: values.program,
    network: values.network,
    market: values.market,
    kind,
    round: Number(values.round),
    choice: values.choice === yes,
  }
}

/** Whether the message is exactly a text of the older scheme that a ballot names. */
export function isOlderText(message: string, scheme: string): boolean {
  const template = Object.hasOwn(SIGN_IN_TEXTS, scheme) ? SIGN_IN_TEXTS[scheme] : undefined
  return template?.test(message) ?? false
}

/** The bytes of a base58 text, undefined where it is none or has another length. */
export function keyBytes(text: string, length: 32 | 64): Uint8Array<ArrayBuffer> | undefined {
  try {
    const bytes = base58.decode(text)
    return bytes.length === length ? Uint8Array.from(bytes) : undefined
  } catch {
    return undefined
  }
}

function readLines(message: string): Record<Label, string> {
  const [title, ...lines] = message.split('\n')
  if (title !== TITLE) throw new MalformedBallot(`does not begin with the line '${TITLE}'`)
  if (lines.length !== LABELS.length) {
    throw new MalformedBallot(`has ${lines.length + 1} lines instead of ${LABELS.length + 1}`)
  }
  const values = LABELS.map((label, place) => {
    const line = lines[place] ?? ''
    if (!line.startsWith(`${label}: `)) {
      throw new MalformedBallot(`does not have its line '${label}: ' in place`)
    }
    return [label, line.slice(label.length + 2)] as const
  })
  return Object.fromEntries(values) as Record<Label, string>
}

function require(value: string, pattern: RegExp, problem: string): void {
  if (!pattern.test(value)) throw new MalformedBallot(problem)
}

/** Whether the text is an existing second, so that `2026-02-30` is none. */
function isTime(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/.test(text)) return false
  const time = new Date(text)
  return (
    !text.startsWith('0') &&
    !Number.isNaN(time.getTime()) &&
    time.toISOString() === text.replace('Z', '.000Z')
  )
}
