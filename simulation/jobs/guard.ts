import type { DataStream } from '../../runtime/index.js'
import { type Collector, listState } from '../../runtime/index.js'
import type { Item } from './item.js'

/** Items that a function in a stage of its own, between the sources and the rest of the job, throws for. */
export interface Poison {
  readonly ids: ReadonlySet<number>
  /** `bury`: they go to the dead letters. `repair`: after some tries the function takes them. */
  readonly policy: 'bury' | 'repair'
}

/** Lets items pass, but for those that `throws` says; what it did with these before does not count. It throws for what it gets twice, too. */
export function guarded(items: DataStream<Item>, uid: string, { ids, policy }: Poison, throws: (id: number) => boolean): DataStream<Item> {
  return items
    .keyBy(({ key }) => key)
    .process<Item, { seen: ReturnType<typeof listState<number>> }>({
      state: { seen: listState<number>() },
      processElement(item, { state }, out: Collector<Item>) {
        const seen = [...state.seen.get()]
        const wrong = seen.find((id) => id === item.id || (policy === 'bury' && ids.has(id)))
        if (wrong !== undefined) throw new Error(`item ${wrong} is in the state of the guard when ${item.id} comes`)
        state.seen.add(item.id)
        out.collect(item)
        if (throws(item.id)) throw new TypeError(`item ${item.id} is poison`)
      },
    })
    .uid(uid)
}
