import { stripVTControlCharacters } from 'node:util'

type Write = NodeJS.WriteStream['write']

/** How long a burst of the job's own output may hide the line, ms. */
const REDRAW_AFTER_MS = 50
const CLEAR = '\r\x1b[K'

/**
 * One line at the bottom of the terminal, on stderr. While it is open, whatever else is written to stdout or stderr first
 * clears the line, and the line comes back once the output is at the start of a row; so it never mixes with the job's prints.
 */
export class LiveLine {
  private text = ''
  private shown = false
  /** The cursor stands behind output that did not end its row. */
  private midRow = false
  private redraw: NodeJS.Timeout | undefined
  private readonly restore: (() => void)[] = []
  private readonly draw: Write

  constructor(
    private readonly terminal: NodeJS.WriteStream,
    others: readonly NodeJS.WriteStream[],
  ) {
    this.draw = terminal.write.bind(terminal) as Write
    for (const stream of [terminal, ...others.filter((other) => other.isTTY && other !== terminal)]) this.watch(stream)
  }

  show(text: string): void {
    this.text = text
    this.paint()
  }

  close(): void {
    clearTimeout(this.redraw)
    this.clear()
    for (const undo of this.restore) undo()
  }

  private watch(stream: NodeJS.WriteStream): void {
    const own = Object.getOwnPropertyDescriptor(stream, 'write')
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = ((...args: unknown[]) => {
      this.clear()
      const chunk = args[0] as string | Uint8Array
      if (chunk.length > 0) this.midRow = typeof chunk === 'string' ? !chunk.endsWith('\n') : chunk[chunk.length - 1] !== 10
      this.redraw ??= setTimeout(() => this.paint(), REDRAW_AFTER_MS).unref()
      return write(...args)
    }) as Write
    this.restore.push(() => {
      if (own === undefined) delete (stream as Partial<NodeJS.WriteStream>).write
      else Object.defineProperty(stream, 'write', own)
    })
  }

  private clear(): void {
    if (!this.shown) return
    this.shown = false
    this.draw(CLEAR)
  }

  private paint(): void {
    clearTimeout(this.redraw)
    this.redraw = undefined
    if (this.midRow || this.text === '') return
    // A line that wraps could not be cleared. A terminal that does not know its width says 0.
    const width = Math.max(20, this.terminal.columns || 80) - 1
    this.shown = true
    this.draw(CLEAR + stripVTControlCharacters(this.text).slice(0, width))
  }
}
