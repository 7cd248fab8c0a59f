import { session } from '../data/api.ts'
import { shortened } from '../format/names.ts'

/** Who acts; signing in comes with the operators' part. */
export function SignIn() {
  const tokens = session.value
  return tokens === undefined ? null : <span class="quiet">{shortened(tokens.wallet)}</span>
}
