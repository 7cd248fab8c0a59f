import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProtocolParameters } from '@zmart/client'
import { changesOf, PARAMETERS, valueOf } from '../src/pages/system/operators/configuration_changes.ts'

const inForce = {
  protocol_fee_bps: 300,
  resolver_reward_bps: 200,
  liquidity_provider_fee_bps: 500,
  proposal_approval_threshold: 7000,
  dispute_success_threshold: 6000,
  min_resolution_delay: 86_400,
  dispute_period: 9_223_372_036_854_775_807,
  is_paused: false,
  changed_at: null,
  slot: 7,
  exact: { min_resolution_delay: '86400', dispute_period: '9223372036854775807' },
} as unknown as ProtocolParameters

const form = (changes: Readonly<Record<string, string>> = {}) => ({
  ...Object.fromEntries(PARAMETERS.map((one) => [one.name, valueOf(inForce, one)])),
  ...changes,
})

test('what is not changed is not sent, however large it is', () => {
  assert.deepEqual(changesOf(form({ protocol_fee_bps: '0', min_resolution_delay: '60' }), inForce), {
    protocol_fee_bps: 0,
    min_resolution_delay: 60,
  })
})

test('each field with a value that it cannot have is named', () => {
  const wrong = form({ protocol_fee_bps: '10001', dispute_period: '0', resolver_reward_bps: '1.5' })
  assert.throws(() => changesOf(wrong, inForce), /Protocol’s fee: .*Resolver’s reward: .*Time for disputes: /s)
  assert.throws(() => changesOf(form({ dispute_success_threshold: '' }), inForce), /Agreement that a dispute needs/)
  // Above 2^53 a number of JSON would be another one.
  assert.throws(() => changesOf(form({ dispute_period: '9007199254740993' }), inForce), /Time for disputes/)
})

test('a form without a change is refused', () => {
  assert.throws(() => changesOf(form({ protocol_fee_bps: '0300' }), inForce), /No value differs/)
})
