import { appendFileSync, writeFileSync } from 'node:fs'

const TICK_MS = 10
const EPOCH_MS = 1_700_000_000_000
const PATHS = ['/', '/index.html', '/images/logo.png', '/api/items', '/search?q=a']

/**
 * Appends access lines to a file while the job runs, event time rising and faster than the clock. A write often ends inside a
 * line, as those of a real server's buffer do.
 */
export class AccessWriter {
  #path
  #random
  #linesPerTick
  #timer
  #timeMs = EPOCH_MS
  #rest = ''
  lines = 0

  constructor(path, random, linesPerTick = 200) {
    this.#path = path
    this.#random = random
    this.#linesPerTick = linesPerTick
    writeFileSync(path, '')
  }

  start() {
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** Writes the rest of the last line, too. */
  end() {
    clearInterval(this.#timer)
    appendFileSync(this.#path, this.#rest)
    this.#rest = ''
  }

  #tick() {
    let text = this.#rest
    for (let i = 0; i < this.#linesPerTick; i++) text += this.#line()
    const cut = this.#random() < 0.5 ? text.length : text.length - Math.floor(this.#random() * 40)
    appendFileSync(this.#path, text.slice(0, cut))
    this.#rest = text.slice(cut)
  }

  #line() {
    this.#timeMs += this.#random() < 0.2 ? Math.floor(this.#random() * 12) : 0
    this.lines++
    const path = PATHS[Math.floor(this.#random() * PATHS.length)]
    // A few addresses come often, many rarely.
    const host = Math.floor(this.#random() ** 3 * 60)
    return `10.0.${host % 4}.${host} ${this.#timeMs} GET ${path} 200 ${Math.floor(this.#random() * 5_000)}\n`
  }
}
