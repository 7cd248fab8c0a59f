interface SparklineProps {
  readonly label: string
  /** Values for drawing. */
  readonly values: readonly number[]
  readonly width?: number
  readonly height?: number
}

/** A small line without axes. */
export function Sparkline({ label, values, width = 96, height = 24 }: SparklineProps) {
  if (values.length < 2) return <span class="quiet">–</span>
  const low = Math.min(...values)
  const spread = Math.max(...values) - low || 1
  const points = values.map((value, index) => {
    const x = (index / (values.length - 1)) * (width - 2) + 1
    const y = height - 2 - ((value - low) / spread) * (height - 4)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <polyline points={points.join(' ')} />
    </svg>
  )
}
