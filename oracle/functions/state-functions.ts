import { type KeyedProcessFunction, listState, mapState, reducingState, type StateTtlConfig, valueState } from '../../runtime/index.js'
import type { Ev } from '../element.js'
import type { Stage } from '../oracle-case.js'
import { type AnyKeyedProcessFunction, keyedFunction } from './keyed-function.js'

const STATES = {
  v: valueState<number>(),
  l: listState<number>(),
  m: mapState<number, number>(),
  r: reducingState<number>((a, b) => a + b),
}

/** Every kind of state. */
export function states(): KeyedProcessFunction<string, Ev, unknown, typeof STATES> {
  return {
    state: STATES,
    processElement({ v, t }, { currentKey, state }, out) {
      if (t === 'clear') {
        for (const handle of [state.v, state.l, state.m, state.r]) handle.clear()
      } else if (t === 'list-update-empty') {
        state.l.update([])
      } else if (t !== 'read') {
        state.v.update(v)
        state.l.add(v)
        state.m.put(v % 3, v)
        state.r.add(v)
      }
      const map = [...state.m.entries()].sort(([a], [b]) => a - b)
      out.collect({ k: currentKey, value: state.v.value(), list: [...state.l.get()], map, reducing: state.r.get() })
    },
  }
}

/** A count and a map under a time to live. */
export function ttlCount({ ttl: ttlMs, update, visibility, background: cleanupInBackground }: Stage): AnyKeyedProcessFunction {
  const ttl: StateTtlConfig = { ttlMs, update, visibility, cleanupInBackground }
  return keyedFunction({
    state: { c: valueState<number>({ ttl }), m: mapState<string, number>({ ttl }) },
    processElement({ v, t }, { currentKey: k, state }, out) {
      if (t === 'inc') {
        const before = state.c.value()
        state.c.update((before ?? 0) + 1)
        out.collect({ k, before, after: state.c.value() })
      } else if (t === 'read') {
        out.collect({ k, value: state.c.value() })
      } else if (t.startsWith('put:')) {
        state.m.put(t.slice(4), v)
      } else if (t === 'keys') {
        out.collect({ k, keys: [...state.m.keys()].sort(), empty: state.m.isEmpty() })
      }
    },
  })
}
