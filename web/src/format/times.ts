/** Times as texts: UTC and local side by side, ages and durations. */

const TIME: Intl.DateTimeFormatOptions = {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
}
const DAY: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' }
const UTC_TIME = new Intl.DateTimeFormat('sv-SE', { ...TIME, timeZone: 'UTC' })
const UTC_DAY = new Intl.DateTimeFormat('sv-SE', { ...DAY, timeZone: 'UTC' })
const LOCAL_TIME = new Intl.DateTimeFormat('sv-SE', { ...TIME, timeZoneName: 'short' })
const LOCAL_DAY = new Intl.DateTimeFormat('sv-SE', DAY)

type Moment = string | number | Date

/** `2026-11-30 22:10:04 UTC`. */
export function utc(moment: Moment): string {
  const date = new Date(moment)
  return `${UTC_DAY.format(date)} ${UTC_TIME.format(date)} UTC`
}

/** `22:10:04 UTC`. */
export function utcTime(moment: Moment): string {
  return `${UTC_TIME.format(new Date(moment))} UTC`
}

/** `2026-11-30 23:10:04 CET`. */
export function local(moment: Moment): string {
  const date = new Date(moment)
  return `${LOCAL_DAY.format(date)} ${LOCAL_TIME.format(date)}`
}

/** Whether local time is UTC at that moment. */
export function isUtcHere(moment: Moment): boolean {
  return new Date(moment).getTimezoneOffset() === 0
}

/** UTC, and local time beside it where that differs. */
export function utcAndLocal(moment: Moment): string {
  return isUtcHere(moment) ? utc(moment) : `${utc(moment)} · ${local(moment)}`
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const

/** Seconds as the two largest units: `2 h 5 min`, `40 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const first = UNITS.findIndex(([, size]) => whole >= size)
  if (first === -1) return '0 s'
  const parts: string[] = []
  let rest = whole
  for (const [name, size] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}\u00a0${name}`)
  }
  return parts.join(' ')
}

/** How far a moment is from now: `5 min ago`, `in 2 h`. */
export function relative(moment: Moment, now: number): string {
  const seconds = (new Date(moment).getTime() - now) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`
}

/** A time in UTC, as exact as the span that is shown, and the step between two times, need. */
export function axisTime(time: number, span: number, step: number): string {
  const text = new Date(time * 1000).toISOString()
  if (span < 3_600) return text.slice(11, 19)
  if (span < 2 * 86_400) return text.slice(11, 16)
  return step < 86_400 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(0, 10)
}
