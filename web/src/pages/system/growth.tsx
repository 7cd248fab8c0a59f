import type { SystemGrowth } from '@zmart/client'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Sparkline } from '../../components/sparkline.tsx'
import type { Line, TimeChart } from '../../components/time_chart.tsx'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { size } from '../../format/sizes.ts'
import { duration } from '../../format/times.ts'
import { growthOf, measuredOf, spanOf } from './growth_figures.ts'

const DAYS = 7
const SECONDS = 20
const SHOWN = 6
const LINES: readonly Line[] = [{ label: 'Database', colour: '--accent', format: size }]

/** What fills the disk, and how fast? */
export function Growth() {
  const query = { days: DAYS }
  const { state } = useResource('growth', () => api.reading('/api/system/growth', { params: { query } }), SECONDS)
  return (
    <ReadPanel
      class="half"
      title="Growth"
      hint={`How large the database and its largest tables were in the last ${DAYS} days.`}
      resource={state.value}
      freshFor={3 * SECONDS}
    >
      {(growth) =>
        growth.times.length < 2 ? (
          <p class="quiet">Sizes are measured once an hour. The first ones come within a minute of the start.</p>
        ) : (
          <History growth={growth} />
        )
      }
    </ReadPanel>
  )
}

function History({ growth }: { growth: SystemGrowth }) {
  const data = useMemo<[number[], number[]]>(
    () => [growth.times.map((at) => Date.parse(at) / 1000), growth.database],
    [growth],
  )
  const Chart = useChart()
  const span = duration(spanOf(growth))
  return (
    <>
      <p>
        The database has {size(growth.database.at(-1) ?? 0)}: <strong>{growthOf(growth.database)}</strong> in {span}
      </p>
      <div class="growth-chart">
        {Chart !== undefined && <Chart label="Size of the database over time" data={data} lines={LINES} height={150} />}
      </div>
      <DataTable
        caption="The largest tables"
        rows={growth.tables.slice(0, SHOWN)}
        rowKey={(row) => row.name}
        empty="There is no table."
        columns={[
          { title: 'Table', cell: (row) => <code>{row.name}</code> },
          { title: 'Size', numeric: true, cell: (row) => size(row.bytes.at(-1) ?? 0) },
          {
            title: 'Over time',
            cell: (row) => <Sparkline label={`Size of ${row.name} over time`} values={measuredOf(row.bytes)} />,
          },
          { title: `In ${span}`, numeric: true, cell: (row) => growthOf(row.bytes) },
        ]}
      />
    </>
  )
}

/** The chart once its library is loaded, which the first paint of the page does not wait for. */
function useChart(): typeof TimeChart | undefined {
  const [chart, setChart] = useState<{ readonly Chart: typeof TimeChart }>()
  useEffect(() => {
    let isShown = true
    void import('../../components/time_chart.tsx').then((module) => {
      if (isShown) setChart({ Chart: module.TimeChart })
    })
    return () => {
      isShown = false
    }
  }, [])
  return chart?.Chart
}
