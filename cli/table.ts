/** Rows of text as lines whose columns stand below one another, two spaces apart. Empty columns at the end leave nothing. */
export function table(rows: readonly (readonly string[])[], indent = ''): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows.map((row) => (indent + row.map((cell, column) => cell.padEnd(widths[column])).join('  ')).trimEnd())
}
