import { MillraceError, type Window } from '../../core/index.js'
import type { Namespace, StateEntry, StateTable } from '../../state/index.js'
import { MergingWindowSet } from './merging-window-set.js'
import { isFire, isPurge } from './trigger.js'
import type { MergingWindowAssigner } from './window-assigner.js'
import { WindowOperator, type WindowOperatorOptions } from './window-operator.js'

export interface MergingWindowOperatorOptions<In, Acc, Out, W extends Window> extends WindowOperatorOptions<In, Acc, Out, W> {
  readonly assigner: MergingWindowAssigner<In, W>
}

/** Windows that grow together, such as sessions: contents stand under a state window that outlives merges. */
export class MergingWindowOperator<In, Acc, Out, W extends Window> extends WindowOperator<In, Acc, Out, W> {
  readonly #merging: MergingWindowAssigner<In, W>
  #sets!: StateTable<MergingWindowSet<W>>

  constructor(options: MergingWindowOperatorOptions<In, Acc, Out, W>) {
    super(options)
    this.#merging = options.assigner
  }

  override async open(): Promise<void> {
    await super.open()
    this.#sets = this.keyed.tableWith<MergingWindowSet<W>>('merging-window-set', {
      kind: 'internal',
      serdeId: 'structural',
      toData: (set) => set.toData(),
      fromData: (data) => this.#newSet(data),
    })
  }

  #newSet(data: unknown): MergingWindowSet<W> {
    return new MergingWindowSet(this.#merging as MergingWindowAssigner<never, W>, data)
  }

  protected override addToWindows(windows: readonly W[], value: In, timestamp: number): boolean {
    const key = this.keyed.currentKey
    const known = this.#sets.get(key, null)
    const set = known?.value ?? this.#newSet(null)
    let added = false
    for (const window of windows) {
      const actual = set.addWindow(window, (result, merged, stateWindow, mergedStateWindows) =>
        this.#merge(result, merged, stateWindow, mergedStateWindows),
      )
      if (this.isWindowLate(actual)) {
        set.retireWindow(actual)
        continue
      }
      added = true
      this.#addTo(actual, set.getStateWindow(actual) as W, value, timestamp)
    }
    this.#keep(known, set)
    return added
  }

  #addTo(window: W, stateWindow: W, value: In, timestamp: number): void {
    const entry = this.store(stateWindow, value, timestamp)
    const result = this.ask(window, (trigger, context) => trigger.onElement(value, timestamp, window, context))
    if (isFire(result)) this.emit(window, entry)
    if (isPurge(result)) this.table.remove(entry)
    this.registerCleanup(window)
  }

  #merge(result: W, merged: readonly W[], stateWindow: W, mergedStateWindows: readonly W[]): void {
    this.#checkStillOpen(result)
    this.triggerContext.mergedNamespaces = merged
    this.triggerContext.enter(result)
    this.trigger.onMerge(result, this.triggerContext)
    for (const window of merged) {
      this.triggerContext.enter(window)
      this.trigger.clear(window, this.triggerContext)
      this.#deleteCleanup(window)
    }
    this.#mergeContents(stateWindow, mergedStateWindows)
  }

  #checkStillOpen(result: W): void {
    const now = this.assigner.isEventTime ? this.timers.currentWatermark : this.context.processingTime.clock.now()
    if (this.cleanupTime(result) > now) return
    throw new MillraceError('PLAN_INVALID', {
      what: `merging made window ${result.id} end before the current ${this.assigner.isEventTime ? 'watermark' : 'processing time'} ${now}`,
      where: `operator "${this.context.name}" (uid ${this.context.uid})`,
      todo: 'The window assigner must not make windows end earlier by merging.',
      uid: this.context.uid,
    })
  }

  #mergeContents(target: W, sources: readonly W[]): void {
    const key = this.keyed.currentKey
    const merge = this.contents.merge
    for (const source of sources) {
      const from = this.table.get(key, source)
      if (from === null) continue
      this.table.remove(from)
      const into = this.table.get(key, target)
      if (into === null) this.table.insert(key, target, from.value)
      else {
        into.value = (merge as NonNullable<typeof merge>)(into.value, from.value)
        this.table.touch(into)
      }
    }
  }

  #deleteCleanup(window: W): void {
    const time = this.cleanupTime(window)
    if (this.assigner.isEventTime) this.keyed.eventTimers.delete(time, this.keyed.currentKey, window)
    else this.keyed.processingTimers.delete(time, this.keyed.currentKey, window)
  }

  /** Puts the set back into state, or drops the row of a key without windows. */
  #keep(known: StateEntry<MergingWindowSet<W>> | null, set: MergingWindowSet<W>): void {
    if (set.size === 0) {
      if (known !== null) this.#sets.remove(known)
    } else if (known === null) this.#sets.insert(this.keyed.currentKey, null, set)
    else if (set.changed) this.#sets.touch(known)
  }

  protected override stateWindow(window: W): Namespace | undefined {
    return this.#sets.get(this.keyed.currentKey, null)?.value.getStateWindow(window)
  }

  protected override clearWindow(window: W): void {
    const known = this.#sets.get(this.keyed.currentKey, null)
    if (known === null || known.value.getStateWindow(window) === undefined) return
    super.clearWindow(window)
    known.value.retireWindow(window)
    this.#keep(known, known.value)
  }
}
