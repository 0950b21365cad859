import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const RUNNER = fileURLToPath(new URL('./runner.mjs', import.meta.url))

/** The job in a process of its own, and the events it has told of. */
export class JobProcess {
  #child
  #exited
  #listeners = new Set()
  events = []
  stderr = ''

  constructor(options) {
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    this.#child = spawn(process.execPath, [RUNNER, ...words], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin.on('error', () => {}) // the process was killed
    this.#child.stderr.on('data', (data) => {
      this.stderr += data
    })
    const lines = createInterface({ input: this.#child.stdout })
    lines.on('line', (line) => this.#take(line))
    this.#exited = Promise.all([once(this.#child, 'close'), once(lines, 'close')]).then(([[code, signal]]) => ({ code, signal }))
  }

  #take(line) {
    let event
    try {
      event = JSON.parse(line)
    } catch {
      return // a line cut short by the kill
    }
    this.events.push(event)
    for (const listener of this.#listeners) listener(event)
  }

  /** Resolves with true at the `nth` event (counted from the start) of this kind, with false when the process ends before or the time is up. */
  async waitFor(kind, nth, timeoutMs) {
    const reached = () => this.events.filter((event) => event.kind === kind).length >= nth
    if (reached()) return true
    let listener
    let timer
    const happened = new Promise((resolve) => {
      listener = () => reached() && resolve(true)
      this.#listeners.add(listener)
    })
    const timeUp = new Promise((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs)
    })
    const result = await Promise.race([happened, timeUp, this.#exited.then(() => false)])
    this.#listeners.delete(listener)
    clearTimeout(timer)
    return result
  }

  /** SIGKILL: the process gets no chance to tidy up. Resolves with how it ended; `signal` is null when it had ended by itself. */
  async kill() {
    this.#child.kill('SIGKILL')
    return this.#exited
  }

  drain() {
    this.#child.stdin.write('drain\n')
  }

  get exited() {
    return this.#exited
  }

  /** Whether a checkpoint had begun and not ended when the process died. */
  get checkpointWasRunning() {
    const last = this.events.findLast((event) => event.kind.startsWith('checkpoint-'))
    return last?.kind === 'checkpoint-started'
  }

  get failure() {
    return this.events.find((event) => event.kind === 'error' || event.kind === 'failure')?.error
  }
}
