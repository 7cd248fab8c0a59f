/**
 * Canonical JSON as defined by RFC 8785 (JCS), whose numbers and texts are those of
 * `JSON.stringify` and whose keys are in the order of JavaScript's strings.
 */

export class NotCanonical extends Error {}

const LONE_SURROGATE = /\p{Surrogate}/u
const STRICT = { fatal: true, ignoreBOM: true }

/** The canonical text of a parsed value; throws `NotCanonical` where it has none. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, member]) => `${scalarText(name)}:${canonicalText(member)}`)
    return `{${members.join(',')}}`
  }
  return scalarText(value)
}

function scalarText(value: unknown): string {
  if (typeof value === 'string' && LONE_SURROGATE.test(value)) {
    throw new NotCanonical('the value has no canonical form: a text has a lone surrogate')
  }
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new NotCanonical('the value has no canonical form: an integer exceeds 2^53 - 1')
  }
  return JSON.stringify(value)
}

/** Parse canonical bytes; throws `NotCanonical` for anything else. */
export function parseCanonical(data: Uint8Array): unknown {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', STRICT).decode(data)
    value = JSON.parse(text)
  } catch (error) {
    throw new NotCanonical(`the bytes are not JSON: ${String(error)}`)
  }
  if (canonicalText(value) !== text) {
    throw new NotCanonical('the bytes are JSON but not in the canonical form of RFC 8785')
  }
  return value
}
