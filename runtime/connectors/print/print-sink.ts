import type { Sink, SinkWriter, SinkWriterContext } from '../../core/index.js'
import { printedForm } from './printed-form.js'

/** Characters that are gathered before they are written. */
const BATCH_LENGTH = 1 << 14

/** Options of the print sink. */
export interface PrintSinkOptions {
  /** Stands before every value: `prefix> value`. */
  readonly prefix?: string
  /** Writes to standard error instead of standard output. */
  readonly stderr?: boolean
}

/**
 * Prints each value on a line (Flink's print()): texts as they are, objects as JSON. With a parallelism above 1 the number of the subtask,
 * from 1, stands before it: `2> value`, or `prefix:2> value`. At least once: after a restore values are printed again.
 */
export function printSink<T>(options: PrintSinkOptions = {}): Sink<T, never> {
  return { name: 'print-sink', createWriter: (context) => new PrintWriter<T>(options, context) }
}

class PrintWriter<T> implements SinkWriter<T, never> {
  readonly #stream: NodeJS.WriteStream
  readonly #prefix: string
  #text = ''
  #scheduled = false

  constructor(options: PrintSinkOptions, context: SinkWriterContext) {
    this.#stream = options.stderr === true ? process.stderr : process.stdout
    const labels = [options.prefix, context.parallelism > 1 ? String(context.subtaskIndex + 1) : undefined].filter((label) => label !== undefined)
    this.#prefix = labels.length === 0 ? '' : `${labels.join(':')}> `
  }

  write(value: T): void {
    this.#text += `${this.#prefix}${printedForm(value)}\n`
    if (this.#text.length >= BATCH_LENGTH) this.#flush()
    else this.#schedule()
  }

  async prepareCommit(): Promise<readonly never[]> {
    await this.#flushed()
    return []
  }

  /** Resolves when the stream has taken everything: a process or thread that ends before would lose it. */
  async close(): Promise<void> {
    await this.#flushed()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#scheduled = false
    if (this.#text === '') return
    const text = this.#text
    this.#text = ''
    this.#stream.write(text)
  }

  #flushed(): Promise<void> {
    this.#flush()
    return new Promise((resolve, reject) => {
      this.#stream.write('', (error) => (error == null ? resolve() : reject(error)))
    })
  }
}
