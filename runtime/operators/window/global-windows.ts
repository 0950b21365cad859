import { GlobalWindow } from '../../core/index.js'
import { EndOfStreamTrigger } from './end-of-stream-trigger.js'
import { NeverTrigger } from './never-trigger.js'
import type { Trigger } from './trigger.js'
import { WindowAssigner } from './window-assigner.js'

const THE_WINDOW: readonly GlobalWindow[] = Object.freeze([GlobalWindow.INSTANCE])

/** One window for all elements of a key (Flink's GlobalWindows). */
export class GlobalWindows extends WindowAssigner<unknown, GlobalWindow> {
  readonly isEventTime = false
  readonly isMerging: false = false

  private constructor(readonly defaultTrigger: Trigger<unknown, GlobalWindow>) {
    super()
  }

  /** Never fires by itself: give it a trigger, such as `CountTrigger.of(n)`. */
  static create(): GlobalWindows {
    return new GlobalWindows(NeverTrigger.create())
  }

  /** Fires once, when the input has ended. */
  static createWithEndOfStreamTrigger(): GlobalWindows {
    return new GlobalWindows(EndOfStreamTrigger.create())
  }

  assignWindows(): readonly GlobalWindow[] {
    return THE_WINDOW
  }

  getDefaultTrigger(): Trigger<unknown, GlobalWindow> {
    return this.defaultTrigger
  }

  windowToData(window: GlobalWindow): unknown {
    return window.id
  }

  windowFromData(): GlobalWindow {
    return GlobalWindow.INSTANCE
  }

  override toString(): string {
    return `GlobalWindows(${this.defaultTrigger})`
  }
}
