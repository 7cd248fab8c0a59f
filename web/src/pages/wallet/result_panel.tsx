import type { PnlPoint, WalletProfile } from '@zmart/client'
import { useMemo } from 'preact/hooks'
import { ReadPanel } from '../../components/panel.tsx'
import { type Line, TimeChart } from '../../components/time_chart.tsx'
import { api } from '../../data/api.ts'
import { sol } from '../../format/amounts.ts'
import { resultSeries } from './result_series.ts'
import { FRESH_SECONDS, useWalletPart, type WalletPanelProps } from './reading.ts'

const LINES: readonly Line[] = [
  { label: 'Result', colour: '--accent', format: (value) => `${value.toFixed(2)} SOL` },
]

/** Whether the wallet has won or lost, and how that came about. */
export function ResultPanel({ wallet }: WalletPanelProps) {
  const result = useWalletPart(wallet, 'result', () => readResult(wallet))
  return (
    <ReadPanel title="Profit and loss" class="two-thirds" resource={result} freshFor={FRESH_SECONDS}>
      {({ profile, points }) => (
        <>
          <Figures profile={profile} />
          <History points={points} />
        </>
      )}
    </ReadPanel>
  )
}

async function readResult(wallet: string) {
  const path = { wallet }
  const [profile, history] = await Promise.all([
    api.reading('/api/users/{wallet}', { params: { path } }),
    api.get('/api/users/{wallet}/pnl', { params: { path, query: { interval: '1h', limit: 168 } } }),
  ])
  return { ...profile, data: { profile: profile.data, points: history.points } }
}

function Figures({ profile: { profile, stats } }: { profile: WalletProfile }) {
  const { exact } = stats
  const total = BigInt(exact.realised_pnl) + BigInt(exact.unrealised_pnl)
  return (
    <>
      {profile.name !== null && <p>{profile.name}</p>}
      <dl class="facts amounts">
        <div>
          <dt>Result</dt>
          <dd class={total < 0n ? 'no' : 'yes'}>{signed(total)}</dd>
        </div>
        <div>
          <dt>Realised</dt>
          <dd>{signed(BigInt(exact.realised_pnl))}</dd>
        </div>
        <div>
          <dt>Not realised</dt>
          <dd>
            {signed(BigInt(exact.unrealised_pnl))}
            <small>open positions are worth {sol(exact.open_value)}</small>
          </dd>
        </div>
        <div>
          <dt>Paid in</dt>
          <dd>{sol(exact.invested)}</dd>
        </div>
        <div>
          <dt>Paid out</dt>
          <dd>
            {sol(BigInt(exact.proceeds) + BigInt(exact.claimed))}
            <small>{sol(exact.claimed)} of it claimed</small>
          </dd>
        </div>
        <div>
          <dt>Activity</dt>
          <dd>
            {stats.total_trades} trades
            <small>
              {stats.total_votes} votes, {stats.markets_traded} markets traded, {stats.markets_created} proposed
            </small>
          </dd>
        </div>
      </dl>
    </>
  )
}

function History({ points }: { points: readonly PnlPoint[] }) {
  const data = useMemo(() => resultSeries(points), [points])
  if (points.length < 2) return <p class="quiet small">The chart begins an hour after the first trade.</p>
  return <TimeChart label="Result over time, in SOL" data={data} lines={LINES} height={180} />
}

function signed(lamports: bigint): string {
  return `${lamports > 0n ? '+' : ''}${sol(lamports)}`
}
