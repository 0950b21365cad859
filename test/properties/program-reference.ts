import type { Item, Program, Stage, Stateless, WindowStage } from './program.js'
import { described, kept, mapped, multiplied, reduceInAnyOrder, reduceInOrder, takesTimerBack } from './program-functions.js'

/** A record that reached a sink. */
export interface Output {
  readonly sink: string
  readonly value: Item
  readonly timestamp: number
}

type Emit = (value: Item, timestamp: number) => void

interface ReferenceStage {
  element(value: Item, timestamp: number): void
  watermark(watermark: number): void
}

/** What a program must do, written as plainly as possible and without anything of the engine. */
export class ProgramReference {
  #outputs: Output[] = []
  readonly #watermarks: number[]
  #watermark = Number.NEGATIVE_INFINITY
  readonly #first: ReferenceStage
  readonly #second: ReferenceStage | undefined

  constructor(readonly program: Program) {
    this.#watermarks = program.union ? [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY] : [Number.NEGATIVE_INFINITY]
    const sink =
      (name: string): Emit =>
      (value, timestamp) =>
        this.#outputs.push({ sink: name, value, timestamp })
    this.#second = program.second && stageOf(program.second, sink('out'), sink('late-2'))
    const next: Emit = this.#second === undefined ? sink('out') : (value, timestamp) => this.#second?.element(value, timestamp)
    const afterFirst: Emit = (value, timestamp) => {
      for (const result of stateless(program.after, value)) next(result, timestamp)
    }
    this.#first = stageOf(program.first, afterFirst, sink('late-1'))
  }

  element(input: number, item: Item, timestamp: number): void {
    const items = input === 0 ? stateless(this.program.left, item) : [item]
    for (const each of items) for (const result of stateless(this.program.before, each)) this.#first.element(result, timestamp)
  }

  watermark(input: number, watermark: number): void {
    this.#watermarks[input] = watermark
    const least = Math.min(...this.#watermarks)
    if (least <= this.#watermark) return
    this.#watermark = least
    this.#first.watermark(least)
    this.#second?.watermark(least)
  }

  /** What came since the last call. */
  take(): Output[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }
}

function stateless(operators: readonly Stateless[], item: Item): Item[] {
  return operators.reduce<Item[]>((items, operator) => items.flatMap((each) => applied(operator, each)), [item])
}

function applied(operator: Stateless, item: Item): Item[] {
  if (operator.op === 'map') return [mapped(item, operator.add)]
  if (operator.op === 'filter') return kept(item, operator.mod) ? [item] : []
  return multiplied(item, operator.mod)
}

function stageOf(stage: Stage, emit: Emit, late: Emit): ReferenceStage {
  if (stage.op === 'rolling') return new RollingReference(stage.fn, emit)
  if (stage.op === 'timers') return new TimersReference(stage.delayMs, emit)
  if (stage.windows.shape === 'count') return new CountReference(stage, stage.windows.size, stage.windows.slide, emit)
  return new WindowReference(stage, emit, late)
}

class RollingReference implements ReferenceStage {
  readonly #values = new Map<string, Item>()

  constructor(
    readonly fn: 'reduce' | 'sum' | 'maxBy',
    readonly emit: Emit,
  ) {}

  element(value: Item, timestamp: number): void {
    const known = this.#values.get(value.k)
    const result = known === undefined ? value : this.#combined(known, value)
    this.#values.set(value.k, result)
    this.emit(result, timestamp)
  }

  #combined(known: Item, value: Item): Item {
    if (this.fn === 'reduce') return reduceInOrder(known, value)
    if (this.fn === 'sum') return { ...known, v: known.v + value.v }
    return value.v > known.v ? value : known
  }

  watermark(): void {}
}

class TimersReference implements ReferenceStage {
  readonly #counts = new Map<string, number>()
  #timers: { readonly time: number; readonly key: string }[] = []

  constructor(
    readonly delayMs: number,
    readonly emit: Emit,
  ) {}

