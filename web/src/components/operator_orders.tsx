/** Orders that are given from more than one place, each with what is known there filled in. */
import { OrderButton } from './order_button.tsx'

/** Have the resolver's key resolve a market, with the evidence pinned. */
export function ResolveButton({ market }: { market?: string }) {
  return (
    <OrderButton
      label="Resolve a market …"
      title="Resolve a market with the resolver’s key"
      kind="resolve_market"
      parameters={({ market: named, outcome, evidence, before_end: early }) => ({
        market: market ?? named,
        outcome: outcome === 'yes',
        evidence,
        before_end: early === 'on',
      })}
    >
      {market === undefined && (
        <label>
          Market (64 hex digits)
          <input name="market" required pattern="[0-9a-f]{64}" />
        </label>
      )}
      <label>
        Outcome
        <select name="outcome">
          <option value="yes">YES</option>
          <option value="no">NO</option>
        </select>
      </label>
      <label>
        Evidence: what decided the question; it is pinned
        <textarea name="evidence" required maxLength={20_000} />
      </label>
      <label class="check">
        <input type="checkbox" name="before_end" />
        Also before the market’s end time
      </label>
    </OrderButton>
  )
}

/** Have slots read again, as far as they are not covered. */
export function BackfillButton({ first, last }: { first?: number; last?: number }) {
  return (
    <OrderButton
      label="Backfill …"
      title="Read slots again, as far as they are not covered"
      kind="backfill"
      parameters={(fields) => ({
        first_slot: Number(fields['first']),
        last_slot: Number(fields['last']),
      })}
    >
      <label>
        First slot
        <input name="first" required inputMode="numeric" pattern="\d{1,15}" defaultValue={first} />
      </label>
      <label>
        Last slot
        <input name="last" required inputMode="numeric" pattern="\d{1,15}" defaultValue={last} />
      </label>
    </OrderButton>
  )
}
