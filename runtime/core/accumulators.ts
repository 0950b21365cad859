import { MillraceError } from './errors.js'

/** The local part of an accumulator as plain data, so that it crosses threads; parts of one name are merged by their kind. */
export type AccumulatorPart =
  | { readonly kind: 'count' | 'minimum' | 'maximum'; readonly value: number }
  | { readonly kind: 'average'; readonly sum: number; readonly count: number }
  | { readonly kind: 'histogram'; readonly counts: ReadonlyMap<number, number> }
  | { readonly kind: 'list'; readonly values: readonly unknown[] }

/** Gathers something while a job runs; the parts of all subtasks are in the job's result (Flink's Accumulator). */
export interface Accumulator<In, Result> {
  add(value: In): void
  /** What this subtask has gathered. */
  readonly localValue: Result
  /** @internal */
  part(): AccumulatorPart
}

/** Adds up (Flink's IntCounter, LongCounter and DoubleCounter). */
export class CountAccumulator implements Accumulator<number, number> {
  localValue = 0
  add(value = 1): void {
    this.localValue += value
  }
  part(): AccumulatorPart {
    return { kind: 'count', value: this.localValue }
  }
}

/** The least of what was added; Infinity for nothing. */
export class MinimumAccumulator implements Accumulator<number, number> {
  localValue = Number.POSITIVE_INFINITY
  add(value: number): void {
    this.localValue = Math.min(this.localValue, value)
  }
  part(): AccumulatorPart {
    return { kind: 'minimum', value: this.localValue }
  }
}

/** The greatest of what was added; -Infinity for nothing. */
export class MaximumAccumulator implements Accumulator<number, number> {
  localValue = Number.NEGATIVE_INFINITY
  add(value: number): void {
    this.localValue = Math.max(this.localValue, value)
  }
  part(): AccumulatorPart {
    return { kind: 'maximum', value: this.localValue }
  }
}

/** The mean of what was added; 0 for nothing, as in Flink. */
export class AverageAccumulator implements Accumulator<number, number> {
  #sum = 0
  #count = 0
  get localValue(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }
  add(value: number): void {
    this.#sum += value
    this.#count++
  }
  part(): AccumulatorPart {
    return { kind: 'average', sum: this.#sum, count: this.#count }
  }
}

/** How often each number was added. */
export class HistogramAccumulator implements Accumulator<number, ReadonlyMap<number, number>> {
  readonly localValue = new Map<number, number>()
  add(value: number): void {
    this.localValue.set(value, (this.localValue.get(value) ?? 0) + 1)
  }
  part(): AccumulatorPart {
    return { kind: 'histogram', counts: new Map(this.localValue) }
  }
}

/** Everything that was added: plain data, and not too much of it. */
export class ListAccumulator<T> implements Accumulator<T, readonly T[]> {
  readonly localValue: T[] = []
  add(value: T): void {
    this.localValue.push(value)
  }
  part(): AccumulatorPart {
    return { kind: 'list', values: [...this.localValue] }
  }
}

/**
 * What a rich function can gather for the job's result. A name stands for one accumulator of the job: what operators and subtasks add to it comes
 * together in `JobResult.accumulators`. After a restart they begin anew.
 *
 * @example
 * class Parse extends RichFlatMapFunction<string, Access> {
 *   #malformed!: CountAccumulator
 *   override open(context: RuntimeContext) {
 *     super.open(context)
 *     this.#malformed = context.getCounter('malformed')
 *   }
 *   flatMap(line: string, out: Collector<Access>) {
 *     const access = parseAccess(line)
 *     if (access === undefined) this.#malformed.add(1)
 *     else out.collect(access)
 *   }
 * }
 * const { accumulators } = await handle.result() // { malformed: 3 }
 */
export interface AccumulatorRegistry {
  /** Returns the accumulator. Throws OPTION_INVALID when this operator has another one of this name. */
  addAccumulator<A extends Accumulator<never, unknown>>(name: string, accumulator: A): A
  /** The one that was added under this name; undefined when there is none. */
  getAccumulator(name: string): Accumulator<never, unknown> | undefined
  /** The count of this name, made at the first call. Throws OPTION_INVALID when the name stands for something else. */
  getCounter(name: string): CountAccumulator
}

/** The accumulators of one operator of one subtask. */
export class Accumulators implements AccumulatorRegistry {
  readonly #byName = new Map<string, Accumulator<never, unknown>>()

  addAccumulator<A extends Accumulator<never, unknown>>(name: string, accumulator: A): A {
    if (this.#byName.has(name)) throw differentKinds(name)
    this.#byName.set(name, accumulator)
    return accumulator
  }

  getAccumulator(name: string): Accumulator<never, unknown> | undefined {
    return this.#byName.get(name)
  }

  getCounter(name: string): CountAccumulator {
    const known = this.#byName.get(name)
    if (known === undefined) return this.addAccumulator(name, new CountAccumulator())
    if (known instanceof CountAccumulator) return known
    throw differentKinds(name)
  }

  parts(): Record<string, AccumulatorPart> {
    return Object.fromEntries([...this.#byName].map(([name, accumulator]) => [name, accumulator.part()]))
  }
}

/** The results of all parts, by name. Throws OPTION_INVALID when operators used one name for different kinds. */
export function mergeAccumulators(all: readonly Readonly<Record<string, AccumulatorPart>>[]): Record<string, unknown> {
  const merged = new Map<string, AccumulatorPart>()
  for (const parts of all) {
    for (const [name, part] of Object.entries(parts)) {
      const before = merged.get(name)
      merged.set(name, before === undefined ? part : mergeParts(name, before, part))
    }
  }
  return Object.fromEntries([...merged].map(([name, part]) => [name, resultOf(part)]))
}

function mergeParts(name: string, a: AccumulatorPart, b: AccumulatorPart): AccumulatorPart {
  if (a.kind === 'average' && b.kind === 'average') return { kind: 'average', sum: a.sum + b.sum, count: a.count + b.count }
  if (a.kind === 'list' && b.kind === 'list') return { kind: 'list', values: [...a.values, ...b.values] }
  if (a.kind === 'histogram' && b.kind === 'histogram') {
    const counts = new Map(a.counts)
    for (const [value, count] of b.counts) counts.set(value, (counts.get(value) ?? 0) + count)
    return { kind: 'histogram', counts }
  }
  if (a.kind === 'count' && b.kind === 'count') return { kind: 'count', value: a.value + b.value }
  if (a.kind === 'minimum' && b.kind === 'minimum') return { kind: 'minimum', value: Math.min(a.value, b.value) }
  if (a.kind === 'maximum' && b.kind === 'maximum') return { kind: 'maximum', value: Math.max(a.value, b.value) }
  throw differentKinds(name)
}

function resultOf(part: AccumulatorPart): unknown {
  switch (part.kind) {
    case 'average':
      return part.count === 0 ? 0 : part.sum / part.count
    case 'histogram':
      return new Map([...part.counts].sort(([a], [b]) => a - b))
    case 'list':
      return part.values
    default:
      return part.value
  }
}

function differentKinds(name: string): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: `the accumulator "${name}" was added twice, or stands for different kinds`,
    todo: 'Give each accumulator a name of its own; use getCounter(name) to share a count.',
  })
}
