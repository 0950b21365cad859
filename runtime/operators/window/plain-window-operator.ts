import type { Window } from '../../core/index.js'
import { codecOf, IMPLIED_TIMERS_TABLE, pushTime, REMOVED, removeTime, type StateEntry, type StateTable } from '../../state/index.js'
import { EventTimeTrigger } from './event-time-trigger.js'
import { WindowOperator, type WindowOperatorOptions } from './window-operator.js'

/** Whether {@link PlainWindowOperator} gives the same results. */
export function isPlain<In, Acc, Out, W extends Window>(options: WindowOperatorOptions<In, Acc, Out, W>): boolean {
  return (
    options.trigger.constructor === EventTimeTrigger && options.assigner.isEventTime && !options.assigner.isMerging && options.allowedLatenessMs === 0
  )
}

/**
 * The ordinary case, made fast: event-time windows with the default trigger, without lateness. Such a window has exactly one
 * timer, at its end, where it fires and is dropped; so the timer is implied by the row and neither kept nor written to
 * snapshots: rows are listed by the time at which they fire.
 */
export class PlainWindowOperator<In, Acc, Out, W extends Window> extends WindowOperator<In, Acc, Out, W> {
  readonly #rows = new Map<number, StateEntry<Acc>[]>()
  readonly #times: number[] = []

  protected override openTable(): StateTable<Acc> {
    const table = this.keyed.tableWith(IMPLIED_TIMERS_TABLE, codecOf(this.contents.descriptor)) as StateTable<Acc>
    // Rows of a former run whose windows had timers of their own, which from here fire for nothing.
    const { name } = this.contents.descriptor
    if (this.keyed.hasRestored(name)) {
      const former = this.keyed.table(this.contents.descriptor) as StateTable<Acc>
      for (const row of [...former.entries()]) {
        table.insert(row.key, row.namespace, row.value)
        former.remove(row)
      }
    }
    for (const row of table.entries()) this.#list(row)
    table.loaded = (row) => this.#list(row)
    return table
  }

  #list(row: StateEntry<Acc>): void {
    const time = (row.namespace as W).maxTimestamp
    let rows = this.#rows.get(time)
    if (rows === undefined) {
      rows = []
      this.#rows.set(time, rows)
      pushTime(this.#times, time)
    }
    rows.push(row)
  }

  protected override addToWindows(windows: readonly W[], value: In, timestamp: number): boolean {
    const table = this.table
    const { currentWatermark } = this.timers
    let added = false
    for (let i = 0; i < windows.length; i++) {
      const window = windows[i]
      if (window.maxTimestamp <= currentWatermark) continue
      added = true
      const size = table.size
      const row = this.store(window, value, timestamp)
      if (table.size !== size) this.#list(row)
    }
    return added
  }

  override processWatermark(watermark: number): void {
    this.timers.currentWatermark = watermark
    if (this.#fireUpTo(watermark)) super.processWatermark(watermark)
    else {
      this.keyed.sweeps.eventTimeTo = watermark
      this.keyed.sweeps.eventTimePending = true
    }
  }

  /** As `TimerQueue.advance`: false when the budget was used up before the last window, or windows are not in memory. */
  #fireUpTo(watermark: number): boolean {
    const { sweeps, onDemand } = this.keyed
    if (sweeps.suspended) return true
    const beyond = onDemand?.windows
    if (beyond?.mayHave(watermark) !== true) return this.#fireInMemory(watermark)
    this.#fireInMemory(Math.min(watermark, beyond.loadedTo))
    return false
  }

  #fireInMemory(watermark: number): boolean {
    const { sweeps } = this.keyed
    while (this.#times.length > 0 && this.#times[0] <= watermark) {
      const time = this.#times[0]
      const rows = this.#rows.get(time) as StateEntry<Acc>[]
      for (let i = 0; i < rows.length; i++) {
        if (rows[i].place === REMOVED) continue
        if (!sweeps.take()) {
          rows.splice(0, i)
          return false
        }
        this.#fire(rows[i])
      }
      this.#rows.delete(time)
      removeTime(this.#times, time)
    }
    return true
  }

  #fire(row: StateEntry<Acc>): void {
    const window = row.namespace as W
    this.keyed.currentKey = row.key
    this.emit(window, row)
    this.table.remove(row)
    if (this.windowFunction.clear === undefined) return
    this.windowContext.enter(window)
    this.windowFunction.clear(this.windowContext)
  }
}
