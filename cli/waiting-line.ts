import { LiveLine } from './live-line.js'

/** Without a terminal a line says now and then that something is still under way. */
const PLAIN_MS = 10_000

/** Tells on stderr what is being waited for; stdout stays the command's result. */
export class WaitingLine {
  readonly #line = process.stderr.isTTY ? new LiveLine(process.stderr, [process.stdout]) : undefined
  #saidAt = performance.now()

  show(text: string): void {
    if (this.#line !== undefined) this.#line.show(text)
    else if (performance.now() - this.#saidAt >= PLAIN_MS) {
      this.#saidAt = performance.now()
      process.stderr.write(`millrace: ${text}\n`)
    }
  }

  close(): void {
    this.#line?.close()
  }
}
