import type { ComponentChildren } from 'preact'

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  /** Numbers stand on the right. */
  readonly numeric?: boolean
  /** Left out where the table is narrow. */
  readonly wideOnly?: boolean
}

interface DataTableProps<Row> {
  /** What the table lists; read out by screen readers. */
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly rowKey: (row: Row) => string | number
  /** What stands there without rows. */
  readonly empty: ComponentChildren
}

/** Rows under headings; scrolls sideways by itself where the page is narrow. */
export function DataTable<Row>({ caption, columns, rows, rowKey, empty }: DataTableProps<Row>) {
  if (rows.length === 0) return <p class="quiet empty">{empty}</p>
  const kind = ({ numeric, wideOnly }: Column<Row>) =>
    [numeric === true && 'numeric', wideOnly === true && 'wide-only'].filter(Boolean).join(' ')
  return (
    <div class="table-frame" tabIndex={0} role="group" aria-label={caption}>
      <table>
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={kind(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.title} class={kind(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
