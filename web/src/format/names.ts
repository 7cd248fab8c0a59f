/** Names that are too long to show whole, and words of the API as people write them. */

/** The beginning and the end of a key, signature or id. */
export function shortened(name: string, ends = 4): string {
  return name.length <= 2 * ends + 1 ? name : `${name.slice(0, ends)}…${name.slice(-ends)}`
}

/** `due_decision_seconds` as `due decision seconds`. */
export function spaced(word: string): string {
  return word.replaceAll('_', ' ')
}

/** `ACTIVE` as `Active`. */
export function titled(word: string): string {
  const text = spaced(word).toLowerCase()
  return text.charAt(0).toUpperCase() + text.slice(1)
}
