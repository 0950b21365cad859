import { AsyncDataStream, type DataStream } from '../../runtime/index.js'
import type { AnyStream, Ev } from '../element.js'
import { asyncFunction, type PendingCalls } from '../functions/async-function.js'
import type { Stage } from '../oracle-case.js'

export function asyncStage({ mode, timeout = 0, capacity = 100 }: Stage, input: DataStream<Ev>, calls: PendingCalls): AnyStream {
  const wait = mode === 'ordered' ? AsyncDataStream.orderedWait : AsyncDataStream.unorderedWait
  return wait(input, asyncFunction(calls), { timeoutMs: timeout, capacity })
}
