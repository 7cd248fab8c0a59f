import type { Quantity } from '@zmart/client'
import type { Level } from '../../components/status.tsx'
import { duration } from '../../format/times.ts'
import { shortened, spaced } from '../../format/names.ts'

interface Words {
  /** What is measured, in two or three words. */
  readonly label: string
  /** What is wrong once a threshold is passed; `value` is with its unit. */
  readonly problem: (value: string) => string
  /** What an operator does first. */
  readonly remedy: string
}

const WORDS: Readonly<Record<string, Words>> = {
  due_decision_seconds: {
    label: 'Oldest decision due',
    problem: (value) => `A market has waited ${value} for a decision that is due`,
    remedy: 'See whether Dagster’s daemon and code server run, and the last run of the service’s job.',
  },
  open_intent_seconds: {
    label: 'Oldest open submission',
    problem: (value) => `A submission to the chain has been open for ${value}`,
    remedy: 'See the submission below: its error, its breaker and the balance of its key.',
  },
  relayed_transaction_seconds: {
    label: 'Oldest relayed transaction',
    problem: (value) => `A transaction that a wallet handed in has not ended for ${value}`,
    remedy: 'See whether the chain makes blocks and an RPC endpoint answers; then restart the API.',
  },
  confirmed_lag_seconds: {
    label: 'Confirmed lag',
    problem: (value) => `The ledger has not caught up with the confirmed chain for ${value}`,
    remedy: 'See the breakers of the RPC endpoints; then the API’s and the daemon’s logs.',
  },
  confirmed_lag_slots: {
    label: 'Confirmed lag',
    problem: (value) => `The ledger is ${value} behind the confirmed chain`,
    remedy: 'See the breakers of the RPC endpoints, or name a faster endpoint.',
  },
  finalized_lag_seconds: {
    label: 'Finalized lag',
    problem: (value) => `The ledger has not caught up with the finalized chain for ${value}`,
    remedy: 'See the last run of read_finalized_window in Dagster.',
  },
  finalized_lag_slots: {
    label: 'Finalized lag',
    problem: (value) => `The ledger is ${value} behind the finalized chain`,
    remedy: 'See the last run of read_finalized_window in Dagster.',
  },
  wal_archive_lag_seconds: {
    label: 'Log archive lag',
    problem: (value) => `The archive of the database’s log has been behind for ${value}`,
    remedy: 'See whether zmart up’s wal-archive runs and the disk of the archive has room.',
  },
  delivery_seconds: {
    label: 'Oldest webhook delivery',
    problem: (value) => `A webhook delivery has waited ${value} to be ingested`,
    remedy: 'See zmart deliveries, and the last run of process_deliveries. Polls read the same transactions.',
  },
  job_overdue_seconds: {
    label: 'Schedule overdue',
    problem: (value) => `A scheduled job is ${value} late`,
    remedy: 'See whether Dagster’s daemon runs and the run queue moves.',
  },
  failed_runs: {
    label: 'Failed runs',
    problem: (value) => `The last ${value} of a job failed`,
    remedy: 'Open the run in Dagster; the next success ends this.',
  },
  failing_checks: {
    label: 'Failing checks',
    problem: (value) => `${value} of the data ${isOne(value) ? 'fails' : 'fail'}`,
    remedy: 'Open the check in Dagster: its metadata names the rows.',
  },
  stale_assets: {
    label: 'Stale assets',
    problem: (value) => `${value} ${isOne(value) ? 'is older than it' : 'are older than they'} may be`,
    remedy: 'See the run that should have verified the asset.',
  },
  open_breakers: {
    label: 'Open breakers',
    problem: (value) => `${value} ${isOne(value) ? 'is' : 'are'} open`,
    remedy: 'Remove the cause of the error above; the breaker then closes by itself, or reset it.',
  },
}

const isOne = (value: string) => value.startsWith('1 ')

export function labelOf(quantity: Quantity): string {
  return WORDS[quantity.name]?.label ?? spaced(quantity.name)
}

export function problemOf(quantity: Quantity): string {
  const value = measured(quantity)
  return WORDS[quantity.name]?.problem(value) ?? `${spaced(quantity.name)}: ${value}`
}

export function remedyOf(quantity: Quantity): string | undefined {
  return WORDS[quantity.name]?.remedy
}

/** On what it was measured, with ids, keys and signatures shortened. */
export function causeOf({ cause }: Quantity): string | null {
  return cause === null ? null : cause.replace(/\b[1-9A-Za-z0]{43,}\b/g, (id) => shortened(id, 6))
}

/** The value with its unit. */
export function measured({ value, unit }: Quantity): string {
  if (value === null) return 'unknown'
  if (unit === 'seconds') return duration(value)
  return `${value} ${value === 1 ? unit.replace(/s$/, '') : unit}`
}

/** Every status of a service or quantity. */
export function levelOf(status: string): Level {
  if (status === 'ok') return 'ok'
  if (status === 'idle') return 'idle'
  if (status === 'starting') return 'info'
  return status === 'down' ? 'bad' : 'warning'
}
