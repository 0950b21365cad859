import { type DataStream, OutputTag } from '../runtime/index.js'

/** What flows through a case: key, integer value, label. */
export interface Ev {
  readonly k: string
  readonly v: number
  readonly t: string
}

export const evTag = (name: string): OutputTag<Ev> => new OutputTag<Ev>(name)
export const jsonTag = (name: string): OutputTag<unknown> => new OutputTag<unknown>(name)

/** Stages join streams of different elements; a case joins only those that fit. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyStream = DataStream<any>