  element(value: Item, timestamp: number): void {
    const count = (this.#counts.get(value.k) ?? 0) + 1
    this.#counts.set(value.k, count)
    this.#delete(timestamp + this.delayMs, value.k)
    if (!takesTimerBack(value)) this.#timers.push({ time: timestamp + this.delayMs, key: value.k })
    this.emit({ ...value, v: count }, timestamp)
  }

  watermark(watermark: number): void {
    for (;;) {
      const time = Math.min(...this.#timers.map((timer) => timer.time))
      const due = this.#timers.find((timer) => timer.time === time)
      if (due === undefined || time > watermark) return
      this.#delete(time, due.key)
      const count = this.#counts.get(due.key) ?? 0
      this.emit({ k: due.key, v: count, id: -1 }, time)
      if (count > 1) {
        this.#counts.set(due.key, Math.floor(count / 2))
        this.#delete(time + 3, due.key)
        this.#timers.push({ time: time + 3, key: due.key })
      } else this.#counts.delete(due.key)
    }
  }

  #delete(time: number, key: string): void {
    this.#timers = this.#timers.filter((timer) => timer.time !== time || timer.key !== key)
  }
}

class CountReference implements ReferenceStage {
  readonly #elements = new Map<string, Item[]>()

  constructor(
    readonly stage: WindowStage,
    readonly size: number,
    readonly slide: number | undefined,
    readonly emit: Emit,
  ) {}

  element(value: Item): void {
    const key = this.stage.all ? '' : value.k
    const all = [...(this.#elements.get(key) ?? []), value]
    this.#elements.set(key, all)
    if (all.length % (this.slide ?? this.size) === 0) this.emit(computed(this.stage, key, 'global', all.slice(-this.size)), Number.POSITIVE_INFINITY)
  }

  watermark(): void {}
}

interface OpenWindow {
  readonly key: string
  readonly start: number
  readonly end: number
  readonly elements: readonly Item[]
}

class WindowReference implements ReferenceStage {
  #watermark = Number.NEGATIVE_INFINITY
  #open: OpenWindow[] = []

  constructor(
    readonly stage: WindowStage,
    readonly emit: Emit,
    readonly late: Emit,
  ) {}

  element(value: Item, timestamp: number): void {
    const key = this.stage.all ? '' : value.k
    let inOne = false
    for (const added of this.#windowsOf(key, timestamp)) {
      const same = this.#open.filter((window) => window.key === key && this.#isSame(window, added))
      const whole: OpenWindow = {
        key,
        start: Math.min(added.start, ...same.map(({ start }) => start)),
        end: Math.max(added.end, ...same.map(({ end }) => end)),
        elements: [...same.flatMap(({ elements }) => elements), value],
      }
      if (this.#isOver(whole)) continue
      inOne = true
      this.#open = [...this.#open.filter((window) => !same.includes(window)), whole]
      if (whole.end - 1 <= this.#watermark) this.#fire(whole)
    }
    if (!inOne && timestamp + this.stage.latenessMs <= this.#watermark) this.late(value, timestamp)
  }

  /** Newest first. */
  #windowsOf(key: string, timestamp: number): OpenWindow[] {
    const { windows } = this.stage
    if (windows.shape === 'session') return [{ key, start: timestamp, end: timestamp + windows.gapMs, elements: [] }]
    if (windows.shape === 'count') throw new Error('a count window has no bounds')
    const found: OpenWindow[] = []
    for (let start = timestamp; start > timestamp - windows.sizeMs; start--) {
      if ((start - windows.offsetMs) % windows.slideMs === 0) found.push({ key, start, end: start + windows.sizeMs, elements: [] })
    }
    return found
  }

  /** Sessions are one when they overlap or touch. */
  #isSame(a: OpenWindow, b: OpenWindow): boolean {
    return this.stage.windows.shape === 'session' ? a.start <= b.end && b.start <= a.end : a.start === b.start
  }

  #isOver(window: OpenWindow): boolean {
    return window.end - 1 + this.stage.latenessMs <= this.#watermark
  }

  watermark(watermark: number): void {
    const due = this.#open.filter(({ end }) => end - 1 > this.#watermark && end - 1 <= watermark)
    this.#watermark = watermark
    for (const window of due.sort((a, b) => a.end - b.end)) this.#fire(window)
    this.#open = this.#open.filter((window) => !this.#isOver(window))
  }

  #fire({ key, start, end, elements }: OpenWindow): void {
    this.emit(computed(this.stage, key, `${start}..${end}`, elements), end - 1)
  }
}

function computed({ fn, anyOrder }: WindowStage, key: string, bounds: string, elements: readonly Item[]): Item {
  if (fn === 'reduce') return elements.reduce(anyOrder ? reduceInAnyOrder : reduceInOrder)
  if (fn === 'process') return described(key, bounds, elements, anyOrder)
  return { k: 'total', v: elements.reduce((sum, { v }) => sum + v, 0), id: elements.length }
}
